"""Facts about a run: headline facts, settings, sample counts, and the command that repeats it."""

import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sepvae.report.contents import Contents
from sepvae.report.warnings import divided_groups
from sepvae.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

NOT_A_SETTING = ("command",)  # shown in a place of its own


WORDS = {  # one sample, several, and one number of a sample, by the number of axes of the samples' array
    2: {"one": "row", "many": "rows", "value": "feature"},
    4: {"one": "image", "many": "images", "value": "pixel"},
    5: {"one": "volume", "many": "volumes", "value": "voxel"},
}
SAMPLES = {"one": "sample", "many": "samples", "value": "value"}


def words(contents: Contents) -> dict[str, str]:
    """Return the words for one sample of a run, several samples, and one value of a sample."""
    known = contents.examples
    return SAMPLES if known is None else WORDS.get(known["inputs"].ndim, SAMPLES)


def title(recipe: dict[str, Any]) -> str:
    """
    Return the title of a run: its method and its data.

    >>> title({"method": "SepVAE", "data": {"reader": "image_folder", "name": "chest_xray"}})
    'SepVAE on chest_xray'
    >>> title({"method": "SepVAE", "data": {"fingerprint": "0a1b2c"}})
    'SepVAE on unnamed data'
    """
    method, data = _name(recipe.get("method"), "Unnamed method"), _name(recipe.get("data"), "unnamed data")
    return f"{method} on {data}"


def facts(contents: Contents) -> dict[str, Any]:
    """Return the headline facts of a run that are known, by name."""
    known = settings(contents.recipe)
    found = {
        "samples": None if contents.split is None else len(contents.split),
        "epochs": None if contents.metrics is None else contents.metrics["epoch"].nunique(),
        "batch size": _batch_size(known),
        "seed": known.get("keywords.random_state"),
        "wall time": _duration(known.get("seconds.all")),
        "sepvae": (contents.versions or {}).get("sepvae"),
        "data fingerprint": str(known.get("data.fingerprint") or "")[:12] or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _batch_size(known: Mapping[str, Any]) -> str | None:
    """Return the batch size that was set, or the one that "auto" chose."""
    if (taken := known.get("taken.batch_size")) is None:
        asked = known.get("keywords.batch_size")
        return None if asked is None else str(asked)
    return f"{taken} (auto: {known.get('taken.steps_per_epoch')} steps an epoch)"


def settings(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return every value of a recipe by its dotted name, such as keywords.kappa; lists as text."""
    return dict(_flat({name: value for name, value in recipe.items() if name not in NOT_A_SETTING}))


def settings_by_part(recipe: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return every value of a recipe by part, then by its dotted name within the part."""
    return {str(part): dict(_flat(value)) for part, value in recipe.items() if part not in NOT_A_SETTING}


def command(recipe: dict[str, Any]) -> str:
    """
    Return the command that repeats a run with the same split; empty if no command is recorded.

    >>> command({"command": ["sepvae", "fit", "my data", "--out", "run"]})
    "sepvae fit 'my data' --out run --split RUN/split.csv"
    """
    typed = recipe.get("command")
    if not typed:
        return ""
    words = list(map(str, typed)) if isinstance(typed, list) else shlex.split(str(typed))
    drawn = "fit" in words[:3] and "--split" not in words and "digits-on-photos" not in words
    again = ["--split", RunFolder("RUN").split.path.as_posix()] if drawn else []
    return shlex.join([*words, *again])


def has_epochs(recipe: dict[str, Any]) -> bool:
    """Return whether a method was trained in epochs, unlike linear methods; True if it is unknown."""
    keywords = recipe.get("keywords")
    return not isinstance(keywords, dict) or "max_epochs" in keywords


def samples(contents: Contents) -> dict[str, Any] | None:
    """Return sample counts per split and label, and subject counts if subjects have several samples."""
    split = contents.split
    if split is None:
        return None
    groups = _groups_of_labels(contents.codes)
    labels = sorted(
        split["label"].dropna().unique(), key=lambda label: (groups.get(label) != "background", label)
    )
    grouped = split["group"].nunique() < len(split)
    splits = sorted(split["split"].dropna().unique(), key=lambda name: (name == "test", name))
    parts = {**{name: split[split["split"] == name] for name in splits}, "all": split}
    names = [f"{label} ({groups[label]})" if groups.get(label, label) != label else label for label in labels]
    return {
        "columns": [*names, "all", *(["subjects"] if grouped else [])],
        "rows": [(name, _counts(part, labels, grouped=grouped)) for name, part in parts.items()],
        "divided": divided_groups(split),
    }


def _counts(part: "pd.DataFrame", labels: list[str], *, grouped: bool) -> list[int]:
    by_label = [int((part["label"] == label).sum()) for label in labels]
    return [*by_label, len(part), *([part["group"].nunique()] if grouped else [])]


def _groups_of_labels(codes: "pd.DataFrame | None") -> dict[str, str]:
    """Return background or target for each label, as `codes.csv` has them."""
    if codes is None:
        return {}
    names = {0: "background", 1: "target"}
    known = codes[["label", "y"]].dropna().drop_duplicates()
    return {label: names[y] for label, y in known.itertuples(index=False) if y in names}


def _name(value: Any, unnamed: str) -> str:
    """Return the name of a method or of data; a mapping gives its name or its reader."""
    if isinstance(value, Mapping):
        value = value.get("name") or value.get("reader")
    return str(value or unnamed)


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, ", ".join(map(str, value)) if isinstance(value, list) else value


def _duration(seconds: Any) -> str | None:
    if not isinstance(seconds, int | float):
        return None
    if seconds < 120:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
