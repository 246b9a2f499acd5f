"""Kermany's chest X-rays, as downloaded: a folder of images with patients in their names."""

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd

from sepvae.data.formats.image_folder import ImageFolder, list_image_folder
from sepvae.data.manifest import Manifest
from sepvae.data.spec import DataSpec

PATTERNS = (r"(?P<group>person\d+)_(?P<subtype>bacteria|virus)", r"(?P<group>(?:NORMAL2-)?IM-\d+)")
PATTERN_OF = {"PNEUMONIA": PATTERNS[0], "NORMAL": PATTERNS[1]}


class Kermany(ImageFolder):
    """Folder of images with Kermany's labels and names; patients that share a number are one group."""

    name, title = "kermany", "Kermany's chest X-rays"
    labelled_only = True
    note = "read as Kermany's chest X-rays: patient and subtype come from the file names"

    def detect(self, path: Path, spec: DataSpec) -> bool:
        # Listing a large folder takes seconds: its labels are looked for first.
        has_labels = any((part / "NORMAL").is_dir() for part in (path, *path.glob("*/")))
        return spec.pattern is None and has_labels and is_kermany(list_image_folder(path))

    def list(self, path: Path, spec: DataSpec, *, labelled: bool = True) -> Manifest:
        manifest = super().list(path, spec.model_copy(update={"pattern": [*PATTERNS]}))
        return replace(manifest, format=self)


def is_kermany(manifest: Manifest) -> bool:
    """Return whether labels are NORMAL and PNEUMONIA, and most files of each have Kermany's names."""
    label = manifest.about["label"]
    if set(label) != set(PATTERN_OF):
        return False
    names = manifest.about["id"].map(lambda id_: Path(id_).name)
    known = [re.match(PATTERN_OF[of], name) is not None for of, name in zip(label, names, strict=True)]
    return bool(pd.Series(known).groupby(label).mean().min() > 0.5)
