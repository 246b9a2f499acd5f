"""`fit_run`: fit on the training part, score and draw the test part, and write the run folder."""

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from sklearn.base import clone, is_regressor

from sepvae.batch import AnyArray, Source, chunk_rows, chunks
from sepvae.checks import ask_for_background, guess_background, names_controls, order_labels
from sepvae.codes import Codes, attribute_kind, code_columns
from sepvae.data.arrays import ArraySource
from sepvae.data.quality_metrics import measure_source
from sepvae.errors import DataError, TrainingError
from sepvae.evaluation.correlations import salient_correlations
from sepvae.evaluation.scores import score_codes
from sepvae.files import read_file, remove_asides, write_whole
from sepvae.inspection import Inspection, inspect
from sepvae.methods._examples import make_examples
from sepvae.methods.base import ContrastiveEstimator
from sepvae.progress import stage
from sepvae.report.page import write_report
from sepvae.runs.additions import write_removal, write_thumbnails
from sepvae.runs.figures import draw
from sepvae.runs.folder import (
    check_new_run,
    differing_versions,
    read_recipe,
    read_scores,
    write_arrays,
    write_recipe,
    write_table,
    write_versions,
)
from sepvae.runs.maps import can_map, write_maps
from sepvae.runs.resume import (
    STATE,
    check_same_fit,
    claimed,
    is_begun,
    is_finished,
    remove_run_on_error,
    wants_more_epochs,
)
from sepvae.runs.scoring import described, encoded, reconstruction_errors
from sepvae.runs.threads import use_threads
from sepvae.training.callbacks import MetricsFile

NOT_IN_RECIPE = (
    "progress_bar",
    "num_workers",
    "checkpoint",
    "warm_start",
    "logger",
    "callbacks",
)  # these do not change the result

SAID = ("missing-code", "missing-word", "label-looks-missing")  # codes of warnings that are printed in full

Say = Callable[[str], None]
Removal = bool | Literal["auto"]


def fit_run(
    model: ContrastiveEstimator,
    train: Source,
    test: Source,
    out: str | Path,
    *,
    about_data: dict[str, Any],
    kinds: Mapping[str, Any] | None = None,
    quality_metrics: pd.DataFrame | None = None,
    command: Sequence[str] | None = None,
    n_permutations: int = 100,
    removal: Removal = "auto",
    thumbnails: bool = True,
    resume: bool = False,
    say: Say = print,
) -> pd.DataFrame | None:
    """
    Fit a model, score its codes, draw its figures, and write the run folder.

    All ranks fit; rank 0 does the rest.

    Parameters
    ----------
    model : ContrastiveEstimator
        Unfitted model; it is cloned.
    train, test : Source
        Samples to fit on, and samples to score.
    out : str or Path
        The run folder; it must not exist, except with `resume`.
    about_data : dict
        Options that repeat the reading of the data; they are written to `recipe.yaml`.
    kinds : mapping, default=None
        Kinds of attributes, "categorical" or "continuous"; other attributes get theirs from their values.
    quality_metrics : DataFrame, default=None
        Quality metrics of the files of train, then of test; by default those of the samples as given.
    command : sequence of str, default=None
        Command that was typed; the page shows how to repeat it.
    n_permutations : int, default=100
        Number of permutations behind each p-value.
    removal : bool or "auto", default="auto"
        Whether to train classifiers that score removal and swaps. "auto" bounds their training on images:
        together they process half as many samples as the fit, and none is trained if that is too few.
    thumbnails : bool, default=True
        Whether the scatter plot of the page shows test images.
    resume : bool, default=False
        Resume an interrupted fit in this folder after its last finished epoch, with the same number of
        threads and the same numbers as without the interruption. Without an earlier fit, start one.
    say : callable, default=print
        Called with each progress message.

    Returns
    -------
    DataFrame or None
        The scores, as in `scores.csv`; None on ranks above 0.

    Raises
    ------
    RunFolderError
        If the folder exists, or, with `resume`, holds another fit or one that is running.
    DataError
        If the data or a keyword is invalid.
    TrainingError
        If a loss term is not finite. The checkpoint of the last epoch is kept, and `diverged.csv` lists the
        ids of the last steps.
    """
    run, started = Path(out), time.monotonic()
    model = clone(model)
    if model.capabilities.epochs and model.random_state is not None:  # not resumable without seed
        model.set_params(checkpoint=run / STATE)
    if not model.is_first_process():
        done = resume and (run / "report.html").is_file() and not wants_more_epochs(run, model.get_params())
        if not done:
            model.fit(train)
        return None
    if is_regressor(model):
        raise DataError(
            f"target: wanted group for a run folder, got {model.target}; severities are fitted in Python, by "
            "SepVAE(target='severity').fit(X, y)"
        )
    if not resume:
        check_new_run(run)
    begun = is_begun(run)
    labels = np.asarray(train.labels)
    guess = guess_background(labels.tolist())
    if model.background is None and guess.why == "number" and not names_controls(guess.background):
        raise DataError(ask_for_background(Counter(labels.tolist()), "background="))
    classes, order = order_labels(labels, model.background)
    background, target = classes[order].tolist()
    model.set_params(background=background)
    kind_of = {str(name): attribute_kind(values) for name, values in train.attributes.items()}
    kind_of |= dict(kinds or {})
    recipe: dict[str, Any] = {
        "data": about_data | {"fingerprint": fingerprint(train, test)},
        "attributes": kind_of,
        "method": type(model).__name__,
        "keywords": {k: v for k, v in model.get_params().items() if k not in NOT_IN_RECIPE},
        "protocol": {"n_permutations": n_permutations, "scored_on": "test"}
        | {"removal": removal, "thumbnails": thumbnails},
        "threads": torch.get_num_threads(),
    }
    if command:
        recipe["command"] = list(command)
    longer = begun and wants_more_epochs(run, recipe["keywords"])
    if begun:
        check_same_fit(run, recipe)
    with claimed(run):
        if begun and is_finished(run) and not longer:
            say(f"{run} is finished")
            return read_scores(run)
        with remove_run_on_error(run):
            if begun:
                recipe |= _go_on(run, say, () if longer else ("command",))
            if longer or not begun:
                write_recipe(run, recipe)
            if not begun:
                write_versions(run)
            with use_threads(recipe["threads"]):
                with stage("checking the data", say, show=_shows_bars(model)):
                    allowed = about_data.get("not_missing")
                    inspection = _inspect(train, test, quality_metrics, kind_of, model, allowed)
                if about_data.get("resample"):
                    inspection = inspection.on_one_grid()
                write_whole(run / "check.json", json.dumps(inspection.to_dict(), indent=2) + "\n")
                _say_findings(inspection, say)
                say(f"background {background}, target {target}; fitting on {len(train)} samples")
                with stage("fitting", say, show=not model.capabilities.epochs):  # epochs have their own bar
                    learnt = _fit(model, train, run)
                recipe |= _taken(model, train, say)
                fitted = time.monotonic()
                how: dict[str, Any] = {"kinds": kind_of, "n_permutations": n_permutations, "say": say}
                how |= {"removal": removal, "thumbnails": thumbnails}
                scores = finish_run(model, train, test, run, learnt=learnt, **how)
            seconds = {"fit": round(fitted - started, 1), "all": round(time.monotonic() - started, 1)}
            write_recipe(run, recipe | {"seconds": seconds})
            with stage("writing the page", say, show=_shows_bars(model)):
                write_report(run)
    return scores


