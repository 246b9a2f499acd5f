"""`rerun`: check that data are those of a run, and fit again with its recipe."""

from pathlib import Path

import pandas as pd

from sepvae.batch import Source
from sepvae.errors import RunFolderError
from sepvae.methods.base import ContrastiveEstimator
from sepvae.progress import Say, stage
from sepvae.registry import find_method, method_names
from sepvae.run_folder import RunFolder
from sepvae.runs.fitting import fit_run
from sepvae.runs.same_data import check_same_data
from sepvae.runs.threads import use_threads


def model_of(run: str | Path) -> ContrastiveEstimator:
    """
    Make an unfitted estimator with the settings of a run.

    Parameters
    ----------
    run : str or Path
        The run folder.

    Returns
    -------
    ContrastiveEstimator
        Unfitted, with the keywords of the recipe.

    Raises
    ------
    RunFolderError
        If the run is not finished, or its recipe cannot be repeated: custom modules, severities, no seed, or
        a keyword that this version does not have.
    """
    folder = RunFolder(run)
    recipe = folder.recipe.required()
    name, keywords = str(recipe.get("method")), recipe.get("keywords")
    if not folder.is_finished(recipe):
        raise RunFolderError(
            f"{run}: is not finished; finish it, or run `sepvae fit` again, before it is repeated"
        )
    if name not in method_names() or not isinstance(keywords, dict):
        raise RunFolderError(
            f"{run}: its recipe.yaml names no method that is installed, so it cannot be repeated"
        )
    if isinstance(keywords.get("network"), list):
        own = "was fitted with modules of your own, which no file holds"
        raise RunFolderError(f"{run}: {own}; repeat it in Python, by fit_run")
    if keywords.get("target", "group") != "group":
        raise RunFolderError(f"{run}: was fitted on severities; repeat it in Python, by fit(X, y)")
    if keywords.get("random_state", 0) is None:
        raise RunFolderError(f"{run}: was fitted with random_state=None, so that no two fits of it are alike")
    if not isinstance(threads := recipe.get("threads", 1), int) or threads < 1:
        raise RunFolderError(
            f"{run}: threads in its recipe.yaml: wanted a whole number from 1, got {threads!r}"
        )
    cls = find_method(name)
    if unknown := sorted(keywords.keys() - cls().get_params().keys()):
        raise RunFolderError(
            f"{run}: its recipe.yaml has {unknown[0]}, which {name} does not know here; take the version of "
            "sepvae that versions.json names"
        )
    model: ContrastiveEstimator = cls(**keywords)
    return model


def rerun(
    run: str | Path,
    train: Source,
    test: Source,
    out: str | Path,
    *,
    quality_metrics: pd.DataFrame | None = None,
    say: Say = print,
) -> pd.DataFrame | None:
    """
    Repeat the fit of a run, with its recipe and number of threads, in another run folder.

    Parameters
    ----------
    run : str or Path
        The run folder.
    train, test : Source
        The samples of the run, in the order of its `split.csv`.
    out : str or Path
        The run folder to create.
    quality_metrics : DataFrame, default=None
        As in `fit_run`.
    say : callable, default=print
        Called with each progress message.

    Returns
    -------
    DataFrame or None
        The scores, as in `fit_run`; `compare_runs` compares both folders.

    Raises
    ------
    RunFolderError
        As in `model_of`, or if `out` exists.
    DataError
        If the samples are not those of the run; nothing is fitted then.
    """
    recipe, model = RunFolder(run).recipe.required(), model_of(run)
    if model.is_first_process():
        with stage("comparing the data with those of the run", say):
            check_same_data(run, train, test)
    protocol = recipe.get("protocol", {})
    with use_threads(recipe.get("threads")):
        return fit_run(
            model,
            train,
            test,
            out,
            about_data={k: v for k, v in recipe["data"].items() if k != "fingerprint"},
            kinds=recipe.get("attributes"),
            quality_metrics=quality_metrics,
            command=recipe.get("command"),
            n_permutations=protocol.get("n_permutations", 0),
            removal=protocol.get("removal", True),  # older runs trained these classifiers without a bound
            thumbnails=protocol.get("thumbnails", True),
            say=say,
        )
