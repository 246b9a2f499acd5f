"""Features without effects that some people show: fitted on them, and each person by the others' effects."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import AnyArray, FloatArray, IntArray
from sepvae.errors import DataError
from sepvae.preprocessing.rows import Rows, Step, VoxelRows, feature_table


@dataclass(frozen=True)
class Scans:
    """The person of each row, and whether the row was fitted."""

    person: IntArray  # (n,)
    fitted: npt.NDArray[np.bool_]  # (n,)

    @classmethod
    def of(cls, n: int, fitted: npt.ArrayLike | None = None, groups: npt.ArrayLike | None = None) -> Self:
        """Take rows of equal groups as scans of one person; without groups each of the n rows is a person."""
        chosen = np.ones(n, bool) if fitted is None else np.asarray(fitted, dtype=bool)
        if chosen.shape != (n,):
            raise DataError(f"fitted: wanted one value for each of {n} rows, got {chosen.shape}")
        if not chosen.any():
            raise DataError("fitted: wanted people to fit on, got none")
        person = np.arange(n) if groups is None else pd.factorize(np.asarray(groups))[0]
        if len(person) != n or (person < 0).any():
            named = (person >= 0).sum()
            raise DataError(f"groups: wanted a person for each of {n} rows, got {named}; name all")
        return cls(person, chosen)

    def within(self, part: AnyArray) -> "Scans":
        """Take the scans of a person in different parts, such as sites, as those of different people."""
        pairs = pd.DataFrame({"person": self.person, "part": part})
        return Scans(
            pairs.groupby(["person", "part"], sort=False).ngroup().to_numpy().astype(np.intp), self.fitted
        )

    def select(self, rows: IntArray | npt.NDArray[np.bool_]) -> "Scans":
        """Return only these rows."""
        return Scans(self.person[rows], self.fitted[rows])

    @property
    def of_fitted(self) -> npt.NDArray[np.bool_]:
        """Rows whose person has a fitted row, (n,)."""
        return np.isin(self.person, self.person[self.fitted])

    def weights(self, there: npt.NDArray[np.bool_]) -> FloatArray:
        """Return weights (n, k) with which each fitted person counts once by the values that are there."""
        counted = (there & self.fitted[:, None]).astype(np.float64)
        return counted / np.maximum(self.sums(counted), 1)

    def sums(self, values: FloatArray) -> FloatArray:
        """Return for each row the sum of values (n, k) over all rows of the person."""
        sums: FloatArray = np.empty_like(values)
        for rows in self.blocks():
            sums[rows] = values[rows].sum(axis=1, keepdims=True)
        return sums

    def blocks(self) -> Iterator[IntArray]:
        """Yield the rows of people (people, scans), once for each number of scans."""
        order = np.argsort(self.person, kind="stable")
        _, first, counts = np.unique(self.person[order], return_index=True, return_counts=True)
        for n in np.unique(counts):
            yield order[first[counts == n, None] + np.arange(n)]


class PeopleEffects(ABC):
    """
    Effects of covariates on features, fitted on some people, and taken out of the features of all.

    `fit(..).transform` and `fit_transform` differ, as in scikit-learn's `TargetEncoder`: people pull what is
    fitted on them towards themselves, which alone distinguishes them from all others. `fit_transform` takes
    from each of them the effects that other people show.

    Volumes are treated voxel by voxel, in chunks (`fit_rows`, `transform_rows`): memory stays flat.
    """

    names: Sequence[str] | None  # of the features, for messages

    def fit(
        self,
        x: npt.ArrayLike,
        covariates: pd.DataFrame,
        fitted: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
    ) -> Self:
        """
        Fit the effects.

        Parameters
        ----------
        x, covariates : array-like of shape (n, features), and DataFrame of n rows
            Features, NaN for gaps, and one column per covariate, without gaps.
        fitted : array-like of bool, of shape (n,), default=None
            Rows to fit on, such as controls; None for all.
        groups : array-like of shape (n,), default=None
            Person of each row; None if each row is a person.

        Returns
        -------
        PeopleEffects
            This object.

        Raises
        ------
        DataError
            If a covariate has gaps, infinite values or codes for a missing value such as -9999, or if there
            are too few people to fit on.
        """
        self._learn(feature_table(x, self.names), covariates, Scans.of(len(covariates), fitted, groups))
        return self

    def fit_transform(
        self,
        x: npt.ArrayLike,
        covariates: pd.DataFrame,
        fitted: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
    ) -> FloatArray:
        """
        Fit the effects, and return features without them; of fitted people without what the others show.

        Parameters
        ----------
        x, covariates, fitted, groups : array-like, DataFrame, array-like, array-like
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, features)
            As from `transform`, but for all scans of people who were fitted: all scans of a person are left
            out together. NaN for gaps.

        Raises
        ------
        DataError
            As from `fit`.
        """
        x = feature_table(x, self.names)
        by_others = self._learn(x, covariates, Scans.of(len(covariates), fitted, groups))
        return by_others(x, np.arange(len(x)))

    def fit_rows(
        self,
        rows: VoxelRows,
        covariates: pd.DataFrame,
        fitted: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
    ) -> VoxelRows:
        """
        Fit the effects on volumes.

        Parameters
        ----------
        rows : VoxelRows
            Valid voxels of n volumes.
        covariates, fitted, groups : DataFrame, array-like, array-like
            As in `fit`. The other scans of a fitted person are read with each scan.

        Returns
        -------
        VoxelRows
            The volumes, as from `fit_transform`, when they are read.

        Raises
        ------
        DataError
            As from `fit`.
        """
        scans = Scans.of(len(covariates), fitted, groups)
        return rows.then(partial(_read_fitted, rows, scans, self._learn(rows, covariates, scans)))

    def transform_rows(self, rows: VoxelRows, covariates: pd.DataFrame) -> VoxelRows:
        """
        Return volumes without the effects, when they are read.

        Parameters
        ----------
        rows, covariates : VoxelRows, and DataFrame of n rows
            As in `fit_rows`.

        Returns
        -------
        VoxelRows
            The volumes, as from `transform`, when they are read.
        """
        return rows.then(partial(self._read, covariates))

    @abstractmethod
    def transform(self, x: npt.ArrayLike, covariates: pd.DataFrame) -> FloatArray:
        """Return features without the effects."""

    @abstractmethod
    def _learn(self, x: Rows, covariates: pd.DataFrame, scans: Scans) -> Step:
        """Fit on the rows that `scans` names; return the step that leaves each fitted person out."""

    def _read(self, covariates: pd.DataFrame, x: FloatArray, at: IntArray) -> FloatArray:
        return self.transform(x, covariates.iloc[at])


def _read_fitted(rows: VoxelRows, scans: Scans, by_others: Step, x: FloatArray, at: IntArray) -> FloatArray:
    """Apply a step that leaves people out to rows x and to the other fitted scans of the same people."""
    at, first, back = np.unique(at, return_index=True, return_inverse=True)  # a batch may repeat rows
    others = scans.fitted & np.isin(scans.person, scans.person[at])
    others[at] = False
    if not (more := np.flatnonzero(others)).size:
        return by_others(x[first], at)[back]
    return by_others(np.concatenate([x[first], rows.read(more)]), np.concatenate([at, more]))[back]
