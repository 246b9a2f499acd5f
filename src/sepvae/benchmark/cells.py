"""One cell of a benchmark: fit, encode, score; what is finished stays, and a second start goes on from it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sepvae.batch import Source
from sepvae.benchmark.contenders import Contender
from sepvae.codes import Kind, code_columns
from sepvae.evaluation.groups import group_scores, mlp_probabilities
from sepvae.evaluation.scores import score_codes
from sepvae.files import plain_name, read_table
from sepvae.methods import load
from sepvae.methods._examples import make_examples
from sepvae.runs.folder import write_arrays, write_recipe, write_table
from sepvae.runs.scoring import encoded, reconstruction_errors

CODES, SCORES, ERRORS, CLASSIFIED = "codes.csv", "scores.csv", "reconstruction.csv", "classified.csv"


@dataclass(frozen=True)
class Cell:  # numpydoc ignore=PR02
    """
    One fit of a contender.

    Parameters
    ----------
    contender : Contender
        What is fitted.
    seed : int
        Of its weights, order and noise.
    fold : int or None, default=None
        Which part of the data it is scored on; None where all cells share one split.
    """

    contender: Contender
    seed: int
    fold: int | None = None

    @property
    def name(self) -> str:
        """
        Name of its folder.

        Returns
        -------
        str
            Plain letters, digits, - and _.
        """
        c = self.contender
        fold = "" if self.fold is None else f"fold{self.fold}"
        parts = [c.method, c.preset, c.ablation, f"seed{self.seed}", fold]
        return "-".join(plain_name(part) for part in parts if part)

    @property
    def about(self) -> dict[str, Any]:
        """
        The columns that all its rows share.

        Returns
        -------
        dict
            Names: contender, method, preset, ablation, seed, fold.
        """
        c = self.contender
        return {
            "contender": c.name,
            "method": c.method,
            "preset": c.preset,
            "ablation": c.ablation or None,
            "seed": self.seed,
            "fold": self.fold,
        }


def run_cell(
    cell: Cell, train: Source, test: Source, folder: Path, *, kinds: Mapping[str, Kind], n_permutations: int
) -> pd.DataFrame:
    """
    Fit and score one cell, or go on where an earlier start was stopped.

    Parameters
    ----------
    cell : Cell
        What to fit.
    train, test : Source
        What is fitted on, and what is scored.
    folder : Path
        Where its files are; written whole, each when it is there.
    kinds : mapping
        "categorical" or "continuous" for each attribute.
    n_permutations : int
        Shuffles behind each p-value.

    Returns
    -------
    DataFrame
        Its rows of `results.csv`, but for the columns of the recipe.
    """
    if not (folder / CODES).is_file():
        fit_cell(cell, train, test, folder)
    if not (folder / SCORES).is_file():
        write_table(folder / SCORES, score_cell(cell, folder, kinds=kinds, n_permutations=n_permutations))
    return pd.read_csv(folder / SCORES)


def fit_cell(cell: Cell, train: Source, test: Source, folder: Path) -> None:
    """
    Fit, encode, and leave the model, its codes and its pictures in the folder, the codes last.

    Parameters
    ----------
    cell : Cell
        What to fit.
    train, test : Source
        What is fitted on, and what is scored.
    folder : Path
        Where.
    """
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    model = cell.contender.estimator(cell.seed)
    if not (folder / "model").is_dir():
        model.fit(train)
        seconds = round(time.monotonic() - started, 1)
        keywords = {name: value for name, value in model.get_params().items() if name not in model.not_saved}
        write_recipe(folder, cell.about | {"keywords": keywords, "seconds": seconds})
        if (history := getattr(model, "history_", None)) is not None:
            write_table(folder / "metrics.csv", history)
        model.save(folder / "model")
    model = load(folder / "model")
    codes = pd.concat([encoded(model, train, "train"), encoded(model, test, "test")], ignore_index=True)
    write_table(folder / ERRORS, reconstruction_errors(model, test))
    if hasattr(model, "predict_proba"):
        target = int(np.flatnonzero(model.classes_ != model.background_)[0])
        of_target = model.predict_proba(test)[:, target]
        write_table(folder / CLASSIFIED, pd.DataFrame({"id": test.ids, "probability": of_target}))
    of_targets = codes.loc[(codes["split"] != "test") & (codes["y"] == 1), code_columns(codes, "salient")]
    write_arrays(folder / "examples.npz", make_examples(model, of_targets.to_numpy(), test, per_label=6))
    write_table(folder / CODES, codes)


def score_cell(cell: Cell, folder: Path, *, kinds: Mapping[str, Kind], n_permutations: int) -> pd.DataFrame:
    """
    Score the codes of a fitted cell: linear probes for all, and App. D's classifier of the groups.

    Parameters
    ----------
    cell : Cell
        What was fitted.
    folder : Path
        Where its codes are.
    kinds : mapping
        "categorical" or "continuous" for each attribute.
    n_permutations : int
        Shuffles behind each p-value.

    Returns
    -------
    DataFrame
        Its rows of `results.csv`, but for the columns of the recipe.
    """
    words = [
        "id",
        "group",
        "label",
        "split",
        *(name for name, kind in kinds.items() if kind == "categorical"),
    ]
    codes = read_table(folder / CODES, words)
    errors = read_table(folder / ERRORS, ["id"])
    scores = score_codes(codes, reconstruction_error=errors, kinds=kinds, n_permutations=n_permutations)
    scores.insert(0, "probe", np.where(scores["chance"].notna(), "linear", ""))
    own = cell.contender.method == "SepVAE"
    of_target = (
        read_table(folder / CLASSIFIED, ["id"])["probability"].to_numpy() if own else mlp_probabilities(codes)
    )
    of_groups = group_scores(codes, of_target, "own classifier" if own else "mlp")
    return pd.concat([scores, of_groups], ignore_index=True)


def read_cell_codes(folder: Path, kinds: Mapping[str, Kind]) -> pd.DataFrame:
    """
    Read the codes of a cell.

    Parameters
    ----------
    folder : Path
        The cell's.
    kinds : mapping
        "categorical" or "continuous" for each attribute.

    Returns
    -------
    DataFrame
        One row per sample; ids, groups, labels and categorical attributes are text.
    """
    words = ["id", "group", "label", "split"]
    return read_table(folder / CODES, words + [name for name, kind in kinds.items() if kind == "categorical"])
