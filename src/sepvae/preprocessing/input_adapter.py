"""`InputAdapter`: from what a user gives to what networks see, and back; fitted on the training part."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.validation import validate_data

from sepvae.batch import AnyArray, IntArray, Source
from sepvae.checks import check_images, check_volumes
from sepvae.data.arrays import ArraySource, as_array, as_column, as_frame, numbers_of
from sepvae.data.columns import named_column
from sepvae.errors import DataError
from sepvae.grid import Grid
from sepvae.preprocessing.residualizer import Residualizer
from sepvae.preprocessing.scaler import TableScaler


class Samples(NamedTuple):
    """Samples of a fit, converted and validated, in the units of the user."""

    source: Source
    labels: AnyArray
    groups: AnyArray
    covariates: pd.DataFrame | None


class InputAdapter(BaseEstimator):  # type: ignore[misc]
    """
    Conversion of input: tables are residualised and standardised, images and volumes are checked.

    Fitted attributes: `sample_shape_`, `grid_`, `residualizer_`, `scaler_`, and for tables `n_features_in_`
    and `feature_names_in_`. Messages of scikit-learn name the estimator, `owner`.
    """

    def __init__(self, residualise: Any = None, owner: str = "InputAdapter") -> None:
        self.residualise, self.owner = residualise, owner

    def read(self, X: Any, y: Any, groups: Any) -> Samples:
        """Convert and validate the samples of a fit; a source provides its labels and groups."""
        features, covariates = split_covariates(X, covariate_names(self.residualise))
        grid, ids = (X.grid, X.ids) if is_source(X) else (None, None)
        if is_source(X):
            y, groups = X.labels, X.groups
        stream = is_source(X) and not isinstance(X, ArraySource)
        x = None if stream else self._checked(_as_array(features), reset=True, ensure_min_samples=2)
        if y is None:
            what = "image" if x is not None and x.ndim > 2 else "row"
            raise DataError(f"y: wanted a label for each {what}, got None; y should be a 1d array")
        labels = as_column("y", y)
        if labels.ndim == 2:  # scikit-learn requires this warning of all estimators
            advice = "A column-vector y was passed when a 1d array was expected; give y.ravel()"
            warnings.warn(advice, DataConversionWarning, stacklevel=3)
        labels = labels.ravel()
        if missing := int(pd.isna(labels).sum()):
            raise DataError(f"y: {missing} of {len(labels)} labels are missing; leave those samples out")
        if x is None:
            return Samples(X, labels, groups, None)
        groups = None if groups is None else as_column("groups", groups).ravel()
        source = ArraySource(x, labels, ids=ids, groups=groups, grid=grid)
        return Samples(source, source.labels, source.groups, covariates)

    def fit(self, samples: Samples, is_background: AnyArray, train: IntArray) -> Source:
        """Fit on training samples, covariates on the background of them; return all as networks see them."""
        source, labels, _, covariates = samples
        self.sample_shape_, self.grid_ = tuple(source.sample_shape), source.grid
        self.residualizer_: Residualizer | None = None
        self.scaler_: TableScaler | None = None
        if not isinstance(source, ArraySource) or source.x.ndim != 2:
            return source
        x, names = source.x, getattr(self, "feature_names_in_", None)
        if covariates is not None:
            self.residualizer_ = Residualizer(names)
            in_train = np.isin(np.arange(len(x)), train)
            x = self.residualizer_.fit_transform(x, covariates, in_train & is_background)
        self.scaler_ = TableScaler(names).fit(x[train])
        return ArraySource(self.scaler_.transform(x), labels, ids=source.ids)

    def transform(self, X: Any) -> Source:
        """Return new samples as networks see them; raise DataError unless they match the fitted ones."""
        if is_source(X):
            if not len(X):
                raise DataError("X: wanted samples, got a source of none")
            self._check_grid(X.grid)
            if not isinstance(X, ArraySource):
                source: Source = X
                self._check_shape(source.sample_shape)
                return source
            check_feature_names(X.feature_names, getattr(self, "feature_names_in_", None))
        features, covariates = self._split(X)
        x = _as_array(features)
        if self.scaler_ is not None:
            x = self._checked_table(x, reset=False)
            if self.residualizer_ is not None and covariates is not None:
                x = self.residualizer_.transform(x, covariates)
            x = self.scaler_.transform(x)
        else:
            x = self._checked(x) if x.ndim > 2 else x
            self._check_shape(x.shape[1:])
        return ArraySource(x, np.zeros(len(x)))

    def inverse_transform(self, decoded: AnyArray, X: Any = None) -> AnyArray:
        """Return decoded samples in input units, with the covariates of X or those of an average control."""
        if self.scaler_ is None:
            return decoded
        x = self.scaler_.inverse_transform(decoded)
        if self.residualizer_ is None:
            return x
        return self.residualizer_.inverse_transform(x, None if X is None else self._split(X)[1])

    @property
    def seen_shape(self) -> tuple[int, ...]:
        """Shape of a sample as networks see it: the scaler drops constant features."""
        return self.sample_shape_ if self.scaler_ is None else (int(self.scaler_.kept_.sum()),)

    @property
    def n_observed(self) -> int:
        """Number of features that networks see, of pixels or of valid voxels."""
        return int(np.prod(self.seen_shape) if self.grid_ is None else self.grid_.valid_mask.sum())

    def state(self) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        """Return the fitted arrays, and metadata as a model file has them."""
        names = [str(name) for name in getattr(self, "feature_names_in_", [])]
        about: dict[str, Any] = {"sample_shape": list(self.sample_shape_), "features": names or None}
        parts: dict[str, dict[str, AnyArray]] = {}
        if self.scaler_ is not None:
            parts["scaler"] = self.scaler_.state()
        if self.residualizer_ is not None:
            parts["residuals"], about["residuals"] = self.residualizer_.state()
        if self.grid_ is not None:
            parts["grid"], about["grid"] = self.grid_.state()
        return {f"{part}.{name}": x for part, arrays in parts.items() for name, x in arrays.items()}, about

    def restore(self, arrays: Mapping[str, AnyArray], about: Mapping[str, Any]) -> Self:
        """Restore the fitted state from validated results of `state`."""
        parts: dict[str, dict[str, AnyArray]] = {"scaler": {}, "residuals": {}, "grid": {}}
        for name, array in arrays.items():
            part, _, of_part = name.partition(".")
            parts[part][of_part] = array
        names, residuals, grid = about["features"], about["residuals"], about["grid"]
        self.sample_shape_ = tuple(about["sample_shape"])
        self.grid_ = None if grid is None else Grid.from_state(parts["grid"], grid)
        self.scaler_ = TableScaler.from_state(parts["scaler"], names) if parts["scaler"] else None
        self.residualizer_ = None
        if residuals is not None:
            self.residualizer_ = Residualizer.from_state(parts["residuals"], residuals, names)
        if self.scaler_ is not None:
            self.n_features_in_ = self.sample_shape_[0]
        if names:
            self.feature_names_in_ = np.array(names, dtype=object)
        return self

    def _split(self, X: Any) -> tuple[Any, pd.DataFrame | None]:
        """Split X into features and the fitted covariates."""
        return split_covariates(X, None if self.residualizer_ is None else list(self.residualizer_.kinds_))

    def _checked(self, x: Any, **checks: Any) -> AnyArray:
        """Validate images, volumes or a table; a table is returned as float64."""
        if x.ndim <= 2:
            return self._checked_table(x, **checks)
        (check_volumes if x.ndim == 5 else check_images)(x)
        pixels: AnyArray = x
        return pixels

    def _checked_table(self, x: Any, **checks: Any) -> AnyArray:
        """Validate a table with scikit-learn, and raise its errors as DataError on one line."""
        if x.ndim != 2:
            remedy = "Reshape your data: X[None] if it is one sample, X[:, None] if it is one feature"
            raise DataError(f"X: wanted a table (n, features), got shape {x.shape}. {remedy}")
        if isinstance(x, pd.DataFrame):
            x = numbers_of(x)
        elif x.dtype.kind in "USmM":  # text and times
            x = numbers_of(pd.DataFrame(x)).to_numpy()
        elif x.dtype.kind == "c":
            raise DataError("X: Complex data not supported; give real and imaginary parts as features")
        try:
            table: AnyArray = validate_data(self, x, dtype=np.float64, ensure_all_finite=False, **checks)
        except (ValueError, TypeError, OverflowError) as error:
            refusal = _NotNumbersError if isinstance(error, TypeError) else DataError
            reason = " ".join(str(error).split()).replace(type(self).__name__, self.owner)
            raise refusal("X: " + reason) from error
        return table

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if tuple(shape) != self.sample_shape_:
            wanted, got = (" x ".join(map(str, s)) or "1" for s in (self.sample_shape_, shape))
            found = f"the model was fitted on samples of {wanted}, got {got}"
            raise DataError(f"X: {found}; resize the new data alike")

    def _check_grid(self, grid: Grid | None) -> None:
        if grid is None or self.grid_ is None:
            return
        if not grid.same_place(self.grid_):
            found = f"the model was fitted on {self.grid_}, got {grid}, or at another place"
            raise DataError(f"X: {found}; resample the new volumes alike")
        valid, fitted = grid.valid_mask, self.grid_.valid_mask
        if not np.array_equal(valid, fitted):
            found = (
                f"the model was fitted with {fitted.sum()} voxels that count, got {valid.sum()}, or others"
            )
            raise DataError(f"X: {found}; read the new volumes with the same mask and size")


def _as_array(X: Any) -> Any:
    """Keep DataFrames, for their column names; convert all else to an array."""
    return X if isinstance(X, pd.DataFrame) else as_array(X)


class _NotNumbersError(DataError, TypeError):
    """Non-numeric type of X; a TypeError as well, which scikit-learn's estimator checks require."""


def is_source(X: Any) -> bool:
    """Return whether X is a `Source`, by its attributes."""
    return hasattr(X, "take") and hasattr(X, "sample_shape")


def attributes_of(X: Any) -> pd.DataFrame | None:
    """Return the attributes of a source; None for arrays and tables."""
    return X.attributes if is_source(X) else None


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
    shape = X.sample_shape if is_source(X) else _as_array(X).shape[1:]
    if len(shape) != 1 or (is_source(X) and not isinstance(X, ArraySource)):
        what = f"of {' x '.join(map(str, shape))}" if len(shape) > 1 else "that are not in memory"
        raise DataError(
            f"residualise: wanted a table of measures, got samples {what}; leave it None for these"
        )
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
        got = f"the model was fitted on {len(fitted)} features, got {len(names)}"
    else:
        i = next(i for i, (name, known) in enumerate(zip(names, fitted, strict=True)) if name != known)
        got = f"feature {i + 1} is {names[i]!r}, where the model was fitted on {fitted[i]!r}"
    raise DataError(f"X: {got}; give the same features")
