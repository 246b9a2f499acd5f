"""Content of a run folder for its page: tables, settings, figures, facts on top, severity of targets."""

import base64
import io
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from sepvae.batch import AnyArray
from sepvae.codes import attribute_columns, salient_length
from sepvae.errors import DataError
from sepvae.files import names_apart, read_file
from sepvae.grid import Grid
from sepvae.run_folder import EFFECT, IMAGE, RunFolder

if TYPE_CHECKING:
    from PIL import Image

WORDS = {  # one sample, several, and one number of a sample, by the number of axes of the samples' array
    0: {"one": "sample", "many": "samples", "value": "value"},  # not known
    2: {"one": "row", "many": "rows", "value": "feature"},
    4: {"one": "image", "many": "images", "value": "pixel"},
    5: {"one": "volume", "many": "volumes", "value": "voxel"},
}
SURFACES = {"one": "surface", "many": "surfaces", "value": "vertex"}  # rows of a table, too


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
        self.correlations, self.counterfactuals = folder.correlations.read(), folder.counterfactuals.read()
        self.stability = folder.stability.read()
        self.inspection = folder.inspection.read()
        self.findings: list[dict[str, Any]] | None = (self.inspection or {}).get("findings")
        self.inference = folder.inference.summary.read()
        self.examples = folder.examples.read("inputs", "full")
        self.thumbnails = folder.thumbnails.read()
        axes = 0 if self.examples is None else self.examples["inputs"].ndim
        data = self.recipe.get("data")
        on_mesh = isinstance(data, dict) and data.get("reader") == "surfaces"
        self.words = SURFACES if on_mesh else WORDS.get(axes, WORDS[0])

    def figure(self, name: str) -> Picture | None:
        """Read `figures/NAME.png`; None if it does not exist."""
        return read_file(self.folder.figures / f"{name}.png", _picture)

    def map_picture(self, file: str) -> Picture | None:
        """Read the picture of the map of a person that `maps.csv` names; None if there is none."""
        name = file.removesuffix(".nii.gz").removesuffix(".png")
        return read_file(self.folder.maps.picture(name), _picture)

    def scatters(self) -> list[Picture]:
        """Read the figures of codes, the one coloured by label first."""
        columns = [] if self.codes is None else attribute_columns(self.codes)
        column_of = {name: column for column, name in scatter_files(columns).items()}
        files = sorted(self.folder.figures.glob("codes_*.png"), key=lambda p: (p.stem != "codes_label", p))
        found = [(file.stem, picture) for file in files if (picture := self.figure(file.stem))]
        return [replace(picture, about=column_of.get(name, picture.about)) for name, picture in found]

    def viewer(self) -> str | None:
        """Return an HTML viewer of Cohen's d over the mean image; None if there are no such volumes."""
        effect, image = (read_file(self.folder.maps.volume(name), _volume) for name in (EFFECT, IMAGE))
        if effect is None or image is None or effect[0].shape != image[0].shape:
            return None
        from sepvae.plotting.maps import map_viewer

        return map_viewer(effect[0], image[0], effect[1])

    def facts(self) -> dict[str, Any]:
        """Return the headline facts that are known, by name."""
        known = settings(self.recipe)
        batch_size, seconds = known.get("taken.batch_size"), known.get("seconds.all")
        if batch_size is not None:  # chosen by "auto"
            batch_size = f"{batch_size} (auto: {known.get('taken.steps_per_epoch')} steps an epoch)"
        found = {
            "samples": None if self.split is None else len(self.split),
            "epochs": None if self.metrics is None else self.metrics["epoch"].nunique(),
            "batch size": known.get("keywords.batch_size") if batch_size is None else batch_size,
            "seed": known.get("keywords.random_state"),
            "harmonised": _harmonised(known),
            "removed by a regression on controls": known.get("keywords.residualise"),
            "given to the decoder": known.get("keywords.condition_on"),
            "wall time": _duration(seconds) if isinstance(seconds, int | float) else None,
            "sepvae": (self.versions or {}).get("sepvae"),
            "data fingerprint": str(known.get("data.fingerprint") or "")[:12] or None,
        }
        return {name: value for name, value in found.items() if value is not None}

    def samples(self) -> dict[str, Any] | None:
        """Return sample counts per split and label, and subject counts if subjects have several samples."""
        if (split := self.split) is None:
            return None
        groups: dict[str, str] = {}
        if self.codes is not None:
            named = self.codes["y"].map({0: "background", 1: "target"}).dropna()
            groups = dict(zip(self.codes.loc[named.index, "label"], named, strict=True))
        labels = sorted(split["label"].dropna().unique(), key=lambda x: (groups.get(x) != "background", x))
        names = [f"{x} ({groups[x]})" if groups.get(x, x) != x else x for x in labels]
        splits = sorted(split["split"].dropna().unique(), key=lambda name: (name == "test", name))
        grouped, rows = split["group"].nunique() < len(split), []
        for name in [*splits, "all"]:
            part = split if name == "all" else split[split["split"] == name]
            counts = [*part["label"].value_counts().reindex(labels, fill_value=0), len(part)]
            rows.append((name, [*counts, part["group"].nunique()] if grouped else counts))
        columns = [*names, "all", *["subjects"] * grouped]
        return {"columns": columns, "rows": rows, "divided": divided_groups(split)}

    def has_epochs(self) -> bool:
        """Return whether a method was trained in epochs, unlike linear methods; True if it is unknown."""
        keywords = self.recipe.get("keywords")
        return not isinstance(keywords, dict) or "max_epochs" in keywords


