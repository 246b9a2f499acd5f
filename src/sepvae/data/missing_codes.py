"""Numbers that stand for a missing value, such as -9999, found by how far they are from all others."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.errors import DataError

# What questionnaires, scanners' logs and statistics programs write where a number is missing.
_NINES = [float("9" * digits) for digits in range(2, 7)]
_REPEATED = [float(digit * times) for digit in "78" for times in range(2, 5)]
KNOWN_CODES = frozenset(
    [*_NINES, *_REPEATED, *(-code for code in _NINES + _REPEATED), *map(float, range(-9, -2)), -32768.0]
)
FAR = 10  # robust standard deviations from the median
MAD_TO_SD = 1.4826  # of a normal distribution
LEAST_GAP = 0.1  # share of the range of all others, for a known code that is far out
ALONE_GAP = 5  # ranges of all others, for a single value that is no known code
LEAST_DISTINCT = 10  # other values, below which a number is no code unless it is a known one
MAX_CLASSES_GAP = 10  # ranges of all others, for a code among classes


@dataclass(frozen=True)
class MissingCode:  # numpydoc ignore=PR02
    """A number that looks like a code for a missing value."""

    value: float
    count: int
    low: float
    high: float
    sure: bool

    @property
    def word(self) -> str:
        """Write the number as a table would."""
        return repr(int(self.value)) if self.value == int(self.value) else f"{self.value:g}"

    @property
    def others(self) -> str:
        """Say where all other values lie."""
        if np.isnan(self.low):
            return "all others are words or missing"
        return f"all others lie between {self.low:.4g} and {self.high:.4g}"


def find_codes(values: npt.ArrayLike) -> list[MissingCode]:
    """
    Find numbers in a column that look like codes for a missing value.

    A known code (-9999, -999, -99, -9, 99, 777, 999, ..) counts if it is isolated from all other values: more
    than 10 robust standard deviations from their median, or negative where no other is, or repeated and
    further from the nearest than their range. Any other number that is as far out counts if it is repeated
    and further away than their range, or further than five times the range. Numbers within the distribution,
    such as real ages of 77 and 99, do not count.

    Shapes: values (n,).

    Examples
    --------
    >>> ages = [9.5, 12.1, 15.0, 17.2, 20.8, 22.3, 25.7, 28.4]
    >>> [(code.word, code.count) for code in find_codes([*ages, -9999, -9999, None])]
    [('-9999', 2)]
    >>> find_codes([*ages, 31.0])
    []
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
        nothing = float("nan")
        return [
            MissingCode(float(v), int(n), nothing, nothing, True)
            for v, n in zip(distinct[lone], counts[lone], strict=True)
        ]
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


def _others(
    numbers: npt.NDArray[np.float64],
    distinct: npt.NDArray[np.float64],
    known: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float64]:
    """Values that are no candidates: neither known codes nor far from the median of these."""
    others = numbers[~np.isin(numbers, distinct[known])]
    if len(others) < 3:
        return others
    median = np.median(others)
    sd = MAD_TO_SD * np.median(np.abs(others - median))
    if sd == 0:
        return others
    near: npt.NDArray[np.float64] = others[np.abs(others - median) <= FAR * sd]
    # A long tail is no isolated value: all that a gap does not part from the rest stays.
    low, high = near.min(), near.max()
    reach = max(high - low, sd)
    for value in np.sort(others[others > high]):
        if value - high > reach:
            break
        high = value
    for value in np.sort(others[others < low])[::-1]:
        if low - value > reach:
            break
        low = value
    kept: npt.NDArray[np.float64] = others[(others >= low) & (others <= high)]
    return kept


def _isolated(
    value: float, n: int, gap: float, known: bool, others: npt.NDArray[np.float64], width_of_all: float
) -> bool | None:
    """Whether a value is surely a code; None if nothing speaks for it."""
    median, width = float(np.median(others)), float(np.ptp(others))
    apart = np.abs(others - median)
    varied = bool(np.median(apart) > 0)  # else half of the values or more are the same
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
    """
    Find classes that look like codes for a missing value, such as sex -9 beside 1 and 2, or beside F and M.

    Shapes: values (n,).

    Examples
    --------
    >>> [code.word for code in find_class_codes(["F", "M", "-9", "M", "F"])]
    ['-9']
    >>> find_class_codes([1, 2, 3, 20, 99])
    []
    """
    column = pd.Series(np.asarray(values, dtype=object)).dropna()
    numbers = pd.to_numeric(column.astype(str), errors="coerce").to_numpy(np.float64)
    numbers = numbers[np.isfinite(numbers) | np.isnan(numbers)]
    known = np.isin(numbers, list(KNOWN_CODES))
    others = numbers[~known & ~np.isnan(numbers)]
    words = bool(np.isnan(numbers).any())
    low, high = (float(others.min()), float(others.max())) if len(others) else (float("nan"),) * 2
    codes = []
    for value, n in zip(*np.unique(numbers[known], return_counts=True), strict=True):
        gap = MAX_CLASSES_GAP * max(high - low, 1.0)
        if (
            (not len(others) and (words or value <= -99))
            or (len(others) and value < min(0.0, low))
            or (len(others) and value - high > gap)
        ):
            codes.append(MissingCode(float(value), int(n), low, high, False))
    return sorted(codes, key=lambda code: -code.count)


def refuse_codes(name: str, values: npt.ArrayLike) -> None:
    """
    See that a covariate holds no numbers that would undo a regression on it.

    Shapes: values (n,).
    """
    values = np.asarray(values)
    if codes := [code for code in find_codes(values) if code.sure]:
        first, n = codes[0], sum(code.count for code in codes)
        words = ", ".join(code.word for code in codes[:3]) + ", .." * (len(codes) > 3)
        raise DataError(
            f"residualise: {n} of {len(values)} samples have {name} {words}, but {first.others}: that looks "
            f"like a code for a missing value, and undoes the regression on {name}; correct these, or leave "
            "those samples out"
        )


def refuse_known_codes(name: str, values: npt.NDArray[np.float64], z: npt.NDArray[np.float64]) -> None:
    """
    See that new samples have no known code of a missing value as a covariate.

    Shapes: values, z (n,).
    """
    codes = values[np.isin(values, list(KNOWN_CODES)) & (np.abs(z) > FAR)]
    if len(codes):
        raise DataError(
            f"residualise: {len(codes)} of {len(values)} samples have {name} {codes[0]:g}, more than {FAR} "
            "standard deviations from those that were fitted: that looks like a code for a missing value; "
            "correct these, or leave those samples out"
        )
