"""CelebA and Kermany's chest X-rays, as downloaded."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.formats import FOLDER, OF_VOLUMES, Images
from sepvae.data.formats.image_folder import ImageFolder, images_in
from sepvae.data.manifest import Manifest
from sepvae.data.spec import MEMORY, DataSpec
from sepvae.errors import DataError
from sepvae.progress import Progress

# The paper crops the central 108 x 108 pixels of images that are 178 wide.
CELEBA_CENTRE = 108 / 178
MOST_OF_LINE = 10_000  # bytes; lines of 40 attributes have a few hundred
# Patients, and subtypes, in the names of Kermany's files.
PATTERN_OF = {
    "PNEUMONIA": r"(?P<group>person\d+)_(?P<subtype>bacteria|virus)",
    "NORMAL": r"(?P<group>(?:NORMAL2-)?IM-\d+)",
}


class CelebA(Images):
    """CelebA as the paper uses it; every image is its own group, since the list does not name people."""

    name, kind, title = "celeba", FOLDER, "CelebA"
    refused = ("pattern", "modality", "target_severity", *OF_VOLUMES)
    note = "read as CelebA: neither, glasses or hat; images with both are left out"
    needs_label, subject_option, channels = False, None, 3

    def detect(self, path: Path, spec: DataSpec) -> bool:
        return any((path / f"list_attr_celeba.{suffix}").is_file() for suffix in ("txt", "csv"))

    def list(self, path: Path, spec: DataSpec, *, labelled: bool = True) -> Manifest:
        if "continuous" in spec.attributes.values():
            raise DataError(f"{path} is CelebA, whose attributes are yes or no; leave :continuous out")
        table = _celeba_list(path)
        if unknown := [name for name in spec.attributes if name not in table]:
            raise DataError(f"attribute: CelebA has no {unknown[0]!r}; it has {', '.join(table.columns)}")
        glasses, hat = table["Eyeglasses"].to_numpy() == 1, table["Wearing_Hat"].to_numpy() == 1
        about = pd.DataFrame({"id": table.index, "group": table.index})
        about["label"] = np.where(glasses | hat, "glasses or hat", "neither")
        about["split"] = None
        about["accessory"] = pd.Series(np.where(glasses, "glasses", "hat")).where(glasses | hat)
        for name in spec.attributes:
            about[name] = np.where(table[name] == 1, "yes", "no")
        inner = path / "img_align_celeba"
        places = [place for place in (inner, inner / inner.name) if place.is_dir()]
        folder = next((place for place in places if any(map(Path.is_file, place.iterdir()))), None)
        if folder is None:
            raise DataError(f"{path}: wanted CelebA's images in a folder img_align_celeba, found none")
        there = {file.name for file in images_in(folder)}
        return Manifest(
            path,
            about,
            [folder / name for name in table.index],
            format=self,
            background="neither",
            centre=CELEBA_CENTRE,
            missing=[name for name in table.index if name not in there],
            unlisted=sorted(there - set(table.index)),
        ).keep(~(glasses & hat))


class Kermany(ImageFolder):
    """Folder of images with Kermany's labels and names; patients that share a number are one group."""

    name, title = "kermany", "Kermany's chest X-rays"
    labelled_only = True
    note = "read as Kermany's chest X-rays: patient and subtype come from the file names"

    def detect(self, path: Path, spec: DataSpec) -> bool:
        # Listing a large folder takes seconds: its labels are looked for first.
        has_labels = any((part / "NORMAL").is_dir() for part in (path, *path.glob("*/")))
        if spec.pattern is not None or not has_labels:
            return False
        about = super().list(path, DataSpec()).about
        if set(about["label"]) != set(PATTERN_OF):
            return False
        names = about["id"].map(lambda id_: Path(id_).name)
        known = [
            re.match(PATTERN_OF[of], name) is not None for of, name in zip(about["label"], names, strict=True)
        ]
        return bool(pd.Series(known).groupby(about["label"]).mean().min() > 0.5)

    def list(self, path: Path, spec: DataSpec, *, labelled: bool = True) -> Manifest:
        return super().list(path, spec.model_copy(update={"pattern": [*PATTERN_OF.values()]}))


def read_celeba(
    path: str | Path,
    *,
    attributes: Sequence[str] = (),
    image_size: int | tuple[int, int] = 64,
    memory: float = MEMORY,
    progress: Progress | None = None,
) -> ArraySource | StreamSource:
    """
    Read CelebA as in the paper: faces with neither hat nor glasses, with glasses only, with a hat only.

    Parameters
    ----------
    path : str or Path
        Folder with `list_attr_celeba.txt` or `.csv`, and the images in `img_align_celeba`.
    attributes : sequence of str, default=()
        Attributes of CelebA to keep, such as "Male", with the values "yes" and "no".
    image_size, memory, progress : object
        As in `read_image_folder`.

    Returns
    -------
    ArraySource or StreamSource
        Colour images of the central square, 108 of 178 pixels wide; labels "neither" and "glasses or hat",
        attribute `accessory` ("glasses" or "hat", missing for the background).

    Raises
    ------
    DataError
        If the list does not have the format of CelebA, or images are missing or cannot be read.
    """
    return CelebA().load(**locals(), fit="crop")


def _celeba_list(root: Path) -> pd.DataFrame:
    """Return the attributes of each image, 1 or -1, by file name."""
    text, comma = root / "list_attr_celeba.txt", root / "list_attr_celeba.csv"
    path = text if text.is_file() else comma
    if not path.is_file():
        raise DataError(f"{root}: wanted CelebA's list_attr_celeba.txt or .csv, found neither")
    try:
        with path.open("rb") as file:
            if max(len(file.readline(MOST_OF_LINE)) for _ in range(2)) == MOST_OF_LINE:
                raise ValueError("its lines are too long")
        layout: dict[str, Any] = {"sep": r"\s+", "skiprows": 1} if path == text else {"index_col": 0}
        table: pd.DataFrame = pd.read_csv(path, **layout)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: cannot be read ({reason}); download it again") from error
    nameless = table.index.isna().any()
    table.index = table.index.astype(str)
    is_celeba = table.isin([-1, 1]).all(axis=None) and {"Eyeglasses", "Wearing_Hat"} <= set(table.columns)
    if nameless or not is_celeba or not table.index.is_unique or table.index.str.contains(r"[/\\]").any():
        wanted = "one line for each image, with 1 or -1 for each attribute, Eyeglasses and Wearing_Hat"
        raise DataError(f"{path}: wanted {wanted} among them; download it again")
    return table
