"""Save and load fitted estimators: arrays as safetensors, keywords and metadata as JSON."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as arrays_of
from safetensors.numpy import save

import sepvae
from sepvae.batch import AnyArray
from sepvae.data.residuals import Residualizer
from sepvae.data.tables import TableScaler
from sepvae.errors import DataError, ModelFileError
from sepvae.files import whole_folder, write_whole
from sepvae.grid import Grid
from sepvae.methods._stored import (
    About,
    check_arrays,
    check_keywords,
    check_values,
    shapes_beside,
    shapes_learnt,
)

if TYPE_CHECKING:
    from torch import nn

    from sepvae.methods.base import ContrastiveEstimator

FORMAT = 2  # 1 had no checksum of the weights
WEIGHTS, ABOUT = "model.safetensors", "model.json"
MOST_TEXT = 2**26  # bytes of JSON, enough for the names of a million features


def save_model(estimator: "ContrastiveEstimator", folder: Path, *, overwrite: bool = False) -> Path:
    """Write a fitted estimator to a folder; only an existing model is overwritten."""
    if folder.exists() and not overwrite:
        raise ModelFileError(
            f"{folder}: wanted a new folder for the model, but it exists; choose another name, or give "
            "overwrite=True"
        )
    if folder.exists() and not _is_model(folder):
        raise ModelFileError(
            f"{folder}: only a model is overwritten, a folder of {ABOUT} and {WEIGHTS}; choose another name"
        )
    if _offered(name := type(estimator).__name__) not in (None, type(estimator)):
        raise ModelFileError(
            f"{folder}: a class of your own named {name} would be loaded as sepvae.{name}; rename the class"
        )
    keywords = {k: v for k, v in estimator.get_params(deep=False).items() if k not in estimator.not_saved}
    if isinstance(keywords.get("network"), tuple):
        keywords["network"] = None
    about = {
        "format": FORMAT,
        "sepvae": sepvae.__version__,
        "class": type(estimator).__name__,
        "keywords": keywords,
        "classes": estimator.classes_.tolist(),
        "order": estimator._order.tolist(),
        "sample_shape": list(estimator.sample_shape_),
        "features": [str(name) for name in getattr(estimator, "feature_names_in_", [])] or None,
    }
    arrays = {f"module.{name}": np.ascontiguousarray(array) for name, array in estimator._state().items()}
    if estimator.scaler_ is not None:
        arrays |= {f"scaler.{k}": np.ascontiguousarray(v) for k, v in estimator.scaler_.state().items()}
    if estimator.residualizer_ is not None:
        of_residuals, about["residuals"] = estimator.residualizer_.state()
        arrays |= {f"residuals.{k}": np.ascontiguousarray(v) for k, v in of_residuals.items()}
    if estimator.grid_ is not None:
        of_grid, about["grid"] = estimator.grid_.state()
        arrays |= {f"grid.{k}": np.ascontiguousarray(v) for k, v in of_grid.items()}
    weights = save(arrays)
    about["sha256"] = sha256(weights).hexdigest()
    with whole_folder(folder, replace=overwrite) as whole:
        write_whole(whole / WEIGHTS, weights)
        write_whole(whole / ABOUT, json.dumps(about, indent=2, default=_plain) + "\n")
    return folder


def load(
    path: str | Path,
    *,
    network: "tuple[nn.Module, nn.Module] | None" = None,
    cls: "type[ContrastiveEstimator] | None" = None,
) -> "ContrastiveEstimator":
    """
    Load a fitted estimator; nothing in its files is executed.

    Parameters
    ----------
    path : str or Path
        Folder written by `save`, or a run folder that holds one as `model/`.
    network : tuple of two Module or None, default=None
        The user's own encoder and decoder, if the model was fitted with such modules.
    cls : class or None, default=None
        The user's own subclass of a method, if the model is of such a class. A file cannot name a class to
        import.

    Returns
    -------
    SepVAE or another method's estimator
        Estimator of the class that was saved.

    Raises
    ------
    ModelFileError
        If the folder holds no model, or one that is damaged, newer than this program or of another class.
    DataError
        If the model was fitted with the user's own modules, and these are missing or do not fit.

    Examples
    --------
    >>> load("no/such/folder")
    Traceback (most recent call last):
    sepvae.errors.ModelFileError: no/such/folder: wanted a folder with model.json and model.safetensors
    """
    folder, about, arrays = _read(Path(path))
    method = _find_class(about.method, folder, cls)
    try:
        estimator = _unlearnt(method, about, arrays)
    except (DataError, ModelFileError) as error:
        raise ModelFileError(f"{folder} is damaged ({_line(error)}); save the model again") from error
    if (own := getattr(estimator, "network", "") is None) and network is None:
        raise DataError(
            "the model was fitted with modules of your own; give them again: network=(encoder, decoder)"
        )
    if own:
        estimator.set_params(network=network)
    try:
        _learn_again(estimator, about, arrays)
    except (DataError, ModelFileError, RuntimeError) as error:  # RuntimeError: impossible dimensions
        if own and isinstance(error, DataError):
            raise
        raise ModelFileError(
            f"{folder / WEIGHTS}: weights do not fit the network that {ABOUT} names ({_line(error)})"
        ) from error
    return estimator


def _unlearnt(method: Any, about: About, arrays: Mapping[str, AnyArray]) -> "ContrastiveEstimator":
    """Return an estimator with everything that `fit` sets, except the learnt arrays and the grid."""
    check_keywords(about.keywords, method().get_params(deep=False))
    # A file must not decide how and where a model runs, such as the number of processes.
    saved = {name: value for name, value in about.keywords.items() if name not in method.not_saved}
    estimator: ContrastiveEstimator = method(**method.before | saved)
    check_values(estimator)
    beside = {name: array for name, array in arrays.items() if not name.startswith("module.")}
    check_arrays(beside, shapes_beside(about, beside))
    estimator.classes_ = np.array(about.classes)
    estimator.background_ = estimator.classes_[about.order[0]]
    estimator.sample_shape_, estimator.grid_ = tuple(about.sample_shape), None
    scaler, residuals = _part(arrays, "scaler."), _part(arrays, "residuals.")
    estimator.scaler_ = TableScaler.from_state(scaler, about.features) if scaler else None
    estimator.residualizer_ = None
    if about.residuals is not None:
        told = about.residuals.model_dump()
        estimator.residualizer_ = Residualizer.from_state(residuals, told, about.features)
    if scaler:
        estimator.n_features_in_ = about.sample_shape[0]
    if about.features:
        estimator.feature_names_in_ = np.array(about.features, dtype=object)
    return estimator


def _learn_again(estimator: "ContrastiveEstimator", about: About, arrays: Mapping[str, AnyArray]) -> None:
    """Restore the learnt arrays and the grid after a check of their shapes."""
    weights, scaler = _part(arrays, "module."), estimator.scaler_
    seen_shape = estimator.sample_shape_ if scaler is None else (int(scaler.kept_.sum()),)
    if about.grid is not None:
        estimator.grid_ = Grid.from_state(_part(arrays, "grid."), about.grid.model_dump())
    check_arrays(weights, shapes_learnt(estimator, weights, seen_shape))
    estimator._set_state(weights, seen_shape)
    estimator._order = np.array(about.order)


def _part(arrays: Mapping[str, AnyArray], prefix: str) -> dict[str, AnyArray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _find_class(name: str, folder: Path, cls: "type[ContrastiveEstimator] | None") -> Any:
    """Return a method of this package, or the caller's class: a file cannot name any other class."""
    from sepvae import methods

    if cls is not None:
        if cls.__name__ != name:
            raise ModelFileError(f"{folder / ABOUT}: wanted {cls.__name__}, got class {_line(repr(name))}")
        return cls
    if (offered := _offered(name)) is None:
        known = ", ".join(methods.METHODS)
        raise ModelFileError(
            f"{folder / ABOUT}: wanted one of {known}, got class {_line(repr(name))}; a class of your own "
            "is given with load(path, cls=..)"
        )
    return offered


