"""Trained networks on the device of inference, predictions from salient codes, and shapes of weights."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from torch import Tensor, nn

from sepvae.batch import AnyArray
from sepvae.errors import ModelFileError
from sepvae.losses.vae import group_logits
from sepvae.methods.labels import GroupLabels
from sepvae.model_files import Shapes, check_arrays
from sepvae.networks.autoencoder import CriticKind
from sepvae.networks.model import ContrastiveAutoencoder, Critic, ReadOut, SalientClassifier
from sepvae.training.distributed import one_device
from sepvae.training.module import as_input
from sepvae.training.runtime import retain_freed_memory

DRAWS = 64  # salient codes of the prior that one of a target is chosen from
Networks = tuple[ContrastiveAutoencoder, Callable[[Any], Tensor]]


@contextmanager
def inference(module: ContrastiveAutoencoder, accelerator: str) -> Iterator[Networks]:
    """Yield the module on the device of `accelerator`, and a function that puts arrays on that device."""
    device = one_device(accelerator)
    one = next(module.parameters())
    with torch.inference_mode(), retain_freed_memory(), _lent(module, device):
        yield module, lambda x: as_input(torch.as_tensor(x).to(device), one.dtype)


def as_numpy(tensor: Tensor) -> AnyArray:
    """Return a tensor of any device as a contiguous array."""
    array: AnyArray = tensor.cpu().contiguous().numpy()
    return array


class PredictionMixin(ClassifierMixin):  # type: ignore[misc]
    """What an estimator predicts by its read-out, the classifier of salient means."""

    _labels: GroupLabels

    def predict_proba(self, X: Any) -> AnyArray:
        """
        Return the probability of each label, read from the salient means.

        The read-out is a small classifier, trained on detached means of the training part, so it does not
        affect the other networks. Models saved before it existed use the salient classifier instead.

        Parameters
        ----------
        X : array-like, DataFrame or Source
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Columns in the order of `classes_`.
        """
        return self._probabilities(self.encode(X).salient_mean)[:, np.argsort(self._labels.order)]

    def sampled_classifier_proba(self, X: Any) -> AnyArray:
        """
        Return the probability of each label by the salient classifier, evaluated on salient means.

        The paper scores this classifier (App. D), which learns from sampled codes. It may have learnt the
        width of the noise, which differs between the groups in training and is absent from means: prefer
        `predict_proba`.

        Parameters
        ----------
        X : array-like, DataFrame or Source
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Columns in the order of `classes_`.
        """
        salient = self.encode(X).salient_mean
        return self._probabilities(salient, sampled=True)[:, np.argsort(self._labels.order)]

    def predict(self, X: Any) -> AnyArray:
        """
        Return the most probable label by `predict_proba`; for severities, the expected severity.

        Parameters
        ----------
        X : array-like, DataFrame or Source
            As in `fit`.

        Returns
        -------
        ndarray of shape (n,)
            Labels, or severities: in the units of the attribute if keyword `severity` names one, else in
            [0, 1]. `sample` takes the share of the maximum in [0, 1] in both cases.
        """
        probabilities = self.predict_proba(X)
        return self._labels.predict(probabilities)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy of `predict`; for severities, its R2."""
        predicted = self.predict(X)
        return self._labels.score(y, predicted, sample_weight)

    def _draw_salient(self, n: int, y: float | str, rng: np.random.Generator) -> AnyArray:
        """Return salient codes of a label; one of several targets has p(s | y = k) ~ p(s) p(y = k | s)."""
        several = len(self._labels.classes) > 2
        drawn: AnyArray = super()._draw_salient(n * DRAWS if several else n, y, rng)
        if not several:
            return drawn
        weights = self._probabilities(drawn, sampled=True)[:, int(self._labels.group(y))] + 1e-30
        chosen = (np.log(weights.reshape(n, DRAWS)) + rng.gumbel(size=(n, DRAWS))).argmax(axis=1)
        return np.asarray(drawn.reshape(n, DRAWS, -1)[np.arange(n), chosen])

    def _probabilities(self, salient: AnyArray, *, sampled: bool = False) -> AnyArray:
        """Return the probability of each group, the background first."""
        with self._inference() as (module, put):
            read_out = None if sampled else module.read_out
            classifier = module.salient_classifier if read_out is None else read_out
            return as_numpy(group_logits(classifier(put(salient))).softmax(dim=1))


# By id of a module: the number of its nested or concurrent loans, and the device that it returns to.
_LOANS: dict[int, tuple[int, torch.device]] = {}
_lending = threading.Lock()


@contextmanager
def _lent(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Move a module to a device until its last concurrent user is done."""
    with _lending:
        loans, home = _LOANS.get(id(module), (0, next(module.parameters()).device))
        _LOANS[id(module)] = loans + 1, home
        module.to(device)
    try:
        yield
    finally:
        with _lending:
            loans, home = _LOANS.pop(id(module))
            if loans > 1:
                _LOANS[id(module)] = loans - 1, home
            else:
                module.to(home)


def check_heads(
    arrays: Mapping[str, AnyArray], dims: Mapping[str, int], n_groups: int, critic_kind: CriticKind
) -> None:
    """Raise ModelFileError unless the weights of the small networks fit common and salient dimensions."""
    for space, dim in dims.items():
        name = f"{space}_encoder.mean.weight"
        if name not in arrays or arrays[name].ndim != 2 or len(arrays[name]) != dim:
            raise ModelFileError(f"{name}: wanted {space}_dim, {dim}, rows")
    with torch.device("meta"):
        heads = nn.ModuleDict({"salient_classifier": SalientClassifier(dims["salient"], n_groups)})
        if isinstance(critic_kind, int):
            heads["critic"] = Critic(dims["common"], dims["salient"], critic_kind)
        if any(name.startswith("read_out.") for name in arrays):
            heads["read_out"] = ReadOut(dims["salient"], n_groups)
    of_heads = {name: array for name, array in arrays.items() if name.startswith(tuple(heads))}
    check_arrays(of_heads, module_shapes(heads))


def module_shapes(module: nn.Module) -> Shapes:
    """Return the shape and dtype kind of each tensor in the state of a module."""
    return {
        name: (tuple(tensor.shape), torch.empty(0, dtype=tensor.dtype, device="cpu").numpy().dtype.kind)
        for name, tensor in module.state_dict().items()
    }
