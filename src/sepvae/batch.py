"""`Batch` and `Source`, the interfaces of all data, with batch sizes and chunks of rows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.grid import Grid

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
AnyArray = npt.NDArray[Any]


@dataclass(frozen=True)
class Batch:
    """
    Samples as numpy arrays with one row each.

    `x` has shape (n, features), (n, channels, h, w) or (n, channels, d, h, w): images as uint8 or as floats
    in [0, 1], volumes as floats of any range, tables as floats that may be NaN.
    """

    x: AnyArray
    y: AnyArray  # (n,), labels as the user wrote them
    id: AnyArray  # (n,), unique within the source
    group: AnyArray  # (n,), patient or animal, which must not be split; equal to `id` if unknown
    covariates: pd.DataFrame | None = None  # n rows, the attributes of the source


class Source(Protocol):
    """
    Protocol of all sources of samples: arrays in memory, image files, a packed store.

    `ids`, `groups` and `labels` are those of `Batch`, for all samples; `sample_shape` is the shape of one. An
    empty cell of `attributes` marks one that does not apply. Worker processes load samples unless
    `in_memory`. Only volumes have a `grid`, and `native`: their mean, sd (of valid voxels, in input units)
    and axes (orientation) before normalisation. Only tables may have `feature_names`.
    """

    @property
    def ids(self) -> AnyArray: ...  # noqa: D102
    @property
    def groups(self) -> AnyArray: ...  # noqa: D102
    @property
    def labels(self) -> AnyArray: ...  # noqa: D102
    @property
    def attributes(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def sample_shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def in_memory(self) -> bool: ...  # noqa: D102
    @property
    def grid(self) -> Grid | None: ...  # noqa: D102
    @property
    def native(self) -> pd.DataFrame | None: ...  # noqa: D102
    @property
    def feature_names(self) -> Sequence[str] | None: ...  # noqa: D102

    def __len__(self) -> int: ...

    def take(self, indices: IntArray) -> Batch:
        """Return the samples at these positions, in that order."""
        ...

    def select(self, indices: IntArray) -> Self:
        """Return a source of the samples at these positions, in that order; a position may repeat."""
        ...


def chunks(n: int, size: int) -> Iterator[IntArray]:
    """
    Yield the positions 0 .. n - 1 in order, at most `size` at a time.

    >>> [part.tolist() for part in chunks(5, 2)]
    [[0, 1], [2, 3], [4]]
    """
    for start in range(0, n, size):
        yield np.arange(start, min(start + size, n))


MIN_STEPS = 20  # per epoch, if the data allow
EPOCHS, FIT_STEPS = 100, 1500  # minima of a fit
BATCH_SIZES = 128, 64, 32, 16


def auto_batch_size(n: int) -> int:
    """
    Return the largest of 128, 64, 32 and 16 that gives 20 steps per epoch or more, else min(n, 16).

    `n` counts training samples, without those for validation.

    >>> [auto_batch_size(n) for n in (2586, 2559, 384, 48, 10)]
    [128, 64, 16, 16, 10]
    """
    return min(n, next((size for size in BATCH_SIZES if n // size >= MIN_STEPS), BATCH_SIZES[-1]))


def auto_max_epochs(n: int, batch_size: int) -> int:
    """
    Return 100 epochs, or as many as 1500 steps take if n training samples give few steps per epoch.

    >>> [auto_max_epochs(n, auto_batch_size(n)) for n in (2586, 384, 240, 48, 10)]
    [100, 100, 100, 500, 1500]
    """
    return max(EPOCHS, -(-FIT_STEPS // max(n // batch_size, 1)))


def chunk_rows(sample_shape: Sequence[int], most: int = 512) -> int:
    """
    Return the number of rows per chunk: at most `most`, and at most 64 MB of float32 unless it is 1.

    >>> chunk_rows((3, 64, 64)), chunk_rows((1, 128, 128, 128))
    (512, 7)
    """
    return max(1, min(most, int(64e6 / (4 * np.prod(sample_shape)))))


def in_proportion(labels: AnyArray) -> IntArray:
    """Return an order of samples in which each label has its share throughout."""
    by_label = (label := pd.Series(labels)).groupby(label)
    place = (by_label.cumcount() + 0.5) / by_label.transform("size")
    return np.argsort(place.to_numpy(), kind="stable")


def gather(n: int, parts: Iterable[Sequence[AnyArray]]) -> list[AnyArray]:
    """
    Concatenate the rows of several results, as they arrive, into arrays of n rows that are allocated once.

    Rows kept between the large temporary blocks of the next parts would fragment memory.

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
    """Return 8-bit images scaled to [0, 1], and all other samples unchanged."""
    return x / 255 if x.dtype == np.uint8 else x
