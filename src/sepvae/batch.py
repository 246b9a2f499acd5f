"""`Batch`, some samples at once, and `Source`, where they come from: the two shapes that data has here."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.grid import Grid

IntArray = npt.NDArray[np.intp]
AnyArray = npt.NDArray[Any]


@dataclass(frozen=True)
class Batch:  # numpydoc ignore=PR02
    """
    Some samples, as numpy arrays with one row each.

    Shapes: x (n, features); y (n,); id (n,); group (n,).
    """

    x: AnyArray
    y: AnyArray
    id: AnyArray
    group: AnyArray
    covariates: pd.DataFrame | None = None


class Source(Protocol):
    """
    Where samples come from: arrays in memory, image files, a packed store all look like this.

    `ids`, `groups` and `labels` are as in `Batch`, of all samples; `sample_shape` is the shape of one,
    `attributes` a table of whatever else is known about each (an empty cell where one does not apply).
    `in_memory` says whether samples are at hand; those that are not are taken by worker processes.
    Volumes have a `grid`, and `native` says what each was before it was normalised: columns mean, sd (of the
    voxels that count, in the units of the input) and axes (its orientation). Tables may have `feature_names`.
    """

    @property
    def ids(self) -> AnyArray: ...  # numpydoc ignore=GL08
    @property
    def groups(self) -> AnyArray: ...  # numpydoc ignore=GL08
    @property
    def labels(self) -> AnyArray: ...  # numpydoc ignore=GL08
    @property
    def attributes(self) -> pd.DataFrame: ...  # numpydoc ignore=GL08
    @property
    def sample_shape(self) -> tuple[int, ...]: ...  # numpydoc ignore=GL08
    @property
    def in_memory(self) -> bool: ...  # numpydoc ignore=GL08
    @property
    def grid(self) -> Grid | None: ...  # numpydoc ignore=GL08
    @property
    def native(self) -> pd.DataFrame | None: ...  # numpydoc ignore=GL08
    @property
    def feature_names(self) -> Sequence[str] | None: ...  # numpydoc ignore=GL08

    def __len__(self) -> int: ...

    def take(self, indices: IntArray) -> Batch:
        """Give the samples at these positions."""
        ...


def chunks(n: int, size: int) -> Iterator[IntArray]:
    """
    Go through positions some at a time, so that no more samples than these are at hand at once.

    Examples
    --------
    >>> [part.tolist() for part in chunks(5, 2)]
    [[0, 1], [2, 3], [4]]
    """
    for start in range(0, n, size):
        yield np.arange(start, min(start + size, n))


MIN_STEPS = 20  # an epoch, where the data allow
EPOCHS, FIT_STEPS = 100, 1500  # of a fit, at least
BATCH_SIZES = 128, 64, 32, 16


def auto_batch_size(n: int) -> int:
    """
    Choose a batch size for training: the largest of 128, 64, 32 and 16 that gives 20 steps an epoch or more.

    Examples
    --------
    >>> [auto_batch_size(n) for n in (2586, 2559, 384, 48, 10)]
    [128, 64, 16, 16, 10]
    """
    return min(n, next((size for size in BATCH_SIZES if n // size >= MIN_STEPS), BATCH_SIZES[-1]))


def auto_max_epochs(n: int, batch_size: int) -> int:
    """
    Choose the epochs of a fit: 100, or as many as give 1500 steps where an epoch has few.

    Examples
    --------
    >>> [auto_max_epochs(n, auto_batch_size(n)) for n in (2586, 384, 240, 48, 10)]
    [100, 100, 100, 500, 1500]
    """
    return max(EPOCHS, -(-FIT_STEPS // max(n // batch_size, 1)))


def at_once(sample_shape: Sequence[int], most: int = 512) -> int:
    """
    Say how many samples to hold together, so that memory does not grow with their size.

    Examples
    --------
    >>> at_once((3, 64, 64)), at_once((1, 128, 128, 128))
    (512, 7)
    """
    return max(1, min(most, int(64e6 / (4 * np.prod(sample_shape)))))


def gather(n: int, parts: Iterable[Sequence[AnyArray]]) -> list[AnyArray]:
    """
    Put parts of a result together as they come, in arrays that are made once.

    What is kept of each part then never lies between the large blocks that come and go with the next ones.

    Examples
    --------
    >>> gather(3, [(np.array([1, 2]),), (np.array([3]),)])
    [array([1, 2, 3])]
    """
    whole: list[AnyArray] = []
    start = 0
    for part in parts:
        whole = whole or [np.empty((n, *rows.shape[1:]), rows.dtype) for rows in part]
        for all_rows, rows in zip(whole, part, strict=True):
            all_rows[start : start + len(rows)] = rows
        start += len(part[0])
    return whole


def in_unit_range(x: AnyArray) -> AnyArray:
    """
    Give samples in the units of the networks: 8-bit images in [0, 1], all else as it is.

    Shapes: x (n, ...); returns (n, ...).
    """
    return x / 255 if x.dtype == np.uint8 else x
