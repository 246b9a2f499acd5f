"""`ContrastiveVAE`, the base of all VAE methods: training with Lightning, inference and prediction."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from sepvae.batch import AnyArray, IntArray, Source, auto_batch_size, auto_max_epochs, chunks, gather
from sepvae.checks import check_choice, check_flag, check_number
from sepvae.codes import Codes
from sepvae.data.conversion import as_column
from sepvae.data.splits import split
from sepvae.errors import DataError
from sepvae.methods.base import ContrastiveEstimator
from sepvae.methods.capabilities import Capabilities
from sepvae.methods.inference import Networks, as_numpy, inference
from sepvae.methods.keywords import with_keywords
from sepvae.methods.prediction import PredictionMixin
from sepvae.methods.principal import PrincipalScores, stored_shapes, valid_values
from sepvae.methods.stored_networks import check_heads, network_shapes
from sepvae.model_files.schema import Shapes
from sepvae.networks.autoencoder import build_autoencoder, network_name
from sepvae.networks.model import ContrastiveAutoencoder
from sepvae.training.diagnostics import gradient_norms
from sepvae.training.distributed import is_alone, is_first
from sepvae.training.fit import train
from sepvae.training.loader import ordered_batches
from sepvae.training.objective import ContrastiveObjective
from sepvae.training.runtime import SeededInit

# Keywords passed to `train` unchanged.
TRAINING = (
    *("learning_rate", "reset_optimizer", "gradient_clip_val", "balanced"),
    *("num_workers", "compile", "early_stopping", "keep", "progress_bar"),
    *("accelerator", "devices", "num_nodes", "strategy", "precision", "logger", "callbacks"),
)
OTHER_SHAPES = (
    "warm_start: wanted samples, dimensions and a network of the shapes that were fitted; give "
    "warm_start=False to fit anew"
)
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


@dataclass(eq=False, repr=False)
class ContrastiveVAE(PredictionMixin, ContrastiveEstimator):
    """
    Base of all VAE methods: two encoders, one decoder, a critic and a classifier.

    A method adds its weights and its objective.
    """

    _: KW_ONLY
    network: str | tuple[nn.Module, nn.Module] = "auto"
    reconstruction_var: float | Literal["learnt"] = "learnt"
    learning_rate: float = 1e-3
    reset_optimizer: Literal["never", "epoch"] = "never"
    batch_size: int | Literal["auto"] = "auto"
    gradient_clip_val: float | None = None
    balanced: bool = False
    num_workers: int | Literal["auto"] = "auto"
    compile: bool = False
    max_epochs: int | Literal["auto"] = "auto"
    validation_fraction: float = 0.1
    early_stopping: int | None = None
    keep: Literal["last", "best"] = "last"
    checkpoint: str | Path | None = None
    warm_start: bool = False
    progress_bar: bool = True
    accelerator: str = "auto"
    devices: int | str | list[int] = 1
    num_nodes: int = 1
    strategy: Any = "auto"
    precision: Any = "32-true"
    logger: Any = None
    callbacks: Sequence[Any] | None = None

    capabilities: ClassVar[Capabilities] = Capabilities(epochs=True)
    # How and on which machine a fit runs: not part of a model's file.
    not_saved: ClassVar[tuple[str, ...]] = (
        *("checkpoint", "warm_start", "num_workers", "progress_bar", "compile", "logger", "callbacks"),
        *("accelerator", "devices", "num_nodes", "strategy"),
    )

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.__doc__ = with_keywords(cls.__doc__)

    def objective(self) -> ContrastiveObjective:
        """
        Return the loss of this method with its keywords.

        Returns
        -------
        ContrastiveObjective
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
        numbers = self._labels.transform(as_column("y", y).ravel())
        x = source.take(np.arange(len(source))).x
        return gradient_norms(self.objective(), self.module_, x, numbers, random_state=self._seed())

    def is_first_process(self) -> bool:
        """
        Return whether this process writes files, prints and continues after the fit.

        Returns
        -------
        bool
            True in one of the processes that share a fit.
        """
        return is_first(self.devices, self.num_nodes)

    def __sklearn_tags__(self) -> Tags:
        return self._label_encoder().set_tags(super().__sklearn_tags__())

    def _check_keywords(self, y: AnyArray) -> None:
        super()._check_keywords(y)
        if self.max_epochs != "auto":
            check_number("max_epochs", self.max_epochs, least=1, whole=True, or_else='"auto"')
        if self.batch_size != "auto":
            check_number("batch_size", self.batch_size, least=1, whole=True, or_else='"auto"')
        if self.early_stopping is not None:
            check_number("early_stopping", self.early_stopping, least=1, whole=True, or_else="None")
        check_number("num_nodes", self.num_nodes, least=1, whole=True)
        if self.checkpoint is not None and self.random_state is None:
            raise DataError("random_state: wanted a number, for a fit to go on from its checkpoint, got None")
        if not is_alone(self.devices, self.num_nodes):
            if self.random_state is None:
                raise DataError("random_state: wanted a number, the same in all processes, got None")
            if self.compile:
                raise DataError("compile: wanted False with several devices or nodes, got True")
        for name in ("balanced", "compile", "progress_bar", "warm_start"):
            check_flag(name, getattr(self, name))
        if self.num_workers != "auto":
            check_number("num_workers", self.num_workers, least=0, whole=True, or_else='"auto"')
        check_number("learning_rate", self.learning_rate, above=0)
        if self.gradient_clip_val is not None:
            check_number("gradient_clip_val", self.gradient_clip_val, above=0, or_else="None")
            if str(self.precision) in ("16", "16-mixed"):
                raise DataError("gradient_clip_val: wanted None with precision 16-mixed; take bf16-mixed")
        check_number("validation_fraction", self.validation_fraction, least=0, below=1)
        check_choice("keep", self.keep, ("last", "best"))
        check_choice("reset_optimizer", self.reset_optimizer, ("never", "epoch"))
        self.objective()  # validates its own keywords

    def _gate_salient(self, salient: AnyArray) -> AnyArray:
        return self._labels.gate_salient(salient, self._probabilities)

    def _validation_split(self, group: IntArray, groups: AnyArray, seed: int) -> tuple[IntArray, IntArray]:
        """Return positions for training and validation; the latter are empty if a label is too rare."""
        everyone, nobody = np.arange(len(group)), np.arange(0)
        if self.validation_fraction == 0:
            return everyone, nobody
        try:
            parts = split(group, groups, test_size=self.validation_fraction, random_state=seed)
        except DataError:
            return everyone, nobody
        return parts if np.bincount(group[parts[0]], minlength=2).min() >= 2 else (everyone, nobody)

    def _learn(self, source: Source, y: AnyArray, parts: tuple[IntArray, IntArray], seed: int) -> None:
        n = len(parts[0])
        scores = self._principal_scores(source, parts[0])
        source = _scored(source, scores)
        self.batch_size_ = auto_batch_size(n) if self.batch_size == "auto" else min(int(self.batch_size), n)
        self.max_epochs_ = (
            auto_max_epochs(n, self.batch_size_) if self.max_epochs == "auto" else int(self.max_epochs)
        )
        module, history = train(
            self.objective(),
            lambda: self._start(source.sample_shape),
            source,
            y,
            parts,
            seed=seed,
            checkpoint=None if self.checkpoint is None else Path(self.checkpoint),
            about=self._about_fit(source, y, parts, seed, scores),
            batch_size=self.batch_size_,
            max_epochs=self.max_epochs_,
            **{name: getattr(self, name) for name in TRAINING},
        )
        self.module_, self.history_, self.principal_scores_ = module, history, scores

    def _principal_scores(self, source: Source, train: IntArray) -> PrincipalScores | None:
        """Return the components of the training samples, or those of the previous fit if `warm_start`."""
        if not (self.warm_start and hasattr(self, "module_")):
            return PrincipalScores.fit(source, train) if self._is_linear() else None
        scores = self.principal_scores_
        if (scores is not None) != self._is_linear() or (scores is not None and not scores.fits(source)):
            raise DataError(OTHER_SHAPES)
        return scores

    def _about_fit(
        self,
        source: Source,
        y: AnyArray,
        parts: tuple[IntArray, IntArray],
        seed: int,
        scores: PrincipalScores | None,
    ) -> dict[str, Any]:
        """Return plain values that identify this fit for its checkpoint; sample values are not among them."""
        left_out = (*self.not_saved, "network", "random_state", "max_epochs")
        keywords = {k: v for k, v in self.get_params(deep=False).items() if k not in left_out}
        data = hashlib.sha256(repr(source.sample_shape).encode())
        data.update("\n".join(map(str, source.ids)).encode())
        for array in (y, *parts, *({} if scores is None else scores.state()).values()):
            data.update(np.ascontiguousarray(array).tobytes())
        network = self.network if isinstance(self.network, str) else "modules of the user's own"
        fit = {"method": type(self).__name__, "network": network, "seed": seed, "data": data.hexdigest()}
        return fit | {name: str(value) for name, value in keywords.items()}

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
                raise DataError(OTHER_SHAPES) from error
        return module

    def _build(
        self, sample_shape: tuple[int, ...], stored: Collection[str] | None = None
    ) -> ContrastiveAutoencoder:
        layers = self.objective().critic_layers
        n_groups = len(self.classes_)
        network, valid_mask = self.network, None
        if self._is_linear(stored or ()):
            network = "linear"
        else:
            valid_mask = valid_values(self.grid_, (1, *self.sample_shape_[1:]))
        dims = self.common_dim, self.salient_dim
        return build_autoencoder(
            network, sample_shape, *dims, n_groups, critic_layers=layers, valid_mask=valid_mask, stored=stored
        )

    def _encode(self, source: Source) -> Codes[AnyArray]:
        everyone, source = np.arange(len(source)), _scored(source, self.principal_scores_)
        with self._inference() as (module, put):
            batches = ordered_batches(
                source, everyone, everyone, batch_size=self._chunk_rows(), num_workers=self.num_workers
            )
            return Codes(*gather(len(source), (_arrays(module.encode(put(x))) for x, _ in batches)))

    def _decode(self, common: AnyArray, salient: AnyArray) -> AnyArray:
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
            state |= {f"principal.{name}": array for name, array in self.principal_scores_.state().items()}
        return {name: np.ascontiguousarray(array) for name, array in state.items()}

    def _state_shapes(self, arrays: Mapping[str, AnyArray], sample_shape: tuple[int, ...]) -> Shapes:
        dims = {"common": self.common_dim, "salient": self.salient_dim}
        check_heads(arrays, dims, self.objective().critic_layers)
        scores: dict[str, Any] = {}
        if self._is_linear(arrays):
            sample_shape, scores = stored_shapes(arrays, sample_shape, self.grid_)
        own = isinstance(self.network, tuple)
        return scores | dict(network_shapes(lambda: self._build(sample_shape, stored=arrays), allocate=own))

    def _set_state(self, arrays: dict[str, AnyArray], sample_shape: tuple[int, ...]) -> None:
        of_scores = {name: array for name, array in arrays.items() if name.startswith("principal.")}
        self.principal_scores_ = None
        if self._is_linear(arrays):
            scores = {name.removeprefix("principal."): array for name, array in of_scores.items()}
            self.principal_scores_ = PrincipalScores(
                **scores, sample_shape=sample_shape, valid=valid_values(self.grid_, sample_shape)
            )
            sample_shape = scores["scale"].shape
        with SeededInit(0):  # initial weights are replaced below; leave torch's global generator unchanged
            module = self._build(sample_shape, stored=arrays)
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items() if name not in of_scores}
        floats = next(tensor.dtype for tensor in tensors.values() if tensor.is_floating_point())
        module.to(floats).load_state_dict(tensors)
        self.module_ = module.eval()

    def _inference(self) -> AbstractContextManager[Networks]:
        """Yield the module on the device of `accelerator`, and a function that puts arrays on that device."""
        check_is_fitted(self)
        return inference(self.module_, self.accelerator)


def _scored(source: Source, scores: PrincipalScores | None) -> Source:
    """Return the samples as the networks see them: network "linear" sees principal component scores."""
    return source if scores is None else scores.transform(source)


def _arrays(codes: Codes[Tensor]) -> list[AnyArray]:
    parts = codes.common_mean, codes.common_logvar, codes.salient_mean, codes.salient_logvar
    return [as_numpy(part) for part in parts]