def scatter_files(columns: Iterable[str]) -> dict[str, str]:
    """
    Return the name of each figure of codes by the column that colours it, label first, without suffix.

    >>> scatter_files(["age", "a b", "a_b"])
    {'label': 'codes_label', 'age': 'codes_age', 'a b': 'codes_a_b', 'a_b': 'codes_a_b-2'}
    """
    names = ["label", *columns]
    return {column: f"codes_{name}" for column, name in zip(names, names_apart(names), strict=True)}


def divided_groups(split: pd.DataFrame) -> int:
    """Count the groups that have samples in more than one split."""
    return int(split.groupby("group")["split"].nunique().gt(1).sum())


def title(recipe: dict[str, Any]) -> str:
    """
    Return the title of a run: its method and its data.

    >>> title({"method": "SepVAE", "data": {"reader": "image_folder", "name": "chest_xray"}})
    'SepVAE on chest_xray'
    >>> title({"method": "SepVAE", "data": {"fingerprint": "0a1b2c"}})
    'SepVAE on unnamed data'
    """
    method, data = (
        value.get("name") or value.get("reader") if isinstance(value, Mapping) else value
        for value in (recipe.get("method"), recipe.get("data"))
    )
    return f"{method or 'Unnamed method'} on {data or 'unnamed data'}"


def settings(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return every value of a recipe but its command by its dotted name, such as keywords.kappa."""
    return dict(_flat({name: value for name, value in recipe.items() if name != "command"}))


def settings_by_part(recipe: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return every value of a recipe by part, then by its dotted name within the part."""
    return {str(part): dict(_flat(value)) for part, value in recipe.items() if part != "command"}


def command(recipe: dict[str, Any]) -> str:
    """
    Return the command that repeats a run with the same split; empty if no command is recorded.

    >>> command({"command": ["sepvae", "fit", "my data", "--out", "run"]})
    "sepvae fit 'my data' --out run --split RUN/split.csv"
    """
    typed = recipe.get("command") or []
    words = list(map(str, typed)) if isinstance(typed, list) else shlex.split(str(typed))
    if "fit" in words[:3] and "--split" not in words and "digits-on-photos" not in words:
        words += ["--split", RunFolder("RUN").split.path.as_posix()]
    return shlex.join(words)


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested mappings by dotted name; lists as text."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, ", ".join(map(str, value)) if isinstance(value, list) else value


def _harmonised(known: dict[str, Any]) -> str | None:
    """Return which sites a model harmonises, and what it keeps; None if none."""
    if (site := known.get("keywords.harmonise")) is None:
        return None
    fitted, kept = known.get("keywords.harmonise_on", "controls"), known.get("keywords.preserve")
    return f"{site}, by {fitted} of the training part{f'; kept: {kept}' if kept else ''}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _picture(path: Path) -> Picture:
    """Read a PNG as lossless WebP, which takes about half the bytes."""
    from PIL import Image

    content = path.read_bytes()
    if not content.startswith(b"\x89PNG"):
        raise ValueError("no PNG image")
    uri = webp_uri(Image.open(io.BytesIO(content)).convert("RGB"))
    also = ", .svg" if path.with_suffix(".svg").is_file() else ""
    return Picture(path.stem.removeprefix("codes_"), uri, f"{path.parent.name}/{path.name}{also}")


def webp_uri(image: "Image.Image") -> str:
    """Return an image as a data URI, without loss."""
    file = io.BytesIO()
    image.save(file, "WEBP", lossless=True)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def _volume(path: Path) -> tuple[AnyArray, Grid]:
    from sepvae.data.nifti import NiftiFiles

    file = NiftiFiles([path])
    try:
        grid, voxels = file.header(0).grid, file(0)
    except DataError as error:
        raise ValueError(str(error)) from error
    if not np.isfinite(voxels).all():
        raise ValueError("a voxel is no finite number")
    return voxels, grid


class SeveritySection(NamedTuple):
    """Severity of targets, as the page shows it."""

    attribute: str
    maximum: str  # in training
    background: str
    n: int
    correlations: dict[str, float]  # Spearman's rho, by what is correlated
    figures: dict[str, Picture | None]
    mapped: bool  # whether there are maps by severity


def severity_section(contents: Contents) -> SeveritySection | None:
    """Return the section; None for a run that was not fitted by severity, or without codes."""
    known, codes = settings(contents.recipe), contents.codes
    attribute, maximum = known.get("keywords.severity"), known.get("severity.maximum")
    if codes is None or attribute not in codes:
        return None
    test = codes[(codes["split"] == "test") & codes[attribute].notna()]
    found = {"length of the salient code": _rho(test[attribute], salient_length(test))}
    if (maps := contents.folder.maps.samples.read()) is not None and "severity" in maps:
        found["mean absolute difference that it makes"] = _rho(maps["severity"], maps["mean_absolute"])
    return SeveritySection(
        str(attribute),
        f"{maximum:g}" if isinstance(maximum, int | float) else "its maximum",
        str(known.get("keywords.background")),
        len(test),
        found,
        {name: contents.figure(name) for name in ("severity", "map_severity")},
        contents.folder.maps.severity.exists(),
    )


def _rho(severity: "pd.Series[float]", values: "pd.Series[float]") -> float:
    return float(severity.astype(float).corr(values.astype(float), method="spearman"))
