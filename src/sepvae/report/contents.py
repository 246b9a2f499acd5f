"""Tables, settings and figures of a run folder, read for its page."""

import base64
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sepvae.files import read_file
from sepvae.report.file_names import scatter_files
from sepvae.run_folder import RunFolder


@dataclass(frozen=True)
class Picture:
    """Image of the page: its subject, its data URI, and the files that hold it."""

    about: str
    uri: str
    file: str


class Contents:
    """Content of a run folder; None for missing files."""

    def __init__(self, run: Path) -> None:
        """Read all files; raise RunFolderError if the recipe is missing or one of them is damaged."""
        self.folder = folder = RunFolder(run)
        self.recipe = folder.recipe.required()
        self.versions = folder.versions.read()
        self.split, self.metrics, self.codes = folder.split.read(), folder.metrics.read(), folder.codes.read()
        self.scores, self.removal = folder.scores.read(), folder.removal.read()
        self.correlations = folder.correlations.read()
        self.findings: list[dict[str, Any]] | None = (folder.inspection.read() or {}).get("findings")
        self.examples = folder.examples.read("inputs", "full")
        self.thumbnails = folder.thumbnails.read()

    def figure(self, name: str) -> Picture | None:
        """Read `figures/NAME.png`; None if it does not exist."""
        return read_file(self.folder.figures / f"{name}.png", _picture)

    def scatters(self) -> list[Picture]:
        """Read the figures of codes, the one coloured by label first."""
        from sepvae.codes import attribute_columns

        columns = [] if self.codes is None else attribute_columns(self.codes)
        column_of = {name: column for column, name in scatter_files(columns).items()}
        files = sorted(self.folder.figures.glob("codes_*.png"), key=lambda p: (p.stem != "codes_label", p))
        found = [(file.stem, picture) for file in files if (picture := self.figure(file.stem))]
        return [replace(picture, about=column_of.get(name, picture.about)) for name, picture in found]


def _picture(path: Path) -> Picture:
    content = path.read_bytes()
    if not content.startswith(b"\x89PNG"):
        raise ValueError("no PNG image")
    uri = "data:image/webp;base64," + base64.b64encode(_webp(content)).decode()
    also = ", .svg" if path.with_suffix(".svg").is_file() else ""
    return Picture(path.stem.removeprefix("codes_"), uri, f"{path.parent.name}/{path.name}{also}")


def _webp(png: bytes) -> bytes:
    """Re-encode a PNG as lossless WebP, which takes about half the bytes."""
    from PIL import Image

    file = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(file, "WEBP", lossless=True)
    return file.getvalue()
