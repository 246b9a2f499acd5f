"""AnnData files (.h5ad), the tables of single-cell and other omics, or AnnData objects."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sepvae.codes import Kind
from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.columns import about_rows, choose_columns
from sepvae.data.formats import ANNDATA, OF_VOLUMES, Format, Read, spec_of
from sepvae.data.formats.regions import Regions
from sepvae.data.h5ad import Observations, dense, notes_on, observations_of, open_h5ad
from sepvae.data.manifest import FEATURES_WRITTEN, Manifest
from sepvae.data.spec import MEMORY, DataSpec
from sepvae.errors import RawCountsWarning
from sepvae.progress import Progress


class AnnDataFile(Format):
    """AnnData file; X is read as a table of features, and columns of obs describe its rows."""

    name, kind, title, sample = "anndata", ANNDATA, "an AnnData file", "observation"
    refused = ("image_size", "channels", "fit", *OF_VOLUMES)

    def list(self, path: Path, spec: DataSpec, *, labelled: bool = True) -> Manifest:
        with open_h5ad(path) as data:
            return _manifest(path, data, spec)

    def read(self, manifest: Manifest, spec: DataSpec, progress: Progress | None = None) -> Read:
        return Regions().read(manifest, spec, progress)

    def recorded(self, spec: DataSpec) -> dict[str, Any]:
        """Return nothing: the model has the names of the features."""
        return {}


def read_anndata(
    data: Any,
    *,
    label: str,
    features: Sequence[str] | None = None,
    subject: str | None = None,
    id: str | None = None,  # noqa: A002  (the word of this library)
    attributes: Mapping[str, Kind | None] | Sequence[str] = (),
    memory: float = MEMORY,
    missing: Sequence[str | float] = (),
    not_missing: Sequence[str | float] = (),
) -> ArraySource | StreamSource:
    """
    Read X of AnnData as a table of features, with columns of obs as label, subject and attributes.

    X should hold normalised values, such as logarithms of counts: the decoders have no likelihood of counts.
    Layers and raw are not read.

    Parameters
    ----------
    data : AnnData, str or Path
        Object of the package anndata, or a file (.h5ad).
    label, subject : str
        Columns of obs: of labels, and of persons (donors), whom a split keeps on one side. By default every
        observation is a person of its own.
    features : sequence of str, default=None
        Names or patterns of var_names, as in `read_regions`; by default all.
    id : str, default=None
        Column of unique names; by default obs_names.
    attributes, missing, not_missing : object
        As in `read_image_table`, of columns of obs.
    memory : float, default=4.0
        Gigabytes that X may take. It is read as a dense table of 8 bytes a value, even if it is sparse.

    Returns
    -------
    ArraySource
        `x` is float64 of shape (n, features), NaN for gaps; `feature_names` are var_names.

    Raises
    ------
    DataError
        If the package anndata is missing, the file or a column cannot be used, or X is too large.

    Warns
    -----
    RawCountsWarning
        If X holds whole numbers, as raw counts do.

    Examples
    --------
    >>> source = read_anndata("cells.h5ad", label="disease", subject="donor")  # doctest: +SKIP
    >>> SepVAE(background="healthy").fit(source)  # doctest: +SKIP
    """
    fields = locals()
    given, spec = fields.pop("data"), spec_of(fields)
    if isinstance(given, str | Path):
        manifest = AnnDataFile().list(Path(given), spec)
    else:
        manifest = _manifest(Path("AnnData"), observations_of(given), spec)
    for note in manifest.notes:
        if note.level == "warning":
            warnings.warn(note.message, RawCountsWarning, stacklevel=2)
    return AnnDataFile().read(manifest, spec)[0]


def _manifest(path: Path, data: Observations, spec: DataSpec) -> Manifest:
    """Return observations as rows of a table, X in memory."""
    columns = pd.DataFrame(columns=data.features)  # without rows: patterns are of names alone
    names = data.features
    if spec.features is not None:
        names = choose_columns(columns, spec.features, path, {}, lambda _: True)
    x = dense(path, data, names, spec.memory)
    codes = pd.to_numeric(pd.Series(spec.missing, dtype=object), errors="coerce").dropna()
    x = np.where(np.isin(x, codes), np.nan, x) if len(codes) else x
    rows = about_rows(data.obs, notes_on(data, x), path, spec, data.ids)
    rows["written"][FEATURES_WRITTEN] = ["NaN"]
    return Manifest(path, **rows, format=AnnDataFile(), features=pd.DataFrame(x, columns=names, copy=False))
