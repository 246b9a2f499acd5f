"""Codes and scores with the model of a run folder: of its own samples, and of new data."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from sepvae.batch import AnyArray, Source
from sepvae.checks import check_choice
from sepvae.codes import Codes, code_columns, codes_table
from sepvae.errors import DataError, SepVAEError
from sepvae.evaluation.patient_sheet import (
    OVER_SEEDS,
    salient_centiles,
    salient_sheet,
    sheet_note,
    spread_over_seeds,
)
from sepvae.evaluation.scores import RECONSTRUCTION_METRICS, score_codes
from sepvae.interpretation.examples import make_examples
from sepvae.methods import load
from sepvae.methods.base import ContrastiveEstimator
from sepvae.preprocessing.harmonizer import UNSEEN
from sepvae.preprocessing.sites import site_names
from sepvae.progress import Say, stage
from sepvae.report.verdict import judge
from sepvae.run_folder import N_PERMUTATIONS, RunFolder

RECONSTRUCTIONS: dict[str, Literal["own", "none"]] = {"full": "own", "common_only": "none"}


def recorded_permutations(run: str | Path) -> int:
    """Return the number of permutations behind the p-values of a run."""
    return int(RunFolder(run).recipe.required().get("protocol", {}).get("n_permutations", N_PERMUTATIONS))


def encode_run(
    run: str | Path, source: Source, *, unseen_site: str | None = None, say: Say | None = None
) -> pd.DataFrame:
    """
    Encode data as in `codes.csv`; the split is that of the run by id, else "new", or "unknown".

    `unseen_site` is as in `load_for`.
    """
    folder = RunFolder(run)
    model = load_for(run, source, unseen_site, say)
    with stage("encoding", say):
        codes = model.encode(source)
        table = encoded(model, source, "new", codes)
    known, numbered = folder.split.read(), _rows_are_numbered(run, source)
    if (of_run := folder.codes.read()) is not None:
        persons = "new-" + table["group"] if numbered else table["group"]
        sheet, n = salient_sheet(codes, persons, of_run)
        sheet = sheet.join(_over_seeds(folder, source, persons, unseen_site, say))
        table = table.join(sheet)
        if say is not None:
            say(f"note: {sheet_note(n, sheet)}")
    table["split"] = split_of(run, source)
    if known is None or numbered:
        return table
    fitted = known.loc[known["split"] != "test", "group"]
    n_seen = int(((table["split"] == "new") & table["group"].isin(fitted)).sum())
    if say is not None and n_seen:
        say(f"note: new samples of subjects that were fitted on: {n_seen}")
    return table


def load_for(
    run: str | Path, source: Source, unseen_site: str | None = None, say: Say | None = None
) -> ContrastiveEstimator:
    """
    Load the model of a run for samples that may be of sites that were not fitted.

    `unseen_site` says how it treats them, by default as it was fitted; "estimate" adds the sites by their
    controls among these samples.
    """
    model = load(run)
    if unseen_site is None:
        return model
    check_choice("--unseen-site", unseen_site, (*UNSEEN, "estimate"))
    if (harmonizer := model.harmonizer_) is None:
        raise DataError("--unseen-site: the run was fitted without harmonise; leave it out")
    if unseen_site != "estimate":
        harmonizer.unseen = unseen_site
        return model
    controls = np.asarray(source.labels).astype(str) == str(model.background_)
    if not controls.any():
        raise DataError(
            f"--unseen-site estimate: wanted controls ({model.background_}) of the new sites, found none "
            "among the labels of these data"
        )
    known = set(harmonizer.sites_)
    model.add_sites(source.select(np.flatnonzero(controls)))
    if say is not None:
        new = [site for site in harmonizer.sites_ if site not in known]
        sites = site_names(source.attributes[controls], harmonizer.site).to_numpy()
        people = pd.Series(np.asarray(source.groups)[controls]).groupby(sites).nunique()
        counts = ", ".join(f"{site} ({people[site]})" for site in new) or "none"
        say(f"note: new sites, estimated from controls of these data: {counts}; compare groups without them")
    return model


def _over_seeds(
    folder: RunFolder,
    source: Source,
    persons: "pd.Series[str]",
    unseen_site: str | None,
    say: Say | None,
) -> pd.DataFrame:
    """Return how far centiles differ between the fits of `fit --seeds`; no columns where there are none."""
    nothing, people = pd.DataFrame(index=persons.index), folder.people.read()
    if people is None or OVER_SEEDS[0] not in people:
        return nothing
    if not (fits := _fits_of_seeds(folder)):
        if say is not None:
            say(f"note: no spread over seeds: {folder.seeds} no longer holds the fits of {folder}")
        return nothing
    centiles = []
    try:
        with stage(f"encoding by all {len(fits)} seeds", say) as progress:
            for n, fit in enumerate(fits, start=1):
                model = load_for(fit.model, source, unseen_site)
                means = model.encode(source).salient_mean
                centiles.append(salient_centiles(means, persons, fit.codes.required()))
                progress(n, len(fits))
    except SepVAEError as error:  # of another seed: the codes of the run itself are there
        if say is not None:
            say(f"note: no spread over seeds: {error}")
        return nothing
    return spread_over_seeds(centiles)


def _fits_of_seeds(folder: RunFolder) -> list[RunFolder]:
    """Return the fits that a run was chosen among; none unless all are there, with the run's comparison."""
    compared, beside = folder.stability.read(), RunFolder(folder.seeds).stability.read()
    if compared is None or beside is None or not compared.equals(beside):
        return []
    there = {}
    for fit in (RunFolder(model.parent) for model in folder.seeds.glob("cells/*/model")):
        if "bootstrap" not in (about := fit.recipe.required()) and fit.codes.exists():
            there[about["contender"], f"seed {about['seed']}"] = fit
    central = compared.loc[compared["measure"] == "central", ["contender", "first"]].sort_values("first")
    found = [there[one] for one in central.itertuples(index=False, name=None) if one in there]
    return found if len(found) == len(central) else []


