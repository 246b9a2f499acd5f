"""Tables (csv, tsv) that name image files, one per row, such as a participants.tsv."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sepvae.codes import Kind
from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.cells import read_cell_table
from sepvae.data.columns import about_rows, rules_of, takes_group, whole_column
from sepvae.data.formats import OF_VOLUMES, TABLE, Images
from sepvae.data.formats.image_folder import images_in
from sepvae.data.manifest import Manifest
from sepvae.data.spec import MEMORY, DataSpec, Fit
from sepvae.errors import DataError
from sepvae.progress import Progress


class ImageTable(Images):
    """Table of image files; any table that is of no other format."""

    name, kind, title = "table", TABLE, "a table of image files"
    refused = ("assume_orientation", *OF_VOLUMES)

    def list(self, path: Path, spec: DataSpec, *, labelled: bool = True) -> Manifest:
        folder = path.parent if spec.root is None else spec.root
        if not folder.is_dir():
            raise DataError(f"{folder}: wanted the folder of the images, found no folder; name it by --root")
        table = read_cell_table(path, rules_of(spec))
        names = _names(table.cells, path, images_of(path, spec))
        files = [_inside(path, line, folder, name) for line, name in names.items()]
        rows = about_rows(table, path, spec, [file.relative_to(folder).as_posix() for file in files])
        # os.path returns False for words that cannot be the name of a file.
        there = [os.path.isfile(file) for file in files]  # noqa: PTH113
        known = set(files)
        unlisted = [
            file.relative_to(folder).as_posix()
            for parent in sorted({file.parent for file in files})
            if os.path.isdir(parent)  # noqa: PTH112
            for file in images_in(parent)
            if file not in known
        ]
        missing = rows["about"].loc[~np.array(there), "id"].tolist()
        return Manifest(path, **rows, format=self, files=files, missing=missing, unlisted=unlisted)


@takes_group
def read_image_table(
    path: str | Path,
    *,
    images: str,
    label: str,
    root: str | Path | None = None,
    subject: str | None = None,
    id: str | None = None,  # noqa: A002  (the word of this library)
    attributes: Mapping[str, Kind | None] | Sequence[str] = (),
    image_size: int | tuple[int, int] = 64,
    channels: int = 1,
    fit: Fit = "pad",
    memory: float = MEMORY,
    progress: Progress | None = None,
    missing: Sequence[str | float] = (),
    not_missing: Sequence[str | float] = (),
    encoding: str | None = None,
) -> ArraySource | StreamSource:
    """
    Read the images that a table names, such as a participants.tsv.

    Parameters
    ----------
    path : str or Path
        A text table with tabs, commas or semicolons between cells and column names in the first line. Empty
        cells, "n/a", "NA", "nan" and the like are missing values.
    images : str
        Column of image files, relative to `root`; or a template of columns, such as
        "{participant_id}/anat/{participant_id}_slice.png".
    label : str
        Column of labels.
    root : str or Path, default=None
        Folder that files are relative to and must lie in; by default the folder of the table.
    subject : str, default=None
        Column of persons; a split keeps each on one side. By default every row is one person.
    id : str, default=None
        Column of unique names; by default the file.
    attributes : mapping or sequence of str, default=()
        Columns of further variables. A mapping gives their kind: "continuous" (numbers), "categorical"
        (words), or None to infer it from the values.
    image_size, channels, fit, memory, progress : object
        As in `read_image_folder`.
    missing, not_missing : sequence of str, default=()
        Words and codes that are missing besides "NA", "n/a", "nan" and the like, such as -9999; and words
        that are not, such as a site named "NA". Labels and ids stay words.
    encoding : str or None, default=None
        Encoding of the table, such as "cp1252"; None for UTF-8, or the encoding of its byte-order mark.

    Returns
    -------
    ArraySource or StreamSource
        Images as from `read_image_folder`.

    Raises
    ------
    DataError
        If the table, a column or a cell is invalid, a name is duplicated, or a file is missing, lies outside
        of `root` or cannot be read as an image.

    Examples
    --------
    >>> source = read_image_table(
    ...     "participants.tsv",
    ...     images="slices/{participant_id}.png",
    ...     label="diagnosis",
    ...     attributes={"age": "continuous", "site": "categorical"},
    ... )  # doctest: +SKIP
    """
    return ImageTable().load(**locals())


def images_of(path: Path, spec: DataSpec) -> str:
    """Return the column or template of images; raise unless either that or features are named."""
    if spec.images is None or spec.features is not None:
        raise DataError(
            f"{path}: name the column of image files or volumes (--images path), or the columns of features "
            f"(--features 'lh_*'){', but not both' * (spec.images is not None)}"
        )
    return spec.images


def _names(table: pd.DataFrame, path: Path, images: str) -> pd.Series:
    """Return the file name of each row, from a column or a template."""
    columns = re.findall(r"\{([^{}]+)\}", images)
    if not columns:
        return whole_column(table, path, "images", images)
    cells = [whole_column(table, path, "images", column) for column in columns]
    words = [word.replace("{", "{{").replace("}", "}}") for word in re.split(r"\{[^{}]+\}", images)]
    template = "{}".join(words)
    return pd.Series([template.format(*row) for row in zip(*cells, strict=True)], index=table.index)


def _inside(path: Path, line: object, folder: Path, name: str) -> Path:
    """Return the path of a file; raise if its name leads out of `folder`. Symbolic links are not resolved."""
    root = os.path.normpath(Path.cwd() / folder)
    file = Path(os.path.normpath(root / Path(name.replace("\\", "/"))))  # tables may come from Windows
    if not file.is_relative_to(root):
        remedy = "fix it, or name a folder that all images lie in (--root)"
        raise DataError(f"{path} line {line}: {name!r} leads out of {folder}; {remedy}")
    return folder / file.relative_to(root)
