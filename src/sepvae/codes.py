"""`Codes`: what the two encoders say about a batch, the one record that training, files and scores share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

Space = Literal["common", "salient", "both"]
Kind = Literal["categorical", "continuous"]  # of an attribute
MAX_LEVELS = 20  # whole numbers with more distinct values than this are amounts, not classes
ArrayT = TypeVar("ArrayT")
OtherT = TypeVar("OtherT")


@dataclass(frozen=True)
class Codes(Generic[ArrayT]):  # numpydoc ignore=PR02
    """
    Posterior means and log-variances of the common code c and the salient code s.

    Shapes: common_mean, common_logvar (n, common_dim); salient_mean, salient_logvar (n, salient_dim).
    """

    common_mean: ArrayT
    common_logvar: ArrayT
    salient_mean: ArrayT
    salient_logvar: ArrayT

    def map(self, function: Callable[[ArrayT], OtherT]) -> "Codes[OtherT]":
        """Make the same change to all four parts."""
        return Codes(
            function(self.common_mean),
            function(self.common_logvar),
            function(self.salient_mean),
            function(self.salient_logvar),
        )


def attribute_kind(values: pd.Series) -> Kind:
    """
    Whether an attribute is a choice among classes or an amount.

    Text, booleans, categories and integers with at most 20 distinct values are classes; other numbers are
    amounts. Whole floats in a column with gaps count as integers, since that is what a CSV file makes of
    integers with empty cells. A column of str is always classes.

    Parameters
    ----------
    values : Series
        The attribute of all samples, missing values included.

    Returns
    -------
    {"categorical", "continuous"}
        How a probe treats it.

    Examples
    --------
    >>> attribute_kind(pd.Series(["F", "M", None]))
    'categorical'
    >>> attribute_kind(pd.Series([54.5, 61.0]))
    'continuous'
    """
    known = values.dropna().infer_objects()
    if not pd.api.types.is_numeric_dtype(known) or pd.api.types.is_bool_dtype(known):
        return "categorical"
    gaps = len(known) < len(values)
    whole = pd.api.types.is_integer_dtype(known) or (gaps and bool((known == known.round()).all()))
    return "categorical" if whole and known.nunique() <= MAX_LEVELS else "continuous"


def code_names(common_dim: int, salient_dim: int, space: Space = "both") -> list[str]:
    """
    Column names of codes: common0, common1, .., salient0, salient1, ...

    Examples
    --------
    >>> code_names(1, 2)
    ['common0', 'salient0', 'salient1']
    """
    common = [f"common{i}" for i in range(common_dim)]
    salient = [f"salient{i}" for i in range(salient_dim)]
    return {"common": common, "salient": salient, "both": common + salient}[space]


def code_columns(table: pd.DataFrame, space: Space) -> list[str]:
    """Find the columns of a table of codes (`codes.csv`) that belong to a space."""
    found = {
        name: sorted(
            (c for c in table.columns if c.startswith(name) and c[len(name) :].isdigit()),
            key=lambda c: int(c[len(name) :]),
        )
        for name in ("common", "salient")
    }
    return found["common"] + found["salient"] if space == "both" else found[space]


def attribute_columns(table: pd.DataFrame) -> list[str]:
    """
    Find the columns of a table of codes that hold attributes: all but codes, id, split, group, label, y.
    """
    known = {"id", "split", "group", "label", "y", *code_columns(table, "both")}
    return [column for column in table.columns if column not in known]


def codes_table(codes: Codes[npt.NDArray[Any]], about: pd.DataFrame) -> pd.DataFrame:
    """One row per sample: what is known about it, then the posterior means."""
    names = code_names(codes.common_mean.shape[1], codes.salient_mean.shape[1])
    means = np.concatenate([codes.common_mean, codes.salient_mean], axis=1)
    return pd.concat([about.reset_index(drop=True), pd.DataFrame(means, columns=names)], axis=1)
