"""Validation of user input: labels, attribute names, arrays and keywords."""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from numbers import Integral, Real
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from sepvae.batch import AnyArray
from sepvae.codes import MAX_LEVELS
from sepvae.errors import BackgroundWarning, DataError

MOST = 1e9  # largest voxel value: sums of squares of larger ones overflow float32
ROUNDING = 1e-6  # distance from [0, 1] that is accepted in float images
# Column names of split.csv and codes.csv.
TAKEN = re.compile(r"id|group|label|split|y|(common|salient)\d+")
# Words for controls in studies: lower case, without punctuation and the plural s.
CONTROLS = {
    *("control", "healthycontrol", "normalcontrol", "typicalcontrol", "ctrl", "ctl", "con", "hc", "cn", "nc"),
    *("tdc", "td", "typical", "typicallydeveloping", "typicaldevelopment", "neurotypical", "hv", "healthy"),
    *("healthysubject", "healthyvolunteer", "healthyparticipant", "healthycomparison", "normal"),
    *("background", "unaffected", "nondemented", "negative", "nofinding", "false", "no"),
}


class Guess(NamedTuple):
    """Guessed background label, and why: all are numbers or booleans, only it names controls, or neither."""

    background: Any
    why: Literal["number", "word", "alphabet"]


def guess_background(labels: Iterable[Any]) -> Guess:
    """
    Guess the background: the only label that names controls, else the first in sorted order.

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
    Return a message that asks for the background by `keyword`, such as "--background " or "background=".

    >>> print(ask_for_background({"0": 6, "1": 4}, "--background "))  # doctest: +ELLIPSIS
    labels 0 (6 samples) and 1 (4) do not tell which is ... (controls); did you mean --background 0?
    """
    guess = guess_background(counts)
    first, *others = counts.items()
    said = joined([f"{first[0]} ({first[1]} samples)", *(f"{label} ({n})" for label, n in others)])
    given = {label: keyword + (repr(label) if "=" in keyword else str(label)) for label in counts}
    hint = f"name the label of the controls: {' or '.join(given.values())}"
    if names_controls(guess.background):
        hint = f"did you mean {given[guess.background]}?"
    return f"labels {said} do not tell which is the background (controls); {hint}"


def joined(names: Sequence[str]) -> str:
    """
    Return names as words of a sentence.

    >>> joined(["SZ", "BD", "ASD"])
    'SZ, BD and ASD'
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def names_controls(label: Any) -> bool:
    """
    Return whether studies use a label for controls (HC, normal, ..); 0 and False count by convention.

    >>> names_controls("Healthy Controls"), names_controls("HC_patient")
    (True, False)
    """
    if _is_number(label) and str(label).lower() not in ("true", "false"):
        return float(label) == 0
    word = re.sub(r"[^a-z0-9]+", "", str(label).lower())
    return word in CONTROLS or word.removesuffix("s") in CONTROLS


def _is_number(label: Any) -> bool:
    """Return whether a label is a number or a boolean, also as text."""
    try:
        return bool(np.isfinite(float(label)))
    except (TypeError, ValueError):
        return str(label).strip().lower() in ("true", "false")


def order_labels(labels: AnyArray, background: Any = None) -> tuple[AnyArray, npt.NDArray[np.int64]]:
    """
    Return the sorted labels, and the position in them of each group's label, the background first.

    All labels but the background are targets. A background of None is guessed, with a `BackgroundWarning`
    unless a single word names controls.

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
        raise DataError("labels: wanted two or more, background and targets, got none")
    if len(classes) == 1:
        raise DataError(f"labels: wanted two or more, background and targets, got 1 class only: {classes[0]}")
    if len(classes) > MAX_LEVELS:
        raise DataError(
            f"labels: wanted a background and at most {MAX_LEVELS - 1} targets, got {len(classes)} different "
            f"ones: {', '.join(map(str, classes[:3]))}, ..; severities are for SepVAE(target='severity')"
        )
    if background is None:
        counts = dict(zip(classes.tolist(), n.tolist(), strict=True))
        guess = guess_background(counts)
        if guess.why != "word":
            targets = joined([repr(label) for label in counts if label != guess.background])
            role = "targets" if len(counts) > 2 else "target"
            roles = f"{guess.background!r} is taken for the background, {targets} for the {role}"
            message = f"{ask_for_background(counts, 'background=')}; {roles}"
            warnings.warn(message, BackgroundWarning, stacklevel=2)
        background = guess.background
    place = _place(classes.tolist(), background)
    return classes, np.array([place, *np.delete(np.arange(len(classes)), place)])


def _is_label(label: Any) -> bool:
    """Return whether a label is text, a boolean or a whole number; other numbers are amounts."""
    whole = isinstance(label, Real) and float(label).is_integer()
    return whole or isinstance(label, str | bool | np.bool_)


