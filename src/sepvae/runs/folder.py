"""Public functions on the files of a run folder; `RunFolder` knows them all."""

from pathlib import Path
from typing import Any

import pandas as pd

from sepvae.files import check_new
from sepvae.run_folder import RunFolder


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
    folder = RunFolder(run)
    half = folder.recipe.exists() and not folder.report.is_file()
    check_new(run, "run folder", "; --resume goes on with what was begun there" * half)


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
    return RunFolder(run).codes.required()


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
    return RunFolder(run).recipe.required()
