"""Schema of model files: files are untrusted, so all content is validated before use."""

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from sepvae.batch import AnyArray
from sepvae.codes import Kind
from sepvae.errors import ModelFileError
from sepvae.methods._covariates import covariate_names
from sepvae.methods.principal import valid_values
from sepvae.networks.heads import Critic, ReadOut, SalientClassifier
from sepvae.training.runtime.seeded_init import SeededInit

if TYPE_CHECKING:
    from sepvae.methods.base import ContrastiveEstimator

MOST_VALUES = 2**28  # of one sample: weights alone do not bound the size of an image
OF_FEATURES = ("scaler.mean", "scaler.scale", "residuals.coefficients")
Side = Annotated[int, Field(ge=1, le=MOST_VALUES)]
Three = Annotated[list[Side], Field(min_length=3, max_length=3)]
Label = bool | int | Annotated[float, Field(allow_inf_nan=False)] | str
Shapes = Mapping[str, tuple[tuple[int, ...], str]]  # shape, and allowed kinds of NumPy dtype


class Part(BaseModel):
    """Base of the schema: strict types."""

    model_config = ConfigDict(strict=True)


class AboutResiduals(Part):
    """Metadata from `Residualizer.state`."""

    kinds: dict[str, Kind]
    levels: dict[str, Annotated[list[str], Field(min_length=1)]]

    @property
    def n_amounts(self) -> int:
        """Number of continuous covariates."""
        return len(self.kinds) - len(self.levels)

    @model_validator(mode="after")
    def _levels_of_classes(self) -> Self:
        if list(self.levels) != [name for name, kind in self.kinds.items() if kind == "categorical"]:
            raise ValueError("wanted levels of each categorical covariate")
        return self


class AboutGrid(Part):
    """Metadata from `Grid.state`."""

    shape: Three
    size: Three
    axes: Annotated[str, Field(pattern="^[LRAPSI]{3}$")]

    @model_validator(mode="after")
    def _sizes_and_axes(self) -> Self:
        if prod(self.shape) > MOST_VALUES:
            raise ValueError(f"wanted at most {MOST_VALUES} voxels, got a grid of {self.shape}")
        if any(len({*pair} & {*self.axes}) != 1 for pair in ("LR", "AP", "SI")):
            raise ValueError(f"wanted three axes, got {self.axes!r}")
        return self


class About(Part):
    """Content of `model.json`."""

    format: int
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    method: str = Field(alias="class")
    keywords: dict[str, Any]
    classes: Annotated[list[Label], Field(min_length=2, max_length=2)]
    order: Annotated[list[int], Field(min_length=2, max_length=2)]
    sample_shape: Annotated[list[Side], Field(min_length=1, max_length=8)]
    features: list[str] | None = None
    residuals: AboutResiduals | None = None
    grid: AboutGrid | None = None

    @model_validator(mode="after")
    def _all_fits(self) -> Self:
        if sorted(self.order) != [0, 1]:
            raise ValueError("order: wanted 0 and 1, or 1 and 0")
        if len({np.array(label).dtype.kind in "US" for label in self.classes}) == 2:
            raise ValueError("classes: wanted labels of one type")
        if self.classes[0] == self.classes[1] or np.array(self.classes).dtype == object:
            raise ValueError("classes: wanted two labels")
        if prod(self.sample_shape) > MOST_VALUES:
            raise ValueError(f"sample_shape: wanted at most {MOST_VALUES} values")
        if self.features is not None and [len(self.features)] != self.sample_shape:
            raise ValueError("features: wanted as many names as sample_shape says")
        if self.residuals and len(self.sample_shape) != 1:
            raise ValueError("residuals: wanted none, for samples are no rows of a table")
        if self.grid and self.grid.size != self.sample_shape[1:]:
            raise ValueError(f"grid: wanted the size of a sample, {self.sample_shape[1:]}")
        return self


