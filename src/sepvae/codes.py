"""`Codes`, the posterior that training, files and scores share, and the columns of `codes.csv`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

Space = Literal["common", "salient", "both"]
SPACES: tuple[Space, ...] = ("common", "salient")
Kind = Literal["categorical", "continuous"]  # of an attribute
Blocks = Mapping[str, slice]  # salient dimensions by name, such as "salient of SZ"
EXACT_VARIANCE = 1e-6  # of codes without noise: a log-variance must be finite
MIN_CONTROLS = 20  # held-out people of the background, and as many in training, for a sheet of single people
SHOWN_ROWS, SHOWN_DIMS = 5, 4  # samples, and dimensions of each space, in Jupyter
MAX_LEVELS = 20  # whole numbers with more distinct values than this are amounts, not classes
ArrayT = TypeVar("ArrayT")
OtherT = TypeVar("OtherT")


@dataclass(frozen=True)
class Codes(Generic[ArrayT]):
    """Means and log-variances of q(c | x), (n, common_dim), and of q(s | x), (n, salient_dim)."""

    common_mean: ArrayT
    common_logvar: ArrayT
    salient_mean: ArrayT
    salient_logvar: ArrayT

    def map(self, function: Callable[[ArrayT], OtherT]) -> "Codes[OtherT]":
        """Apply a function to each of the four arrays."""
        return Codes(*map(function, vars(self).values()))

    def _repr_html_(self) -> str | None:
        """Return small tables for Jupyter: size and spread of both spaces, and the codes of first samples."""
        c, c_logvar, s, s_logvar = map(_as_numbers, vars(self).values())
        if c.ndim != 2 or s.ndim != 2 or len(c) != len(s):
            return None
        rows, names = c[:SHOWN_ROWS], code_names(*(min(x.shape[1], SHOWN_DIMS) for x in (c, s)))
        first = np.concatenate([rows[:, :SHOWN_DIMS], s[:SHOWN_ROWS, :SHOWN_DIMS]], axis=1)
        about = {
            "dimensions": [x.shape[1] for x in (c, s)],
            "SD of means over samples": [x.std(axis=0).mean() if x.size else np.nan for x in (c, s)],
            "SD of the posterior": [np.exp(x / 2).mean() if x.size else np.nan for x in (c_logvar, s_logvar)],
        }
        tables = pd.DataFrame(about, index=list(SPACES)), pd.DataFrame(first, columns=names)
        sizes, means = (table.to_html(float_format="{:.2f}".format, border=0) for table in tables)
        few = f"posterior means, first {len(rows)} samples, at most {SHOWN_DIMS} dimensions of each space"
        return f"<div><p>Codes of {len(c)} samples</p>{sizes}<p>{few}</p>{means}</div>"


def _as_numbers(values: Any) -> npt.NDArray[Any]:
    """Return an array or a tensor of torch, on any device, as an array."""
    return np.asarray(values.detach().float().cpu() if hasattr(values, "detach") else values)


def attribute_kind(values: pd.Series, kinds: Mapping[str, Kind] | None = None) -> Kind:
    """
    Return the kind of an attribute as `kinds` gives it by name, else by its values of all samples.

    Text, booleans, categories and integers with at most 20 distinct values are classes; other numbers are
    amounts. Whole floats in a column with gaps count as integers, as pandas reads them from CSV files.

    >>> attribute_kind(pd.Series(["F", "M", None])), attribute_kind(pd.Series([54.5, 61.0]))
    ('categorical', 'continuous')
    """
    if kind := (kinds or {}).get(str(values.name)):
        return kind
    known = values.dropna().infer_objects()
    if not pd.api.types.is_numeric_dtype(known) or pd.api.types.is_bool_dtype(known):
        return "categorical"
    gaps = len(known) < len(values)
    whole = pd.api.types.is_integer_dtype(known) or (gaps and bool((known == known.round()).all()))
    return "categorical" if whole and known.nunique() <= MAX_LEVELS else "continuous"


def attribute_kinds(table: pd.DataFrame) -> dict[str, Kind]:
    """Return the kind of each column, inferred from its values."""
    return {str(name): attribute_kind(values) for name, values in table.items()}


def code_names(common_dim: int, salient_dim: int, space: Space = "both") -> list[str]:
    """
    Return the column names of codes: common0, common1, .., salient0, salient1, ..

    >>> code_names(1, 2)
    ['common0', 'salient0', 'salient1']
    """
    dims = {"common": common_dim, "salient": salient_dim}
    return [f"{name}{i}" for name, dim in dims.items() for i in range(dim) if space in (name, "both")]


def code_columns(table: pd.DataFrame, space: str, blocks: Blocks | None = None) -> list[str]:
    """Return the columns of `codes.csv` of a space, or a block of salient: common first, then by number."""
    if blocks and space in blocks:
        return code_columns(table, "salient")[blocks[space]]
    found = {
        name: sorted(
            (c for c in table.columns if c.startswith(name) and c[len(name) :].isdigit()),
            key=lambda c: int(c[len(name) :]),
        )
        for name in SPACES
    }
    return [column for name in SPACES if space in (name, "both") for column in found[name]]


def block_sizes(blocks: Blocks) -> dict[str, int]:
    """Return the number of dimensions of each block, in their order, as recipes hold it."""
    return {name: part.stop - part.start for name, part in blocks.items()}


def attribute_columns(table: pd.DataFrame) -> list[str]:
    """Return the attributes in `codes.csv`: all columns but codes, id, split, group, label and y."""
    known = {"id", "split", "group", "label", "y", *code_columns(table, "both")}
    return [column for column in table.columns if column not in known]


def principal_components(codes: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return principal components as rows, the largest entry of each positive, and their singular values."""
    _, singular, components = np.linalg.svd(codes - codes.mean(axis=0), full_matrices=False)
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    return components * np.where(largest < 0, -1, 1), singular


def codes_table(codes: Codes[npt.NDArray[Any]], about: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `codes.csv`: one row per sample, the columns of `about`, then posterior means."""
    names = code_names(codes.common_mean.shape[1], codes.salient_mean.shape[1])
    means = np.concatenate([codes.common_mean, codes.salient_mean], axis=1)
    return pd.concat([about.reset_index(drop=True), pd.DataFrame(means, columns=names)], axis=1)


def salient_length(table: pd.DataFrame) -> "pd.Series[float]":
    """
    Return the length of the salient means in `codes.csv`: the distance from s' = 0 (n,).

    >>> salient_length(pd.DataFrame({"salient0": [3.0], "salient1": [4.0]})).tolist()
    [5.0]
    """
    return table[code_columns(table, "salient")].pow(2).sum(axis=1).pow(0.5)
