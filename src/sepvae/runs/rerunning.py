"""`rerun`: check that data are those of a run, and fit again with its recipe."""

import csv
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from sepvae.batch import Source
from sepvae.errors import DataError, RunFolderError
from sepvae.files import read_file
from sepvae.methods.base import ContrastiveEstimator
from sepvae.progress import stage
from sepvae.registry import find_method, method_names
from sepvae.runs.fitting import Say, fingerprint, fit_run
from sepvae.runs.folder import read_recipe
from sepvae.runs.resume import is_finished
from sepvae.runs.scoring import described
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
    recipe = read_recipe(run)
    name, keywords = str(recipe.get("method")), recipe.get("keywords")
    if not is_finished(Path(run)):
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
    recipe, model = read_recipe(run), model_of(run)
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


def check_same_data(run: str | Path, train: Source, test: Source) -> None:
    """Raise DataError if samples, ids, groups, labels or attributes differ from those of a run."""
    about = pd.concat([described(train, "train"), described(test, "test")], ignore_index=True)
    now = _cells(StringIO(about.to_csv(index=False, quoting=csv.QUOTE_ALL, lineterminator="\n")))
    then = read_file(Path(run) / "codes.csv", _cells)
    if then is None:
        raise RunFolderError(f"{run}: wanted a run folder with codes.csv, as `sepvae fit` leaves it")
    if then["id"].tolist() != now["id"].tolist():
        raise DataError(f"{run}: wanted its samples in the order of its split.csv, got others")
    for name in now.columns.intersection(then.columns).drop("split"):  # validation is drawn by the fit
        if (changed := np.flatnonzero(then[name] != now[name])).size:
            more = f", and {changed.size - 1} more" * (changed.size > 1)
            sample, was, now_is = (
                table[n].iloc[changed[0]] for table, n in ((then, "id"), (then, name), (now, name))
            )
            raise _not_the_same(run, f"{name} of {sample!r} was {was!r}, is {now_is!r}{more}")
    if fingerprint(train, test) != read_recipe(run).get("data", {}).get("fingerprint"):
        told = "ids, groups, labels and attributes are the same, what the samples hold is not"
        raise _not_the_same(run, f"{told} (files were changed, or are read in another way)")


def _cells(file: Path | StringIO) -> pd.DataFrame:
    """Read all cells of a table as text."""
    return pd.read_csv(file, dtype=str, keep_default_na=False)


def _not_the_same(run: str | Path, what: str) -> DataError:
    return DataError(
        f"{run}: was fitted on other data: {what}; nothing was fitted: give the data as they were"
    )
