"""AnnData as a table of features, from a file (.h5ad) or an object, and codes as AnnData."""

import io
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import issparse

from sepvae.batch import AnyArray, FloatArray
from sepvae.checks import check_installed
from sepvae.codes import MAX_LEVELS, SPACES, Codes, code_columns
from sepvae.data.cells import TableNote
from sepvae.errors import DataError, listed, reason_of
from sepvae.files import write_whole

TO_LOG = "normalise each cell, and take logarithms (scanpy.pp.normalize_total, scanpy.pp.log1p)"
SAMPLED = 1000  # observations whose values tell whether they are counts
MAX_NAMES = 4e9  # bytes of obs and var
FEWER = "keep fewer features, such as highly variable genes, or allow more by --memory"


class Observations(NamedTuple):
    """What is read of an AnnData object: n observations by features."""

    x: Any  # (n, features): an array, a sparse matrix, or what a file holds of either
    obs: pd.DataFrame  # n rows of text, indexed from 1 in the order of the file
    ids: list[str]  # names of the observations
    features: list[str]
    not_read: list[str]  # layers, and raw


@contextmanager
def open_h5ad(path: Path) -> Iterator[Observations]:
    """Yield the observations of a file, `x` unread; groups that lead out of the file are refused."""
    check_installed("anndata", "anndata")
    import h5py
    from anndata.io import read_elem

    try:
        with h5py.File(path, "r") as file:
            if gone := [name for name in ("X", "obs", "var") if name not in file]:
                raise DataError(f"{path}: wanted an AnnData file, found no {gone[0]}; write it by anndata")
            sizes = {name: _size(path, file, name) for name in ("X", "obs", "var")}
            if (size := sizes["obs"] + sizes["var"]) > MAX_NAMES:  # X is checked by --memory
                raise DataError(f"{path}: obs and var take {size / 1e9:.1f} GB, wanted 4 at most; write less")
            obs, var = read_elem(file["obs"]), read_elem(file["var"])
            layers = (
                file["layers"] if file.get("layers", getclass=True, getlink=True) is h5py.HardLink else ()
            )
            not_read = _not_read(layers, raw="raw" in file)
            yield _observations(path, file["X"], obs, var, not_read)
    except DataError:
        raise
    except Exception as error:  # h5py and anndata raise errors of any type
        remedy = "copy it again, or write it by adata.write_h5ad"
        raise DataError(f"{path}: cannot be read as AnnData ({reason_of(error)}); {remedy}") from error


def observations_of(adata: Any) -> Observations:
    """Return the observations of an AnnData object."""
    if adata.isbacked:
        adata = adata.to_memory()
    not_read = _not_read(adata.layers, raw=adata.raw is not None)
    return _observations("AnnData", adata.X, adata.obs, adata.var, not_read)


def dense(where: object, data: Observations, names: list[str], memory: float) -> FloatArray:
    """Return columns of X as a dense table (n, len(names)); raise if it takes more than `memory` GB."""
    shape = len(data.ids), len(names)
    sizes = {"as a dense table": 8 * shape[0] * shape[1], "as stored": _stored(data.x)}
    for how, size in sizes.items():
        if size > memory * 1e9:
            needs = f"X of {shape[0]} observations and {shape[1]} features takes {size / 1e9:.1f} GB {how}"
            raise DataError(f"{where}: {needs}, wanted {memory:g} at most; {FEWER}")
    x = _in_memory(data.x)
    if issparse(x):
        x.check_format(full_check=True)  # of a damaged file, indices would be written out of bounds
    if x.shape != (wanted := (len(data.ids), len(data.features))):
        raise DataError(f"{where}: wanted X of shape {wanted}, as obs and var are, got {x.shape}")
    if x.dtype.kind not in "buif":
        raise DataError(f"{where}: wanted numbers in X, got {x.dtype}; convert them")
    if names != data.features:
        x = x[:, pd.Index(data.features).get_indexer(pd.Index(names))]
    x = np.asarray(x.toarray() if issparse(x) else x, dtype=np.float64)
    if not (bad := np.isinf(x)).any():
        return x
    column = names[int(bad.any(axis=0).argmax())]
    raise DataError(f"{where}: X has infinite values in {column!r}; correct them, or leave it out")


def notes_on(data: Observations, x: FloatArray) -> list[TableNote]:
    """Return notes on what was read and what not, and a warning on raw counts."""
    n, k = x.shape
    text = f"X: {n} observations, {k} of {len(data.features)} features"
    if issparse(data.x) or hasattr(data.x, "keys"):  # of a file, a sparse matrix is a group
        text += f"; sparse, {x.nbytes / 1e6:.1f} MB as a dense table"
    if data.not_read:
        text += f"; not read: {listed(data.not_read)}"
    notes = [TableNote("note", "anndata", text)]
    known = x[:SAMPLED][~np.isnan(x[:SAMPLED])]
    if known.size and known.min() >= 0 and known.max() > MAX_LEVELS and (known == np.round(known)).all():
        counts = f"X holds whole numbers from 0 to {known.max():.0f}, as raw counts do; {TO_LOG}: "
        notes.append(TableNote("warning", "raw-counts", counts + "no method here has a likelihood of counts"))
    return notes


