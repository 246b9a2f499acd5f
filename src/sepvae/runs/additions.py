"""Removal scores and thumbnails of a run, which a quick fit omits and `evaluate --complete` adds."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sepvae.batch import Source
from sepvae.evaluation.removal import removal_questions
from sepvae.methods import load
from sepvae.methods._examples import make_thumbnails
from sepvae.methods._removal import score_removal
from sepvae.methods.base import ContrastiveEstimator
from sepvae.progress import stage
from sepvae.runs.folder import read_codes, read_recipe, write_arrays, write_recipe, write_table
from sepvae.runs.threads import use_threads

REMOVAL, THUMBNAILS = "removal.csv", "thumbnails.npz"


def left_out_of(run: str | Path) -> list[str]:
    """
    List the files that a quick fit left out of a run folder.

    Parameters
    ----------
    run : str or Path
        The run folder.

    Returns
    -------
    list of str
        Subset of "removal.csv" and "thumbnails.npz", without files that such data do not have.

    Raises
    ------
    RunFolderError
        If the folder holds no codes, or they are damaged.
    """
    codes, kinds, folder = read_codes(run), read_recipe(run).get("attributes"), Path(run)
    found = []
    if not (folder / REMOVAL).is_file() and removal_questions(codes, kinds=kinds)[0]:
        found.append(REMOVAL)
    if not (folder / THUMBNAILS).is_file():
        found.append(THUMBNAILS)
    shape = load(run).sample_shape_ if found else ()
    return [name for name in found if len(shape) < 4 or name != REMOVAL if len(shape) > 1 or name == REMOVAL]


def complete_run(
    run: str | Path, train: Source, test: Source, *, say: Callable[[str], None] = print
) -> list[str]:
    """
    Add the files that a quick fit left out to a run folder.

    Parameters
    ----------
    run : str or Path
        The run folder.
    train, test : Source
        Training and test samples of the run, as `check_same_data` requires. The classifiers of removal are
        trained in full, not bounded by the length of the fit.
    say : callable, default=print
        Called with each progress message.

    Returns
    -------
    list of str
        Names of the added files. The recipe records them, so that `rerun` makes them, too.
    """
    folder, model, recipe, missing = Path(run), load(run), read_recipe(run), left_out_of(run)
    protocol = dict(recipe.get("protocol", {}))
    with use_threads(recipe.get("threads")):
        if THUMBNAILS in missing:
            with stage("thumbnails", say):
                write_thumbnails(folder, test)
            protocol["thumbnails"] = True
        if REMOVAL in missing:
            with stage("scoring removal", say) as progress:
                kinds = recipe.get("attributes", {})
                write_removal(folder, model, train, test, read_codes(run), kinds, say=say, progress=progress)
            protocol["removal"] = True
    write_recipe(folder, recipe | {"protocol": protocol})
    return missing


def write_thumbnails(run: Path, test: Source) -> None:
    """Write small test images for the page, if samples are images or volumes."""
    if (thumbnails := make_thumbnails(test)) is not None:
        write_arrays(run / THUMBNAILS, thumbnails)


def write_removal(
    run: Path,
    model: ContrastiveEstimator,
    train: Source,
    test: Source,
    codes: pd.DataFrame,
    kinds: Mapping[str, Any],
    **how: Any,
) -> None:
    """Write scores of removal and swaps, unless `score_removal` leaves them out, such as for volumes."""
    if (removal := score_removal(model, train, test, codes, kinds=kinds, **how)) is not None:
        write_table(run / REMOVAL, removal)
