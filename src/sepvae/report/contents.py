"""Tables, settings and figures of a run folder, read for its page."""

import base64
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sepvae.files import read_file
from sepvae.report.file_names import scatter_files
from sepvae.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

    from sepvae.batch import AnyArray


@dataclass(frozen=True)
class Picture:
    """Image of the page: its subject, its data URI, and the files that hold it."""

    about: str
    uri: str
    file: str


@dataclass(frozen=True)
class Contents:
    """Content of a run folder; None for missing files."""

    folder: RunFolder
    recipe: dict[str, Any]
    versions: dict[str, Any] | None
    split: "pd.DataFrame | None"
    metrics: "pd.DataFrame | None"
    codes: "pd.DataFrame | None"
    scores: "pd.DataFrame | None"
    removal: "pd.DataFrame | None"
    correlations: "pd.DataFrame | None"
    findings: list[dict[str, Any]] | None
    examples: "dict[str, AnyArray] | None"
    thumbnails: "dict[str, AnyArray] | None"

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


def read_contents(run: Path) -> Contents:
    """Read a run folder; raise RunFolderError if it has no recipe or one of its files is damaged."""
    folder = RunFolder(run)
    return Contents(
        folder=folder,
        recipe=folder.recipe.required(),
        versions=folder.versions.read(),
        split=folder.split.read(),
        metrics=folder.metrics.read(),
        codes=folder.codes.read(),
        scores=folder.scores.read(),
        removal=folder.removal.read(),
        correlations=folder.correlations.read(),
        findings=(folder.inspection.read() or {}).get("findings"),
        examples=folder.examples.read("inputs", "full"),
        thumbnails=folder.thumbnails.read(),
    )


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
