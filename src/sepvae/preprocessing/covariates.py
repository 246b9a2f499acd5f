"""Features and covariates of estimator input: split, and check of feature names."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sepvae.batch import FloatArray
from sepvae.data.arrays import ArraySource
from sepvae.data.columns import named_column
from sepvae.data.conversion import as_array, as_frame
from sepvae.errors import DataError


def is_source(X: Any) -> bool:
    """Return whether X is a `Source`, by its attributes."""
    return hasattr(X, "take") and hasattr(X, "sample_shape")


def covariate_names(residualise: Any) -> list[str] | None:
    """
    Return the keyword `residualise` as a list of names; a str holds names separated by commas.

    >>> covariate_names("age, site")
    ['age', 'site']
    """
    if residualise is None:
        return None
    text = isinstance(residualise, str)
    names = [name.strip() for name in residualise.split(",")] if text else residualise
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise DataError(f"residualise: wanted names of covariates, or None, got {residualise!r}")
    if twice := [name for name in names if list(names).count(name) > 1]:
        raise DataError(f"residualise: {twice[0]!r} is named twice; leave one out")
    return list(names)


def split_covariates(X: Any, covariates: Sequence[str] | None) -> tuple[Any, pd.DataFrame | None]:
    """Split X into features, as a DataFrame if they have names, and covariates, as a DataFrame or None."""
    named = isinstance(X, ArraySource) and X.x.ndim == 2 and X.feature_names is not None
    features = pd.DataFrame(X.x, columns=np.array(X.feature_names, dtype=object)) if named else X
    if isinstance(X, ArraySource) and not named:
        features = X.x
    elif not named and (frame := as_frame(X)) is not None:
        X = features = frame
    if covariates is None:
        return features, None
    _check_table(X)
    table = X.attributes if is_source(X) else X
    if not isinstance(table, pd.DataFrame):
        raise DataError(
            f"residualise: wanted a column or attribute {', '.join(map(repr, covariates))}, got an array, "
            "which names none; give a DataFrame, or a source with attributes"
        )
    for name in covariates:
        if is_source(X) and name not in table:
            known = ", ".join(map(str, table.columns)) or "none"
            raise DataError(
                f"X: no attribute {name!r} for residualise; the attributes are {known}: name it as one "
                f"(--attribute {name})"
            )
        named_column(table, "X", "residualise", name)
    if not is_source(X):
        features = X.drop(columns=list(covariates))
    return features, table[list(covariates)].reset_index(drop=True)


def check_feature_names(names: Sequence[str] | None, fitted: Sequence[str] | None) -> None:
    """
    Raise DataError unless the names equal the fitted ones, in the same order; None on either side passes.

    >>> check_feature_names(["lh", "age"], ["lh", "rh"])
    Traceback (most recent call last):
    sepvae.errors.DataError: X: feature 2 is 'age', where the model was fitted on 'rh'; give the same features
    """
    if names is None or fitted is None or list(names) == list(fitted):
        return
    if len(names) != len(fitted):
        raise DataError(
            f"X: the model was fitted on {len(fitted)} features, got {len(names)}; give the same features"
        )
    i = next(i for i, (name, known) in enumerate(zip(names, fitted, strict=True)) if name != known)
    raise DataError(
        f"X: feature {i + 1} is {names[i]!r}, where the model was fitted on {fitted[i]!r}; "
        "give the same features"
    )


def numeric_covariate(covariates: pd.DataFrame, name: str) -> FloatArray:
    """Return a covariate as finite numbers."""
    values = _complete(covariates, name)
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    if wrong := np.flatnonzero(~np.isfinite(numbers)).tolist():
        raise DataError(
            f"residualise: wanted numbers as {name!r}, got {str(values.iloc[wrong[0]])!r}; correct it"
        )
    return numbers


def categorical_covariate(covariates: pd.DataFrame, name: str) -> pd.Series:
    """Return a covariate as class names; 1, 1.0 and "1" are one class, whatever their source."""
    values = _complete(covariates, name).infer_objects()
    if pd.api.types.is_float_dtype(values) and (values == values.round()).all():
        values = values.astype(np.int64)
    return values.astype(str)


def _complete(covariates: pd.DataFrame, name: str) -> pd.Series:
    values: pd.Series = covariates[name]
    if missing := int(values.isna().sum()):
        raise DataError(
            f"residualise: {missing} of {len(values)} samples have no {name!r}; fill it in, or leave them out"
        )
    return values


def _check_table(X: Any) -> None:
    """Raise DataError unless X is a table in memory: covariates of other data are not supported."""
    named = isinstance(X, pd.DataFrame)
    shape = X.sample_shape if is_source(X) else X.shape[1:] if named else as_array(X).shape[1:]
    if len(shape) != 1 or (is_source(X) and not isinstance(X, ArraySource)):
        what = (
            f"samples of {' x '.join(map(str, shape))}"
            if len(shape) > 1
            else "samples that are not in memory"
        )
        raise DataError(f"residualise: wanted a table of measures, got {what}; leave it None for these")
