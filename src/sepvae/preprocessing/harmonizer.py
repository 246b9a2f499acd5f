"""Features without the effects of sites on location and scale: ComBat, fitted once, applied to new people."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import AnyArray, FloatArray, IntArray
from sepvae.checks import check_choice
from sepvae.data.arrays import name_columns
from sepvae.errors import DataError
from sepvae.preprocessing.covariates import ROUNDING, CovariateDesign, check_there, covariate_names
from sepvae.preprocessing.people import PeopleEffects, Scans
from sepvae.preprocessing.rows import (
    Rows,
    Step,
    VoxelRows,
    feature_table,
    gap_patterns,
    least_squares,
    row_chunks,
)
from sepvae.preprocessing.sites import (
    SiteMoments,
    check_enough,
    one_hot,
    site_codes,
    site_names,
    sites_to_fit,
)

ALIKE = 1e-9  # sum of squares within a site over all features, which rounding leaves of copies
STEPS_OF_OTHERS = 3  # from the estimates of a site to those without one person, which are close
UNSEEN = "refuse", "reference"


class Harmonizer(PeopleEffects):
    """
    Removal of site effects from features: ComBat.

    For a person of site i, feature = alpha + beta covariates + gamma_i + delta_i e. The effects gamma and
    delta of a site are estimated by empirical Bayes over all features. The harmonised feature is
    alpha + beta covariates + e, with the pooled variance: what an average site measures.

    Two people or more of each site and two features are needed; scans of a person at a site count as one.
    `fit_transform` gives each fitted person the effects that the others of the site show.

    Parameters
    ----------
    site : str
        Covariate with the site, or the scanner.
    preserve : sequence of str, default=()
        Covariates whose effects stay, and that may differ between sites: age, sex.
    unseen : {"refuse", "reference"}, default="refuse"
        A person of a site that was not fitted raises DataError, or is taken as measured at an average site. A
        third way is `add_sites`.
    names : sequence of str, default=None
        Names of the features, for error messages; by default they are numbered.

    Attributes
    ----------
    sites_ : list of str
        Sites that were fitted.
    coefficients_ : ndarray of shape (1 + k, features)
        alpha and beta, of standardised covariates.
    scale_ : ndarray of shape (features,)
        Pooled standard deviation within sites, 0 for what is constant within all of them.
    shift_, variance_ : ndarray of shape (sites, features)
        gamma and delta^2 in units of `scale_`.

    References
    ----------
    Johnson, Li, Rabinovic, Biostatistics 2007, section 3; Fortin et al., NeuroImage 2018, who preserve
    covariates.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> site = pd.DataFrame({"site": ["A"] * 50 + ["B"] * 50})
    >>> x = rng.normal(size=(100, 20)) + 3 * (site[["site"]] == "B").to_numpy()
    >>> harmonised = Harmonizer("site").fit(x, site).transform(x, site)
    >>> [f"{abs(y[50:].mean() - y[:50].mean()):.1f}" for y in (x, harmonised)]
    ['3.0', '0.0']
    """

    sites_: list[str]
    coefficients_: FloatArray
    scale_: FloatArray
    shift_: FloatArray
    variance_: FloatArray

    def __init__(
        self,
        site: str,
        preserve: Sequence[str] = (),
        unseen: Literal["refuse", "reference"] = "refuse",
        names: Sequence[str] | None = None,
    ) -> None:
        self.site, self.preserve, self.unseen, self.names = site, preserve, unseen, names

    def transform(self, x: npt.ArrayLike, covariates: pd.DataFrame) -> FloatArray:
        """
        Return harmonised features.

        Parameters
        ----------
        x, covariates : array-like of shape (n, features), and DataFrame of n rows
            Features, NaN for gaps, and the columns that were fitted.

        Returns
        -------
        ndarray of shape (n, features)
            Features in their units, as an average site measures them. NaN for gaps.

        Raises
        ------
        DataError
            If a covariate is missing, or a site was not fitted and `unseen` is "refuse".
        """
        z, expected = self._standardised(feature_table(x, self.names), covariates)
        return self._harmonised(z, expected, *self._effects(covariates))

    def inverse_transform(self, x: npt.ArrayLike, covariates: pd.DataFrame | None = None) -> FloatArray:
        """
        Return features as the sites of people measure them.

        Parameters
        ----------
        x : array-like of shape (n, features)
            Harmonised features.
        covariates : DataFrame of n rows or None, default=None
            Covariates of the people; None keeps x: an average site.

        Returns
        -------
        ndarray of shape (n, features)
            Features.

        Raises
        ------
        DataError
            As from `transform`.
        """
        x = np.asarray(x, dtype=np.float64)
        if covariates is None:
            return x
        shift, variance = self._effects(covariates)
        expected = self._design.matrix(covariates) @ self.coefficients_
        restored: FloatArray = x + (x - expected) * (np.sqrt(variance) - 1) + shift * self._unit
        return restored

    def add_sites(
        self, x: npt.ArrayLike | VoxelRows, covariates: pd.DataFrame, groups: npt.ArrayLike | None = None
    ) -> Self:
        """
        Estimate the effects of new sites; all that was fitted stays as it is.

        Parameters
        ----------
        x, covariates : array-like of shape (n, features), and DataFrame of n rows
            As in `transform`, of people like those of the fit (controls), two or more of each new site.
            People of fitted sites are not used.
        groups : array-like of shape (n,), default=None
            As in `fit`.

        Returns
        -------
        Harmonizer
            This object.

        Raises
        ------
        DataError
            As from `fit`.
        """
        rows: Rows = x if isinstance(x, VoxelRows) else feature_table(x, self.names)
        new = ~site_names(covariates, self.site).isin(self.sites_).to_numpy()
        if not new.any():
            return self
        scans = self._at_sites(Scans.of(len(new), groups=groups), covariates).select(new)
        covariates = covariates[new]
        rows = rows.select(np.flatnonzero(new)) if isinstance(rows, VoxelRows) else rows[new]
        sites = sites_to_fit(covariates, self.site, scans)
        _, shift, variance = self._site_effects(rows, covariates, sites, scans)
        self.sites_ = [*self.sites_, *sites]
        self.shift_ = np.vstack([self.shift_, shift])
        self.variance_ = np.vstack([self.variance_, variance])
        return self

    def state(self) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        """
        Return the fitted parameters for storage.

        Returns
        -------
        arrays : dict of str to ndarray
            Coefficients, scale, shift and spread, and those of the preserved covariates.
        about : dict
            Sites, and kinds and levels of preserved covariates, as JSON accepts them.
        """
        arrays, about = self._design.state()
        names = "coefficients", "scale", "shift", "variance"
        return arrays | {name: getattr(self, f"{name}_") for name in names}, about | {"sites": self.sites_}

    @classmethod
    def from_state(
        cls,
        arrays: Mapping[str, AnyArray],
        about: Mapping[str, Any],
        site: str,
        unseen: Any = "refuse",
        names: Sequence[str] | None = None,
    ) -> Self:
        """
        Restore a fitted object from its state.

        Parameters
        ----------
        arrays, about : mappings
            Results of `state`.
        site, unseen, names : str, str, and sequence of str
            As for a new object.

        Returns
        -------
        Harmonizer
            Fitted object.
        """
        fitted = cls(site, list(about["kinds"]), unseen, names)
        fitted._design = CovariateDesign.from_state(arrays, about, "preserve")
        fitted.sites_ = list(about["sites"])
        for name in ("coefficients", "scale", "shift", "variance"):
            setattr(fitted, f"{name}_", arrays[name])
        return fitted

    def _people(self, x: FloatArray, scans: Scans) -> FloatArray:
        """Return the rows to fit on; raise if none of them has a feature that others have."""
        people: FloatArray = x[scans.fitted]
        absent = np.atleast_1d(np.isnan(people).all(axis=0) & ~np.isnan(x).all(axis=0))
        if absent.any():
            odd = name_columns(absent[None], self.names)
            raise DataError(
                f"harmonise: none of the {len(people)} fitted people has feature {odd}; leave it out"
            )
        return people

    def _learn(self, x: Rows, covariates: pd.DataFrame, scans: Scans) -> Step:
        """Fit on the rows of fitted people: least squares, then empirical Bayes estimates of each site."""
        scans = self._at_sites(scans, covariates)
        of_fitted: Rows = (
            x.select(np.flatnonzero(scans.fitted)) if isinstance(x, VoxelRows) else self._people(x, scans)
        )
        moments = self._fit(of_fitted, covariates, scans)
        return partial(self._by_others, covariates, moments, scans)

    def _at_sites(self, scans: Scans, covariates: pd.DataFrame) -> Scans:
        return scans.within(site_names(covariates, self.site).to_numpy())

    def _fit(self, x: Rows, covariates: pd.DataFrame, scans: Scans) -> SiteMoments:
        check_choice("unseen", self.unseen, UNSEEN)
        fitted, people = scans.fitted, covariates[scans.fitted]
        scans = scans.select(fitted)
        self.sites_ = sites_to_fit(people, self.site, scans)
        names = covariate_names(self.preserve, "preserve") or []
        check_there(covariates, names, "preserve")
        self._design = CovariateDesign("preserve").fit(covariates[names], fitted)
        design, of_site = self._design.matrix(people), one_hot(people, self.site, self.sites_)
        k, n = design.shape[1], x.n_columns if isinstance(x, VoxelRows) else x.shape[1]
        self.coefficients_, self.scale_ = np.full((k, n), np.nan), np.zeros(n)
        whole = np.hstack([design, of_site[:, 1:]])
        for rows, features in gap_patterns(x):
            if not rows.size:
                continue
            shares = of_site[rows].mean(axis=0)
            effects, squares, rank = least_squares(x, whole, rows, features)
            n_sites = of_site[rows].any(axis=0).sum()
            if names and rank < np.linalg.matrix_rank(design[rows]) + n_sites - 1:
                raise DataError(
                    f"preserve: the effects of {', '.join(names)} cannot be told from those of "
                    f"{self.site}: all people of a site are alike, or too few; leave such covariates out"
                )
            effects[0] += shares[1:] @ effects[k:]  # alpha is that of the average site
            self.coefficients_[:, features] = effects[:k]
            deviation = np.sqrt(squares / len(rows))
            varies = deviation > ROUNDING * np.abs(effects[:k]).max(axis=0)
            self.scale_[features] = np.where(varies, deviation, 0)
        moments, self.shift_, self.variance_ = self._site_effects(x, people, self.sites_, scans)
        return moments

    def _site_effects(
        self, x: Rows, people: pd.DataFrame, sites: list[str], scans: Scans
    ) -> tuple[SiteMoments, FloatArray, FloatArray]:
        """Return moments, shift and variance of each site; what is constant within all sites is shifted."""
        there = np.ones((len(people), 1), bool) if isinstance(x, VoxelRows) else ~np.isnan(x)
        of_site, weights = one_hot(people, self.site, sites), scans.weights(there)
        shape = len(sites), len(self.scale_)
        n, sums, squares = (np.zeros(shape) for _ in range(3))
        for rows, values in row_chunks(x, np.arange(len(people)), np.arange(shape[1])):
            z, _ = self._standardised(values, people.iloc[rows])
            for total, part in ((n, ~np.isnan(z)), (sums, np.nan_to_num(z)), (squares, np.nan_to_num(z**2))):
                total += of_site[rows].T @ (weights[rows] * part)
        varies = np.flatnonzero(self.scale_ > 0)
        names = varies.tolist() if self.names is None else [self.names[int(i)] for i in varies]
        check_enough(n[:, varies], names, self.site, sites)
        moments = SiteMoments.of_sites(n, sums, squares, varies)
        if (alike := moments.squares[:, varies].sum(axis=1) < ALIKE).any():
            first = sites[int(alike.argmax())]
            raise DataError(
                f"harmonise: all people of {self.site} {first!r} to fit on have the same values; take copies "
                "out, or leave that site out"
            )
        shift, variance = moments.estimates()
        constant = self.scale_ == 0
        shift[:, constant], variance[:, constant] = moments.mean[:, constant], 1
        return moments, shift, variance

    @property
    def _unit(self) -> FloatArray:
        return np.where(self.scale_ > 0, self.scale_, 1)

    def _by_others(
        self, covariates: pd.DataFrame, moments: SiteMoments, scans: Scans, x: FloatArray, at: IntArray
    ) -> FloatArray:
        """Return harmonised rows, those of fitted people by the effects that others of the site show."""
        covariates, scans = covariates.iloc[at], scans.select(at)
        z, expected = self._standardised(x, covariates)
        shift, variance = self._effects(covariates)
        if (own := scans.of_fitted).any():
            of_site, varies = moments.select(self._codes(covariates[own])), self.scale_ > 0
            others = of_site.without(z[own], scans.select(own))
            of_others = others.estimates(shift[own], variance[own], STEPS_OF_OTHERS)
            shift[own], variance[own] = np.where(varies, of_others, (shift[own], variance[own]))
        return self._harmonised(z, expected, shift, variance)

    def _standardised(self, x: FloatArray, covariates: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
        """Return (x - expected) / scale, and what an average site measures of such people."""
        expected: FloatArray = self._design.matrix(covariates) @ self.coefficients_
        return (x - expected) / self._unit, expected

    def _harmonised(
        self, z: FloatArray, expected: FloatArray, shift: FloatArray, variance: FloatArray
    ) -> FloatArray:
        harmonised: FloatArray = expected + (z - shift) / np.sqrt(variance) * self._unit
        return harmonised

    def _codes(self, covariates: pd.DataFrame) -> IntArray:
        """Return the position of each person's site among the fitted ones, -1 for others; or raise."""
        return site_codes(covariates, self.site, self.sites_, refuse=self.unseen == "refuse")

    def _effects(self, covariates: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
        """Return shift and variance of each person's site; 0 and 1 for a site that was not fitted."""
        site = self._codes(covariates)
        shift, variance = self.shift_[site], self.variance_[site]  # copies, of these people alone
        shift[site < 0], variance[site < 0] = 0, 1
        return shift, variance
