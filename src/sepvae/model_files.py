"""Files of fitted models, written, read and validated: files are untrusted, and no method is known here."""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from math import prod
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any, Self

import numpy as np
import safetensors.numpy
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError

import sepvae
from sepvae.batch import AnyArray
from sepvae.codes import MAX_LEVELS, Kind
from sepvae.errors import ModelFileError
from sepvae.files import whole_folder, write_whole
from sepvae.grid import Grid

FORMAT = 2  # 1 had no checksum of the weights
WEIGHTS, ABOUT = "model.safetensors", "model.json"
MOST_VALUES = 2**28  # of one sample: weights alone do not bound the size of an image
OF_FEATURES = ("scaler.mean", "scaler.scale", "residuals.coefficients", "harmonisation.coefficients")
PREPROCESSED = ("scaler.", "residuals.", "harmonisation.")  # parts of models of tables, and of volumes
Side = Annotated[int, Field(ge=1, le=MOST_VALUES)]
Three = Annotated[list[Side], Field(min_length=3, max_length=3)]
Label = bool | int | Annotated[float, Field(allow_inf_nan=False)] | str
Shapes = Mapping[str, tuple[tuple[int, ...], str]]  # shape, and allowed kinds of NumPy dtype
MOST_TEXT = 2**26  # bytes of JSON, enough for the names of a million features


class Part(BaseModel):
    """Base of the schema: strict types."""

    model_config = ConfigDict(strict=True)


class Version(Part):
    """Fields of all formats, newer ones included."""

    format: int


class AboutCovariates(Part):
    """Metadata from `CovariateDesign.state` and `Residualizer.state`, the base of that of `Harmonizer`."""

    kinds: dict[str, Kind]
    levels: dict[str, Annotated[list[str], Field(min_length=1)]]

    def shapes(self, n: int | None = None) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the arrays of a design, or of a regression on it of n features or voxels."""
        amounts = len(self.kinds) - len(self.levels)
        k = 1 + amounts + sum(len(levels) - 1 for levels in self.levels.values())
        of_design: dict[str, tuple[int, ...]] = {"average": (k,), "middle": (amounts,), "spread": (amounts,)}
        return of_design if n is None else of_design | {"coefficients": (k, n), "scale": (n,)}

    @model_validator(mode="after")
    def _levels_of_classes(self) -> Self:
        if list(self.levels) != [name for name, kind in self.kinds.items() if kind == "categorical"]:
            raise ValueError("wanted levels of each categorical covariate")
        return self


class AboutSites(AboutCovariates):
    """Metadata from `Harmonizer.state`."""

    sites: Annotated[list[str], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        if len(set(self.sites)) < len(self.sites):
            raise ValueError("wanted each site once")
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


class About(Version):
    """Content of `model.json`."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    method: str = Field(alias="class")
    keywords: dict[str, Any]
    classes: Annotated[list[Label], Field(min_length=2, max_length=MAX_LEVELS)]
    order: Annotated[list[int], Field(min_length=2, max_length=MAX_LEVELS)]
    severity_max: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    sample_shape: Annotated[list[Side], Field(min_length=1, max_length=8)]
    features: list[str] | None = None
    residuals: AboutCovariates | None = None
    harmonisation: AboutSites | None = None
    conditions: AboutCovariates | None = None
    grid: AboutGrid | None = None

    @model_validator(mode="after")
    def _all_fits(self) -> Self:
        if sorted(self.order) != list(range(len(self.classes))):
            raise ValueError("order: wanted the position of each class once")
        if len({np.array(label).dtype.kind in "US" for label in self.classes}) == 2:
            raise ValueError("classes: wanted labels of one type")
        if len(set(self.classes)) < len(self.classes) or np.array(self.classes).dtype == object:
            raise ValueError("classes: wanted different labels")
        if prod(self.sample_shape) > MOST_VALUES:
            raise ValueError(f"sample_shape: wanted at most {MOST_VALUES} values")
        if self.features is not None and [len(self.features)] != self.sample_shape:
            raise ValueError("features: wanted as many names as sample_shape says")
        if (self.residuals or self.harmonisation) and len(self.sample_shape) not in (1, 4):
            raise ValueError("residuals, harmonisation: wanted none, for samples are images")
        if self.grid and self.grid.size != self.sample_shape[1:]:
            raise ValueError(f"grid: wanted the size of a sample, {self.sample_shape[1:]}")
        return self


def check_target(folder: Path, *, overwrite: bool) -> None:
    """Raise ModelFileError if the folder exists, unless it is a model that may be overwritten."""
    if folder.exists() and not overwrite:
        raise ModelFileError(
            f"{folder}: wanted a new folder for the model, but it exists; choose another name, or give "
            "overwrite=True"
        )
    if folder.exists() and not (folder.is_dir() and {f.name for f in folder.iterdir()} == {ABOUT, WEIGHTS}):
        raise ModelFileError(
            f"{folder}: only a model is overwritten, a folder of {ABOUT} and {WEIGHTS}; choose another name"
        )


