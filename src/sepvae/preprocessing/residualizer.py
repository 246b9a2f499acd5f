"""Features without the effects of covariates that controls show: w-scores."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import AnyArray, FloatArray
from sepvae.codes import Kind, attribute_kinds
from sepvae.data.arrays import refuse_infinite
from sepvae.data.missing_codes import refuse_codes, refuse_known_codes
from sepvae.errors import DataError

ROUNDING = 1e-12  # residuals and spreads below this share of the largest value are 0
ALONE = 1e-9  # a control with a leverage this close to 1 is the only one that shows some effect


class Residualizer:
    """
    Removal of covariate effects from features, relative to controls of the same age, sex and site.

    For each feature, a regression is fitted on controls: feature ~ 1 + amounts + classes. The w-score of a
    person is the feature minus its prediction, divided by the standard deviation of the controls' residuals
    (n - k degrees of freedom). Gaps stay gaps, and are not fitted on. A feature without residuals among
    controls keeps its unit.

    `fit(..).transform` and `fit_transform` differ, as in scikit-learn's `TargetEncoder`: residuals of fitted
    controls are too small, which alone distinguishes them from all other samples. `fit_transform` gives these
    controls the residuals of a regression without them.

    Parameters
    ----------
    names : sequence of str, default=None
        Names of the features, for error messages; by default they are numbered.

    Attributes
    ----------
    kinds_ : dict of str to str
        Kind of each covariate, "continuous" or "categorical". Words are classes, and so are whole numbers
        with at most 20 values unless they are floats.
    levels_ : dict of str to list of str
        Classes of each categorical covariate among the controls.
    coefficients_ : ndarray of shape (k, features)
        Coefficients of 1, standardised amounts and each class but the first, NaN if all values are missing.
    scale_ : ndarray of shape (features,)
        Standard deviation of the controls' residuals.

    Examples
    --------
    >>> age = pd.DataFrame({"age": [50.0, 60.0, 70.0, 80.0, 80.0]})
    >>> x = np.array([[8.1], [6.9], [6.1], [4.9], [2.0]])
    >>> model = Residualizer().fit(x, age, np.array([True, True, True, True, False]))
    >>> model.transform(x, age).round(1).ravel()
    array([  0.3,  -0.9,   0.9,  -0.3, -23.2])
    """

    kinds_: dict[str, Kind]
    levels_: dict[str, list[str]]
    coefficients_: FloatArray
    scale_: FloatArray

    def __init__(self, names: Sequence[str] | None = None) -> None:
        self.names = names

    def fit(self, x: npt.ArrayLike, covariates: pd.DataFrame, is_control: npt.ArrayLike) -> Self:
        """
        Fit the effects of covariates on controls.

        Parameters
        ----------
        x, covariates : array-like of shape (n, features), and DataFrame of n rows
            Features, NaN for gaps, and one column per covariate, without gaps.
        is_control : array-like of bool, of shape (n,)
            Samples to fit on.

        Returns
        -------
        Residualizer
            This object.

        Raises
        ------
        DataError
            If a covariate has gaps, infinite values or codes for a missing value such as -9999, or if there
            are too few controls.
        """
        is_control = np.asarray(is_control, dtype=bool)
        x = self._table(x)
        self.kinds_ = attribute_kinds(covariates)
        for name, kind in self.kinds_.items():
            if kind == "continuous":
                refuse_codes(name, covariates[name])
        controls = covariates[is_control]
        self._learn_covariates(controls)
        design = self._design(controls)
        self._average = design.mean(axis=0)
        known: npt.NDArray[np.bool_] = np.asarray(~np.isnan(x).all(axis=0))
        self._learn_effects(x[is_control], design, known)
        return self

    def fit_transform(
        self, x: npt.ArrayLike, covariates: pd.DataFrame, is_control: npt.ArrayLike
    ) -> FloatArray:
        """
        Fit the effects of covariates, and return w-scores, which are leave-one-out for controls.

        The residual e of a fitted control becomes e / (1 - h), where h is its leverage: the feature minus the
        prediction of a regression on all other controls.

        Parameters
        ----------
        x, covariates, is_control : array-like, DataFrame
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, features)
            Leave-one-out w-scores of controls, and those of `transform` for all others. NaN for gaps, and for
            a control who is the only one of a class, whose effect no other control shows.

        Raises
        ------
        DataError
            As from `fit`.

        Examples
        --------
        >>> age = pd.DataFrame({"age": [50.0, 60.0, 70.0, 80.0, 80.0]})
        >>> x = np.array([[8.1], [6.9], [6.1], [4.9], [2.0]])
        >>> Residualizer().fit_transform(x, age, np.array([True, True, True, True, False])).round(1).ravel()
        array([  1.1,  -1.4,   1.4,  -1.1, -23.2])
        """
        is_control = np.asarray(is_control, dtype=bool)
        w = self.fit(x, covariates, is_control).transform(x, covariates)
        design, of_controls = self._design(covariates[is_control]), w[is_control]
        for rows, features in _alike(of_controls):
            axes, spread, _ = np.linalg.svd(design[rows], full_matrices=False)
            leverage = (axes[:, spread > ALONE * spread[0]] ** 2).sum(axis=1)
            others = np.where(1 - leverage > ALONE, 1 - leverage, np.nan)
            of_controls[np.ix_(rows, features)] /= others[:, None]
        w[is_control] = of_controls
        return w

    def transform(self, x: npt.ArrayLike, covariates: pd.DataFrame) -> FloatArray:
        """
        Return features as w-scores.

        Parameters
        ----------
        x, covariates : array-like of shape (n, features), and DataFrame of n rows
            Features, NaN for gaps, and the columns that were fitted.

        Returns
        -------
        ndarray of shape (n, features)
            W-scores, NaN for gaps.

        Raises
        ------
        DataError
            If a covariate is missing, has a code for a missing value, or a class that no fitted control had.
        """
        left = self._table(x) - self._design(covariates) @ self.coefficients_
        left[np.abs(left) <= self._rounding] = 0
        with np.errstate(over="ignore"):  # the scaler refuses values too far from the fitted ones
            w: FloatArray = left / self.scale_
        return w

    def inverse_transform(self, w: npt.ArrayLike, covariates: pd.DataFrame | None = None) -> FloatArray:
        """
        Transform w-scores back to the units of the input.

        Parameters
        ----------
        w : array-like of shape (n, features)
            W-scores, as from `transform`.
        covariates : DataFrame of n rows or None, default=None
            Covariates of the samples; None is an average control: amounts at their mean, classes at their
            shares.

        Returns
        -------
        ndarray of shape (n, features)
            Features.

        Raises
        ------
        DataError
            As from `transform`.
        """
        design = self._average[None] if covariates is None else self._design(covariates)
        x: FloatArray = design @ self.coefficients_ + np.asarray(w, dtype=np.float64) * self.scale_
        return x

    def state(self) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        """
        Return the fitted parameters for storage.

        Returns
        -------
        arrays : dict of str to ndarray
            Coefficients, scale and similar arrays.
        about : dict
            Kinds of covariates and their levels, as JSON accepts them.
        """
        arrays: dict[str, AnyArray] = {"coefficients": self.coefficients_, "scale": self.scale_}
        arrays |= {name: getattr(self, f"_{name}") for name in ("rounding", "average", "middle", "spread")}
        return arrays, {"kinds": self.kinds_, "levels": self.levels_}

    @classmethod
    def from_state(
        cls, arrays: Mapping[str, AnyArray], about: Mapping[str, Any], names: Sequence[str] | None = None
    ) -> Self:
        """
        Restore a fitted object from its state.

        Parameters
        ----------
        arrays, about, names : mappings, and sequence of str
            Results of `state`, and names of the features for error messages.

        Returns
        -------
        Residualizer
            Fitted object.
        """
        fitted = cls(names)
        fitted.kinds_, fitted.levels_ = dict(about["kinds"]), dict(about["levels"])
        fitted.coefficients_, fitted.scale_ = arrays["coefficients"], arrays["scale"]
        fitted._rounding, fitted._average = arrays["rounding"], arrays["average"]
        fitted._middle, fitted._spread = arrays["middle"], arrays["spread"]
        return fitted

    def _table(self, x: npt.ArrayLike) -> FloatArray:
        table = np.asarray(x, dtype=np.float64)
        refuse_infinite(table, self.names)
        return table

    def _learn_covariates(self, controls: pd.DataFrame) -> None:
        """Fit the levels of classes, and mean and standard deviation of amounts."""
        classes = [name for name, kind in self.kinds_.items() if kind == "categorical"]
        self.levels_ = {name: sorted(set(_class_names(controls, name))) for name in classes}
        amounts = [_finite_numbers(controls, name) for name in self.kinds_ if name not in classes]
        self._middle = np.array([values.mean() for values in amounts])
        # Standardised, so that cubic millimetres weigh no more than years.
        self._spread = np.array([values.std() for values in amounts])
        largest = np.array([np.abs(values).max(initial=0) for values in amounts])
        self._spread[self._spread <= ROUNDING * largest] = 1

    def _design(self, covariates: pd.DataFrame) -> FloatArray:
        """Return the design matrix (n, k): 1, standardised amounts, 0 or 1 for each class but the first."""
        if absent := [name for name in self.kinds_ if name not in covariates]:
            raise DataError(f"residualise: wanted a covariate {absent[0]!r} of these samples, found none")
        columns: list[FloatArray] = [np.ones(len(covariates))]
        amounts = [name for name, kind in self.kinds_.items() if kind == "continuous"]
        for i, name in enumerate(amounts):
            values = _finite_numbers(covariates, name)
            columns.append((values - self._middle[i]) / self._spread[i])
            refuse_known_codes(name, values, columns[-1])
        for name, levels in self.levels_.items():
            words = _class_names(covariates, name)
            if unseen := words[~words.isin(levels)].tolist():
                known = ", ".join(levels[:10]) + ", .." * (len(levels) > 10)
                raise DataError(
                    f"residualise: {len(unseen)} of {len(words)} samples have {name} {unseen[0]!r}, which no "
                    f"control that was fitted has ({known}); leave them out, or do not residualise {name}"
                )
            columns += [(words == level).to_numpy().astype(np.float64) for level in levels[1:]]
        return np.column_stack(columns)

    def _learn_effects(self, x: FloatArray, design: FloatArray, known: npt.NDArray[np.bool_]) -> None:
        """Fit least squares, once for all features that the same controls lack."""
        unit = np.abs(np.nan_to_num(x)).max(axis=0, initial=0)
        unit[unit == 0] = 1
        shape = design.shape[1], x.shape[1]
        self.coefficients_, self.scale_ = np.full(shape, np.nan), np.ones(shape[1])
        for rows, features in _alike(x):
            features = features[known[features]]
            if not features.size:
                continue
            self._check_enough(design, rows, int(features[0]))
            y = x[np.ix_(rows, features)] / unit[features]
            effects, _, rank, _ = np.linalg.lstsq(design[rows], y)
            left = y - design[rows] @ effects
            deviation = np.sqrt((left**2).sum(axis=0) / (len(left) - rank))
            self.coefficients_[:, features] = effects * unit[features]
            self.scale_[features] = np.where(deviation > ROUNDING, deviation * unit[features], 1)
        self._rounding = ROUNDING * unit

    def _check_enough(self, design: FloatArray, rows: npt.NDArray[np.bool_], feature: int) -> None:
        """Raise unless k + 2 or more controls have the feature, some of them in every class."""
        name = feature if self.names is None else self.names[feature]
        whose = "" if rows.all() else f" with feature {name!r}"
        if rows.sum() < (least := design.shape[1] + 2):
            raise DataError(
                f"residualise: wanted {least} controls{whose} or more to learn {least - 2} "
                f"coefficients of {', '.join(self.kinds_) or 'none'}, got {rows.sum()}; name fewer covariates"
            )
        first = 1 + len(self._middle)
        for name, levels in self.levels_.items():
            here = design[rows, first : first + len(levels) - 1]
            counts = [int((~here.any(axis=1)).sum()), *here.sum(axis=0).astype(int).tolist()]
            if 0 in counts:
                lacking = f"no control{whose} has {name} {levels[counts.index(0)]!r}"
                raise DataError(
                    f"residualise: {lacking}; leave that feature out, or do not residualise {name}"
                )
            first += len(levels) - 1


def _alike(x: FloatArray) -> Iterator[tuple[npt.NDArray[np.bool_], npt.NDArray[np.intp]]]:
    """Yield rows that have a value, and all features that have one in exactly these rows."""
    patterns, which = np.unique(~np.isnan(x), axis=1, return_inverse=True)
    for i, rows in enumerate(patterns.T):
        yield rows, np.flatnonzero(which.ravel() == i)


def _finite_numbers(covariates: pd.DataFrame, name: str) -> FloatArray:
    """Return a covariate as finite numbers."""
    values = _complete(covariates, name)
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    if wrong := np.flatnonzero(~np.isfinite(numbers)).tolist():
        got = str(values.iloc[wrong[0]])
        raise DataError(f"residualise: wanted numbers as {name!r}, got {got!r}; correct it")
    return numbers


def _class_names(covariates: pd.DataFrame, name: str) -> pd.Series:
    """Return a covariate as class names; 1, 1.0 and "1" are one class, whatever their source."""
    values = _complete(covariates, name).infer_objects()
    if pd.api.types.is_float_dtype(values) and (values == values.round()).all():
        values = values.astype(np.int64)
    return values.astype(str)


def _complete(covariates: pd.DataFrame, name: str) -> pd.Series:
    values: pd.Series = covariates[name]
    if missing := int(values.isna().sum()):
        lacking = f"{missing} of {len(values)} samples have no {name!r}"
        raise DataError(f"residualise: {lacking}; fill it in, or leave them out")
    return values
