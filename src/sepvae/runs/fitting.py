"""`fit_run`: fit on the training part, score and draw the test part, and write the run folder."""

import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import clone, is_regressor

from sepvae.batch import AnyArray, Source
from sepvae.checks import ask_for_background, guess_background, joined, names_controls, order_labels
from sepvae.codes import Codes, attribute_kinds, block_sizes
from sepvae.data.arrays import ArraySource
from sepvae.data.quality_metrics import measure_source
from sepvae.errors import DataError, TrainingError, count
from sepvae.inspection import inspect
from sepvae.inspection.confounds import quality_numbers
from sepvae.mesh import Mesh
from sepvae.methods.base import ContrastiveEstimator
from sepvae.progress import Say, stage
from sepvae.report.page import write_report
from sepvae.run_folder import N_PERMUTATIONS, RunFolder
from sepvae.runs.finishing import Removal, finish_run, shows_bars
from sepvae.runs.loggers import check_logger, logged
from sepvae.runs.resume import (
    begin,
    check_new_run,
    claimed,
    earlier_recipe,
    fingerprint,
    remove_run_on_error,
    use_threads,
    wants_more_epochs,
)
from sepvae.runs.scoring import described
from sepvae.training.callbacks import MetricsFile

PRINTED = ("missing-code", "missing-word", "label-looks-missing")  # warnings that are printed in full
# Keywords that do not change the result.
NOT_IN_RECIPE = {"progress_bar", "num_workers", "checkpoint", "warm_start", "logger", "callbacks"}


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
    n_permutations: int = N_PERMUTATIONS,
    removal: Removal = "auto",
    thumbnails: bool = True,
    logger: str | None = None,
    resume: bool = False,
    say: Say = print,
) -> pd.DataFrame | None:
    """
    Fit a model, score its codes, draw its figures, and write the run folder; ranks above 0 only fit.

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
        Kinds of attributes, "categorical" or "continuous"; those of others follow from their values.
    quality_metrics : DataFrame, default=None
        Those of the files of train, then of test; by default those of the samples as given.
    command : sequence of str, default=None
        Command that was typed; the page shows how to repeat it.
    n_permutations : int, default=100
        Number of permutations behind each p-value.
    removal : bool or "auto", default="auto"
        Whether to train classifiers that score removal and swaps. With "auto", they together process at most
        half as many samples as the fit, or none is trained.
    thumbnails : bool, default=True
        Whether the scatter plot of the page shows test images.
    logger : {"csv", "tensorboard", "mlflow", "wandb"}, default=None
        Program that logs the training, too: in `logs/` of the run folder, or in its own place.
    resume : bool, default=False
        Resume an interrupted fit in this folder, if any, after its last epoch, with the same numbers.
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
        If a loss term is not finite; `diverged.csv` lists the samples of the last steps.
    """
    run, model, started = RunFolder(out), clone(model), time.monotonic()
    check_logger(logger, model)
    if model.capabilities.epochs and model.random_state is not None:  # not resumable without seed
        model.set_params(checkpoint=run.checkpoint)
    if not model.is_first_process():
        done = resume and run.report.is_file()
        if not done or wants_more_epochs(run.recipe.required(), model.get_params()):
            model.fit(train)
        return None
    if not resume:
        check_new_run(run.path)
    targets = _choose_background(model, train)
    model.input_adapter().check_new(train, model.background, test)
    scoring = {"n_permutations": n_permutations, "removal": removal, "thumbnails": thumbnails}
    recipe: dict[str, Any] = {
        "data": about_data | {"fingerprint": fingerprint(train, test)},
        "attributes": attribute_kinds(train.attributes) | dict(kinds or {}),
        "method": type(model).__name__,
        "keywords": {k: v for k, v in model.get_params().items() if k not in NOT_IN_RECIPE},
        "protocol": {"n_permutations": n_permutations, "scored_on": "test"} | scoring,
        "threads": torch.get_num_threads(),
    }
    recipe |= {"command": list(command)} if command else {}
    with claimed(run):
        earlier = earlier_recipe(run, recipe)
        if earlier and run.is_finished(earlier) and not wants_more_epochs(earlier, recipe["keywords"]):
            say(f"{run} is finished")
            return run.scores.required()
        with remove_run_on_error(run):
            begin(run, recipe, earlier, say)
            with use_threads(recipe["threads"]):
                _inspect(run, model, train, test, recipe, quality_metrics, say)
                learnt = _fit(model, train, targets, run, logger, say)
                recipe |= _taken(model, train, say) | _severity(model, say)
                fitted = time.monotonic()
                how: dict[str, Any] = {"kinds": recipe["attributes"], "say": say, **scoring}
                scores = finish_run(model, train, test, run.path, learnt=learnt, **how)
            seconds = {"fit": round(fitted - started, 1), "all": round(time.monotonic() - started, 1)}
            run.recipe.write(recipe | {"seconds": seconds})
            with stage("writing the page", say, show=shows_bars(model)):
                write_report(run.path)
    return scores


