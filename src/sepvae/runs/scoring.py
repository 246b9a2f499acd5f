"""Codes and scores of new data with the model of a run folder."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from sepvae.batch import AnyArray, Source
from sepvae.codes import Codes, codes_table
from sepvae.data.splits import split_table
from sepvae.errors import DataError
from sepvae.evaluation.scores import score_codes
from sepvae.methods import load
from sepvae.methods.base import ContrastiveEstimator
from sepvae.progress import Say, stage
from sepvae.run_folder import N_PERMUTATIONS, RunFolder

RECONSTRUCTIONS: dict[str, Literal["own", "none"]] = {"full": "own", "common_only": "none"}


def encode_run(run: str | Path, source: Source, *, say: Say | None = None) -> pd.DataFrame:
    """
    Encode data with the model of a run folder.

    Parameters
    ----------
    run : str or Path
        The run folder.
    source : Source
        Samples, read in the same way as those of the fit.
    say : callable, default=None
        Called with the name of each stage and its seconds, and the number of new samples of known subjects.

    Returns
    -------
    DataFrame
        As in `codes.csv`. Samples whose id is in the run have its split (train, validation or test), others
        have "new". Rows without ids have "unknown", since row numbers are the same in every array.
    """
    with stage("encoding", say):
        table = encoded(load(run), source, "new")
    known = RunFolder(run).split.read()
    if known is None or _rows_are_numbered(run, source):
        return table.assign(split="unknown")
    split_of = dict(zip(known["id"], known["split"], strict=True))
    table["split"] = [split_of.get(id_, "new") for id_ in table["id"]]
    fitted = known.loc[known["split"] != "test", "group"]
    n_seen = int(((table["split"] == "new") & table["group"].isin(fitted)).sum())
    if say is not None and n_seen:
        say(f"note: new samples of subjects that were fitted on: {n_seen}")
    return table


def recorded_permutations(run: str | Path) -> int:
    """
    Read the number of permutations behind the p-values of a run folder.

    Parameters
    ----------
    run : str or Path
        The run folder.

    Returns
    -------
    int
        Number in its recipe; 100 if it records none.
    """
    recorded = RunFolder(run).recipe.required().get("protocol", {}).get("n_permutations", N_PERMUTATIONS)
    return int(recorded)


def evaluate_run(
    run: str | Path,
    source: Source | None = None,
    *,
    n_permutations: int | None = None,
    say: Say | None = None,
) -> pd.DataFrame:
    """
    Score the codes of a run folder again, or those of new data, with probes fitted on its training part.

    Parameters
    ----------
    run : str or Path
        The run folder.
    source : Source or None, default=None
        New samples to score instead of the run's own test part.
    n_permutations : int or None, default=None
        Number of permutations behind each p-value; None takes the number of the run.
    say : callable, default=None
        Called with the name of each stage and its seconds.

    Returns
    -------
    DataFrame
        As in `scores.csv`.

    Raises
    ------
    RunFolderError
        If the folder holds no codes.
    DataError
        If a subject of the new data was fitted on.
    """
    if n_permutations is None:
        n_permutations = recorded_permutations(run)
    folder = RunFolder(run)
    codes = folder.codes.required()
    keywords: dict[str, Any] = {"kinds": folder.kinds(), "n_permutations": n_permutations}
    if source is None:
        with stage("scoring", say) as progress:
            scores = score_codes(codes, **keywords, progress=progress)
        if (old := folder.scores.read()) is None:
            return scores
        errors = old.query("metric == 'reconstruction_error'")  # they cannot be computed from codes
        return pd.concat([scores, errors], ignore_index=True)
    with stage("encoding", say):
        model = load(run)
        new = encoded(model, source, "test")
    if new["y"].isna().any():
        known, got = (", ".join(sorted(set(map(str, labels)))) for labels in (model.classes_, source.labels))
        raise DataError(
            f"labels: wanted those that were fitted on ({known}), got {got}; name the labels alike"
        )
    if numbered := _rows_are_numbered(run):
        new[["id", "group"]] = "new-" + new[["id", "group"]]
    train = codes[codes["split"] != "test"]
    seen = set(train["group"]) & set(new["group"])
    if seen:
        raise DataError(
            f"{len(seen)} subjects of the new data were fitted on, {sorted(seen)[0]!r} among them; "
            "leave them out, for their scores would be optimistically biased"
        )
    with stage("reconstruction errors", say):
        missed = reconstruction_errors(model, source)
    if numbered and missed is not None:
        missed["id"] = "new-" + missed["id"].astype(str)
    table = pd.concat([train, new], ignore_index=True)
    with stage("scoring", say) as progress:
        return score_codes(table, reconstruction_error=missed, **keywords, progress=progress)


def keep_scores(run: str | Path, scores: pd.DataFrame, *, n_permutations: int) -> None:
    """
    Replace the scores of a run with new ones of its own test part.

    Parameters
    ----------
    run : str or Path
        The run folder.
    scores : DataFrame
        Result of `evaluate_run`.
    n_permutations : int
        Number of permutations behind each p-value, for the recipe.
    """
    folder = RunFolder(run)
    recipe = folder.recipe.required()
    protocol = {**recipe.get("protocol", {}), "n_permutations": n_permutations}
    folder.scores.write(scores)
    folder.recipe.write(recipe | {"protocol": protocol})


def encoded(
    model: ContrastiveEstimator, source: Source, split: str, codes: Codes[AnyArray] | None = None
) -> pd.DataFrame:
    """
    Return samples with their codes, as in `codes.csv`; y is missing for labels that were not fitted on.

    `codes` are those of `fit_encode`: the samples that it used for validation get the split "validation".
    """
    about = described(source, split)
    about[["id", "group"]] = about[["id", "group"]].astype(str)  # as `read_codes` returns them
    known = about["label"].isin(model.classes_)  # new data may come without labels
    about.insert(4, "y", (about["label"] != model.background_).astype("Int64").where(known))
    if codes is not None:
        about.loc[model.validation_indices_, "split"] = "validation"
    return codes_table(model.encode(source) if codes is None else codes, about)


def described(source: Source, split: str) -> pd.DataFrame:
    """Return id, group, label, split and attributes of samples."""
    table = split_table(source, {split: np.arange(len(source))})
    return pd.concat([table, source.attributes.reset_index(drop=True)], axis=1)


def reconstruction_errors(model: ContrastiveEstimator, source: Source) -> pd.DataFrame | None:
    """Return errors with the salient part (full) and without (common_only), by id; None without decoder."""
    if not model.capabilities.decoder:
        return None
    errors = {name: model.reconstruction_error(source, salient) for name, salient in RECONSTRUCTIONS.items()}
    return pd.DataFrame({"id": source.ids, **errors})


def _rows_are_numbered(run: str | Path, source: Source | None = None) -> bool:
    """Return whether ids are row numbers, which are the same in every array."""
    data = RunFolder(run).recipe.required().get("data", {})
    if data.get("id") or data.get("subject"):
        return False
    numbers = source is not None and [str(id_) for id_ in source.ids] == [str(i) for i in range(len(source))]
    return data.get("reader") == "array" or numbers