def _offered(name: str) -> Any:
    """Return the method of this package with this name, or None."""
    from sepvae import methods

    return getattr(methods, name) if name in methods.METHODS else None


def _is_model(folder: Path) -> bool:
    """Return whether a folder holds the files of a model, and nothing else."""
    return folder.is_dir() and {file.name for file in folder.iterdir()} == {ABOUT, WEIGHTS}


def _read(folder: Path) -> tuple[Path, About, dict[str, AnyArray]]:
    """Read each file once, here or in `model/`, so that the checksum covers the bytes that are used."""
    try:
        if not (folder / ABOUT).is_file() and (folder / "model" / ABOUT).is_file():
            folder = folder / "model"
        if not ((folder / ABOUT).is_file() and (folder / WEIGHTS).is_file()):
            raise ModelFileError(f"{folder}: wanted a folder with {ABOUT} and {WEIGHTS}")
        if (size := (folder / ABOUT).stat().st_size) > MOST_TEXT:
            raise ModelFileError(f"{folder / ABOUT}: wanted at most {MOST_TEXT} bytes, got {size}")
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
        return folder, about, arrays_of(weights)
    except (SafetensorError, ValueError, KeyError) as error:  # KeyError: a dtype that NumPy lacks
        raise ModelFileError(
            f"{folder / WEIGHTS} is damaged ({_line(error)}); save the model again"
        ) from error


class _Version(BaseModel):
    """Fields of all formats, newer ones included."""

    model_config = ConfigDict(strict=True)
    format: int


def _about(text: bytes, path: Path) -> About:
    try:
        version = _Version.model_validate_json(text).format
        if version > FORMAT:
            raise ModelFileError(
                f"{path}: written by a newer sepvae (format {version}, this program reads up to {FORMAT}); "
                "update sepvae"
            )
        about = About.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "".join(f"{part}: " for part in first["loc"][:1])
        told = where + first["msg"].removeprefix("Value error, ").replace("Input should be ", "wanted ")
        raise ModelFileError(f"{path} is damaged ({_line(told)}); save the model again") from error
    if version < 1 or (version > 1 and about.sha256 is None):
        raise ModelFileError(f"{path} is damaged (format {version} without a checksum); save the model again")
    return about


def _line(told: object) -> str:
    """Return text from a file on one line of at most 300 characters."""
    return shorten(" ".join(str(told).split()), 300)


def _plain(value: Any) -> Any:
    """Convert NumPy scalars among the keywords for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cannot save {value!r}")