def _choose_background(model: ContrastiveEstimator, train: Source) -> list[Any]:
    """Set the background of the model, unless it is guessed from numbers; return the targets."""
    if is_regressor(model) and model.severity is None:
        raise DataError(
            "target: severities of a run folder are an attribute of the targets, got none; name it by "
            "--target-severity"
        )
    labels = np.asarray(train.labels)
    guess = guess_background(labels.tolist())
    if model.background is None and guess.why == "number" and not names_controls(guess.background):
        raise DataError(ask_for_background(Counter(labels.tolist()), "background="))
    classes, order = order_labels(labels, model.background)
    groups: list[Any] = classes[order].tolist()
    model.set_params(background=groups[0])
    return groups[1:]


def _inspect(
    run: RunFolder,
    model: ContrastiveEstimator,
    train: Source,
    test: Source,
    recipe: Mapping[str, Any],
    quality_metrics: pd.DataFrame | None,
    say: Say,
) -> None:
    """Inspect the data, with this model's batch size and validation fraction; write and print findings."""
    data, parts, epochs = recipe["data"], {"train": train, "test": test}, model.capabilities.epochs
    with stage("checking the data", say, show=shows_bars(model)):
        about = pd.concat([described(part, name) for name, part in parts.items()], ignore_index=True)
        if quality_metrics is None:
            quality_metrics = pd.concat([measure_source(part) for part in parts.values()], ignore_index=True)
        inspection = inspect(
            about,
            quality_metrics,
            features=_features(train, test),
            kinds=recipe["attributes"],
            background=model.background,
            not_missing=data.get("not_missing") or (),
            grouped=getattr(train, "grouped", None),
            validation_fraction=model.validation_fraction if epochs else 0,
            batch_size=model.batch_size if epochs else "auto",
            severity=getattr(model, "severity", None),
        )
    if data.get("resample"):
        inspection = inspection.on_one_grid()
    run.inspection.write(inspection.to_dict())
    if len((numbers := quality_numbers(quality_metrics)).columns):
        run.quality.write(numbers.assign(id=about["id"].to_numpy()))
    for finding in inspection.findings:
        if finding.level == "error" or finding.code in PRINTED:
            say(f"warning: {finding.message}")
    if n := sum(finding.level == "warning" for finding in inspection.findings):
        say(f"{count(n, 'warning')} about the data: the page has them, as has check.json")


def _features(*sources: Source) -> pd.DataFrame | None:
    """Return the features of tables by name; None if a source has no feature names, or those of vertices."""
    parts = [
        pd.DataFrame(source.x, columns=[*source.feature_names])
        for source in sources
        if isinstance(source, ArraySource) and source.feature_names is not None
        if Mesh.of_features(source.feature_names) is None
    ]
    return pd.concat(parts, ignore_index=True) if len(parts) == len(sources) else None


def _fit(
    model: ContrastiveEstimator,
    train: Source,
    targets: list[Any],
    run: RunFolder,
    logger: str | None,
    say: Say,
) -> Codes[AnyArray]:
    """Fit or resume, save the model, and return the codes of `train`; on divergence write the last steps."""
    named = f"target{'s' * (len(targets) > 1)} {joined([*map(str, targets)])}"
    say(f"background {model.background}, {named}; fitting on {len(train)} samples")
    if model.capabilities.epochs:
        run.checkpoint.parent.mkdir(exist_ok=True)
        model.set_params(callbacks=[*(model.callbacks or []), MetricsFile(run.metrics.path)])
    try:
        show = not model.capabilities.epochs  # epochs have their own bar
        with logged(model, logger, run), stage("fitting", say, show=show):
            learnt = model.fit_encode(train)
    except TrainingError as error:
        steps = [(step, name) for step, names in error.batches.items() for name in names]
        run.diverged.write(pd.DataFrame(steps, columns=["step", "id"]))
        message = f"{error}; all samples of the last steps are in {run.diverged}"
        raise TrainingError(message, error.batches) from None
    if model.capabilities.epochs:
        run.metrics.write(model.history_)  # also if all epochs were finished before
    shutil.rmtree(run.model, ignore_errors=True)  # of an earlier start
    model.save(run.model)
    return learnt


def _severity(model: ContrastiveEstimator, say: Say) -> dict[str, Any]:
    """Print and return what y of targets was; empty for a model of groups."""
    if (most := model.severity_max_) is None:
        return {}
    name = model.get_params()["severity"]
    say(f"y of targets: {name} divided by {most:g}, its maximum in training")
    return {"severity": {"attribute": name, "maximum": most}}


def _taken(model: ContrastiveEstimator, train: Source, say: Say) -> dict[str, Any]:
    """Print and return the batch size and epochs that "auto" chose; return the salient blocks, too."""
    blocks = {"salient_blocks": block_sizes(model.salient_blocks_)} if model.salient_blocks_ else {}
    names = ("batch_size", "max_epochs") if model.capabilities.epochs else ()
    taken = {name: getattr(model, f"{name}_") for name in names if getattr(model, name) == "auto"}
    if not taken:
        return blocks
    steps = max((len(train) - len(model.validation_indices_)) // model.batch_size_, 1)
    say(f"auto: {', '.join(f'{name} {n}' for name, n in taken.items())} (steps an epoch: {steps})")
    return {"taken": taken | {"steps_per_epoch": steps}} | blocks