def _go_on(run: Path, say: Say, kept: Sequence[str]) -> dict[str, Any]:
    """Prepare the folder of an earlier fit; return the threads and `kept` entries of its recipe."""
    remove_asides(run)
    old = read_recipe(run)
    epochs = read_file(run / "metrics.csv", lambda path: len(pd.read_csv(path))) or 0
    say(f"going on with {run}, after {epochs} epochs" if epochs else f"going on with {run}, from the start")
    if changed := differing_versions(run):
        say(f"warning: started with {changed}, so that numbers may differ in their last digits")
    return {name: old[name] for name in ("threads", *kept) if name in old}


def _fit(model: ContrastiveEstimator, train: Source, run: Path) -> Codes[AnyArray]:
    """Fit or resume, save the model, and return the codes of `train`; on divergence write `diverged.csv`."""
    if model.capabilities.epochs:
        (run / STATE).parent.mkdir(exist_ok=True)
        model.set_params(callbacks=[*(model.callbacks or []), MetricsFile(run / "metrics.csv")])
    try:
        learnt = model.fit_encode(train)
    except TrainingError as error:
        steps = [(step, name) for step, names in error.batches.items() for name in names]
        write_table(run / "diverged.csv", pd.DataFrame(steps, columns=["step", "id"]))
        message = f"{error}; all samples of the last steps are in {run / 'diverged.csv'}"
        raise TrainingError(message, error.batches) from None
    if model.capabilities.epochs:
        write_table(run / "metrics.csv", model.history_)  # also if all epochs were finished before
    shutil.rmtree(run / "model", ignore_errors=True)  # of an earlier start
    model.save(run / "model")
    return learnt


