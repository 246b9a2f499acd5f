"""Sites of people, and `SiteMoments`: what sites measure, with empirical Bayes estimates of their effects."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import pandas as pd

from sepvae.batch import FloatArray, IntArray
from sepvae.errors import DataError
from sepvae.preprocessing.covariates import check_there, class_names
from sepvae.preprocessing.people import Scans

LEAST = 1e-12  # mean variance within a site, in units of that within all sites
CONVERGED, MOST_STEPS = 1e-6, 1000  # relative change of an estimate, and steps to reach it


class SitePrior(NamedTuple):
    """Priors of the effects of sites over features (sites, 1): normal of gamma, inverse gamma of delta^2."""

    mean: FloatArray
    variance: FloatArray  # tau^2
    a: FloatArray
    b: FloatArray


@dataclass(frozen=True)
class SiteMoments:
    """Moments of standardised features: one row for each site, or for the site of each person."""

    n: FloatArray  # (sites, features), people: sums of the weights of scans
    mean: FloatArray  # (sites, features)
    squares: FloatArray  # (sites, features), sum of squared differences from the mean
    prior: SitePrior

    @classmethod
    def of_sites(cls, n: FloatArray, sums: FloatArray, squares: FloatArray, features: IntArray) -> Self:
        """Return moments from sums over people, with the priors that these features give."""
        mean = sums / np.maximum(n, 1)
        squares = (squares - n * mean**2).clip(0)
        return cls(n, mean, squares, cls._prior(*(x[:, features] for x in (n, mean, squares))))

    @staticmethod
    def _prior(n: FloatArray, mean: FloatArray, squares: FloatArray) -> SitePrior:
        """Match moments over features (Johnson et al. 2007, section 3.1, step 3)."""
        variance = squares / (n - 1)
        average = variance.mean(axis=1, keepdims=True).clip(LEAST)
        spread = variance.var(axis=1, ddof=1, keepdims=True)
        ratio = average**2 / np.maximum(spread, 1e-12 * average**2)
        of_mean = mean.mean(axis=1, keepdims=True), mean.var(axis=1, ddof=1, keepdims=True)
        return SitePrior(*of_mean, 2 + ratio, average * (1 + ratio))

    def estimates(
        self, shift: FloatArray | None = None, variance: FloatArray | None = None, steps: int = MOST_STEPS
    ) -> tuple[FloatArray, FloatArray]:
        """Return gamma* and delta*^2, posterior means that depend on each other, from these values on."""
        prior, n = self.prior, self.n
        shift = self.mean if shift is None else shift
        variance = prior.b / (prior.a - 1) * np.ones_like(n) if variance is None else variance
        for _ in range(steps):
            new_shift = (prior.variance * n * self.mean + variance * prior.mean) / (
                prior.variance * n + variance
            )
            squares = self.squares + n * (self.mean - new_shift) ** 2
            new_variance = (squares / 2 + prior.b) / (n / 2 + prior.a - 1)
            change = max(np.abs(new_shift - shift).max(), np.abs(new_variance / variance - 1).max())
            shift, variance = new_shift, new_variance
            if change < CONVERGED:
                break
        return shift, variance

    def select(self, sites: IntArray) -> "SiteMoments":
        """Return the moments of these sites, one row for each person."""
        prior = SitePrior(*(values[sites] for values in self.prior))
        return SiteMoments(self.n[sites], self.mean[sites], self.squares[sites], prior)

    def without(self, z: FloatArray, scans: Scans) -> "SiteMoments":
        """Return the moments of the site of each row without its person, from standardised features z."""
        weights, own = scans.weights(~np.isnan(z)), np.nan_to_num(z - self.mean)
        of_own = weights, weights * own, weights * own**2
        own_n, apart, squares = (scans.sums(values) for values in of_own)
        n = self.n - own_n
        left = self.squares - squares - apart**2 / n
        return replace(self, n=n, mean=self.mean - apart / n, squares=left.clip(0))


def site_names(covariates: pd.DataFrame, site: str) -> "pd.Series[str]":
    """Return the site of each person, as a word."""
    check_there(covariates, [site], "harmonise")
    return class_names(covariates, site, "harmonise")


def sites_to_fit(people: pd.DataFrame, site: str, scans: Scans) -> list[str]:
    """Return the sites to fit; raise unless each has two people or more."""
    counts = pd.Series(scans.person).groupby(site_names(people, site).to_numpy()).nunique()
    if len(alone := counts[counts < 2]):
        raise DataError(
            f"harmonise: wanted 2 people or more of each {site} to fit on, got 1 of "
            f"{', '.join(map(repr, alone.index[:5]))}; leave them out or join sites; in a fit, "
            "harmonise_on=all counts patients too"
        )
    return [str(name) for name in counts.index]


def one_hot(people: pd.DataFrame, site: str, sites: Sequence[str]) -> FloatArray:
    """Return 1 where a person is of a site, (n, sites)."""
    of_site = site_names(people, site).to_numpy()[:, None] == np.array(sites, dtype=object)
    return np.asarray(of_site, dtype=np.float64)


def site_codes(covariates: pd.DataFrame, site: str, sites: Sequence[str], *, refuse: bool) -> IntArray:
    """Return the position of each person's site among the fitted ones, -1 for others, unless these raise."""
    names = site_names(covariates, site)
    codes = np.asarray(pd.Index(sites).get_indexer(pd.Index(names)), dtype=np.intp)
    if refuse and (codes < 0).any():
        unseen, known = names[codes < 0], ", ".join(sites[:10]) + ", .." * (len(sites) > 10)
        raise DataError(
            f"harmonise: {len(unseen)} of {len(names)} samples have {site} {unseen.iloc[0]!r}, which was not "
            f"fitted ({known}); leave them out, or take it as an average site (unseen_site=reference in the "
            "fit, --unseen-site reference after it), or, to encode or map, estimate it by its controls "
            "(--unseen-site estimate)"
        )
    return codes


def check_enough(n: FloatArray, features: Sequence[str | int], site: str, sites: Sequence[str]) -> None:
    """Raise unless two features vary, and two people or more of each site have each of them."""
    if n.shape[1] < 2:
        raise DataError(f"harmonise: wanted 2 features or more that vary, got {n.shape[1]}")
    if (few := n.round(6) < 2).any():  # sums of the weights of scans
        i, j = np.argwhere(few)[0]
        raise DataError(
            f"harmonise: {int(n[i, j])} of the fitted people of {site} {sites[i]!r} have feature "
            f"{features[j]!r}, wanted 2 or more; leave that feature out"
        )
