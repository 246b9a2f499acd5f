"""Write and read the files of a run folder."""

import csv
import io
import json
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

import numpy as np
import pandas as pd
import yaml

from sepvae.errors import RunFolderError
from sepvae.files import read_file, read_table, write_whole

FORMAT = 1  # version of run folders; those that record none have this one, too
PACKAGES = (
    *("sepvae", "torch", "lightning", "numpy", "scipy", "scikit-learn", "pandas", "pillow", "matplotlib"),
    *("plotly", "safetensors", "nibabel", "nilearn", "zarr"),
)


def check_new_run(run: Path) -> None:
    """
    Check that a run folder does not exist yet, before a long fit starts.

    Parameters
    ----------
    run : Path
        The folder.

    Raises
    ------
    RunFolderError
        If it exists.
    """
    if run.exists():
        half = (run / "recipe.yaml").is_file() and not (run / "report.html").is_file()
        go_on = "; --resume goes on with what was begun there" * half
        raise RunFolderError(
            f"{run}: wanted a new run folder, but it exists; choose another --out, or remove it{go_on}"
        )


def read_split_of_run(run: Path) -> pd.DataFrame | None:
    """Read id, group, label and split from `split.csv`, as text; None if the file does not exist."""
    words = ["id", "group", "label", "split"]
    return read_file(run / "split.csv", lambda path: read_table(path, words)[words])


def read_codes(run: str | Path) -> pd.DataFrame:
    """
    Read the codes of a run folder.

    Parameters
    ----------
    run : str or Path
        The run folder.

    Returns
    -------
    DataFrame
        One row per sample; ids, groups, labels and categorical attributes are text.

    Raises
    ------
    RunFolderError
        If the folder holds no codes, or they are damaged.
    """
    kinds = read_recipe(run).get("attributes", {})
    words = [
        "id",
        "group",
        "label",
        "split",
        *(name for name, kind in kinds.items() if kind == "categorical"),
    ]
    codes = read_file(Path(run) / "codes.csv", lambda path: read_table(path, words))
    if codes is None:
        raise RunFolderError(f"{run}: wanted a run folder with codes.csv, as `sepvae fit` leaves it")
    return codes


def read_recipe(run: str | Path) -> dict[str, Any]:
    """
    Read the recipe of a run folder.

    Parameters
    ----------
    run : str or Path
        The run folder.

    Returns
    -------
    dict
        Content of `recipe.yaml`.

    Raises
    ------
    RunFolderError
        If the file is missing, damaged or of a newer version.
    """
    recipe = read_file(
        Path(run) / "recipe.yaml", lambda path: dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    )
    if recipe is None:
        raise RunFolderError(f"{run}: wanted a run folder with recipe.yaml, as `sepvae fit` leaves it")
    if (found := recipe.get("format", FORMAT)) != FORMAT:
        raise RunFolderError(
            f"{run}: its recipe.yaml is of format {found}, this sepvae reads format {FORMAT}; update sepvae"
        )
    if isinstance(data := recipe.get("data"), dict) and "group" in data:  # former name of "subject"
        recipe["data"] = {"subject" if key == "group" else key: value for key, value in data.items()}
    return recipe


def write_recipe(run: Path, recipe: dict[str, Any]) -> None:
    """Write `recipe.yaml`; objects without a YAML type are written as the name of their class."""
    recipe = {"format": FORMAT, **recipe}
    write_whole(run / "recipe.yaml", yaml.safe_dump(plain(recipe), sort_keys=False))


def write_versions(run: Path) -> None:
    """Write `versions.json`: versions of Python and of the packages that the numbers depend on."""
    write_whole(run / "versions.json", json.dumps(_versions(), indent=2) + "\n")


def read_versions(run: str | Path) -> dict[str, Any]:
    """Read `versions.json`: version by package; empty if the file does not exist."""
    path = Path(run) / "versions.json"
    return read_file(path, lambda file: dict(json.loads(file.read_text(encoding="utf-8")))) or {}


def differing_versions(run: Path) -> str:
    """Return versions that changed, as in "torch 2.12.0 (now 2.13.0)"; empty if none did or none is known."""
    old, now = read_versions(run), _versions()
    pairs = [(name, was, now[name]) for name, was in (old or now).items() if was != now.get(name, was)]
    return ", ".join(f"{name} {was} (now {is_now})" for name, was, is_now in pairs)


def read_scores(run: Path) -> pd.DataFrame:
    """Read `scores.csv`; raise RunFolderError if it is missing or damaged."""
    words = ["space", "attribute", "population", "metric"]
    scores = read_file(run / "scores.csv", lambda path: read_table(path, words))
    if scores is None:
        raise RunFolderError(f"{run}: wanted a run folder with scores.csv, as `sepvae fit` leaves it")
    return scores


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, without its index."""
    text = table.to_csv(index=False, lineterminator="\n")
    if "\r" in text:  # Python does not quote it, and readers take it for the end of a row
        text = table.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    write_whole(path, text)


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write arrays as compressed `.npz`."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_whole(path, buffer.getvalue())


def plain(value: Any) -> Any:
    """Convert a value to YAML types: NumPy scalars to Python's, other objects to the name of their class."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, str | int | float | bool) else type(value).__name__


def _versions() -> dict[str, str]:
    return {"python": python_version(), **{name: version(name) for name in PACKAGES}}
