"""From a fitted estimator to the content of a model file, and back: `save_estimator` and `load`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sepvae.batch import AnyArray
from sepvae.checks import check_installed
from sepvae.errors import DataError, ModelFileError
from sepvae.methods.hub import SCHEME, download
from sepvae.model_files import (
    ABOUT,
    WEIGHTS,
    About,
    check_arrays,
    check_keywords,
    check_target,
    one_line,
    read_model,
    shapes_beside,
    write_model,
)
from sepvae.preprocessing.covariates import conditions_of, covariates_needed
from sepvae.registry import find_method, method_names

if TYPE_CHECKING:
    from torch import nn

    from sepvae.methods.base import ContrastiveEstimator
LEARNT = "module."  # prefix of what a method learnt; the rest is of input and labels


def save_estimator(estimator: "ContrastiveEstimator", folder: Path, *, overwrite: bool = False) -> Path:
    """Write a fitted estimator to a folder; only an existing model is overwritten."""
    check_target(folder, overwrite=overwrite)
    name = type(estimator).__name__
    if name in method_names() and (registered := find_method(name)) is not type(estimator):
        package = registered.__module__.partition(".")[0]
        raise ModelFileError(
            f"{folder}: a class of your own named {name} would be loaded as {package}.{name}; rename the "
            "class"
        )
    keywords = {k: v for k, v in estimator.get_params(deep=False).items() if k not in estimator.not_saved}
    if isinstance(keywords.get("network"), tuple):
        keywords["network"] = None
    order = estimator._labels.order.tolist()
    about = {"class": name, "keywords": keywords, "classes": estimator.classes_.tolist(), "order": order}
    if (severity_max := estimator._labels.severity_max) is not None:
        about["severity_max"] = severity_max
    beside, of_input = estimator._adapter.state()
    weights = {f"{LEARNT}{name}": array for name, array in estimator._state().items()}
    write_model(folder, about | of_input, weights | beside, overwrite=overwrite)
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
        Folder written by `save`, or a run folder that holds one as `model/`. Or "hf://user/model", which is
        downloaded from the Hugging Face Hub (extra `hub`) or its cache; "hf://user/model@revision" is a
        branch, a tag or a commit. Only the two files of a model are downloaded.
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
        If the folder or the repository holds no model, or one that is damaged, newer than this program or of
        another class.
    DataError
        If the model was fitted with the user's own modules, and these are missing or do not fit.

    Examples
    --------
    >>> load("no/such/folder")
    Traceback (most recent call last):
    sepvae.errors.ModelFileError: no/such/folder: wanted a folder with model.json and model.safetensors
    """
    if isinstance(path, str) and path.startswith(SCHEME):
        check_installed("hub", "huggingface_hub")
        path = download(path)
    folder, about, arrays = read_model(Path(path))
    method = _find_class(about.method, folder, cls)
    weights = {name.removeprefix(LEARNT): x for name, x in arrays.items() if name.startswith(LEARNT)}
    beside = {name: array for name, array in arrays.items() if not name.startswith(LEARNT)}
    try:
        estimator = _without_weights(method, about, beside)
    except (DataError, ModelFileError) as error:
        raise ModelFileError(f"{folder} is damaged ({one_line(error)}); save the model again") from error
    if (own := getattr(estimator, "network", "") is None) and network is None:
        raise DataError(
            "the model was fitted with modules of your own; give them again: network=(encoder, decoder)"
        )
    if own:
        estimator.set_params(network=network)
    try:
        seen_shape = estimator._adapter.seen_shape
        check_arrays(weights, estimator._state_shapes(weights, seen_shape))
        estimator._set_state(weights, seen_shape)
    except (ValueError, RuntimeError, LookupError, TypeError) as error:  # also of methods that check little
        if own and isinstance(error, DataError):
            raise
        raise ModelFileError(
            f"{folder / WEIGHTS}: weights do not fit the network that {ABOUT} names ({one_line(error)})"
        ) from error
    return estimator


def _without_weights(method: Any, about: About, beside: Mapping[str, AnyArray]) -> "ContrastiveEstimator":
    """Return an estimator with everything that `fit` sets, except the learnt arrays."""
    check_keywords(about.keywords, method().get_params(deep=False))
    # A file must not decide how and where a model runs, such as the number of processes.
    saved = {name: value for name, value in about.keywords.items() if name not in method.not_saved}
    estimator: ContrastiveEstimator = method(**method.before | saved)
    _check_values(estimator)
    check_arrays(beside, shapes_beside(about, beside))
    if about.harmonisation is not None and not isinstance(estimator.harmonise, str):
        raise ModelFileError("keywords: wanted harmonise, for the model holds site effects")
    kinds = {} if about.conditions is None else about.conditions.kinds
    if list(kinds) != conditions_of(estimator.get_params(deep=False)):
        raise ModelFileError(f"keywords: wanted condition_on={list(kinds)}, the covariates of the decoder")
    adapter = estimator.input_adapter().restore(beside, about.model_dump())
    groups = np.array(about.classes), np.array(about.order)
    labels = estimator._label_encoder().restore(*groups, about.severity_max)
    estimator._set_fitted(adapter, labels)
    return estimator


def _check_values(estimator: "ContrastiveEstimator") -> None:
    """Raise ModelFileError or DataError unless `fit` accepts the keywords of an unfitted estimator."""
    values = estimator.get_params(deep=False)
    if not isinstance(values.get("network"), str | tuple | None):
        raise ModelFileError("keywords: network is no name")
    if not isinstance(values.get("precision"), str | int | None):
        raise ModelFileError("keywords: precision is no name")
    if isinstance(estimator.background, list):
        raise ModelFileError("keywords: background is no label")
    covariates_needed(values)
    try:
        estimator._check_keywords()
    except OverflowError as error:
        raise ModelFileError("keywords: a number is too large") from error


def _find_class(name: str, folder: Path, cls: "type[ContrastiveEstimator] | None") -> Any:
    """Return a registered method, or the caller's class: a file cannot name any other class."""
    if cls is not None:
        if cls.__name__ != name:
            raise ModelFileError(f"{folder / ABOUT}: wanted {cls.__name__}, got class {one_line(repr(name))}")
        return cls
    if name not in method_names():
        known = ", ".join(method_names())
        raise ModelFileError(
            f"{folder / ABOUT}: wanted one of {known}, got class {one_line(repr(name))}; a class of your own "
            "is given with load(path, cls=..)"
        )
    return find_method(name)
