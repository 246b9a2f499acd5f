"""Numeric codes for a missing value, such as -9999, found by their distance from all other values."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import FloatArray
from sepvae.errors import DataError

# Codes for a missing number in questionnaires, scanner logs and statistics programs.
_NINES = [float("9" * digits) for digits in range(2, 7)]
_REPEATED = [float(digit * times) for digit in "78" for times in range(2, 5)]
KNOWN_CODES = frozenset(
    [*_NINES, *_REPEATED, *(-code for code in _NINES + _REPEATED), *map(float, range(-9, -2)), -32768.0]
)
FAR = 10  # robust standard deviations from the median
MAD_TO_SD = 1.4826  # for a normal distribution
LEAST_GAP = 0.1  # least gap of a known code that is far out, as a share of the range of the others
ALONE_GAP = 5  # least gap of a single value that is not a known code, in ranges of all others
LEAST_DISTINCT = 10  # with fewer other values, only known codes count
MAX_CLASSES_GAP = 10  # least gap of a code above all classes, in ranges of the classes


@dataclass(frozen=True)
class MissingCode:
    """Number that looks like a code for a missing value."""

    value: float
    count: int
    low: float  # range of all other values; NaN if there are none
    high: float
    sure: bool  # no other meaning is likely: far out, and known, repeated or alone there

    @property
    def word(self) -> str:
        """Number as in a table, such as "-9999"."""
        return repr(int(self.value)) if self.value == int(self.value) else f"{self.value:g}"

    @property
    def others(self) -> str:
        """Text on the range of all other values, for messages."""
        if np.isnan(self.low):
            return "all others are words or missing"
        return f"all others lie between {self.low:.4g} and {self.high:.4g}"


def find_codes(values: npt.ArrayLike) -> list[MissingCode]:
    """
    Return the numbers that look like codes for a missing value, the most frequent first.

    A known code (-9999, -99, 99, 777, ..) counts if it is isolated: more than 10 robust standard deviations
    from the median of all other values, or negative where no other is, or repeated at a distance of more than
    their range. Any other number that is as far out counts if it is repeated at such a distance, or more than
    five ranges away. Numbers within the distribution, such as real ages of 77 and 99, do not count.
    """
    numbers = pd.to_numeric(pd.Series(np.asarray(values, dtype=object)), errors="coerce").to_numpy(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return []
    distinct, counts = np.unique(numbers, return_counts=True)
    known = np.isin(distinct, list(KNOWN_CODES))
    others = _others(numbers, distinct, known)
    if not len(others):
        lone = known & (distinct <= -99)
        found = zip(distinct[lone].tolist(), counts[lone].tolist(), strict=True)
        return [MissingCode(value, n, np.nan, np.nan, True) for value, n in found]
    low, high = float(others.min()), float(others.max())
    codes = []
    for value, n, is_known in zip(distinct.tolist(), counts.tolist(), known.tolist(), strict=True):
        gap = max(low - value, value - high)
        if gap <= 0:
            continue
        all_others = float(np.ptp(distinct[~known & (distinct != value)]))
        if (sure := _isolated(value, n, gap, is_known, others, all_others)) is not None:
            codes.append(MissingCode(value, n, low, high, sure))
    return sorted(codes, key=lambda code: -code.count)


def _others(numbers: FloatArray, distinct: FloatArray, known: npt.NDArray[np.bool_]) -> FloatArray:
    """Return the values that are not candidates: neither known codes nor far from the median."""
    others = numbers[~np.isin(numbers, distinct[known])]
    if len(others) < 3:
        return others
    median = np.median(others)
    sd = MAD_TO_SD * np.median(np.abs(others - median))
    if sd == 0:
        return others
    near = others[np.abs(others - median) <= FAR * sd]
    # Values of a long tail are not isolated: keep all that no gap separates from the rest.
    ordered, reach = np.unique(others), max(float(np.ptp(near)), sd)
    part = np.cumsum(np.diff(ordered, prepend=ordered[0]) > reach)  # number of gaps below each value
    joined = ordered[part == part[ordered == near.min()]]
    kept: FloatArray = others[(others >= joined.min()) & (others <= joined.max())]
    return kept


def _isolated(
    value: float, n: int, gap: float, known: bool, others: FloatArray, width_of_all: float
) -> bool | None:
    """Return True for a sure code, False for a possible one, None for a value that is not isolated."""
    median, width = float(np.median(others)), float(np.ptp(others))
    apart = np.abs(others - median)
    varied = bool(np.median(apart) > 0)  # False: half of the values or more are equal
    sd = MAD_TO_SD * float(np.median(apart) if varied else apart.mean())
    far = len(others) > 2 and abs(value - median) > FAR * sd
    if known:
        if value < 0 <= others.min() and (far or n > 1 or gap > width / 2):
            return far or n > 1
        if far and gap > LEAST_GAP * width:
            return True
        return n > 1 if gap > width and len(others) > 2 else None
    if not (far and varied and len(np.unique(others)) >= LEAST_DISTINCT):
        return None
    return True if (n > 1 and gap > width) or gap > ALONE_GAP * width_of_all else None


def find_class_codes(values: npt.ArrayLike) -> list[MissingCode]:
    """Return the classes that look like codes for a missing value, the most frequent first."""
    column = pd.Series(np.asarray(values, dtype=object)).dropna()
    numbers = pd.to_numeric(column.astype(str), errors="coerce").to_numpy(np.float64)
    numbers = numbers[np.isfinite(numbers) | np.isnan(numbers)]
    known = np.isin(numbers, list(KNOWN_CODES))
    others = numbers[~known & ~np.isnan(numbers)]
    low, high = (float(others.min()), float(others.max())) if len(others) else (np.nan, np.nan)
    values, counts = np.unique(numbers[known], return_counts=True)
    if len(others):
        is_code = (values < min(0.0, low)) | (values - high > MAX_CLASSES_GAP * max(high - low, 1.0))
    else:
        is_code = (values <= -99) | np.isnan(numbers).any()  # all others are words, or there are none
    found = zip(values[is_code].tolist(), counts[is_code].tolist(), strict=True)
    return sorted((MissingCode(*code, low, high, False) for code in found), key=lambda code: -code.count)


def refuse_codes(purpose: str, name: str, values: npt.ArrayLike) -> None:
    """Raise if a covariate has sure codes for a missing value, which would undo a regression on it."""
    values = np.asarray(values)
    if codes := [code for code in find_codes(values) if code.sure]:
        first, n = codes[0], sum(code.count for code in codes)
        words = ", ".join(code.word for code in codes[:3]) + ", .." * (len(codes) > 3)
        raise DataError(
            f"{purpose}: {n} of {len(values)} samples have {name} {words}, but {first.others}: that looks "
            f"like a code for a missing value, and undoes the regression on {name}; correct these, or leave "
            "those samples out"
        )


def refuse_known_codes(purpose: str, name: str, values: FloatArray, z: FloatArray) -> None:
    """Raise if new samples have a known code more than `FAR` standard deviations (z) from the fitted mean."""
    codes = values[np.isin(values, list(KNOWN_CODES)) & (np.abs(z) > FAR)]
    if len(codes):
        raise DataError(
            f"{purpose}: {len(codes)} of {len(values)} samples have {name} {codes[0]:g}, more than {FAR} "
            "standard deviations from those that were fitted: that looks like a code for a missing value; "
            "correct these, or leave those samples out"
        )
