"""Features without the effects of covariates that controls show: w-scores."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import AnyArray, FloatArray, IntArray
from sepvae.codes import Kind
from sepvae.errors import DataError
from sepvae.preprocessing.covariates import ROUNDING, CovariateDesign
from sepvae.preprocessing.people import PeopleEffects, Scans
from sepvae.preprocessing.rows import Rows, Step, VoxelRows, feature_table, gap_patterns, least_squares

LEAST_SCALE = 0.1  # of a voxel, as a share of the median: voxels that hardly vary get no huge w-scores
ALONE = 1e-9  # a control with a leverage this close to 1 is the only one that shows some effect


class _Pattern(NamedTuple):
    """Features that the same controls have, the design in coordinates of these, and who they are."""

    features: IntArray
    axes: FloatArray
    scans: Scans


class Residualizer(PeopleEffects):
    """
    Removal of covariate effects from features, relative to controls of the same age, sex and site.

    For each feature, a regression is fitted on controls: feature ~ 1 + amounts + classes. The w-score of a
    person is the feature minus its prediction, divided by the standard deviation of the controls' residuals
    (n - k degrees of freedom). Gaps stay gaps, and are not fitted on. A feature without residuals among
    controls keeps its unit.

    `fit_transform` gives a fitted control the residuals of a regression on all other people: (I - H)^-1 e,
    where e are the residuals of all scans of that person, and H is their block of the hat matrix; NaN for a
    person who is the only one of a class.

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
        left = feature_table(x, self.names) - self._design.matrix(covariates) @ self.coefficients_
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
        design = self._design.average[None] if covariates is None else self._design.matrix(covariates)
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
        arrays, about = self._design.state()
        fitted = {"coefficients": self.coefficients_, "scale": self.scale_, "rounding": self._rounding}
        return fitted | arrays, about

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
        fitted._design = design = CovariateDesign.from_state(arrays, about, "residualise")
        fitted.kinds_, fitted.levels_ = design.kinds, design.levels
        fitted.coefficients_, fitted.scale_ = arrays["coefficients"], arrays["scale"]
        fitted._rounding = arrays["rounding"]
        return fitted

    def _learn(self, x: Rows, covariates: pd.DataFrame, scans: Scans) -> Step:
        """Fit least squares on the rows of controls, once for all features that the same controls lack."""
        self._design = CovariateDesign("residualise").fit(covariates, scans.fitted)
        self.kinds_, self.levels_ = self._design.kinds, self._design.levels
        whole, controls = self._design.matrix(covariates), np.flatnonzero(scans.fitted)
        if isinstance(x, VoxelRows):
            of_controls: Rows = x.select(controls)
            there, unit = np.ones(x.n_columns, bool), np.ones(x.n_columns)
        else:
            of_controls = x[controls]
            there = np.asarray(~np.isnan(x).all(axis=0))
            unit = np.abs(np.nan_to_num(of_controls)).max(axis=0, initial=0)
            unit[unit == 0] = 1
        self.coefficients_, self.scale_ = np.full((whole.shape[1], len(unit)), np.nan), np.ones(len(unit))
        patterns = []
        for rows, features in gap_patterns(of_controls):
            if (features := features[there[features]]).size:
                self._check_enough(whole[controls][rows], scans.person[controls][rows], features)
                self._fit(of_controls, whole[controls], rows, features, unit)
                have = replace(scans, fitted=np.isin(np.arange(len(whole)), controls[rows]))
                patterns.append(_Pattern(features, _axes(whole, have.fitted), have))
        if isinstance(x, VoxelRows):
            self._check_not_alone(patterns[0], covariates)
            varying = self.scale_[self.scale_ != 1]
            self.scale_ = np.maximum(self.scale_, LEAST_SCALE * np.median(varying))
        self._rounding = ROUNDING * unit
        return partial(self._by_others, covariates, patterns)

    def _fit(self, x: Rows, design: FloatArray, rows: IntArray, features: IntArray, unit: FloatArray) -> None:
        """Fit features of the controls `rows`, in these units."""
        effects, squares, rank = least_squares(x, design, rows, features, unit[features])
        deviation = np.sqrt(squares / (len(rows) - rank))
        self.coefficients_[:, features] = effects * unit[features]
        self.scale_[features] = np.where(deviation > ROUNDING, deviation * unit[features], 1)

    def _by_others(
        self, covariates: pd.DataFrame, patterns: list[_Pattern], x: FloatArray, at: IntArray
    ) -> FloatArray:
        w = self.transform(x, covariates.iloc[at])
        for features, axes, scans in patterns:
            w[:, features] = _of_others(w[:, features], axes[at], scans.select(at))
        return w

    def _check_enough(self, design: FloatArray, person: IntArray, features: IntArray) -> None:
        """Raise unless k + 2 or more controls have these features, some of them in every class."""
        first, whose, n = int(features[0]), "", len(np.unique(person))
        if len(features) < len(self.scale_):
            whose = f" with feature {first if self.names is None else self.names[first]!r}"
        if n < (least := design.shape[1] + 2):
            raise DataError(
                f"residualise: wanted {least} controls{whose} or more to learn {least - 2} "
                f"coefficients of {', '.join(self.kinds_) or 'none'}, got {n}; name fewer covariates"
            )
        if (lacking := self._design.lacking(design)) is not None:
            covariate, level = lacking
            raise DataError(
                f"residualise: no control{whose} has {covariate} {level!r}; leave that feature out, or do "
                f"not residualise {covariate}"
            )

    def _check_not_alone(self, pattern: _Pattern, covariates: pd.DataFrame) -> None:
        """Raise if one control alone shows some effect: volumes, unlike tables, have no gaps for it."""
        nothing = np.zeros((len(covariates), 1))
        alone = np.flatnonzero(np.isnan(_of_others(nothing, pattern.axes, pattern.scans)))
        if alone.size:
            has = ", ".join(f"{name} {value}" for name, value in covariates.iloc[alone[0]].items())
            raise DataError(
                f"residualise: sample {alone[0]} ({has}) is the only control that shows some effect of "
                f"{', '.join(self.kinds_)}; leave it out, or name fewer covariates"
            )


def _axes(design: FloatArray, fitted: npt.NDArray[np.bool_]) -> FloatArray:
    """Return the design in coordinates (n, rank) in which the products of its rows are the hat matrix."""
    _, spread, right = np.linalg.svd(design[fitted], full_matrices=False)
    kept = spread > ALONE * spread[0]
    axes: FloatArray = design @ (right[kept].T / spread[kept])
    return axes


def _of_others(residuals: FloatArray, axes: FloatArray, scans: Scans) -> FloatArray:
    """Return (I - H)^-1 e for each fitted person, the residuals of a regression on all other people."""
    of_others = residuals.copy()
    fitted_people = np.flatnonzero(scans.of_fitted)
    for block in scans.select(fitted_people).blocks():
        rows = fitted_people[block]  # (people, scans)
        a, fitted = axes[rows], scans.fitted[rows]
        hat = a @ a.transpose(0, 2, 1) * fitted[:, None]
        alone = np.linalg.eigvalsh(hat * fitted[..., None]).max(axis=1) > 1 - ALONE
        hat[alone] = 0
        solved = np.linalg.solve(np.eye(rows.shape[1]) - hat, np.nan_to_num(residuals[rows]))
        solved[alone] = np.nan
        of_others[rows] = np.where(np.isnan(residuals[rows]), np.nan, solved)
    return of_others