def split_of(run: str | Path, source: Source) -> list[str]:
    """Return for each sample its split in a run by id, else "new", or "unknown" where ids are numbers."""
    known = RunFolder(run).split.read()
    if known is None or _rows_are_numbered(run, source):
        return ["unknown"] * len(source)
    of_id = dict(zip(known["id"], known["split"], strict=True))
    return [of_id.get(str(id_), "new") for id_ in source.ids]


def evaluate_run(
    run: str | Path,
    source: Source | None = None,
    *,
    n_permutations: int | None = None,
    unseen_site: Literal["refuse", "reference"] | None = None,
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
    unseen_site : {"refuse", "reference"} or None, default=None
        What to do with new samples of sites that were not fitted, instead of what the model does. Controls
        who would estimate a site could not be scored as well.
    say : callable, default=None
        Called with each progress message.

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
    errors, kept = None, None
    if source is None:
        if (old := folder.scores.read()) is not None:
            kept = old[old["metric"].isin(RECONSTRUCTION_METRICS)]  # they cannot be computed from codes
    else:
        if unseen_site is not None and unseen_site not in UNSEEN:
            cannot = "controls who estimate a site cannot be scored as well"
            raise DataError(f"--unseen-site: wanted {' or '.join(UNSEEN)}, got {unseen_site!r}; {cannot}")
        model = load_for(run, source, unseen_site, say)
        codes = _with_new_samples(run, model, codes, source, say)
        with stage("reconstruction errors", say):
            errors = reconstruction_errors(model, source)
        if errors is not None and _rows_are_numbered(run):
            errors["id"] = "new-" + errors["id"].astype(str)
    keywords: dict[str, Any] = {"kinds": folder.kinds(), "n_permutations": n_permutations}
    keywords |= {"blocks": folder.blocks(), "quality": folder.quality.read()}
    with stage("scoring", say) as progress:
        scores = score_codes(codes, reconstruction_error=errors, **keywords, progress=progress)
    return scores if kept is None else pd.concat([scores, kept], ignore_index=True)


def _with_new_samples(
    run: str | Path, model: ContrastiveEstimator, codes: pd.DataFrame, source: Source, say: Say | None
) -> pd.DataFrame:
    """Return the training codes of a run, and those of new samples of other subjects as its test part."""
    with stage("encoding", say):
        new = encoded(model, source, "test")
    if new["y"].isna().any():
        known, got = (", ".join(sorted(set(map(str, labels)))) for labels in (model.classes_, source.labels))
        raise DataError(
            f"labels: wanted those that were fitted on ({known}), got {got}; name the labels alike"
        )
    if _rows_are_numbered(run):
        new[["id", "group"]] = "new-" + new[["id", "group"]]
    train = codes[codes["split"] != "test"]
    if seen := sorted(set(train["group"]) & set(new["group"])):
        raise DataError(
            f"{len(seen)} subjects of the new data were fitted on, {seen[0]!r} among them; "
            "leave them out, for their scores would be optimistically biased"
        )
    return pd.concat([train, new], ignore_index=True)


def keep_scores(run: str | Path, scores: pd.DataFrame, *, n_permutations: int) -> None:
    """Replace the scores of a run, of its own test part, and record their permutations in the recipe."""
    folder = RunFolder(run)
    folder.scores.write(scores)
    folder.verdict.write(judge(scores, folder.inspection.read()).as_json())
    recipe = folder.recipe.required()
    protocol = {**recipe.get("protocol", {}), "n_permutations": n_permutations}
    folder.recipe.write(recipe | {"protocol": protocol})


def encoded(
    model: ContrastiveEstimator, source: Source, split: str, codes: Codes[AnyArray] | None = None
) -> pd.DataFrame:
    """
    Return the table of codes of a source, as `score_codes` and the figures of `sepvae.plotting` take it.

    Parameters
    ----------
    model : ContrastiveEstimator
        A fitted estimator.
    source : Source
        Samples with their labels, groups and attributes.
    split : str
        Part of all rows: "train" for samples of the fit, "test" for held-out ones.
    codes : Codes or None, default=None
        Codes of the samples, such as those of `fit_encode`; None encodes them. With codes and split "train",
        the validation samples of the fit are of part "validation".

    Returns
    -------
    DataFrame of n rows
        Columns id, group, label, split, y (0 background, 1 target, missing for labels that were not fitted
        on), attributes, common0, .., salient0, ... With several targets, target is their label.

    Examples
    --------
    >>> from sepvae import ContrastivePCA
    >>> from sepvae.data import ArraySource
    >>> X = np.random.default_rng(0).normal(size=(20, 3))
    >>> source = ArraySource(X, ["healthy", "ill"] * 10)
    >>> model = ContrastivePCA(common_dim=1, salient_dim=1, background="healthy").fit(source)
    >>> encoded(model, source, "train").columns.tolist()
    ['id', 'group', 'label', 'split', 'y', 'common0', 'salient0']
    """
    about = described(source, split)
    about[["id", "group"]] = about[["id", "group"]].astype(str)  # as in `codes.csv`
    known = about["label"].isin(model.classes_)  # new data may come without labels
    about.insert(4, "y", (about["label"] != model.background_).astype("Int64").where(known))
    about = with_targets(about, len(model.classes_))
    if codes is not None and split == "train":
        about.loc[model.validation_indices_, "split"] = "validation"
    return codes_table(model.encode(source) if codes is None else codes, about)


def with_targets(about: pd.DataFrame, n_labels: int) -> pd.DataFrame:
    """Return samples with an attribute that tells several targets apart; y is 1 for each of them."""
    if n_labels == 2:
        return about
    labels = about["label"].where(about["y"].eq(1).fillna(False).astype(bool))
    return about.assign(**{"target_label" if "target" in about else "target": labels})


def described(source: Source, split: str) -> pd.DataFrame:
    """Return id, group, label, split and attributes of samples."""
    part = np.full(len(source), split, dtype=object)
    table = pd.DataFrame({"id": source.ids, "group": source.groups, "label": source.labels, "split": part})
    return pd.concat([table, source.attributes.reset_index(drop=True)], axis=1)


def reconstruction_errors(model: ContrastiveEstimator, source: Source) -> pd.DataFrame | None:
    """Return errors with salient (full), without, and of the mean, by id; None without decoder."""
    if not model.capabilities.decoder:
        return None
    errors = {name: model.reconstruction_error(source, salient) for name, salient in RECONSTRUCTIONS.items()}
    return pd.DataFrame({"id": source.ids, **errors, "of_mean": model.error_of_mean(source)})


def examples_of(
    model: ContrastiveEstimator, codes: pd.DataFrame, test: Source, **how: Any
) -> dict[str, AnyArray]:
    """Return examples of the test part; the salient codes of the training targets bound their traversals."""
    of_targets = codes.loc[(codes["split"] != "test") & (codes["y"] == 1), code_columns(codes, "salient")]
    return make_examples(model, of_targets.to_numpy(), test, **how)


def _rows_are_numbered(run: str | Path, source: Source | None = None) -> bool:
    """Return whether ids are row numbers, which are the same in every array."""
    data = RunFolder(run).recipe.required().get("data", {})
    if data.get("id") or data.get("subject"):
        return False
    numbers = source is not None and [str(id_) for id_ in source.ids] == [str(i) for i in range(len(source))]
    return data.get("reader") == "array" or numbers
