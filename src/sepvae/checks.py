"""Checks of what a user gives, shared by all rooms."""

import re
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from sepvae.batch import AnyArray
from sepvae.errors import DataError

MOST = 1e9  # of a voxel: sums of squares of larger ones would leave float32


def order_labels(labels: AnyArray, background: Any = None) -> tuple[AnyArray, npt.NDArray[np.int64]]:
    """
    Sort the labels, and number each sample's group with the background as 0.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        As the user wrote them.
    background : label or None, default=None
        The background's; None names the first in sorted order.

    Returns
    -------
    classes : ndarray of shape (groups,)
        Labels, sorted.
    order : ndarray of int of shape (groups,)
        Position in `classes` of group 0 (background), 1, ...

    Raises
    ------
    DataError
        If there are not two labels, they are no labels but amounts, or the background is not one of them.

    Examples
    --------
    >>> order_labels(np.array(["ill", "well", "ill"]), background="well")
    (array(['ill', 'well'], dtype='<U4'), array([1, 0]))
    """
    try:
        classes: AnyArray = np.unique(labels)
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
        return classes, np.arange(len(classes))
    found = np.flatnonzero(classes == background)
    if len(found) == 0 or np.ndim(background) > 0:
        raise DataError(f"background: wanted one of {', '.join(map(str, classes))}, got {background!r}")
    return classes, np.concatenate([found, np.delete(np.arange(len(classes)), found)])


def _is_label(label: Any) -> bool:
    """Files can hold it, and it is no amount."""
    whole = isinstance(label, Real) and float(label).is_integer()
    return whole or isinstance(label, str | bool | np.bool_)


# Columns of split.csv and codes.csv.
_TAKEN = re.compile(r"id|group|label|split|y|(common|salient)\d+")


def check_attribute_names(names: Iterable[Any]) -> None:
    """
    See that no attribute has a name that tables of samples use for something else.

    Parameters
    ----------
    names : iterable
        Of attributes.

    Raises
    ------
    DataError
        If one has.

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
    """
    See that an array holds images that can be used as they are.

    Parameters
    ----------
    x : ndarray
        Wanted: (n, channels, h, w), uint8 or floats in [0, 1], but for a rounding error of 1e-6.

    Raises
    ------
    DataError
        If the shape, the type or the values are others.
    """
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
    """
    See that an array holds volumes that can be used as they are.

    Parameters
    ----------
    x : ndarray
        Wanted: (n, channels, d, h, w), finite floats.

    Raises
    ------
    DataError
        If the shape, the type or the values are others.
    """
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

    Parameters
    ----------
    name : str
        Of the keyword.
    value : object
        What it was set to.
    least, above, below : float or None, default=None
        Bounds: the value itself allowed, or not.
    whole : bool, default=False
        Whether it must be an integer.
    or_else : str, default=""
        What the keyword may be besides, for the message.

    Raises
    ------
    DataError
        If it is not.

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
    """
    See that a keyword is one of its words.

    Parameters
    ----------
    name : str
        Of the keyword.
    value : object
        What it was set to.
    allowed : sequence of str
        The words.

    Raises
    ------
    DataError
        If it is none of them.
    """
    if value not in allowed:
        raise DataError(f"{name}: wanted one of {', '.join(allowed)}, got {value!r}")


def check_flag(name: str, value: object) -> None:
    """
    See that a keyword is True or False.

    Parameters
    ----------
    name : str
        Of the keyword.
    value : object
        What it was set to.

    Raises
    ------
    DataError
        If it is neither.
    """
    if not isinstance(value, bool | np.bool_):
        raise DataError(f"{name}: wanted True or False, got {value!r}")
