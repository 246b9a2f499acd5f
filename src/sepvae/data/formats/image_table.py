"""Tables (csv, tsv) that name image files, one per row, such as a participants.tsv."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd

from sepvae.data.cells import read_cell_table
from sepvae.data.formats.base import OF_VOLUMES, TABLE, Images
from sepvae.data.formats.image_folder import images_in
from sepvae.data.manifest import Manifest
from sepvae.data.rows import about_rows, rules_of, whole_column
from sepvae.data.spec import DataSpec
from sepvae.errors import DataError


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
            for file in images_in(parent, deep=False)
            if file not in known
        ]
        missing = rows["about"].loc[~np.array(there), "id"].tolist()
        return Manifest(path, **rows, format=self, files=files, missing=missing, unlisted=unlisted)


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
        raise DataError(
            f"{path} line {line}: {name!r} leads out of {folder}; fix it, or name a folder that all images "
            "lie in (--root)"
        )
    return folder / file.relative_to(root)
