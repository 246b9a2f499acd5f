"""Removal scores and thumbnails of a run, which a quick fit omits and `evaluate --complete` adds."""

from pathlib import Path
from typing import Any

from sepvae.batch import Source
from sepvae.evaluation.classifiers import removal_questions
from sepvae.interpretation.examples import make_thumbnails
from sepvae.interpretation.removal import score_removal
from sepvae.methods import load
from sepvae.progress import Say, stage
from sepvae.run_folder import RunFolder
from sepvae.runs.threads import use_threads


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
        Names of the table of removal and of the thumbnails, without files that such data do not have.

    Raises
    ------
    RunFolderError
        If the folder holds no codes, or they are damaged.
    """
    folder = RunFolder(run)
    removal, thumbnails = folder.removal, folder.thumbnails
    questions = removal_questions(folder.codes.required(), kinds=folder.kinds())[0]
    missing = [file for file in (removal, thumbnails) if not file.exists() and (questions or file != removal)]
    if not missing:
        return []
    model = load(run)
    axes = len(model.sample_shape_)
    possible = {removal: axes < 4 and model.capabilities.decoder, thumbnails: axes > 1}
    return [file.path.name for file in missing if possible[file]]


def complete_run(run: str | Path, train: Source, test: Source, *, say: Say = print) -> list[str]:
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
    folder, model, missing = RunFolder(run), load(run), left_out_of(run)
    recipe = folder.recipe.required()
    protocol = dict(recipe.get("protocol", {}))
    with use_threads(recipe.get("threads")):
        if folder.thumbnails.path.name in missing:
            with stage("thumbnails", say):
                if (images := make_thumbnails(test)) is not None:
                    folder.thumbnails.write(images)
            protocol["thumbnails"] = True
        if folder.removal.path.name in missing:
            with stage("scoring removal", say) as progress:
                codes = folder.codes.required()
                how: dict[str, Any] = {"kinds": folder.kinds(), "progress": progress}
                if (scores := score_removal(model, train, test, codes, say=say, **how)) is not None:
                    folder.removal.write(scores)
            protocol["removal"] = True
    folder.recipe.write(recipe | {"protocol": protocol})
    return missing