def _taken(model: ContrastiveEstimator, train: Source, say: Say) -> dict[str, Any]:
    """Print and return the batch size and epochs that "auto" chose; empty if neither is "auto"."""
    names = ("batch_size", "max_epochs") if model.capabilities.epochs else ()
    taken = {name: getattr(model, f"{name}_") for name in names if getattr(model, name) == "auto"}
    if not taken:
        return {}
    steps = max((len(train) - len(model.validation_indices_)) // model.batch_size_, 1)
    said = ", ".join(f"{name} {value}" for name, value in taken.items())
    say(f"auto: {said} (steps an epoch: {steps})")
    return {"taken": taken | {"steps_per_epoch": steps}}


def finish_run(
    model: ContrastiveEstimator,
    train: Source,
    test: Source,
    run: Path,
    *,
    learnt: Codes[AnyArray] | None = None,
    kinds: Mapping[str, Any],
    n_permutations: int,
    removal: Removal = "auto",
    thumbnails: bool = True,
    say: Say = print,
) -> pd.DataFrame:
    """
    Score a fitted model and draw its figures.

    Parameters
    ----------
    model : ContrastiveEstimator
        Fitted on `train`.
    train, test : Source
        Samples that were fitted on, and samples to score.
    run : Path
        The run folder.
    learnt : Codes of ndarray or None, default=None
        Codes of `train` from `fit_encode`; by default `train` is encoded like new samples.
    kinds : mapping
        Kind of each attribute, "categorical" or "continuous".
    n_permutations : int
        Number of permutations behind each p-value.
    removal, thumbnails : object
        As in `fit_run`.
    say : callable, default=print
        Called with each progress message.

    Returns
    -------
    DataFrame
        The scores, as in `scores.csv`.
    """
    step = partial(stage, say=say, show=_shows_bars(model))
    with step("encoding"):
        learnt = model.encode(train) if learnt is None else learnt
        parts = [encoded(model, train, "train", learnt), encoded(model, test, "test")]
        errors = reconstruction_errors(model, test)
    codes = pd.concat(parts, ignore_index=True)
    write_table(run / "codes.csv", codes)
    write_table(run / "split.csv", codes[["id", "group", "label", "split"]])
    with step("scoring") as progress:
        how: dict[str, Any] = {"kinds": kinds, "n_permutations": n_permutations, "progress": progress}
        scores = score_codes(codes, reconstruction_error=errors, **how)
    write_table(run / "scores.csv", scores)
    write_table(run / "correlations.csv", salient_correlations(codes, kinds=kinds))
    of_targets = codes.loc[(codes["split"] != "test") & (codes["y"] == 1), code_columns(codes, "salient")]
    with step("examples"):
        write_arrays(run / "examples.npz", make_examples(model, of_targets.to_numpy(), test))
        if thumbnails:
            write_thumbnails(run, test)
    if removal:
        budget = _removal_budget(model, codes) if removal == "auto" else None
        with step("scoring removal") as progress:
            write_removal(run, model, train, test, codes, kinds, budget=budget, say=say, progress=progress)
    if can_map(test):
        with step("mapping what the salient part adds") as progress:
            shutil.rmtree(run / "maps", ignore_errors=True)  # of an earlier start
            write_maps(model, test, run / "maps", progress=progress)
    with step("drawing"):
        draw(run)
    return scores


def _shows_bars(model: ContrastiveEstimator) -> bool:
    return not model.capabilities.epochs or bool(model.progress_bar)


def _removal_budget(model: ContrastiveEstimator, codes: pd.DataFrame) -> int:
    """Return half the number of samples that the fit processed; without epochs, it processed each once."""
    epochs = len(model.history_) if model.capabilities.epochs else 1
    return epochs * int((codes["split"] == "train").sum()) // 2


def fingerprint(*sources: Source) -> str:
    """
    Return the SHA-256 hex digest of samples, ids, groups and labels, in order.

    >>> from sepvae.data import ArraySource
    >>> fingerprint(ArraySource([[1.0]], ["well"]))[:8] == fingerprint(ArraySource([[2.0]], ["well"]))[:8]
    False
    """
    digest = hashlib.sha256()
    for source in sources:
        for part in chunks(len(source), chunk_rows(source.sample_shape)):
            batch = source.take(part)
            for column in (batch.id, batch.group, batch.y):
                digest.update("\n".join(map(str, column.tolist())).encode())
            digest.update(np.ascontiguousarray(batch.x).tobytes())
    return digest.hexdigest()


def _say_findings(inspection: Inspection, say: Say) -> None:
    """Print errors and findings in `SAID` in full, and the number of warnings; the page lists them all."""
    levels = [finding.level for finding in inspection.findings]
    for finding in inspection.findings:
        if finding.level == "error" or finding.code in SAID:
            say(f"warning: {finding.message}")
    if n := levels.count("warning"):
        say(f"{n} {'warning' if n == 1 else 'warnings'} about the data: the page has them, as has check.json")


def _inspect(
    train: Source,
    test: Source,
    quality_metrics: pd.DataFrame | None,
    kinds: Mapping[str, Any],
    model: ContrastiveEstimator,
    not_missing: Sequence[str] | None,
) -> Inspection:
    """Return the inspection of the data with this model's batch size and validation fraction."""
    parts = {"train": train, "test": test}
    about = pd.concat([described(part, name) for name, part in parts.items()], ignore_index=True)
    if quality_metrics is None:
        quality_metrics = pd.concat([measure_source(part) for part in parts.values()], ignore_index=True)
    return inspect(
        about,
        quality_metrics,
        features=_features(train, test),
        kinds=kinds,
        background=model.background,
        not_missing=not_missing or (),
        validation_fraction=model.validation_fraction if model.capabilities.epochs else 0,
        batch_size=model.batch_size if model.capabilities.epochs else "auto",
    )


def _features(*sources: Source) -> pd.DataFrame | None:
    """Return the features of tables by name; None if a source has no feature names."""
    parts = [
        pd.DataFrame(source.x, columns=[*source.feature_names])
        for source in sources
        if isinstance(source, ArraySource) and source.feature_names is not None
    ]
    return pd.concat(parts, ignore_index=True) if len(parts) == len(sources) else None
