"""`finish_run`: score a fitted model, and draw its figures; `complete_run` adds what a quick fit left out."""

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from sepvae.batch import AnyArray, Source
from sepvae.codes import Codes
from sepvae.evaluation.classifiers import removal_questions
from sepvae.evaluation.correlations import salient_correlations
from sepvae.evaluation.patient_sheet import OVER_SEEDS, salient_sheet, sheet_note, tells_nothing
from sepvae.evaluation.scores import score_codes
from sepvae.interpretation.counterfactuals import score_counterfactuals
from sepvae.interpretation.examples import make_thumbnails
from sepvae.interpretation.map_folder import can_map, write_maps
from sepvae.interpretation.removal import score_removal
from sepvae.methods import load
from sepvae.methods.base import ContrastiveEstimator
from sepvae.progress import Say, stage
from sepvae.report.page import write_report
from sepvae.report.verdict import judge
from sepvae.run_files import TableFile
from sepvae.run_folder import SAMPLE, RunFolder
from sepvae.runs.figures import draw
from sepvae.runs.resume import use_threads
from sepvae.runs.scoring import encoded, examples_of, reconstruction_errors

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
    """Score a fitted model, draw its figures, return the scores; `learnt` are codes of `train`, if known."""
    folder = RunFolder(run)
    step = partial(stage, say=say, show=shows_bars(model))
    with step("encoding"):
        learnt = model.encode(train) if learnt is None else learnt
        of_test = model.encode(test)
        parts = [encoded(model, train, "train", learnt), encoded(model, test, "test", of_test)]
        errors = reconstruction_errors(model, test)
    codes = pd.concat(parts, ignore_index=True)
    folder.codes.write(codes)
    _remove_outdated(folder)
    folder.split.write(codes[[*SAMPLE]])
    people, n_controls = salient_sheet(of_test, parts[1]["group"], codes)
    folder.people.write(parts[1][[*SAMPLE[:3]]].join(people))
    if tells_nothing(people):
        say(f"note: {sheet_note(n_controls, people)}")
    with step("scoring") as progress:
        how: dict[str, Any] = {"kinds": kinds, "n_permutations": n_permutations, "progress": progress}
        how |= {"blocks": model.salient_blocks_, "quality": folder.quality.read()}
        scores = score_codes(codes, reconstruction_error=errors, **how)
    folder.scores.write(scores)
    folder.verdict.write(judge(scores, folder.inspection.read()).as_json())
    folder.correlations.write(salient_correlations(codes, kinds=kinds))
    with step("examples"):
        folder.examples.write(examples_of(model, codes, test))
        if thumbnails:
            _write_thumbnails(folder, test)
    if removal:
        # Half the number of samples that the fit processed; without epochs, it processed each once.
        epochs = len(model.history_) if model.capabilities.epochs else 1
        budget = epochs * int((codes["split"] == "train").sum()) // 2
        with step("scoring removal") as progress:
            how = {"kinds": kinds, "budget": budget if removal == "auto" else None, "progress": progress}
            _write(folder.removal, score_removal(model, train, test, codes, say=say, **how))
        with step("scoring counterfactuals") as progress:
            _write(folder.counterfactuals, score_counterfactuals(model, test, progress=progress))
    if can_map(model, test):
        with step("mapping what the salient part adds") as progress:
            shutil.rmtree(folder.maps.path, ignore_errors=True)  # of an earlier start
            write_maps(model, test, folder.maps.path, progress=progress)
    with step("drawing"):
        draw(run)
    return scores


def _remove_outdated(folder: RunFolder) -> None:
    """Remove what was found in codes of an earlier fit with fewer epochs."""
    shutil.rmtree(folder.inference.path, ignore_errors=True)
    folder.subtypes.remove()


def add_stability(run: Path, table: pd.DataFrame, people: pd.DataFrame | None) -> None:
    """Add to a finished run how far its fit agrees with those of other seeds, and write its page again."""
    folder = RunFolder(run)
    folder.stability.write(table)
    if people is not None:
        own = folder.people.required().drop(columns=[*OVER_SEEDS], errors="ignore")
        folder.people.write(own.merge(people[["id", *OVER_SEEDS]], on="id", how="left"))
    write_report(run)


def shows_bars(model: ContrastiveEstimator) -> bool:
    """Return whether progress bars are shown."""
    return not model.capabilities.epochs or bool(model.progress_bar)


def left_out_of(run: str | Path) -> list[str]:
    """Return the names of the files that a quick fit left out, without files that such data do not have."""
    folder = RunFolder(run)
    files = (folder.removal, folder.counterfactuals, folder.thumbnails)
    if not (missing := [file.path.name for file in files if not file.exists()]):
        return []
    model, questions = load(run), removal_questions(folder.codes.required(), kinds=folder.kinds())[0]
    decoder, images = model.capabilities.decoder, len(model.sample_shape_) > 1
    possible = dict(zip(files, (decoder and bool(questions), decoder, images), strict=True))
    return [file.path.name for file in files if possible[file] and file.path.name in missing]


def complete_run(run: str | Path, train: Source, test: Source, *, say: Say = print) -> list[str]:
    """Add what a quick fit left out, record it in the recipe, and return the names of the added files."""
    folder, missing = RunFolder(run), left_out_of(run)
    recipe = folder.recipe.required()
    protocol = dict(recipe.get("protocol", {}))
    with use_threads(recipe.get("threads")):
        if folder.thumbnails.path.name in missing:
            with stage("thumbnails", say):
                _write_thumbnails(folder, test)
            protocol["thumbnails"] = True
        if folder.removal.path.name in missing:
            with stage("scoring removal", say) as progress:
                how: dict[str, Any] = {"kinds": folder.kinds(), "say": say, "progress": progress}
                codes = folder.codes.required()
                _write(folder.removal, score_removal(load(run), train, test, codes, **how))
            protocol["removal"] = True
        if folder.counterfactuals.path.name in missing:
            with stage("scoring counterfactuals", say) as progress:
                _write(folder.counterfactuals, score_counterfactuals(load(run), test, progress=progress))
    folder.recipe.write(recipe | {"protocol": protocol})
    return missing


def _write_thumbnails(folder: RunFolder, test: Source) -> None:
    if (images := make_thumbnails(test)) is not None:
        folder.thumbnails.write(images)


def _write(file: TableFile, scores: pd.DataFrame | None) -> None:
    if scores is not None:
        file.write(scores)
