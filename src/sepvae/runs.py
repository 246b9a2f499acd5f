"""A run folder: fit on one part of the data, score and draw the other, and leave all of it behind."""

import io
import json
import re
import shutil
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any, Literal

import numpy as np
import pandas as pd
import yaml
from matplotlib.figure import Figure
from sklearn.base import clone

from sepvae.batch import Source, in_unit_range
from sepvae.checks import order_labels
from sepvae.codes import attribute_columns, codes_table
from sepvae.data.splits import split_table
from sepvae.errors import DataError, RunFolderError
from sepvae.evaluation.probes import attribute_kind
from sepvae.evaluation.scores import score_codes
from sepvae.files import write_whole
from sepvae.methods import SepVAE, load
from sepvae.plotting.codes import code_scatter
from sepvae.plotting.curves import learning_curves
from sepvae.plotting.images import reconstruction_grid
from sepvae.report.page import write_report
from sepvae.training.callbacks import MetricsFile

PACKAGES = (
    "sepvae",
    "torch",
    "lightning",
    "numpy",
    "scikit-learn",
    "pandas",
    "pillow",
    "matplotlib",
    "safetensors",
)
NOT_IN_RECIPE = ("progress_bar", "logger", "callbacks")  # they change nothing of the result
EXAMPLES = 24  # of each label, kept with their reconstructions

Say = Callable[[str], None]


def fit_run(
    model: SepVAE,
    train: Source,
    test: Source,
    out: str | Path,
    *,
    about_data: dict[str, Any],
    n_permutations: int = 100,
    say: Say = print,
) -> pd.DataFrame:
    """
    Fit a model, score its codes, draw its pictures, and write the run folder.

    Parameters
    ----------
    model : SepVAE
        Not fitted; it is cloned.
    train, test : Source
        What is fitted on, and what is scored.
    out : str or Path
        The run folder; it must not exist.
    about_data : dict
        What repeats the reading of the data; it goes into `recipe.yaml`.
    n_permutations : int, default=100
        Shuffles behind each p-value.
    say : callable, default=print
        Told what is being done.

    Returns
    -------
    DataFrame
        The scores, as in `scores.csv`.

    Raises
    ------
    RunFolderError
        If the folder exists.
    DataError
        If the data or a keyword cannot be used as it is.
    """
    run, started = Path(out), time.monotonic()
    check_new_run(run)
    classes, order = order_labels(np.asarray(train.labels), model.background)
    background, target = classes[order].tolist()
    model = clone(model).set_params(background=background)
    recipe = {
        "data": about_data,
        "attributes": {name: attribute_kind(values) for name, values in train.attributes.items()},
        "method": type(model).__name__,
        "keywords": {k: v for k, v in model.get_params().items() if k not in NOT_IN_RECIPE},
        "protocol": {"n_permutations": n_permutations, "scored_on": "test"},
    }
    run.mkdir(parents=True)
    write_whole(run / "recipe.yaml", yaml.safe_dump(recipe, sort_keys=False))
    write_whole(run / "versions.json", json.dumps(_versions(), indent=2) + "\n")

    say(f"background {background}, target {target}; fitting on {len(train)} samples")
    model.set_params(callbacks=[*(model.callbacks or []), MetricsFile(run / "metrics.csv")])
    try:
        model.fit(train)
    except KeyboardInterrupt:
        raise  # what was learnt so far stays to be looked at
    except Exception:  # nothing that could be used
        shutil.rmtree(run)
        raise
    fitted = time.monotonic()
    model.save(run / "model")

    say("encoding and scoring")
    codes = pd.concat([_codes(model, train, "train"), _codes(model, test, "test")], ignore_index=True)
    codes.loc[model.validation_indices_, "split"] = "validation"  # rows of train come first
    _write_table(run / "codes.csv", codes)
    _write_table(run / "split.csv", codes[["id", "group", "label", "split"]])
    _write_examples(run / "examples.npz", model, test)
    scores = score_codes(codes, reconstruction_error=_errors(model, test), n_permutations=n_permutations)
    _write_table(run / "scores.csv", scores)

    say("drawing")
    draw(run)
    recipe["seconds"] = {"fit": round(fitted - started, 1), "all": round(time.monotonic() - started, 1)}
    write_whole(run / "recipe.yaml", yaml.safe_dump(recipe, sort_keys=False))
    write_report(run)
    return scores


def check_new_run(run: Path) -> None:
    """
    See that a run folder can be made, before hours are spent on what would go into it.

    Parameters
    ----------
    run : Path
        The folder.

    Raises
    ------
    RunFolderError
        If it exists.
    """
    if run.exists():
        raise RunFolderError(
            f"{run}: wanted a new run folder, but it exists; choose another --out, or remove it"
        )


_RECONSTRUCTIONS: dict[str, Literal["own", "none"]] = {"full": "own", "common_only": "none"}


def encode_run(run: str | Path, source: Source) -> pd.DataFrame:
    """
    Encode new data by the model of a run folder.

    Parameters
    ----------
    run : str or Path
        The run folder.
    source : Source
        New samples, read as those that were fitted on.

    Returns
    -------
    DataFrame
        As in `codes.csv`, with split "new".
    """
    return _codes(load(run), source, "new")


