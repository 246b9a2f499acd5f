"""What lies in a run folder, and how it is read again."""

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

PACKAGES = (
    *("sepvae", "torch", "lightning", "numpy", "scipy", "scikit-learn", "pandas", "pillow", "matplotlib"),
    *("plotly", "safetensors", "nibabel", "nilearn", "zarr"),
)


def check_new_run(run: Path) -> None:
    """
    See that a run folder can be made, before hours are spent on what would go into it.

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
        raise RunFolderError(
            f"{run}: wanted a new run folder, but it exists; choose another --out, or remove it"
        )


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
        What `recipe.yaml` holds.

    Raises
    ------
    RunFolderError
        If there is none, or it is damaged.
    """
    recipe = read_file(
        Path(run) / "recipe.yaml", lambda path: dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    )
    if recipe is None:
        raise RunFolderError(f"{run}: wanted a run folder with recipe.yaml, as `sepvae fit` leaves it")
    return recipe


def write_recipe(run: Path, recipe: dict[str, Any]) -> None:
    """
    Write `recipe.yaml`.

    Parameters
    ----------
    run : Path
        The run folder.
    recipe : dict
        Its parts; what YAML has no words for is written as text.
    """
    write_whole(run / "recipe.yaml", yaml.safe_dump(_plain(recipe), sort_keys=False))


def write_versions(run: Path) -> None:
    """
    Write `versions.json`: of Python and of what the numbers depend on.

    Parameters
    ----------
    run : Path
        The run folder.
    """
    versions = {"python": python_version(), **{name: version(name) for name in PACKAGES}}
    write_whole(run / "versions.json", json.dumps(versions, indent=2) + "\n")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """
    Write a table as CSV.

    Parameters
    ----------
    path : Path
        Where.
    table : DataFrame
        What, but for its index.
    """
    write_whole(path, table.to_csv(index=False))


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """
    Write arrays as `.npz`.

    Parameters
    ----------
    path : Path
        Where.
    arrays : dict of str to ndarray
        What.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_whole(path, buffer.getvalue())


def _plain(value: Any) -> Any:
    """Values that YAML has words for: no arrays' own numbers, no modules."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, str | int | float | bool) else type(value).__name__