def _place(classes: list[Any], background: Any) -> int:
    """Return the position of the background; 1 does not name True, and "1" does not name 1."""
    if isinstance(background, np.generic):
        background = background.item()
    for i, label in enumerate(classes):
        alike = isinstance(label, bool) == isinstance(background, bool)
        if np.ndim(background) == 0 and alike and label == background:
            return i
    same_text = [label for label in classes if str(label) == str(background)]
    choices = ", ".join(map(repr if same_text else str, classes))
    hint = f"; did you mean background={same_text[0]!r}?" if same_text else ""
    if isinstance(background, str) and classes == list(range(len(classes))):
        hint = (
            "; labels were numbered before the fit, as cross_val_predict and StackingClassifier do: "
            "number them yourself, 0 for the background, and give background=0"
        )
    raise DataError(f"background: wanted one of {choices}, got {background!r}{hint}")


def check_attribute_names(names: Iterable[Any]) -> None:
    """
    Raise if an attribute has the name of another column of sample tables.

    >>> check_attribute_names(["age", "split"])
    Traceback (most recent call last):
    sepvae.errors.DataError: attributes: 'split' is a column of its own in every table; rename it
    """
    if taken := sorted(name for name in map(str, names) if TAKEN.fullmatch(name)):
        raise DataError(f"attributes: {taken[0]!r} is a column of its own in every table; rename it")


def severity_problem(severities: AnyArray, is_target: AnyArray, ids: AnyArray, column: str) -> str:
    """
    Return why numbers cannot be severities of targets, with what to do; empty if they can.

    Targets need different numbers above 0; those of the background are 0 or missing (NaN).

    >>> severity_problem(np.array([np.nan, 2, 3]), np.array([True, True, False]), np.arange(3), "score")
    '1 of 2 targets have no score, such as 0; fill it in, or leave them out'
    """
    known = np.isfinite(severities)
    rows = {
        "targets have no {}": (is_target & ~known, "fill it in, or leave them out"),
        "targets have 0 or less in {}": (
            is_target & (severities <= 0),
            "0 is the background's; leave them out, or add a constant to all targets",
        ),
        "background samples have other than 0 in {}": (
            ~is_target & known & (severities != 0),
            "the column is of targets alone: empty those cells, or take another",
        ),
    }
    for what, (odd, remedy) in rows.items():
        if odd.any():
            n = int((is_target if what.startswith("targets") else ~is_target).sum())
            return f"{odd.sum()} of {n} {what.format(column)}, such as {ids[odd][0]}; {remedy}"
    if len(different := np.unique(severities[is_target])) < 2:
        same = f"all {is_target.sum()} targets have the same {column}, {different[0]:g}"
        return f"{same}; fit without severities, as groups"
    return ""


def check_images(x: AnyArray) -> None:
    """Raise unless `x` is (n, channels, h, w), as uint8 or as floats in [0, 1] up to rounding."""
    if x.ndim != 4:
        hint = "; give grey images a channel axis: X[:, None]" * (x.ndim == 3)
        raise DataError(
            "X: wanted a table (n, features), images (n, channels, h, w) or volumes (n, channels, d, h, w), "
            f"got shape ({', '.join(map(str, x.shape))}){hint}"
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
    """Raise unless `x` is (n, channels, d, h, w), as finite floats of magnitude `MOST` or less."""
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
    Raise unless a keyword is a finite number in its range: `least` is allowed, `above` and `below` are not.

    `or_else` names another allowed value in the message.

    >>> check_number("kappa", -1, least=0)
    Traceback (most recent call last):
    sepvae.errors.DataError: kappa: wanted a number of 0 or more, got -1
    """
    number = float("nan")
    if not isinstance(value, bool) and isinstance(value, Integral if whole else Real):
        number = float(value)
    low = (least is None or number >= least) and (above is None or number > above)
    if not (np.isfinite(number) and low and (below is None or number < below)):
        bounds = {"of {:.10g} or more": least, "above {:.10g}": above, "below {:.10g}": below}
        said = " and ".join(text.format(bound) for text, bound in bounds.items() if bound is not None)
        other = f", or {or_else}" if or_else else ""
        raise DataError(f"{name}: wanted a {'whole ' * whole}number {said}{other}, got {value!r}")


def check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    """
    Raise unless a keyword is one of the allowed words.

    >>> check_choice("method", "MMCVAE", ["SepVAE", "MMcVAE"])
    Traceback (most recent call last):
    sepvae.errors.DataError: method: wanted one of SepVAE, MMcVAE, got 'MMCVAE'; did you mean MMcVAE?
    """
    if value not in allowed:
        near = get_close_matches(str(value), allowed, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise DataError(f"{name}: wanted one of {', '.join(allowed)}, got {value!r}{hint}")


def check_flag(name: str, value: object) -> None:
    """Raise unless a keyword is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise DataError(f"{name}: wanted True or False, got {value!r}")


def check_installed(extra: str, *packages: str) -> None:
    """Raise DataError with the extra to install if one of its packages is missing."""
    for package in packages:
        try:
            import_module(package)
        except ImportError as error:
            raise DataError(f"{package} is not installed; pip install 'sepvae[{extra}]'") from error
