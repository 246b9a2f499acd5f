"""One cell of a benchmark: fit, encode, score. Finished files stay, so that a restart continues from them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sepvae.batch import Source
from sepvae.benchmark.contenders import Contender
from sepvae.benchmark.folder import CellFolder
from sepvae.codes import Kind, code_columns
from sepvae.evaluation.classifiers import group_scores, mlp_probabilities
from sepvae.evaluation.correlations import probe_predictions
from sepvae.evaluation.scores import score_codes
from sepvae.files import plain_name, read_table
from sepvae.interpretation.examples import make_examples
from sepvae.methods import load
from sepvae.registry import find_method
from sepvae.runs.scoring import described, encoded, reconstruction_errors

PAPER = "paper"  # preset whose continuous attributes are also predicted by least squares
WITHOUT_EFFECT = ("num_workers",)  # keywords that do not change the result


@dataclass(frozen=True)
class Cell:
    """One fit of a contender: one seed, scored on one fold (None: all cells share one split)."""

    contender: Contender
    seed: int
    fold: int | None = None

    @property
    def name(self) -> str:
        """Name of the cell's folder: letters, digits, - and _ only."""
        c = self.contender
        fold = "" if self.fold is None else f"fold{self.fold}"
        parts = [c.method, c.preset, c.ablation, f"seed{self.seed}", fold]
        return "-".join(plain_name(part) for part in parts if part)

    @property
    def about(self) -> dict[str, Any]:
        """Columns with one value for all rows of the cell."""
        c = self.contender
        return {
            "contender": c.name,
            "method": c.method,
            "preset": c.preset,
            "ablation": c.ablation or None,
            "seed": self.seed,
            "fold": self.fold,
        }

    @property
    def keywords(self) -> dict[str, Any]:
        """All keywords that the result depends on, as in the cell's `recipe.yaml`."""
        model = self.contender.estimator(self.seed)
        without = (*model.not_saved, *WITHOUT_EFFECT)
        return {name: value for name, value in model.get_params().items() if name not in without}

    def run(
        self,
        train: Source,
        test: Source,
        folder: Path,
        *,
        kinds: Mapping[str, Kind],
        n_permutations: int,
    ) -> None:
        """Fit and score, or continue an interrupted run; the scores are written last."""
        files = CellFolder(folder, kinds)
        if not files.codes.exists():
            fit_cell(self, train, test, files)
        files.predictions.path.unlink(missing_ok=True)  # may belong to earlier codes
        read_predictions(files)
        files.scores.write(score_cell(self, files, n_permutations=n_permutations))


def fit_cell(cell: Cell, train: Source, test: Source, folder: CellFolder) -> None:
    """Fit, encode, and write model, codes and examples to the folder, the codes last."""
    if not folder.model.is_dir():
        folder.path.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        model = cell.contender.estimator(cell.seed)
        if model.capabilities.epochs:
            model.set_params(checkpoint=folder.checkpoint)
        learnt = model.fit_encode(train)
        seconds = round(time.monotonic() - started, 1)
        if model.capabilities.epochs:
            folder.metrics.write(model.history_)
        folder.train_codes.write(encoded(model, train, "train", learnt))
        folder.recipe.write(cell.about | {"keywords": cell.keywords, "seconds": seconds})
        model.save(folder.model)
    folder.checkpoint.unlink(missing_ok=True)
    model = load(folder.model)
    text = map(str, described(train, "train").select_dtypes(exclude="number"))
    of_train = read_table(folder.train_codes.path, text)
    codes = pd.concat([of_train, encoded(model, test, "test")], ignore_index=True)
    if (errors := reconstruction_errors(model, test)) is not None:
        folder.reconstruction.write(errors)
    if hasattr(model, "predict_proba"):
        target = int(np.flatnonzero(model.classes_ != model.background_)[0])
        of_target = model.predict_proba(test)[:, target]
        folder.classified.write(pd.DataFrame({"id": test.ids, "probability": of_target}))
    of_targets = codes.loc[(codes["split"] != "test") & (codes["y"] == 1), code_columns(codes, "salient")]
    folder.examples.write(make_examples(model, of_targets.to_numpy(), test, per_label=6))
    folder.codes.write(codes)


def score_cell(cell: Cell, folder: CellFolder, *, n_permutations: int) -> pd.DataFrame:
    """
    Score the codes of a fitted cell by linear probes, and the groups by the classifier of App. D.

    With preset "paper", continuous attributes are also predicted by least squares, as in the paper.
    """
    codes, kinds, errors = read_codes(folder), folder.kinds(), folder.reconstruction.read()
    scores = score_codes(codes, reconstruction_error=errors, kinds=kinds, n_permutations=n_permutations)
    scores.insert(0, "probe", np.where(scores["chance"].notna(), "linear", ""))
    parts = [scores]
    if cell.contender.preset == PAPER:
        amounts = score_codes(codes, kinds=kinds, least_squares=True, n_permutations=n_permutations)
        parts += [amounts.assign(probe="least_squares")] if len(amounts) else []
    own = find_method(cell.contender.method).capabilities.classifier
    of_target = folder.classified.required()["probability"].to_numpy() if own else mlp_probabilities(codes)
    of_groups = group_scores(codes, of_target, "own classifier" if own else "mlp")
    return pd.concat([*parts, of_groups], ignore_index=True)


def read_predictions(folder: CellFolder) -> pd.DataFrame:
    """Read the probes' predictions of a cell; compute and store them if they are missing."""
    if not folder.predictions.exists():
        folder.predictions.write(probe_predictions(read_codes(folder), kinds=folder.kinds()))
    return folder.predictions.required()


def read_codes(folder: CellFolder) -> pd.DataFrame:
    """Read the codes of a cell."""
    return folder.codes.required().copy()  # in one block: pandas warns of hundreds