def evaluate_run(run: str | Path, source: Source | None = None, *, n_permutations: int = 100) -> pd.DataFrame:
    """
    Score the codes of a run folder again, or those of new data, with probes fitted on its training part.

    Parameters
    ----------
    run : str or Path
        The run folder.
    source : Source or None, default=None
        New samples to score instead of the run's own test part.
    n_permutations : int, default=100
        Shuffles behind each p-value.

    Returns
    -------
    DataFrame
        As in `scores.csv`.

    Raises
    ------
    RunFolderError
        If the folder holds no codes.
    DataError
        If a patient of the new data was fitted on.
    """
    codes = read_codes(run)
    if source is None:
        scores = score_codes(codes, n_permutations=n_permutations)
        old = Path(run) / "scores.csv"  # holds what cannot be had from codes alone
        errors = [pd.read_csv(old).query("metric == 'reconstruction_error'")] if old.is_file() else []
        return pd.concat([scores, *errors], ignore_index=True)
    model = load(run)
    new = _codes(model, source, "test")
    if new["y"].isna().any():
        known, got = (", ".join(sorted(set(map(str, labels)))) for labels in (model.classes_, source.labels))
        raise DataError(
            f"labels: wanted those that were fitted on ({known}), got {got}; name the folders alike"
        )
    train = codes[codes["split"] != "test"]
    seen = set(train["group"]) & set(new["group"])
    if seen:
        raise DataError(
            f"{len(seen)} groups of the new data were fitted on, {sorted(seen)[0]!r} among them; "
            "leave them out, for their scores would flatter"
        )
    table = pd.concat([train, new], ignore_index=True)
    return score_codes(table, reconstruction_error=_errors(model, source), n_permutations=n_permutations)


def read_codes(run: str | Path) -> pd.DataFrame:
    """
    Read the codes of a run folder.

    Parameters
    ----------
    run : str or Path
        The run folder.

    Returns
    -------
    DataFrame
        One row per sample; ids, groups, labels and categorical attributes are text.

    Raises
    ------
    RunFolderError
        If the folder holds no codes.
    """
    path = Path(run) / "codes.csv"
    if not path.is_file():
        raise RunFolderError(f"{run}: wanted a run folder with codes.csv, as `sepvae fit` leaves it")
    kinds = read_recipe(run).get("attributes", {})
    words = [
        "id",
        "group",
        "label",
        "split",
        *(name for name, kind in kinds.items() if kind == "categorical"),
    ]
    # Only an empty cell is missing: a label, patient or attribute may be called NA or None.
    return pd.read_csv(path, dtype=dict.fromkeys(words, str), keep_default_na=False, na_values=[""])


def read_recipe(run: str | Path) -> dict[str, Any]:
    """
    Read the recipe of a run folder.

    Parameters
    ----------
    run : str or Path
        The run folder.

    Returns
    -------
    dict
        What `recipe.yaml` holds.

    Raises
    ------
    RunFolderError
        If there is none.
    """
    path = Path(run) / "recipe.yaml"
    if not path.is_file():
        raise RunFolderError(f"{run}: wanted a run folder with recipe.yaml, as `sepvae fit` leaves it")
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def draw(run: Path) -> None:
    """
    Draw the figures of a run folder from its tables and examples.

    Parameters
    ----------
    run : Path
        The run folder.
    """
    figures = run / "figures"
    figures.mkdir(exist_ok=True)
    test = read_codes(run).query("split == 'test'")
    for column in ["label", *attribute_columns(test)]:
        if len(test[column].dropna().unique()) > 1:
            name = re.sub(r"[^\w-]", "_", column)
            _write_figure(figures / f"codes_{name}.png", code_scatter(test, column))
    _write_figure(figures / "learning_curves.png", learning_curves(pd.read_csv(run / "metrics.csv")))
    with np.load(run / "examples.npz") as examples:
        if examples["inputs"].ndim == 4:
            arrays = [examples[name] for name in ("inputs", "full", "common_only", "labels")]
            background = str(test.loc[test["y"] == 0, "label"].iloc[0])
            _write_figure(
                figures / "reconstructions.png", reconstruction_grid(*arrays, background=background)
            )


def _codes(model: SepVAE, source: Source, split: str) -> pd.DataFrame:
    about = split_table(source, {split: np.arange(len(source))})
    about[["id", "group"]] = about[["id", "group"]].astype(str)  # as they are read again
    labels = pd.Series(np.asarray(source.labels))
    known = labels.isin(model.classes_)  # new data may come without labels
    about["y"] = (labels != model.background_).astype("Int64").where(known)
    about = pd.concat([about, source.attributes.reset_index(drop=True)], axis=1)
    return codes_table(model.encode(source), about)


def _errors(model: SepVAE, source: Source) -> pd.DataFrame:
    """Reconstruction error of each sample, with its salient part and without."""
    errors = {name: model.reconstruction_error(source, salient) for name, salient in _RECONSTRUCTIONS.items()}
    return pd.DataFrame({"id": source.ids, **errors})


def _write_examples(path: Path, model: SepVAE, test: Source) -> None:
    """Keep some test samples of each label, spread over the test part, with both reconstructions."""
    positions = [
        members[np.unique(np.linspace(0, len(members) - 1, EXAMPLES).astype(int))]
        for label in model.classes_
        if len(members := np.flatnonzero(np.asarray(test.labels) == label))
    ]
    batch = test.take(np.concatenate(positions))
    buffer = io.BytesIO()
    arrays = {
        "inputs": in_unit_range(batch.x),
        "labels": batch.y.astype(str),
        "ids": batch.id.astype(str),
        **{name: model.reconstruct(batch.x, salient) for name, salient in _RECONSTRUCTIONS.items()},
    }
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_whole(path, buffer.getvalue())


def _write_table(path: Path, table: pd.DataFrame) -> None:
    write_whole(path, table.to_csv(index=False))


def _write_figure(path: Path, figure: Figure) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=144)
    write_whole(path, buffer.getvalue())


def _versions() -> dict[str, str]:
    return {"python": python_version(), **{name: version(name) for name in PACKAGES}}
