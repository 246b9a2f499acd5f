"""Bases of methods with networks, `NetworkEstimator`, and of all VAEs among them, `ContrastiveVAE`."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sepvae.batch import AnyArray, IntArray, Source, auto_batch_size, auto_max_epochs, chunks, gather
from sepvae.codes import Codes
from sepvae.data.arrays import as_column
from sepvae.data.splits import split
from sepvae.errors import DataError
from sepvae.methods.base import Capabilities, ContrastiveEstimator, Parts
from sepvae.methods.inference import (
    Networks,
    PredictionMixin,
    as_numpy,
    check_heads,
    inference,
    module_shapes,
)
from sepvae.methods.labels import GroupLabels
from sepvae.methods.principal import PREFIX, PrincipalScores, stored_shapes, valid_values
from sepvae.model_files import Shapes
from sepvae.networks.autoencoder import build_autoencoder, network_name
from sepvae.networks.model import ContrastiveAutoencoder
from sepvae.preprocessing.covariates import attributes_of
from sepvae.preprocessing.input_adapter import InputAdapter
from sepvae.run_files import plain
from sepvae.training.diagnostics import gradient_norms
from sepvae.training.distributed import is_first
from sepvae.training.fit import train
from sepvae.training.keywords import TrainingKeywords
from sepvae.training.loader import MIN_PER_GROUP, ordered_batches
from sepvae.training.objective import Objective
from sepvae.training.runtime import SeededInit

# Settings of all methods in the paper's comparison on CelebA (App. E.1).
PAPER: dict[str, Any] = {
    "common_dim": 16,
    "salient_dim": 16,
    "network": "e1",
    "beta_common": 0.5,
    "beta_salient": 0.5,
    "reconstruction_var": 0.5,
    "reset_optimizer": "epoch",
    "learning_rate": 1e-3,
    "batch_size": 512,
    "max_epochs": 250,
}
OTHER_INPUTS = (
    "warm_start: wanted features, labels and covariates as they were fitted, in their order, and the same "
    "dimensions and network; give warm_start=False to fit anew"
)


@dataclass(eq=False, repr=False)
class NetworkEstimator(PredictionMixin, TrainingKeywords, ContrastiveEstimator):
    """
    Base of all methods with networks: training with Lightning, inference and prediction.

    A method adds its weights and its objective.

    Parameters
    ----------
    network : str or tuple of two Module, default="auto"
        "auto" is `residual-mlp` for tables, `cnn2d` for images, and `linear` for volumes and for tables of
        5000 features or more, such as surfaces. `linear` encodes and decodes whitened principal component
        scores, one component for every 8 training samples and at most 256, by linear maps; it suits all kinds
        of samples. `residual-mlp` decodes a linear map of the codes plus a network, `mlp` has the network
        alone. For images, `e1` and `e2` are the paper's (App. E.1, E.2), and `release` has the convolutions
        of the authors' code. For volumes, `cnn3d` is that of App. E.3, with batch norm; `cnn3d-group` has
        group norm instead. Or the user's own (encoder, decoder): the encoder from samples to features of
        shape (batch, any width), the decoder from (batch, common_dim + salient_dim) to samples; with
        `condition_on` its input is [c, u, s], wider by the number of covariates. Both are copied, the encoder
        once per space.

    Attributes
    ----------
    module_ : ContrastiveAutoencoder
        The trained networks.
    batch_size_ : int
        Samples per batch of the fit.
    max_epochs_ : int
        Maximum number of passes of the fit.
    history_ : DataFrame
        One row per epoch: every term for training and validation, by group, and weighted.
    principal_scores_ : PrincipalScores or None
        Principal components of the training samples, for network `linear`.
    """

    _: KW_ONLY
    network: str | tuple[nn.Module, nn.Module | None] = "auto"

    capabilities: ClassVar[Capabilities] = Capabilities(epochs=True)

    def objective(self) -> Objective:
        """
        Return the loss of this method with its keywords.

        Returns
        -------
        Objective
            Terms and weights, as training uses them.
        """
        raise NotImplementedError

    def gradient_norms(self, X: Any, y: Any) -> pd.DataFrame:
        """
        Return the norm of the gradient that each weighted loss term has in each encoder.

        Parameters
        ----------
        X : array-like, DataFrame or Source
            A batch, as in `fit`.
        y : array-like of shape (n,)
            Its labels, or severities.

        Returns
        -------
        DataFrame
            One row per term: term, weight, value (its mean over the batch), common_encoder and
            salient_encoder (the norm of the gradient in each), as from `sepvae.training.diagnostics`.
        """
        source = _scored(self.prepare(X), self.principal_scores_)
        numbers = self._labels.transform(as_column("y", y).ravel(), attributes_of(X))
        x, u = source.take(np.arange(len(source))).x, self._decoder_covariates(X, len(source))
        return gradient_norms(self.objective(), self.module_, x, numbers, u=u, random_state=self._seed())

    def is_first_process(self) -> bool:
        """Return whether this is the first of the processes that share a fit."""
        return is_first(self.devices, self.num_nodes)

    def __sklearn_tags__(self) -> Tags:
        return self._label_encoder().set_tags(super().__sklearn_tags__())

    def _check_keywords(self) -> None:
        super()._check_keywords()
        self._check_training(self.random_state)
        self.objective()  # validates its own keywords

    def _gate_salient(self, salient: AnyArray) -> AnyArray:
        return self._labels.gate_salient(salient, self._probabilities)

    def _validation_split(self, group: IntArray, groups: AnyArray, seed: int) -> Parts:
        """Return positions for training and validation; the latter are empty if a label is too rare."""
        everyone, nobody = np.arange(len(group)), np.arange(0)
        if self.validation_fraction == 0:
            return everyone, nobody
        try:
            parts = split(group, groups, test_size=self.validation_fraction, random_state=seed)
        except DataError:
            return everyone, nobody
        counts = np.bincount(group[parts[0]], minlength=group.max() + 1)
        return parts if counts.min() >= MIN_PER_GROUP else (everyone, nobody)

    def _set_fitted(self, adapter: InputAdapter, labels: GroupLabels) -> None:
        earlier = self._names_of_inputs() if self.warm_start and hasattr(self, "module_") else None
        super()._set_fitted(adapter, labels)
        if earlier not in (None, self._names_of_inputs()):
            raise DataError(OTHER_INPUTS)

    def _names_of_inputs(self) -> tuple[list[Any], ...]:
        """Return features, labels and covariates in the order in which the networks get them."""
        u, features = self._adapter.conditions_, getattr(self, "feature_names_in_", ())
        covariates = [] if u is None else [*u.kinds.items(), *u.levels.items()]
        return list(features), [self.background_, *self.classes_], covariates

    def _learn(self, source: Source, y: AnyArray, parts: Parts, seed: int) -> None:
        n, least = len(parts[0]), MIN_PER_GROUP * len(self.classes_)
        if self.augment is not None and self._is_linear():
            raise DataError(
                "augment: wanted None with network 'linear', which sees principal component scores; take "
                "another network, such as cnn3d for volumes"
            )
        scores = self._principal_scores(source, parts[0])
        u = self._adapter.decoder_covariates(source.attributes, len(source))
        source = _scored(source, scores)
        wanted = max(auto_batch_size(n), least) if self.batch_size == "auto" else int(self.batch_size)
        self.batch_size_ = min(wanted, n)
        self.max_epochs_ = (
            auto_max_epochs(n, self.batch_size_) if self.max_epochs == "auto" else int(self.max_epochs)
        )
        module, history = train(
            self.objective(),
            lambda: self._start(source.sample_shape),
            source,
            y,
            parts,
            self,
            batch_size=self.batch_size_,
            max_epochs=self.max_epochs_,
            seed=seed,
            u=u,
            about=self._about_fit(source, (y, *parts, *([] if u is None else [u])), seed, scores),
        )
        self.module_, self.history_, self.principal_scores_ = module, history, scores

    def _principal_scores(self, source: Source, train: IntArray) -> PrincipalScores | None:
        """Return the components of the training samples, or those of the previous fit if `warm_start`."""
        if not (self.warm_start and hasattr(self, "module_")):
            return PrincipalScores.fit(source, train) if self._is_linear() else None
        scores = self.principal_scores_
        if (scores is not None) != self._is_linear() or (scores is not None and not scores.fits(source)):
            raise DataError(OTHER_INPUTS)
        return scores

    def _about_fit(
        self, source: Source, given: Sequence[AnyArray], seed: int, scores: PrincipalScores | None
    ) -> dict[str, Any]:
        """Return plain values that identify this fit for its checkpoint; sample values are not among them."""
        left_out = {*self.not_saved, "network", "random_state", "max_epochs"}
        keywords = {k: str(v) for k, v in self.get_params(deep=False).items() if k not in left_out}
        data = hashlib.sha256(repr(source.sample_shape).encode())
        data.update("\n".join(map(str, source.ids)).encode())
        for array in (*given, *({} if scores is None else scores.state()).values()):
            data.update(np.ascontiguousarray(array).tobytes())
        network = self.network if isinstance(self.network, str) else "modules of the user's own"
        fit = {"method": type(self).__name__, "network": network, "seed": seed, "data": data.hexdigest()}
        return fit | {"augment": plain(self.augment)} | keywords

    def _is_linear(self, stored: Collection[str] = ()) -> bool:
        network = self.network
        return isinstance(network, str) and network_name(network, self.sample_shape_, stored) == "linear"

    def _start(self, sample_shape: tuple[int, ...]) -> ContrastiveAutoencoder:
        """Return new networks, with the weights of the previous fit if `warm_start`."""
        module = self._build(sample_shape)
        if self.warm_start and hasattr(self, "module_"):
            try:
                module.load_state_dict(self.module_.state_dict())
            except RuntimeError as error:
                raise DataError(OTHER_INPUTS) from error
        return module

    def _build(
        self, sample_shape: tuple[int, ...], stored: Collection[str] | None = None
    ) -> ContrastiveAutoencoder:
        objective, n_groups, conditions = self.objective(), len(self.classes_), self._adapter.conditions_
        network, valid_mask = self.network, None
        if self._is_linear(stored or ()):
            network = "linear"
        else:
            valid_mask = valid_values(self.grid_, (1, *self.sample_shape_[1:]))
        dims = self.common_dim, self.salient_dim
        return build_autoencoder(
            network,
            sample_shape,
            *dims,
            n_groups,
            n_covariates=0 if conditions is None else len(conditions.average) - 1,
            decoder=objective.decoder,
            critic_kind=objective.critic_kind,
            exact_codes=objective.exact_codes,
            valid_mask=valid_mask,
            stored=stored,
        )

    def _encode(self, source: Source) -> Codes[AnyArray]:
        everyone, source = np.arange(len(source)), _scored(source, self.principal_scores_)
        with self._inference() as (module, put):
            batches = ordered_batches(
                source, everyone, everyone, batch_size=self._chunk_rows(), num_workers=self.num_workers
            )
            parts = (vars(module.encode(put(x)).map(as_numpy)) for x, _ in batches)
            return Codes(*gather(len(source), (list(part.values()) for part in parts)))

    def _decode(self, common: AnyArray, salient: AnyArray) -> AnyArray:
        if not self.capabilities.decoder:
            return super()._decode(common, salient)
        with self._inference() as (module, put):
            decoded = (
                [as_numpy(module.decode(put(common[part]), put(salient[part])))]
                for part in chunks(len(common), self._chunk_rows())
            )
            samples = gather(len(common), decoded)[0]
        scores = self.principal_scores_
        return samples if scores is None else scores.inverse_transform(samples)

    def _state(self) -> dict[str, AnyArray]:
        state = {name: tensor.numpy() for name, tensor in self.module_.state_dict().items()}
        if self.principal_scores_ is not None:
            state |= self.principal_scores_.state()
        return {name: np.ascontiguousarray(array) for name, array in state.items()}

    def _state_shapes(self, arrays: Mapping[str, AnyArray], sample_shape: tuple[int, ...]) -> Shapes:
        dims = {"common": self.common_dim, "salient": self.salient_dim}
        check_heads(arrays, dims, len(self.classes_), self.objective().critic_kind)
        scores: dict[str, Any] = {}
        if self._is_linear(arrays):
            sample_shape, scores = stored_shapes(arrays, sample_shape, self.grid_)
        # The user's own modules may not run on torch's meta device, which allocates nothing.
        device = "cpu" if isinstance(self.network, tuple) else "meta"
        with SeededInit(0), torch.device(device):
            return scores | dict(module_shapes(self._build(sample_shape, stored=arrays)))

    def _set_state(self, arrays: dict[str, AnyArray], sample_shape: tuple[int, ...]) -> None:
        scores = None
        if self._is_linear(arrays):
            scores = PrincipalScores.from_state(arrays, sample_shape, self.grid_)
            sample_shape = scores.scale.shape
        self.principal_scores_ = scores
        with SeededInit(0):  # initial weights are replaced below; leave torch's global generator unchanged
            module = self._build(sample_shape, stored=arrays)
        tensors = {
            name: torch.from_numpy(array) for name, array in arrays.items() if not name.startswith(PREFIX)
        }
        floats = next(tensor.dtype for tensor in tensors.values() if tensor.is_floating_point())
        module.to(floats).load_state_dict(tensors)
        self.module_ = module.eval()

    def _inference(self) -> AbstractContextManager[Networks]:
        """Yield the module on the device of `accelerator`, and a function that puts arrays on that device."""
        check_is_fitted(self)
        return inference(self.module_, self.accelerator)


@dataclass(eq=False, repr=False)
class ContrastiveVAE(NetworkEstimator):
    """
    Base of all VAE methods: two encoders, one decoder, a critic and a classifier.

    A method adds its weights and its objective.

    Parameters
    ----------
    reconstruction_var : float or "learnt", default="learnt"
        Variance of p(x | c, s). A number v weights the squared error, summed over pixels, by 1 / (2 v); the
        paper has 0.5. "learnt" is the maximum likelihood estimate, the mean squared error of each batch, so
        that the weights of the other terms suit data of any size and noise.
    condition_on : sequence of str or None, default=None
        Covariates u that the decoder gets, p(x | c, s, u), so that c and s need not carry them: attributes of
        a source, or columns of a DataFrame, which are then not features. Amounts are standardised by the
        training part, classes are 0 or 1, for each class but the first. No term forces c and s to drop them.
        Codes need no covariates, decoded samples do; `sample` draws average people. For samples of any kind.
        A covariate of `residualise`, or the site of `harmonise`, raises.

    Attributes
    ----------
    conditions_ : CovariateDesign or None
        Fitted coding of the covariates of `condition_on`.
    """

    _: KW_ONLY
    reconstruction_var: float | Literal["learnt"] = "learnt"
    condition_on: Sequence[str] | None = None


def _scored(source: Source, scores: PrincipalScores | None) -> Source:
    """Return the samples as the networks see them: network "linear" sees principal component scores."""
    return source if scores is None else scores.transform(source)
