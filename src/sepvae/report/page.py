"""`write_report`: read a run folder, write its page."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sepvae.errors import RunFolderError
from sepvae.files import write_whole
from sepvae.report.scores import COLUMNS, SPACES, sections
from sepvae.report.summary import summary

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


@dataclass(frozen=True)
class Picture:
    """An image of the page: what it shows, and itself as a data URI."""

    about: str
    uri: str


def write_report(run: Path) -> Path:
    """
    Write everything that a run folder tells as one HTML page, `report.html`, that needs no other file.

    What the folder lacks is left out, and the page says so. An older page stays until the new one is whole.

    Parameters
    ----------
    run : Path
        A run folder: one with a `recipe.yaml`. Its `split.csv`, `versions.json`, `metrics.csv`, `codes.csv`,
        `scores.csv` and `figures` are read as well.

    Returns
    -------
    Path
        Where the page is.

    Raises
    ------
    RunFolderError
        If the folder is no run folder, or one of its files cannot be read.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sepvae.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    run = Path(run)
    page = run / "report.html"
    write_whole(page, environment.get_template("page.html.j2").render(_contents(run)))
    return page


def _contents(run: Path) -> dict[str, Any]:
    """All that the template shows; None for what is missing."""
    recipe = _recipe(run)
    scores = _table(run / "scores.csv", COLUMNS)
    split = _table(run / "split.csv", ("id", "group", "label", "split"))
    metrics = _table(run / "metrics.csv", ("epoch",))
    versions = _read(run / "versions.json", lambda path: dict(json.loads(path.read_text("utf-8"))))
    figures = run / "figures"
    return {
        "method": _name(recipe.get("method", "Unnamed method")),
        "data": _name(recipe.get("data", "unnamed data")),
        "facts": _facts(recipe, split, metrics, versions),
        "summary": None if scores is None else summary(scores),
        "samples": None if split is None else _samples(split, _groups_of_labels(run)),
        "spaces": SPACES,
        "sections": None if scores is None else sections(scores),
        "reconstructions": _picture(figures / "reconstructions.png"),
        "scatters": [_picture(path) for path in sorted(figures.glob("codes_*.png"), key=_label_first)],
        "curves": _picture(figures / "learning_curves.png"),
        "settings": {part: dict(_flat(value)) for part, value in recipe.items()},
        "versions": versions,
    }


def _read(path: Path, reader: Callable[[Path], T]) -> T | None:
    """What a file holds, or None where there is none."""
    from yaml import YAMLError

    if not path.is_file():
        return None
    try:
        return reader(path)
    except (ValueError, TypeError, YAMLError) as error:
        reason = str(error).partition("\n")[0]
        raise RunFolderError(
            f"{path} is damaged ({reason}); delete it to leave it out, or make it again"
        ) from error


def _recipe(run: Path) -> dict[str, Any]:
    import yaml

    recipe = _read(run / "recipe.yaml", lambda path: dict(yaml.safe_load(path.read_text("utf-8"))))
    if recipe is None:
        raise RunFolderError(
            f"{run} is not a run folder: it has no recipe.yaml; give the folder that a fit wrote"
        )
    return recipe


def _table(path: Path, columns: tuple[str, ...]) -> "pd.DataFrame | None":
    import pandas as pd

    words = dict.fromkeys(
        ("id", "group", "label", "split", "space", "attribute", "population", "metric"), str
    )
    gaps: dict[str, Any] = {"keep_default_na": False, "na_values": [""]}  # "NA" and "None" are names
    table = _read(path, lambda path: pd.read_csv(path, dtype=words, **gaps))
    missing = [] if table is None else [column for column in columns if column not in table]
    if missing:
        raise RunFolderError(
            f"{path} lacks columns {', '.join(missing)}; delete it to leave it out, or make it again"
        )
    return table


def _picture(path: Path) -> Picture | None:
    content = _read(path, Path.read_bytes)
    if content is None:
        return None
    uri = "data:image/png;base64," + base64.b64encode(content).decode()
    return Picture(path.stem.removeprefix("codes_"), uri)


def _label_first(path: Path) -> tuple[bool, str]:
    return path.stem != "codes_label", path.stem


def _name(value: Any) -> str:
    """Name a method or data in a word, also where a recipe tells more of it."""
    return str(value.get("name") or value.get("reader")) if isinstance(value, Mapping) else str(value)


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Name every value of nested settings, as in protocol.split.seed."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, ", ".join(map(str, value)) if isinstance(value, list) else value


def _facts(
    recipe: dict[str, Any],
    split: "pd.DataFrame | None",
    metrics: "pd.DataFrame | None",
    versions: dict[str, str] | None,
) -> dict[str, Any]:
    """The few facts at the top of the page."""
    settings = dict(_flat(recipe))
    facts = {
        "samples": None if split is None else len(split),
        "epochs": None if metrics is None else metrics["epoch"].nunique(),
        "seed": settings.get("keywords.random_state"),
        "wall time": _duration(settings.get("seconds.all")),
        "sepvae": (versions or {}).get("sepvae"),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _duration(seconds: float | None) -> str | None:
    if seconds is None or seconds < 120:
        return None if seconds is None else f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _groups_of_labels(run: Path) -> dict[str, str]:
    """Which label is the background: `codes.csv` knows."""
    import pandas as pd

    table = _read(
        run / "codes.csv",
        lambda path: pd.read_csv(path, dtype=str, usecols=["label", "y"], keep_default_na=False),
    )
    if table is None:
        return {}
    names = {"0": "background", "1": "target"}
    return {label: names[y] for label, y in table.drop_duplicates().itertuples(index=False) if y in names}


def _samples(split: "pd.DataFrame", groups: dict[str, str]) -> dict[str, Any]:
    """Count the samples of each split and label, and their groups where these hold more than one."""
    labels = sorted(split["label"].unique(), key=lambda label: (groups.get(label) != "background", label))
    grouped = split["group"].nunique() < len(split)
    splits = sorted(split["split"].unique(), key=lambda name: (name == "test", name))

    def counts(part: "pd.DataFrame") -> list[int]:
        by_label = [int((part["label"] == label).sum()) for label in labels]
        return [*by_label, len(part), *([part["group"].nunique()] if grouped else [])]

    names = [f"{label} ({groups[label]})" if groups.get(label, label) != label else label for label in labels]
    return {
        "columns": [*names, "all", *(["groups"] if grouped else [])],
        "rows": [*((name, counts(split[split["split"] == name])) for name in splits), ("all", counts(split))],
        "divided": int(split[["group", "split"]].drop_duplicates()["group"].value_counts().gt(1).sum()),
    }
