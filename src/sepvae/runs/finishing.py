"""`finish_run`: score a fitted model, and draw its figures."""

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from sepvae.batch import AnyArray, Source
from sepvae.codes import Codes, code_columns
from sepvae.evaluation.correlations import salient_correlations
from sepvae.evaluation.scores import score_codes
from sepvae.interpretation.examples import make_examples, make_thumbnails
from sepvae.interpretation.map_folder import can_map, write_maps
from sepvae.interpretation.removal import score_removal
from sepvae.methods.base import ContrastiveEstimator
from sepvae.progress import Say, stage
from sepvae.run_folder import SAMPLE, RunFolder
from sepvae.runs.figures import draw
from sepvae.runs.scoring import encoded, reconstruction_errors

Removal = bool | Literal["auto"]


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
    folder = RunFolder(run)
    step = partial(stage, say=say, show=shows_bars(model))
    with step("encoding"):
        learnt = model.encode(train) if learnt is None else learnt
        parts = [encoded(model, train, "train", learnt), encoded(model, test, "test")]
        errors = reconstruction_errors(model, test)
    codes = pd.concat(parts, ignore_index=True)
    folder.codes.write(codes)
    folder.split.write(codes[[*SAMPLE]])
    with step("scoring") as progress:
        how: dict[str, Any] = {"kinds": kinds, "n_permutations": n_permutations, "progress": progress}
        scores = score_codes(codes, reconstruction_error=errors, **how)
    folder.scores.write(scores)
    folder.correlations.write(salient_correlations(codes, kinds=kinds))
    of_targets = codes.loc[(codes["split"] != "test") & (codes["y"] == 1), code_columns(codes, "salient")]
    with step("examples"):
        folder.examples.write(make_examples(model, of_targets.to_numpy(), test))
        if thumbnails and (images := make_thumbnails(test)) is not None:
            folder.thumbnails.write(images)
    if removal:
        budget = _removal_budget(model, codes) if removal == "auto" else None
        with step("scoring removal") as progress:
            how = {"kinds": kinds, "budget": budget, "say": say, "progress": progress}
            if (removed := score_removal(model, train, test, codes, **how)) is not None:
                folder.removal.write(removed)
    if can_map(model, test):
        with step("mapping what the salient part adds") as progress:
            shutil.rmtree(folder.maps.path, ignore_errors=True)  # of an earlier start
            write_maps(model, test, folder.maps.path, progress=progress)
    with step("drawing"):
        draw(run)
    return scores


def shows_bars(model: ContrastiveEstimator) -> bool:
    """Return whether progress bars are shown."""
    return not model.capabilities.epochs or bool(model.progress_bar)


def _removal_budget(model: ContrastiveEstimator, codes: pd.DataFrame) -> int:
    """Return half the number of samples that the fit processed; without epochs, it processed each once."""
    epochs = len(model.history_) if model.capabilities.epochs else 1
    return epochs * int((codes["split"] == "train").sum()) // 2
