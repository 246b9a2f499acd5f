"""Samples that fit in memory."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sepvae.batch import AnyArray, Batch, IntArray
from sepvae.errors import DataError

# Columns of split.csv and codes.csv.
TAKEN = re.compile(r"id|group|label|split|y|(common|salient)\d+")


class ArraySource:
    """
    A source whose samples are one array in memory.

    Parameters
    ----------
    x : array-like of shape (n, features), (n, channels, h, w) or (n, channels, d, h, w)
        The samples.
    labels : array-like of shape (n,)
        The label of each.
    groups : array-like of shape (n,), default=None
        What must stay on one side of a split; by default every sample is its own group.
    ids : array-like of shape (n,), default=None
        Unique names; by default "0", "1", ...
    attributes : DataFrame of n rows, default=None
        What else is known.

    Raises
    ------
    DataError
        If the lengths differ, an id stands twice, or an attribute has a name that tables of samples use.

    Examples
    --------
    >>> source = ArraySource([[1.0], [2.0], [3.0]], ["healthy", "ill", "ill"])
    >>> source.take(np.array([2])).x
    array([[3.]])
    """

    def __init__(
        self,
        x: AnyArray | Sequence[Any],
        labels: AnyArray | Sequence[Any],
        *,
        groups: AnyArray | Sequence[Any] | None = None,
        ids: AnyArray | Sequence[Any] | None = None,
        attributes: pd.DataFrame | None = None,
    ) -> None:
        self.x = np.asarray(x)
        n = len(self.x)
        self.labels: AnyArray = np.asarray(labels)
        self.ids: AnyArray = np.asarray([str(i) for i in range(n)] if ids is None else ids)
        self.groups: AnyArray = self.ids if groups is None else np.asarray(groups)
        self.attributes = (
            pd.DataFrame(index=range(n)) if attributes is None else attributes.reset_index(drop=True)
        )
        if missing := int(pd.isna(self.groups).sum()):
            raise DataError(f"groups: {missing} of {n} samples have none; name their patients, or drop them")
        for name in ("labels", "groups", "ids", "attributes"):
            if len(getattr(self, name)) != n:
                raise DataError(f"{name}: wanted one per sample ({n}), got {len(getattr(self, name))}")
        if len(set(self.ids.tolist())) != n:
            twice = pd.Series(self.ids)[pd.Series(self.ids).duplicated()].tolist()[0]
            raise DataError(f"ids: wanted unique names, got {twice!r} more than once")
        if taken := {name for name in map(str, self.attributes.columns) if TAKEN.fullmatch(name)}:
            raise DataError(f"attributes: {min(taken)!r} is a column of its own in every table; rename it")

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """
        Shape of one sample.

        Returns
        -------
        tuple of int
            Without the number of samples.
        """
        return self.x.shape[1:]

    def __len__(self) -> int:
        return len(self.x)

    def take(self, indices: IntArray) -> Batch:
        """
        Give the samples at these positions.

        Parameters
        ----------
        indices : ndarray of int
            Positions, or a boolean mask.

        Returns
        -------
        Batch
            The samples, in that order.
        """
        return Batch(self.x[indices], self.labels[indices], self.ids[indices], self.groups[indices])

    def select(self, indices: IntArray) -> "ArraySource":
        """
        Part of this source, as a source.

        Parameters
        ----------
        indices : ndarray of int
            Positions, or a boolean mask.

        Returns
        -------
        ArraySource
            With the samples at these positions, in that order.
        """
        return ArraySource(
            self.x[indices],
            self.labels[indices],
            groups=self.groups[indices],
            ids=self.ids[indices],
            attributes=self.attributes.iloc[indices],
        )