def codes_to_anndata(codes: "Codes[AnyArray] | pd.DataFrame", adata: Any = None) -> Any:
    """
    Return codes as AnnData, in `obsm["X_common"]` and `obsm["X_salient"]`.

    Parameters
    ----------
    codes : Codes or DataFrame
        As `encode` returns them, or the table of `codes.csv` of a run, with its column `id`.
    adata : AnnData, default=None
        Object that gets the codes, in place: `Codes` in the order of its observations, a table by their
        names; observations that are not in the table get NaN. By default a new one without X, whose `obs`
        has all other columns of a table.

    Returns
    -------
    AnnData
        The object given, or a new one.

    Raises
    ------
    DataError
        If the package anndata is missing, or the codes are of other observations.

    Examples
    --------
    >>> codes_to_anndata(model.encode(adata.to_df()), adata)  # doctest: +SKIP
    >>> scanpy.pp.neighbors(adata, use_rep="X_salient")  # doctest: +SKIP
    """
    means = _means(codes, adata)
    if adata is None:
        check_installed("anndata", "anndata")
        import anndata

        names = pd.Index([], dtype=object)  # anndata 0.12.6 does not write strings of pandas 3
        adata = anndata.AnnData(obs=_about(codes, len(means["common"])), var=pd.DataFrame(index=names))
    for space, values in means.items():
        adata.obsm[f"X_{space}"] = values
    return adata


def write_codes(path: Path, table: pd.DataFrame) -> None:
    """Write the table of `codes.csv` atomically as an AnnData file without X."""
    adata = codes_to_anndata(table)
    import h5py
    from anndata.io import write_elem

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        write_elem(file, "/", adata)
    write_whole(path, buffer.getvalue())


def _observations(
    where: object, x: Any, obs: pd.DataFrame, var: pd.DataFrame, not_read: list[str]
) -> Observations:
    """Validate names, and convert the columns of obs to text."""
    if x is None:
        raise DataError(f"{where}: wanted samples in X, which is empty; copy a layer to it")
    features = pd.Index(var.index.astype(str))
    if len(twice := features[features.duplicated()]):
        remedy = "make them unique by adata.var_names_make_unique()"
        raise DataError(f"{where}: {listed(list(twice))} stand more than once in var_names; {remedy}")
    columns = {str(name): [_cell(value) for value in column.array] for name, column in obs.items()}
    cells = pd.DataFrame(columns, index=range(1, len(obs) + 1), dtype=str)
    return Observations(x, cells, obs.index.astype(str).tolist(), features.tolist(), not_read)


def _not_read(layers: Iterable[str], *, raw: bool) -> list[str]:
    return [*(f"layer {name}" for name in layers), *["raw"] * raw]


def _cell(value: Any) -> str | None:
    """Return a value as the text of a table; an empty one is missing."""
    return None if pd.isna(value) else str(value).strip() or None


def _size(path: Path, group: Any, name: str) -> int:
    """Return the bytes below a name; raise if some of them lie in another file, by links or as raw bytes."""
    import h5py

    remedy = "write it again by adata.write_h5ad"
    if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
        raise DataError(f"{path}: {name} leads to another file; {remedy}")
    item = group[name]
    if item.file.filename != group.file.filename:  # by a soft link to an external one
        raise DataError(f"{path}: {name} leads to another file; {remedy}")
    if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
        raise DataError(f"{path}: values of {item.name} lie in another file; {remedy}")
    if isinstance(item, h5py.Group):
        return sum(_size(path, item, inner) for inner in item)
    return int(item.nbytes)


def _stored(x: Any) -> int:
    """Return the bytes of X as it is stored, without compression."""
    parts = [x[name] for name in x] if hasattr(x, "keys") else [] if issparse(x) else [x]
    return sum(math.prod(part.shape) * part.dtype.itemsize for part in parts)


def _in_memory(x: Any) -> Any:
    """Return X as an array or a sparse matrix, read if it is of a file."""
    if type(x).__module__.partition(".")[0] != "h5py":
        return x
    from anndata.io import read_elem

    return read_elem(x)


def _means(codes: "Codes[AnyArray] | pd.DataFrame", adata: Any) -> dict[str, AnyArray]:
    """Return the means of both spaces by observation."""
    if isinstance(codes, Codes):
        means = {"common": codes.common_mean, "salient": codes.salient_mean}
        if adata is not None and len(codes.common_mean) != adata.n_obs:
            got = f"got {len(codes.common_mean)}"
            raise DataError(f"codes: wanted those of all {adata.n_obs} observations of adata, {got}")
        return means
    table = codes if adata is None else codes.set_index(codes["id"].astype(str)).reindex(adata.obs_names)
    if adata is not None and table["id"].isna().all():
        ids = listed(codes["id"].tolist())
        raise DataError(f"codes: wanted rows of adata ({listed(list(adata.obs_names))}), got {ids}")
    return {space: table[code_columns(table, space)].to_numpy() for space in SPACES}


def _about(codes: "Codes[AnyArray] | pd.DataFrame", n: int) -> pd.DataFrame:
    """Return what a table says of the samples, text as categories, by id; of `Codes` numbers alone."""
    if isinstance(codes, Codes):
        return pd.DataFrame(index=pd.Index([str(i) for i in range(n)], dtype=object))
    known = codes.drop(columns=["id", *code_columns(codes, "both")]).dropna(axis=1, how="all")
    about = {}
    for name, column in known.items():
        words = not pd.api.types.is_numeric_dtype(column)
        about[name] = pd.Categorical(column.astype(object)) if words else column.array
    return pd.DataFrame(about, index=pd.Index(codes["id"].astype(str), dtype=object))
