"""`InputAdapter`: from what a user gives to what networks see, and back; fitted on the training part."""

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.validation import validate_data

from sepvae.batch import AnyArray, IntArray, Source
from sepvae.checks import check_choice, check_images, check_volumes
from sepvae.data.arrays import ArraySource, as_array, as_column, numbers_of
from sepvae.errors import DataError
from sepvae.grid import Grid
from sepvae.preprocessing.covariates import (
    CovariateDesign,
    check_removable,
    conditions_of,
    covariate_names,
    covariates_needed,
    decoder_design,
    is_source,
    split_covariates,
)
from sepvae.preprocessing.harmonizer import Harmonizer
from sepvae.preprocessing.residualizer import Residualizer
from sepvae.preprocessing.rows import VoxelRows, as_volumes, check_feature_names, check_grid
from sepvae.preprocessing.scaler import TableScaler
from sepvae.preprocessing.sites import site_codes, site_names


class Samples(NamedTuple):
    """Samples of a fit, converted and validated, in the units of the user."""

    source: Source
    labels: AnyArray
    groups: AnyArray
    covariates: pd.DataFrame | None


class InputAdapter(BaseEstimator):  # type: ignore[misc]
    """
    Conversion of input: tables and volumes are harmonised and residualised, tables standardised.

    Keywords are those of the estimator. Fitted attributes: `sample_shape_`, `grid_`, `harmonizer_`,
    `residualizer_`, `scaler_`, `conditions_`, and for tables `n_features_in_` and `feature_names_in_`.
    Messages of scikit-learn name the estimator, `owner`.
    """

    def __init__(
        self,
        residualise: Any = None,
        harmonise: str | None = None,
        preserve: Any = None,
        harmonise_on: str = "controls",
        unseen_site: Any = "refuse",
        condition_on: Any = None,
        owner: str = "InputAdapter",
    ) -> None:
        self.residualise, self.condition_on, self.owner = residualise, condition_on, owner
        self.harmonise, self.preserve = harmonise, preserve
        self.harmonise_on, self.unseen_site = harmonise_on, unseen_site

    def read(self, X: Any, y: Any, groups: Any) -> Samples:
        """Convert and validate the samples of a fit; a source provides its labels and groups."""
        features, covariates = self._split(X, fitting=True)
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
            return Samples(X, labels, groups, covariates)
        groups = None if groups is None else as_column("groups", groups).ravel()
        attributes = covariates if conditions_of(vars(self)) else None
        source = ArraySource(x, labels, ids=ids, groups=groups, grid=grid, attributes=attributes)
        return Samples(source, source.labels, source.groups, covariates)

    def fit(self, samples: Samples, is_background: AnyArray, train: IntArray) -> Source:
        """Fit on training samples, what is removed on their background; return all as networks see them."""
        source, labels, groups, covariates = samples
        self.sample_shape_, self.grid_ = tuple(source.sample_shape), source.grid
        self.harmonizer_: Harmonizer | None = None
        self.residualizer_: Residualizer | None = None
        self.scaler_: TableScaler | None = None
        self.conditions_: CovariateDesign | None = None
        names = getattr(self, "feature_names_in_", None)
        is_table = isinstance(source, ArraySource) and source.x.ndim == 2
        rows: Any = source.x if isinstance(source, ArraySource) and is_table else VoxelRows(source)
        if self.harmonise is not None:
            preserve = covariate_names(self.preserve, "preserve") or []
            self.harmonizer_ = Harmonizer(self.harmonise, preserve, self.unseen_site, names)
        if self.residualise is not None:
            self.residualizer_ = Residualizer(names)
        in_train = np.isin(np.arange(len(source)), train)
        if covariates is not None and (conditions := conditions_of(vars(self))):
            self.conditions_ = decoder_design(covariates[conditions], in_train)
        for step, of_step in self._steps(covariates):
            on_all = step is self.harmonizer_ and self.harmonise_on == "all"
            fitted = in_train if on_all else in_train & is_background
            if step is self.harmonizer_:
                self._check_sites(of_step, fitted)
            rows = (step.fit_transform if is_table else step.fit_rows)(rows, of_step, fitted, groups)
        if not is_table:
            return rows.as_source() if rows.steps else source
        self.scaler_ = TableScaler(names).fit(rows[train])
        x = self.scaler_.transform(rows)
        return ArraySource(x, labels, ids=source.ids, attributes=source.attributes)

    def _check_sites(self, covariates: pd.DataFrame, fitted: AnyArray) -> None:
        """Raise if nobody is fitted of a site in a fit."""
        sites = site_names(covariates, str(self.harmonise))
        unfitted = sorted(set(sites) - set(sites[fitted]))
        if unfitted and self.unseen_site == "refuse":
            raise DataError(
                f"harmonise: none of the {fitted.sum()} samples to fit on is of {self.harmonise} "
                f"{unfitted[0]!r}; they are {self.harmonise_on} of the training part without its validation "
                "part; leave that site out, join sites, or fit with harmonise_on=all or unseen_site=reference"
            )

    def check_new(self, train: Source, background: Any, new: Source) -> None:
        """Raise, before a fit on `train`, for covariates of new samples that this fit would not know."""
        known, asked = (self._split(part, fitting=True)[1] for part in (train, new))
        if known is None or asked is None:
            return
        is_background = np.asarray(train.labels) == background
        of_sites = is_background | (self.harmonise_on == "all")
        everyone = np.ones(len(known), dtype=bool)
        parts = ("preserve", of_sites), ("residualise", is_background), ("condition_on", everyone)
        for keyword, fitted in parts:
            names = covariate_names(getattr(self, keyword), keyword) or []
            CovariateDesign(keyword).fit(known[names], fitted).matrix(asked[names])
        if self.harmonise is not None:
            sites = sorted(set(site_names(known[of_sites], self.harmonise)))
            site_codes(asked, self.harmonise, sites, refuse=self.unseen_site == "refuse")

    def transform(self, X: Any) -> Source:
        """Return new samples as networks see them; raise DataError unless they match the fitted ones."""
        if is_source(X):
            if not len(X):
                raise DataError("X: wanted samples, got a source of none")
            check_grid(X.grid, self.grid_)
            check_feature_names(X.feature_names, getattr(self, "feature_names_in_", None))
        features, covariates = self._split(X)
        if is_source(X) and not isinstance(X, ArraySource):
            self._check_shape(X.sample_shape)
            return self._of_volumes(X, covariates)
        x = _as_array(features)
        if self.scaler_ is not None:
            x = self._checked_table(x, reset=False)
            for step, of_step in self._steps(covariates):
                x = step.transform(x, of_step)
            return ArraySource(self.scaler_.transform(x), np.zeros(len(x)))
        x = self._checked(x) if x.ndim > 2 else x
        self._check_shape(x.shape[1:])
        return self._of_volumes(ArraySource(x, np.zeros(len(x)), grid=self.grid_), covariates)

    def add_sites(self, X: Any) -> None:
        """Estimate the effects of new sites from samples like those that were fitted: controls."""
        if self.harmonizer_ is None:
            raise DataError("add_sites: wanted a model that was fitted with harmonise, got one without")
        features, covariates = self._split(X)
        if self.scaler_ is not None:
            features = self._checked_table(_as_array(features), reset=False)
        elif is_source(X):
            self._check_shape(X.sample_shape)
            check_grid(X.grid, self.grid_)
        (_, of_step), *_ = self._steps(covariates)
        groups = X.groups if is_source(X) else None
        self.harmonizer_.add_sites(VoxelRows(X) if self.scaler_ is None else features, of_step, groups)

    def _of_volumes(self, source: Source, covariates: pd.DataFrame | None) -> Source:
        """Return images as they are, and volumes after all steps."""
        rows = VoxelRows(source)
        for step, of_step in self._steps(covariates):
            rows = step.transform_rows(rows, of_step)
        return rows.as_source() if rows.steps else source

    def inverse_transform(
        self, decoded: AnyArray, X: Any = None, at: Mapping[str, Any] | None = None
    ) -> AnyArray:
        """Return decoded samples in input units, of the covariates of X and `at` or an average control."""
        x = decoded if self.scaler_ is None else self.scaler_.inverse_transform(decoded)
        steps = self._steps(None if X is None else self.covariates(X, at))
        if steps and self.scaler_ is None:
            x = x[..., self._valid_mask].reshape(len(x), -1)
        for step, of_step in reversed(steps):
            x = step.inverse_transform(x, of_step)
        as_they_are = not steps or self.scaler_ is not None
        return x if as_they_are else as_volumes(x, self.sample_shape_, self._valid_mask)

    def covariates(self, X: Any, at: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return the covariates of X that there are, with the values of `at` in their place."""
        if at:
            self._check_at(at)
        covariates = self._split(X)[1]
        covariates = pd.DataFrame(index=range(len(X))) if covariates is None else covariates
        return covariates.assign(**at) if at else covariates

    def decoder_covariates(self, covariates: pd.DataFrame | None, n: int) -> AnyArray | None:
        """Return what the decoder of n samples gets of covariates, or of an average person; None: nothing."""
        return None if self.conditions_ is None else self.conditions_.values(covariates, n)

    def _check_at(self, at: Mapping[str, Any]) -> None:
        """Raise unless `at` has one value for each covariate that the model removes or has, fitted sites."""
        site = [] if self.harmonise is None else [self.harmonise]
        known = [*site, *(covariate_names(self.residualise) or []), *conditions_of(vars(self))]
        if not known:
            raise DataError(
                "at: the model has no covariates (residualise, harmonise, condition_on); leave it out"
            )
        for name, value in at.items():
            check_choice("at", name, known)
            if np.ndim(value):
                raise DataError(f"at: wanted one value of {name!r} for all samples, got {np.shape(value)}")
            if name == self.harmonise and self.harmonizer_ is not None:
                check_choice(f"at: {name}", str(value), self.harmonizer_.sites_)

    def _steps(self, covariates: pd.DataFrame | None) -> list[tuple[Any, Any]]:
        """Return the fitted steps in order, with the covariates of each; None for an average control."""
        of_sites = [self.harmonise, *(covariate_names(self.preserve) or [])]
        named: list[tuple[Any, Any]] = [(self.harmonizer_, of_sites)]
        named.append((self.residualizer_, covariate_names(self.residualise)))
        return [
            (step, None if covariates is None else covariates[of]) for step, of in named if step is not None
        ]

    @property
    def _valid_mask(self) -> AnyArray:
        return np.ones(self.sample_shape_[1:], bool) if self.grid_ is None else self.grid_.valid_mask

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
        if self.harmonizer_ is not None:
            parts["harmonisation"], about["harmonisation"] = self.harmonizer_.state()
        if self.residualizer_ is not None:
            parts["residuals"], about["residuals"] = self.residualizer_.state()
        if self.conditions_ is not None:
            parts["conditions"], about["conditions"] = self.conditions_.state()
        if self.grid_ is not None:
            parts["grid"], about["grid"] = self.grid_.state()
        return {f"{part}.{name}": x for part, arrays in parts.items() for name, x in arrays.items()}, about

    def restore(self, arrays: Mapping[str, AnyArray], about: Mapping[str, Any]) -> Self:
        """Restore the fitted state from validated results of `state`."""
        parts: dict[str, dict[str, AnyArray]] = {
            name: {} for name in ("scaler", "harmonisation", "residuals", "conditions", "grid")
        }
        for name, array in arrays.items():
            part, _, of_part = name.partition(".")
            parts[part][of_part] = array
        names, residuals, grid = about["features"], about["residuals"], about["grid"]
        sites = about["harmonisation"]
        self.sample_shape_ = tuple(about["sample_shape"])
        self.grid_ = None if grid is None else Grid.from_state(parts["grid"], grid)
        self.scaler_ = TableScaler.from_state(parts["scaler"], names) if parts["scaler"] else None
        self.harmonizer_ = self.residualizer_ = self.conditions_ = None
        if sites is not None:
            site, unseen = str(self.harmonise), self.unseen_site
            self.harmonizer_ = Harmonizer.from_state(parts["harmonisation"], sites, site, unseen, names)
        if residuals is not None:
            self.residualizer_ = Residualizer.from_state(parts["residuals"], residuals, names)
        if (design := about["conditions"]) is not None:
            self.conditions_ = CovariateDesign.from_state(parts["conditions"], design, "condition_on")
        if self.scaler_ is not None:
            self.n_features_in_ = self.sample_shape_[0]
        if names:
            self.feature_names_in_ = np.array(names, dtype=object)
        return self

    def _split(self, X: Any, *, fitting: bool = False) -> tuple[Any, pd.DataFrame | None]:
        """Split X into features and covariates; those of the decoder may be missing after the fit."""
        removed, conditions = covariates_needed(vars(self)), conditions_of(vars(self))
        if removed is not None:
            check_removable(X)
        if fitting and conditions:
            return split_covariates(X, [*(removed or []), *conditions])
        return split_covariates(X, removed, conditions)

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


def _as_array(X: Any) -> Any:
    """Keep DataFrames, for their column names; convert all else to an array."""
    return X if isinstance(X, pd.DataFrame) else as_array(X)


class _NotNumbersError(DataError, TypeError):
    """Non-numeric type of X; a TypeError as well, which scikit-learn's estimator checks require."""