def check_keywords(keywords: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise ModelFileError unless the method has these keywords, with types that a file can hold."""
    if unknown := sorted(set(keywords) - set(known)):
        raise ModelFileError(
            f"keywords: {unknown[0]!r} is none that this method has; a newer sepvae may know it"
        )
    for name, value in keywords.items():
        words = isinstance(value, list) and all(isinstance(word, str) for word in value)
        if not (value is None or words or isinstance(value, bool | int | float | str)):
            raise ModelFileError(f"keywords: {name} is no number, no word and no list of words")


def check_values(estimator: "ContrastiveEstimator") -> None:
    """Raise ModelFileError or DataError unless `fit` accepts the keywords of an unfitted estimator."""
    values = estimator.get_params(deep=False)
    if not isinstance(values.get("network"), str | tuple | None):
        raise ModelFileError("keywords: network is no name")
    if not isinstance(values.get("precision"), str | int | None):
        raise ModelFileError("keywords: precision is no name")
    if isinstance(estimator.background, list):
        raise ModelFileError("keywords: background is no label")
    covariate_names(estimator.residualise)
    try:
        estimator._check_keywords(np.array([0, 0, 1, 1]))
    except OverflowError as error:
        raise ModelFileError("keywords: a number is too large") from error


def shapes_beside(about: About, names: Iterable[str]) -> Shapes:
    """Return the expected shapes of all arrays but the weights: scaler, residualizer and grid."""
    shapes: dict[str, tuple[tuple[int, ...], str]] = {}
    names, n = set(names), about.sample_shape[0]
    if len(about.sample_shape) == 1 and any(name.startswith(("scaler.", "residuals.")) for name in names):
        shapes |= {"scaler.mean": ((n,), "f"), "scaler.scale": ((n,), "f"), "scaler.kept": ((n,), "b")}
    if about.residuals:
        amounts = about.residuals.n_amounts
        k = 1 + amounts + sum(len(levels) - 1 for levels in about.residuals.levels.values())
        sizes = {"coefficients": (k, n), "scale": (n,), "rounding": (n,), "average": (k,)}
        sizes |= {"middle": (amounts,), "spread": (amounts,)}
        shapes |= {f"residuals.{name}": (size, "f") for name, size in sizes.items()}
    if about.grid:
        shapes["grid.affine"] = (4, 4), "fi"
        if "grid.mask" in names:
            shapes["grid.mask"] = tuple(about.grid.shape), "biu"
    return shapes


def shapes_learnt(
    estimator: "ContrastiveEstimator", weights: Mapping[str, AnyArray], seen_shape: tuple[int, ...]
) -> Shapes:
    """Return the expected shapes of the learnt arrays; sepvae's own networks are not allocated."""
    from sepvae.methods.contrastive_pca import ContrastivePCA

    dims = {"common": estimator.common_dim, "salient": estimator.salient_dim}
    if isinstance(estimator, ContrastivePCA):
        alphas = weights.get("alphas", np.ones(1)).shape[:1]  # one, or several proposed ones
        linear = {"alpha": (1,), "alphas": alphas, "center": seen_shape}
        linear |= {f"{space}_axes": (dim, prod(seen_shape)) for space, dim in dims.items()}
        linear |= {f"{space}_scale": (dim,) for space, dim in dims.items()}
        return {name: (shape, "f") for name, shape in linear.items()}
    for space, dim in dims.items():
        name = f"{space}_encoder.mean.weight"
        if name not in weights or weights[name].ndim != 2 or len(weights[name]) != dim:
            raise ModelFileError(f"{name}: wanted {space}_dim, {dim}, rows")
    scores: dict[str, tuple[tuple[int, ...], str]] = {}
    if estimator._is_linear(weights):
        valid = valid_values(estimator.grid_, seen_shape)
        values = prod(seen_shape) if valid is None else int(valid.sum())
        seen_shape = weights.get("principal.scale", np.ones(1)).shape[:1]
        shapes = {"mean": (values,), "axes": (*seen_shape, values), "scale": seen_shape}
        scores = {f"principal.{name}": (shape, "f") for name, shape in shapes.items()}
    # The user's modules may not run on the meta device: check the sizes of the heads before allocating any.
    if own := isinstance(estimator.network, tuple):
        with torch.device("meta"):
            critic = Critic(dims["common"], dims["salient"], estimator._objective().critic_layers)
            heads = nn.ModuleDict(
                {"critic": critic, "salient_classifier": SalientClassifier(dims["salient"], 2)}
            )
            if any(name.startswith("read_out.") for name in weights):
                heads["read_out"] = ReadOut(dims["salient"], 2)
        of_heads = {name: array for name, array in weights.items() if name.startswith(tuple(heads))}
        check_arrays(of_heads, _shapes(heads))
    with SeededInit(0), nullcontext() if own else torch.device("meta"):
        return {**scores, **_shapes(estimator._build(seen_shape, stored=weights))}


def check_arrays(arrays: Mapping[str, AnyArray], wanted: Shapes) -> None:
    """Raise ModelFileError unless names, shapes and dtypes of arrays are as expected, and values finite."""
    for name in sorted(set(arrays) ^ set(wanted)):
        raise ModelFileError(f"{name!r} " + ("is missing" if name in wanted else "does not belong there"))
    for name, (shape, kind) in wanted.items():
        array = arrays[name]
        if array.shape != (shape or (1,)):  # files store scalars with one axis
            raise ModelFileError(f"{name}: wanted shape {shape}, got {array.shape}")
        if array.dtype.kind not in kind:
            raise ModelFileError(f"{name}: wanted a dtype of kind {kind!r}, got {array.dtype}")
    kept = arrays.get("scaler.kept", np.array([True]))
    if not kept.any():
        raise ModelFileError("scaler.kept: wanted a feature that was kept, got none")
    if (arrays.get("principal.scale", np.ones(1)) <= 0).any():
        raise ModelFileError("principal.scale: wanted standard deviations above 0")
    for name, array in arrays.items():
        # A feature that was not kept may have NaN statistics.
        if not np.isfinite(array[..., kept] if name in OF_FEATURES else array).all():
            raise ModelFileError(f"{name}: wanted finite numbers, got NaN or infinite ones")


def _shapes(module: nn.Module) -> Shapes:
    """Return the shape and dtype kind of each tensor in the state of a module."""
    state = module.state_dict().items()
    kinds = {
        tensor.dtype: torch.empty(0, dtype=tensor.dtype, device="cpu").numpy().dtype.kind
        for _, tensor in state
    }
    return {name: (tuple(tensor.shape), kinds[tensor.dtype]) for name, tensor in state}
