"""Fitted estimators on disk: weights as safetensors, keywords and what was fitted on the way in as JSON."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

import sepvae
from sepvae.data.residuals import Residualizer
from sepvae.data.tables import TableScaler
from sepvae.errors import DataError, ModelFileError
from sepvae.files import whole_folder, write_whole
from sepvae.grid import Grid

if TYPE_CHECKING:
    from torch import nn

    from sepvae.methods._estimator import ContrastiveEstimator

FORMAT = 1
WEIGHTS, ABOUT = "model.safetensors", "model.json"


def save_model(estimator: "ContrastiveEstimator", folder: Path) -> Path:
    """
    Write a fitted estimator.

    Parameters
    ----------
    estimator : ContrastiveEstimator
        Fitted.
    folder : Path
        Where; must not exist.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ModelFileError
        If the folder exists.
    """
    if folder.exists():
        raise ModelFileError(
            f"{folder}: wanted a new folder for the model, but it exists; choose another name"
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
    with whole_folder(folder) as whole:
        write_whole(whole / WEIGHTS, save(arrays))
        write_whole(whole / ABOUT, json.dumps(about, indent=2, default=_plain) + "\n")
    return folder


def load(path: str | Path, *, network: "tuple[nn.Module, nn.Module] | None" = None) -> "ContrastiveEstimator":
    """
    Read a fitted estimator; nothing in the file is executed.

    Parameters
    ----------
    path : str or Path
        What `save` wrote: a model's folder, or a run folder that holds one as `model/`.
    network : tuple of two Module or None, default=None
        The user's own encoder and decoder, where the model was fitted with such.

    Returns
    -------
    SepVAE or another method's estimator
        Of the class that was saved.

    Raises
    ------
    ModelFileError
        If the folder holds no model, or one that is damaged or newer than this program.

    Examples
    --------
    >>> load("no/such/folder")
    Traceback (most recent call last):
    sepvae.errors.ModelFileError: no/such/folder: wanted a folder with model.json and model.safetensors
    """
    folder = Path(path)
    if not (folder / ABOUT).is_file() and (folder / "model" / ABOUT).is_file():
        folder = folder / "model"
    about, arrays = _read(folder)
    method = _find_class(about["class"], folder)
    try:
        estimator: ContrastiveEstimator = method(**about["keywords"])
        _restore(estimator, about, arrays, network)
    except DataError:  # of the user's own modules
        raise
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelFileError(f"{folder / ABOUT} is damaged ({error!r}); save the model again") from error
    except RuntimeError as error:
        raise ModelFileError(
            f"{folder / WEIGHTS}: weights do not fit the network that {ABOUT} names"
        ) from error
    return estimator


def _restore(
    estimator: "ContrastiveEstimator",
    about: dict[str, Any],
    arrays: dict[str, Any],
    network: "tuple[nn.Module, nn.Module] | None",
) -> None:
    """Give an estimator back what `fit` had set."""
    if "network" in about["keywords"] and about["keywords"]["network"] is None:
        if network is None:
            raise DataError(
                "the model was fitted with modules of your own; give them again: network=(encoder, decoder)"
            )
        estimator.set_params(network=network)
    estimator.classes_ = np.array(about["classes"])
    order = np.array(about["order"])
    estimator.background_ = estimator.classes_[order[0]]
    estimator.sample_shape_ = tuple(about["sample_shape"])
    about_grid = about.get("grid")
    estimator.grid_ = Grid.from_state(_part(arrays, "grid."), about_grid) if about_grid else None
    scaler, weights = _part(arrays, "scaler."), _part(arrays, "module.")
    estimator.scaler_ = TableScaler.from_state(scaler, about["features"]) if scaler else None
    residuals, told = _part(arrays, "residuals."), about.get("residuals")
    estimator.residualizer_ = Residualizer.from_state(residuals, told, about["features"]) if told else None
    if estimator.scaler_ is not None:
        estimator.n_features_in_ = estimator.sample_shape_[0]
    if about["features"]:
        estimator.feature_names_in_ = np.array(about["features"], dtype=object)
    seen_shape = (int(scaler["kept"].sum()),) if scaler else estimator.sample_shape_
    estimator._set_state(weights, seen_shape)
    estimator._order = order


def _part(arrays: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _find_class(name: str, folder: Path) -> Any:
    """Only methods that this package offers: a file cannot name another class."""
    from sepvae import methods

    if name not in methods.METHODS:
        known = ", ".join(methods.METHODS)
        raise ModelFileError(f"{folder / ABOUT}: wanted one of {known}, got class {name!r}")
    return getattr(methods, name)


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    if not ((folder / ABOUT).is_file() and (folder / WEIGHTS).is_file()):
        raise ModelFileError(f"{folder}: wanted a folder with {ABOUT} and {WEIGHTS}")
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        arrays = load_file(folder / WEIGHTS)
    except (ValueError, SafetensorError) as error:
        raise ModelFileError(
            f"{folder}: {ABOUT} or {WEIGHTS} is damaged ({error}); save the model again"
        ) from error
    if about.get("format") != FORMAT:
        raise ModelFileError(
            f"{folder / ABOUT}: wanted format {FORMAT}, got {about.get('format')}; a newer sepvae may read it"
        )
    return about, arrays


def _plain(value: Any) -> Any:
    """JSON for numpy scalars among the keywords."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cannot save {value!r}")
