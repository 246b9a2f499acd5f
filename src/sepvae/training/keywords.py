"""`TrainingKeywords`, how a fit by epochs runs, and `LossKeywords`, what it minimises: their validation."""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_type_hints

from sepvae.checks import check_choice, check_flag, check_number
from sepvae.errors import DataError
from sepvae.training.augment import check_augment
from sepvae.training.distributed import is_alone

Learnt = Literal["learnt"]


@dataclass(eq=False, repr=False)
class TrainingKeywords:
    """
    Keywords of all methods that train by epochs.

    Parameters
    ----------
    learning_rate : float, default=0.001
        Learning rate of both Adam optimizers, of the model and of the critic.
    reset_optimizer : {"never", "epoch"}, default="never"
        "epoch" re-creates the optimizers before each epoch, as App. E.1 and E.2 do.
    gradient_clip_val : float or None, default=None
        Maximum Euclidean norm of the gradient of each optimizer; None does not clip.
    batch_size : int or "auto", default="auto"
        Samples per batch, with at least two of each group. "auto" is the largest of 128, 64, 32 and 16 that
        gives 20 steps per epoch or more, else 16.
    balanced : bool, default=False
        Draw the groups in equal numbers in each batch, instead of in the proportions of the data.
    augment : callable, str or None, default=None
        Random transform of training samples, from a tensor of one sample, such as (channels, d, h, w), to one
        of its shape: of MONAI, torchio, torchvision or your own; "module:name" imports one. It sees images in
        [0, 1], volumes and tables as they are normalised; voxels outside of the mask become 0. Its numbers
        depend on `random_state`, epoch, step and sample. Not for network "linear".
    num_workers : int or "auto", default="auto"
        Worker processes that read samples which are not in memory; "auto" is one per core, at most 8.
    compile : bool, default=False
        Compile the training step with torch, if possible. The first step takes about 20 s longer; small
        networks then train faster, convolutions on a CPU hardly.
    gradient_checkpointing : bool, default=False
        Compute the activations of encoders and decoder again in the backward pass instead of keeping them:
        large volumes take less memory and about a fifth more time, with the same result.
    max_epochs : int or "auto", default="auto"
        Passes through the training part. "auto" is 100, or more if 1500 steps take more.
    validation_fraction : float, default=0.1
        Share of the data for the validation curves, in [0, 1), stratified by label, groups kept together.
        It is empty if a label has too few samples or groups.
    early_stopping : int or None, default=None
        Stop after this many epochs without a lower validation loss, mutual information excluded.
    keep : {"last", "best"}, default="last"
        Epoch whose weights are kept; "best" has the lowest validation loss, mutual information excluded.
    checkpoint : str, Path or None, default=None
        File with the complete training state, replaced after each epoch. If it exists, `fit` resumes from it,
        with the same result as an uninterrupted fit; a larger `max_epochs` adds epochs to a finished fit,
        unless early stopping ended it. Raises for a file of other keywords, labels or ids; sample values are
        not compared.
    warm_start : bool, default=False
        Start a second `fit` with the weights (and principal components) of the first, as in scikit-learn, and
        train for `max_epochs` more. Optimizers, scaling and `history_` start anew; shapes must be the same.
    progress_bar : bool, default=True
        Show epochs, terms and the remaining time.
    accelerator, devices, num_nodes, strategy, precision : default="auto", 1, 1, "auto", "32-true"
        As in `lightning.pytorch.Trainer`. Several devices share each batch; the result is that of one device.
    logger, callbacks : default=None
        As in `lightning.pytorch.Trainer`.
    """

    _: KW_ONLY
    learning_rate: float = 1e-3
    reset_optimizer: Literal["never", "epoch"] = "never"
    batch_size: int | Literal["auto"] = "auto"
    gradient_clip_val: float | None = None
    balanced: bool = False
    augment: Callable[[Any], Any] | str | None = None
    num_workers: int | Literal["auto"] = "auto"
    compile: bool = False
    gradient_checkpointing: bool = False
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

    # How and on which machine a fit runs: not part of a model's file.
    not_saved: ClassVar[tuple[str, ...]] = (
        *("checkpoint", "warm_start", "num_workers", "progress_bar", "compile", "logger", "callbacks"),
        *("accelerator", "devices", "num_nodes", "strategy", "gradient_checkpointing", "augment"),
    )

    def _check_training(self, random_state: int | None) -> None:
        """Raise DataError for values that would fail later with a less clear message."""
        counts = {"max_epochs": "auto", "batch_size": "auto", "num_workers": "auto", "early_stopping": None}
        for name, other in counts.items():
            if (value := getattr(self, name)) != other:
                least = 0 if name == "num_workers" else 1
                check_number(name, value, least=least, whole=True, or_else='"auto"' if other else "None")
        check_number("num_nodes", self.num_nodes, least=1, whole=True)
        if self.checkpoint is not None and random_state is None:
            raise DataError("random_state: wanted a number, for a fit to go on from its checkpoint, got None")
        if not is_alone(self.devices, self.num_nodes):
            if random_state is None:
                raise DataError("random_state: wanted a number, the same in all processes, got None")
            if self.compile:
                raise DataError("compile: wanted False with several devices or nodes, got True")
        for name in ("balanced", "compile", "gradient_checkpointing", "progress_bar", "warm_start"):
            check_flag(name, getattr(self, name))
        if self.compile and self.gradient_checkpointing:
            raise DataError("compile: wanted False with gradient_checkpointing, got True")
        check_number("learning_rate", self.learning_rate, above=0)
        if self.gradient_clip_val is not None:
            check_number("gradient_clip_val", self.gradient_clip_val, above=0, or_else="None")
            if str(self.precision) in ("16", "16-mixed"):
                raise DataError("gradient_clip_val: wanted None with precision 16-mixed; take bf16-mixed")
        check_augment(self.augment)
        check_number("validation_fraction", self.validation_fraction, least=0, below=1)
        check_choice("keep", self.keep, ("last", "best"))
        check_choice("reset_optimizer", self.reset_optimizer, ("never", "epoch"))


@dataclass(frozen=True)
class LossKeywords:
    """Numbers of a loss: fields `.._var` are variances, above 0, and others of type float weights."""

    @classmethod
    def of(cls, estimator: object, **others: Any) -> Self:
        """Return the objective with the keywords of an estimator, and with others that it does not have."""
        names = [field.name for field in fields(cls) if field.name not in others]
        return cls(**{name: getattr(estimator, name) for name in names}, **others)

    def __post_init__(self) -> None:
        kinds = get_type_hints(type(self))
        for name, kind, value in (
            (field.name, kinds[field.name], getattr(self, field.name)) for field in fields(self)
        ):
            if kind is bool:
                check_flag(name, value)
            elif kind == float | Learnt and value != "learnt":
                check_number(name, value, above=0, or_else="'learnt'")
            elif kind is float and name.endswith("_var"):
                check_number(name, value, above=0)
            elif kind is float:
                check_number(name, value, least=0)