def write_model(
    folder: Path, about: Mapping[str, Any], arrays: Mapping[str, AnyArray], *, overwrite: bool
) -> None:
    """Write both files to a folder that is complete or absent; `about` has the fields of the schema."""
    weights = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    about = {"format": FORMAT, "sepvae": sepvae.__version__, **about, "sha256": sha256(weights).hexdigest()}
    with whole_folder(folder, replace=overwrite) as whole:
        write_whole(whole / WEIGHTS, weights)
        write_whole(whole / ABOUT, json.dumps(about, indent=2, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    """Convert NumPy scalars among the keywords for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cannot save {value!r}")


def read_model(folder: Path) -> tuple[Path, About, dict[str, AnyArray]]:
    """Read and validate a model in a folder or its subfolder `model/`; return its path, metadata, arrays."""
    try:
        if not (folder / ABOUT).is_file() and (folder / "model" / ABOUT).is_file():
            folder = folder / "model"
        if not ((folder / ABOUT).is_file() and (folder / WEIGHTS).is_file()):
            raise ModelFileError(f"{folder}: wanted a folder with {ABOUT} and {WEIGHTS}")
        if (size := (folder / ABOUT).stat().st_size) > MOST_TEXT:
            raise ModelFileError(f"{folder / ABOUT}: wanted at most {MOST_TEXT} bytes, got {size}")
        # Read once, so that the checksum covers the bytes that are used.
        text, weights = (folder / ABOUT).read_bytes(), (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise ModelFileError(f"{folder}: the model cannot be read ({error.strerror})") from error
    except MemoryError as error:
        raise ModelFileError(
            f"{folder / WEIGHTS}: the weights do not fit into this machine's memory"
        ) from error
    about = _about(text, folder / ABOUT)
    if about.format > 1 and about.sha256 != sha256(weights).hexdigest():
        raise ModelFileError(
            f"{folder / WEIGHTS}: the weights are not those that were saved; copy the folder again"
        )
    try:
        return folder, about, safetensors.numpy.load(weights)
    except (SafetensorError, ValueError, KeyError) as error:  # KeyError: a dtype that NumPy lacks
        raise ModelFileError(
            f"{folder / WEIGHTS} is damaged ({one_line(error)}); save the model again"
        ) from error


def _about(text: bytes, path: Path) -> About:
    try:
        version = Version.model_validate_json(text).format
        if version > FORMAT:
            raise ModelFileError(
                f"{path}: written by a newer sepvae (format {version}, this program reads up to {FORMAT}); "
                "update sepvae"
            )
        about = About.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "".join(f"{part}: " for part in first["loc"][:1])
        problem = where + first["msg"].removeprefix("Value error, ").replace("Input should be ", "wanted ")
        raise ModelFileError(f"{path} is damaged ({one_line(problem)}); save the model again") from error
    if version < 1 or (version > 1 and about.sha256 is None):
        raise ModelFileError(f"{path} is damaged (format {version} without a checksum); save the model again")
    return about


def one_line(text: object) -> str:
    """Return text from a file on one line of at most 300 characters."""
    return shorten(" ".join(str(text).split()), 300)


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


def shapes_beside(about: About, arrays: Mapping[str, AnyArray]) -> Shapes:
    """Return the expected shapes of all arrays but the weights: scaler, covariates and grid."""
    shapes: dict[str, tuple[tuple[int, ...], str]] = {}
    n, named = about.sample_shape[0], any(x.startswith(PREPROCESSED) for x in arrays)
    if about.grid:
        shapes["grid.affine"] = (4, 4), "fi"
        if "grid.mask" in arrays:
            shapes["grid.mask"] = tuple(about.grid.shape), "biu"
        check_arrays({name: arrays[name] for name in shapes if name in arrays}, shapes)
        n *= int(Grid.from_state(_of_part(arrays, "grid"), about.grid.model_dump()).valid_mask.sum())
    elif len(about.sample_shape) == 4:
        n = prod(about.sample_shape)
    elif len(about.sample_shape) == 1 and named:
        shapes |= {"scaler.mean": ((n,), "f"), "scaler.scale": ((n,), "f"), "scaler.kept": ((n,), "b")}
    if about.residuals:
        sizes = about.residuals.shapes(n) | {"rounding": (n,)}
        shapes |= {f"residuals.{name}": (size, "f") for name, size in sizes.items()}
    if about.harmonisation:
        of_sites = (len(about.harmonisation.sites), n)
        sizes = about.harmonisation.shapes(n) | {"shift": of_sites, "variance": of_sites}
        shapes |= {f"harmonisation.{name}": (size, "f") for name, size in sizes.items()}
    if about.conditions:
        shapes |= {f"conditions.{name}": (size, "f") for name, size in about.conditions.shapes().items()}
    return shapes


def _of_part(arrays: Mapping[str, AnyArray], part: str) -> dict[str, AnyArray]:
    """Return the arrays whose names begin with a part, without it."""
    return {name.partition(".")[2]: x for name, x in arrays.items() if name.startswith(f"{part}.")}


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
    kept = arrays.get("scaler.kept")
    if kept is not None and not kept.any():
        raise ModelFileError("scaler.kept: wanted a feature that was kept, got none")
    for name in ("principal.scale", "harmonisation.variance", "conditions.spread"):
        if (arrays.get(name, np.ones(1)) <= 0).any():
            raise ModelFileError(f"{name}: wanted numbers above 0")
    for name, array in arrays.items():
        # A feature that was not kept may have NaN statistics.
        of_kept = name in OF_FEATURES and kept is not None
        if not np.isfinite(array[..., kept] if of_kept else array).all():
            raise ModelFileError(f"{name}: wanted finite numbers, got NaN or infinite ones")
