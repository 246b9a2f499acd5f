"""Checks of what a user gives, shared by all rooms."""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from sepvae.batch import AnyArray
from sepvae.errors import BackgroundWarning, DataError

MOST = 1e9  # of a voxel: sums of squares of larger ones would leave float32


# What studies call their controls, in small letters, without signs and the s of the plural.
CONTROLS = {
    *("control", "healthycontrol", "normalcontrol", "typicalcontrol", "ctrl", "ctl", "con", "hc", "cn", "nc"),
    *("tdc", "td", "typical", "typicallydeveloping", "typicaldevelopment", "neurotypical", "hv", "healthy"),
    *(
        "healthysubject",
        "healthyvolunteer",
        "healthyparticipant",
        "healthycomparison",
        "normal",
        "background",
    ),
    *("unaffected", "nondemented", "negative", "nofinding", "false", "no"),
}


class Guess(NamedTuple):  # numpydoc ignore=PR02
    """Which of several labels is the background, where nobody has named it."""

    background: Any
    why: Literal["word", "number", "alphabet"]


def guess_background(labels: Iterable[Any]) -> Guess:
    """
    Guess which label is the background.

    Examples
    --------
    >>> guess_background(["ASD", "HC"])
    Guess(background='HC', why='word')
    >>> guess_background(["1", "2"])
    Guess(background='1', why='number')
    """
    different = sorted(set(labels))
    controls = [label for label in different if names_controls(label)]
    background = controls[0] if len(controls) == 1 else different[0]
    if all(_is_number(label) for label in different):
        return Guess(background, "number")
    return Guess(background, "word" if len(controls) == 1 else "alphabet")


def ask_for_background(counts: Mapping[Any, int], keyword: str) -> str:
    """
    Say that labels do not tell which one is the background, and how to name it.

    Examples
    --------
    >>> print(ask_for_background({"0": 6, "1": 4}, "--background "))  # doctest: +ELLIPSIS
    labels 0 (6 samples) and 1 (4) do not tell which is ... (controls); did you mean --background 0?
    """
    guess = guess_background(counts)
    first, *others = counts.items()
    said = " and ".join([f"{first[0]} ({first[1]} samples)", *(f"{label} ({n})" for label, n in others)])
    choices = " or ".join(
        f"{keyword}{label!r}" if "=" in keyword else f"{keyword}{label}" for label in counts
    )
    hint = f"name the label of the controls: {choices}"
    if names_controls(guess.background):
        shown = repr(guess.background) if "=" in keyword else guess.background
        hint = f"did you mean {keyword}{shown}?"
    return f"labels {said} do not tell which is the background (controls); {hint}"


def names_controls(label: Any) -> bool:
    """
    Whether studies call their controls so; 0 and False are the first class by convention.

    Examples
    --------
    >>> names_controls("Healthy Controls"), names_controls("HC_patient")
    (True, False)
    """
    if _is_number(label) and str(label).lower() not in ("true", "false"):
        return float(label) == 0
    word = re.sub(r"[^a-z0-9]+", "", str(label).lower())
    return word in CONTROLS or word.removesuffix("s") in CONTROLS


def _is_number(label: Any) -> bool:
    """Whether a label is a number or a boolean, perhaps as text."""
    try:
        return bool(np.isfinite(float(label)))
    except (TypeError, ValueError):
        return str(label).strip().lower() in ("true", "false")


def order_labels(labels: AnyArray, background: Any = None) -> tuple[AnyArray, npt.NDArray[np.int64]]:
    """
    Sort the labels, and number each sample's group with the background as 0.

    Shapes: labels (n,); returns (groups,); returns (groups,).

    Examples
    --------
    >>> order_labels(np.array(["ill", "well", "ill"]), background="well")
    (array(['ill', 'well'], dtype='<U4'), array([1, 0]))
    """
    try:
        classes: AnyArray
        classes, n = np.unique(labels, return_counts=True)
    except TypeError:
        raise DataError("labels: wanted all text, or all numbers, got some of each") from None
    if odd := [label for label in classes if not _is_label(label)]:
        raise DataError(
            f"labels: Unknown label type: wanted text, whole numbers, or True and False, got {odd[0]}"
        )
    if len(classes) == 0:
        raise DataError("labels: wanted two, background and target, got none")
    if len(classes) == 1:
        raise DataError(f"labels: wanted two, background and target, got 1 class only: {classes[0]}")
    if len(classes) > 2:
        raise DataError(
            "Only binary classification is supported. The type of the target is multiclass: wanted two "
            f"labels, background and target, got {len(classes)}: {', '.join(map(str, classes[:5]))}"
        )
    if background is None:
        counts = dict(zip(classes.tolist(), n.tolist(), strict=True))
        guess = guess_background(counts)
        if guess.why != "word":
            target = next(label for label in counts if label != guess.background)
            warnings.warn(
                f"{ask_for_background(counts, 'background=')}; {guess.background!r} is taken for the "
                f"background, {target!r} for the target",
                BackgroundWarning,
                stacklevel=2,
            )
        background = guess.background
    found = np.array(
        [i for i, label in enumerate(classes.tolist()) if _is_same(label, background)], dtype=int
    )
    if len(found) == 0:
        alike = [label for label in classes.tolist() if str(label) == str(background)]
        choices = ", ".join(map(repr if alike else str, classes.tolist()))
        hint = f"; did you mean background={alike[0]!r}?" if alike else ""
        if isinstance(background, str) and classes.tolist() == [0, 1]:
            hint = (
                "; labels were numbered before the fit, as cross_val_predict and StackingClassifier do: "
                "number them yourself, 0 for the background, and give background=0"
            )
        raise DataError(f"background: wanted one of {choices}, got {background!r}{hint}")
    return classes, np.concatenate([found, np.delete(np.arange(len(classes)), found)])


