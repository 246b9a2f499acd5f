"""Tables, settings and figures of a run folder, read for its page."""

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sepvae.errors import RunFolderError
from sepvae.files import read_file, read_table
from sepvae.report.file_names import scatter_files
from sepvae.report.scores import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

    from sepvae.batch import AnyArray

WORDS = {
    "metrics.csv": (),
    "split.csv": ("id", "group", "label", "split"),
    "codes.csv": ("id", "group", "label", "split"),
    "scores.csv": ("space", "attribute", "population", "metric"),
    "removal.csv": ("attribute", "images", "wanted"),
    "correlations.csv": ("attribute", "kind", "population", "axis", "measure"),
}
NUMBERS = {
    "metrics.csv": ("epoch",),
    "split.csv": (),
    "codes.csv": ("y", "common0", "salient0"),
    "scores.csv": COLUMNS[4:],
    "removal.csv": ("score", "low", "high", "chance"),
    "correlations.csv": ("value", "p_value", "p_adjusted", "n"),
}
LEVELS = ("error", "warning", "note")


@dataclass(frozen=True)
class Picture:
    """Image of the page: its subject, its data URI, and the files that hold it."""

    about: str
    uri: str
    file: str


@dataclass(frozen=True)
class Contents:
    """Content of a run folder; None for missing files."""

    path: Path
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
        return read_file(self.path / "figures" / f"{name}.png", _picture)

    def scatters(self) -> list[Picture]:
        """Read the figures of codes, the one coloured by label first."""
        from sepvae.codes import attribute_columns

        columns = [] if self.codes is None else attribute_columns(self.codes)
        column_of = {name: column for column, name in scatter_files(columns).items()}
        files = sorted(
            (self.path / "figures").glob("codes_*.png"), key=lambda p: (p.stem != "codes_label", p)
        )
        found = [(file.stem, picture) for file in files if (picture := self.figure(file.stem))]
        return [replace(picture, about=column_of.get(name, picture.about)) for name, picture in found]


def read_contents(run: Path) -> Contents:
    """Read a run folder; raise RunFolderError if it has no recipe or one of its files is damaged."""
    recipe = read_file(run / "recipe.yaml", _yaml)
    if recipe is None:
        raise RunFolderError(
            f"{run} is not a run folder: it has no recipe.yaml; give the folder that a fit wrote"
        )
    kinds = recipe.get("attributes")
    kinds = kinds if isinstance(kinds, Mapping) else {}
    classes = [str(name) for name, kind in kinds.items() if kind == "categorical"]
    return Contents(
        path=run,
        recipe=recipe,
        versions=read_file(run / "versions.json", lambda path: dict(json.loads(path.read_text("utf-8")))),
        split=_table(run / "split.csv"),
        metrics=_table(run / "metrics.csv"),
        codes=_table(run / "codes.csv", classes),
        scores=_table(run / "scores.csv"),
        removal=_table(run / "removal.csv"),
        correlations=_table(run / "correlations.csv"),
        findings=read_file(run / "check.json", _findings),
        examples=read_file(run / "examples.npz", lambda path: _arrays(path, ("inputs", "full"))),
        thumbnails=read_file(run / "thumbnails.npz", _thumbnails),
    )


def _yaml(path: Path) -> dict[str, Any]:
    import yaml

    return dict(yaml.safe_load(path.read_text("utf-8")))


def _table(path: Path, classes: list[str] | None = None) -> "pd.DataFrame | None":
    words = (*WORDS[path.name], *(classes or []))
    table = read_file(path, lambda path: _csv(path, words))
    wanted = (*WORDS[path.name], *NUMBERS[path.name])
    missing = [] if table is None else [column for column in wanted if column not in table]
    if missing:
        raise RunFolderError(
            f"{path} lacks columns {', '.join(missing)}; delete it to leave it out, or make it again"
        )
    return table


def _csv(path: Path, words: tuple[str, ...]) -> "pd.DataFrame":
    """Read a table; raise ValueError if a number column (NUMBERS, codes, all of metrics.csv) has text."""
    import pandas as pd

    table = read_table(path, words)
    names = table.columns if path.name == "metrics.csv" else NUMBERS[path.name]
    codes = [name for name in table if path.name == "codes.csv" and _is_code(str(name))]
    for name in {*names, *codes} & set(table):
        if len(table) and not pd.api.types.is_numeric_dtype(table[name]):
            raise ValueError(f"column {name} holds something that is no number")
    return table


def _is_code(column: str) -> bool:
    return any(column.startswith(space) and column[len(space) :].isdigit() for space in ("common", "salient"))


def _findings(path: Path) -> list[dict[str, Any]]:
    """Read and validate the findings of `check.json`, errors first."""
    findings = json.loads(path.read_text("utf-8"))["findings"]
    if not isinstance(findings, list):
        raise TypeError("findings is no list")
    for finding in findings:
        if not isinstance(finding, dict) or not isinstance(finding.get("message"), str):
            raise TypeError("a finding has no message")
        if finding.get("level") not in LEVELS or not isinstance(finding.get("examples", []), list):
            raise TypeError("a finding has no level error, warning or note, or its examples are no list")
    return sorted(findings, key=lambda finding: LEVELS.index(finding["level"]))


def _arrays(path: Path, names: tuple[str, ...]) -> "dict[str, AnyArray]":
    import numpy as np

    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in names}


def _thumbnails(path: Path) -> "dict[str, AnyArray]":
    found = _arrays(path, ("ids", "images"))
    ids, images = found["ids"], found["images"]
    if (
        images.ndim != 4
        or images.shape[1] not in (1, 3)
        or len(ids) != len(images)
        or images.dtype != "uint8"
    ):
        raise ValueError(f"images: wanted uint8 (n, 1 or 3, h, w), one for each id, got {images.shape}")
    return found


def _picture(path: Path) -> Picture:
    content = path.read_bytes()
    if not content.startswith(b"\x89PNG"):
        raise ValueError("no PNG image")
    uri = "data:image/webp;base64," + base64.b64encode(_webp(content)).decode()
    also = ", .svg" if path.with_suffix(".svg").is_file() else ""
    return Picture(path.stem.removeprefix("codes_"), uri, f"figures/{path.name}{also}")


def _webp(png: bytes) -> bytes:
    """Re-encode a PNG as lossless WebP, which takes about half the bytes."""
    from PIL import Image

    file = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(file, "WEBP", lossless=True)
    return file.getvalue()
