"""Scans of people, so that an estimate leaves out all scans of a person together."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import AnyArray, FloatArray, IntArray
from sepvae.preprocessing.rows import VoxelRows


@dataclass(frozen=True)
class Scans:
    """The person of each row, and whether the row was fitted."""

    person: IntArray  # (n,)
    fitted: npt.NDArray[np.bool_]  # (n,)

    @classmethod
    def of(cls, groups: npt.ArrayLike | None, fitted: npt.NDArray[np.bool_]) -> Self:
        """Take rows of equal groups as scans of one person; without groups each row is a person."""
        person = np.arange(len(fitted)) if groups is None else pd.factorize(np.asarray(groups))[0]
        return cls(person, fitted)

    def within(self, part: AnyArray) -> "Scans":
        """Take the scans of a person in different parts, such as sites, as those of different people."""
        pairs = pd.DataFrame({"person": self.person, "part": part})
        return Scans(pairs.groupby(["person", "part"], sort=False).ngroup().to_numpy(), self.fitted)

    def select(self, rows: IntArray | npt.NDArray[np.bool_]) -> "Scans":
        """Return only these rows."""
        return Scans(self.person[rows], self.fitted[rows])

    @property
    def of_fitted(self) -> npt.NDArray[np.bool_]:
        """Rows whose person has a fitted row, (n,)."""
        return np.isin(self.person, self.person[self.fitted])

    @property
    def weights(self) -> FloatArray:
        """Weights of rows with which each fitted person counts once, 0 where not fitted, (n,)."""
        counts = np.bincount(self.person, self.fitted)[self.person]
        return self.fitted / np.maximum(counts, 1)

    def sums(self, values: FloatArray) -> FloatArray:
        """Return for each row the sum of values (n, k) over all rows of the person."""
        order = np.argsort(self.person, kind="stable")
        _, first, which = np.unique(self.person[order], return_index=True, return_inverse=True)
        sums: FloatArray = np.empty_like(values)
        sums[order] = np.add.reduceat(values[order], first)[which]
        return sums

    def blocks(self) -> Iterator[IntArray]:
        """Yield the rows of people (people, scans), once for each number of scans."""
        order = np.argsort(self.person, kind="stable")
        _, first, counts = np.unique(self.person[order], return_index=True, return_counts=True)
        for n in np.unique(counts):
            yield order[first[counts == n, None] + np.arange(n)]

    def read_together(self, rows: VoxelRows, x: FloatArray, at: IntArray) -> tuple[FloatArray, IntArray]:
        """Append to rows x of these positions the other fitted scans of the same people."""
        others = self.fitted & np.isin(self.person, self.person[at])
        others[at] = False
        more = np.flatnonzero(others)
        return (np.concatenate([x, rows.read(more)]), np.concatenate([at, more])) if more.size else (x, at)