def _is_same(label: Any, background: Any) -> bool:
    """Whether this is the label that is named; 1 names no True and "1" no 1."""
    if isinstance(background, np.generic):
        background = background.item()
    kinds = [isinstance(value, bool) for value in (label, background)]
    return np.ndim(background) == 0 and kinds[0] == kinds[1] and bool(label == background)


def _is_label(label: Any) -> bool:
    """Files can hold it, and it is no amount."""
    whole = isinstance(label, Real) and float(label).is_integer()
    return whole or isinstance(label, str | bool | np.bool_)


# Columns of split.csv and codes.csv.
_TAKEN = re.compile(r"id|group|label|split|y|(common|salient)\d+")


def check_attribute_names(names: Iterable[Any]) -> None:
    """
    See that no attribute has a name that tables of samples use for something else.

    Examples
    --------
    >>> check_attribute_names(["age", "split"])
    Traceback (most recent call last):
    sepvae.errors.DataError: attributes: 'split' is a column of its own in every table; rename it
    """
    if taken := sorted(name for name in map(str, names) if _TAKEN.fullmatch(name)):
        raise DataError(f"attributes: {taken[0]!r} is a column of its own in every table; rename it")


ROUNDING = 1e-6  # floats of images may lie so far out of [0, 1]


def check_images(x: AnyArray) -> None:
    """See that an array holds images that can be used as they are."""
    if x.ndim != 4:
        shape = ", ".join(map(str, x.shape))
        raise DataError(
            "X: wanted a table (n, features), images (n, channels, h, w) or volumes (n, channels, d, h, w), "
            f"got shape ({shape})" + "; give grey images a channel axis: X[:, None]" * (x.ndim == 3)
        )
    if x.shape[1] > 4 >= x.shape[3]:
        raise DataError(
            f"X: wanted images (n, channels, h, w), got shape {x.shape}, which looks like channels last; "
            "give X.transpose(0, 3, 1, 2)"
        )
    if 0 in x.shape:
        raise DataError(f"X: wanted images, got none: shape {x.shape}")
    if x.dtype == np.uint8:
        return
    if not np.issubdtype(x.dtype, np.floating):
        raise DataError(f"X: wanted images as uint8 or as floats in [0, 1], got {x.dtype}; convert them")
    low, high = float(x.min()), float(x.max())
    if not np.isfinite([low, high]).all():
        bad = int(np.flatnonzero(~np.isfinite(x).all(axis=(1, 2, 3)))[0])
        raise DataError(
            f"X: wanted finite images, got NaN or infinite values, first in image {bad}; leave it out"
        )
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise DataError(
            f"X: wanted images in [0, 1], got values from {low:g} to {high:g}; scale them, or give uint8"
        )


def check_volumes(x: AnyArray) -> None:
    """See that an array holds volumes that can be used as they are."""
    if x.ndim != 5:
        raise DataError(f"X: wanted volumes (n, channels, d, h, w), got shape {x.shape}")
    if 0 in x.shape:
        raise DataError(f"X: wanted volumes, got none: shape {x.shape}")
    if not np.issubdtype(x.dtype, np.floating):
        raise DataError(
            f"X: wanted volumes as floats, got {x.dtype}; bring each to mean 0 and standard deviation 1"
        )
    largest = np.array([max(float(volume.max()), -float(volume.min())) for volume in x])
    if (bad := np.flatnonzero(~np.isfinite(largest))).size:
        raise DataError(
            f"X: wanted finite volumes, got NaN or infinite values, first in volume {bad[0]}; fill them in, "
            "or leave it out"
        )
    if (bad := np.flatnonzero(largest > MOST)).size:
        raise DataError(
            f"X: wanted volumes of mean 0 and standard deviation 1, got values up to {largest[bad[0]]:g} in "
            f"volume {bad[0]}; normalise each"
        )


def check_number(
    name: str,
    value: object,
    *,
    least: float | None = None,
    above: float | None = None,
    below: float | None = None,
    whole: bool = False,
    or_else: str = "",
) -> None:
    """
    See that a keyword is a number in its range.

    Examples
    --------
    >>> check_number("kappa", -1, least=0)
    Traceback (most recent call last):
    sepvae.errors.DataError: kappa: wanted a number of 0 or more, got -1
    """
    number = float("nan")
    if not isinstance(value, bool) and isinstance(value, Integral if whole else Real):
        number = float(value)
    fits = (
        np.isfinite(number)
        and (least is None or number >= least)
        and (above is None or number > above)
        and (below is None or number < below)
    )
    if not fits:
        bounds = {"of {:.10g} or more": least, "above {:.10g}": above, "below {:.10g}": below}
        said = " and ".join(text.format(bound) for text, bound in bounds.items() if bound is not None)
        other = f", or {or_else}" if or_else else ""
        raise DataError(f"{name}: wanted a {'whole ' * whole}number {said}{other}, got {value!r}")


def check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    """See that a keyword is one of its words."""
    if value not in allowed:
        raise DataError(f"{name}: wanted one of {', '.join(allowed)}, got {value!r}")


def check_flag(name: str, value: object) -> None:
    """See that a keyword is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise DataError(f"{name}: wanted True or False, got {value!r}")
