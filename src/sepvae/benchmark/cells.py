"""Contenders of a benchmark, and its cells: fit, encode, score. A restart continues from finished files."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.decomposition import PCA

from sepvae.batch import AnyArray, IntArray, Source, chunks, gather, in_unit_range
from sepvae.benchmark.folder import CellFolder
from sepvae.checks import check_choice
from sepvae.codes import Codes, block_sizes, codes_table
from sepvae.errors import DataError
from sepvae.evaluation.classifiers import group_scores, mlp_probabilities
from sepvae.evaluation.correlations import probe_predictions
from sepvae.evaluation.metrics import resampling_weights
from sepvae.evaluation.scores import score_codes
from sepvae.files import plain_name, read_table
from sepvae.methods import load
from sepvae.methods.base import ContrastiveEstimator
from sepvae.preprocessing.input_adapter import InputAdapter
from sepvae.registry import find_method, method_names
from sepvae.runs.from_data import severity_keywords
from sepvae.runs.scoring import described, encoded, examples_of, reconstruction_errors, with_targets

PAPER = "paper"  # preset whose continuous attributes are also predicted by least squares
PIXELS = "pixels"  # name of the baseline
CHUNK = 512


@dataclass(frozen=True)
class Contender:
    """Method with its keywords, as a benchmark compares it with others."""

    method: str
    preset: str = "default"
    ablation: str = ""  # loss term that is left out, as named in `ablations` of the method
    keywords: Mapping[str, Any] = field(default_factory=dict)  # of recipe or user, instead of the preset's

    @property
    def name(self) -> str:
        """Name of the contender in tables, such as "SepVAE (paper, no MI)"."""
        return f"{self.method} ({self.preset}{', ' * bool(self.ablation)}{self.ablation})"

    def with_severity(self, name: str | None) -> Self:
        """Return the contender with the severity of targets in an attribute, if one is named."""
        severity = severity_keywords(find_method(self.method), name)
        return replace(self, keywords={**self.keywords, **severity})

    def estimator(self, random_state: int) -> ContrastiveEstimator:
        """Return an unfitted estimator, which learns from all training data unless a keyword says else."""
        method = find_method(self.method)
        if self.preset not in method.presets and not self.keywords:
            presets = ", ".join(method.presets)
            raise DataError(
                f"{self.name}: wanted a preset of {self.method} ({presets}), or a recipe's keywords"
            )
        if isinstance(self.keywords.get("network"), tuple):
            raise DataError(f"{self.name}: a benchmark takes networks by their names, not modules")
        # Cells share the cores, so none starts worker processes to read data.
        quiet = {"progress_bar": False, "validation_fraction": 0.0, "num_workers": 0}
        keywords: dict[str, Any] = quiet if method.capabilities.epochs else {}
        keywords |= method.presets.get(self.preset, {}) | dict(self.keywords)
        if self.ablation:
            keywords |= method.ablations[self.ablation]
        return method(**keywords | {"random_state": random_state})


def parse_contender(text: str) -> Contender:
    """
    Parse METHOD, METHOD:PRESET or METHOD:PRESET:ABLATION.

    Parameters
    ----------
    text : str
        Contender as given on the command line.

    Returns
    -------
    Contender
        The contender, without the keywords of a recipe.

    Raises
    ------
    DataError
        If the method or the ablation does not exist.

    Examples
    --------
    >>> parse_contender("SepVAE:paper:no MI").name
    'SepVAE (paper, no MI)'
    """
    method, _, rest = text.partition(":")
    preset, _, ablation = rest.partition(":")
    check_choice("method", method, method_names())
    known = find_method(method).ablations
    if ablation and ablation not in known:
        there = ", ".join(known) or "none"
        raise DataError(f"{text}: {method} has no ablation {ablation!r}; there are {there}")
    return Contender(method, preset or "default", ablation)


@dataclass(frozen=True)
class Cell:
    """One fit of a contender: one seed, scored on one fold (None: all cells share one split)."""

    contender: Contender
    seed: int
    fold: int | None = None
    bootstrap: int = 0  # number of the resample of training people that is fitted on; 0 for all people

    @property
    def name(self) -> str:
        """Name of the cell's folder: letters, digits, - and _ only."""
        c = self.contender
        fold = "" if self.fold is None else f"fold{self.fold}"
        resample = f"bootstrap{self.bootstrap}" * bool(self.bootstrap)
        parts = [c.method, c.preset, c.ablation, f"seed{self.seed}", fold, resample]
        return "-".join(plain_name(part) for part in parts if part)

    @property
    def about(self) -> dict[str, Any]:
        """Columns with one value for all rows of the cell."""
        c = self.contender
        about = {"contender": c.name, "method": c.method, "preset": c.preset, "ablation": c.ablation or None}
        resample = {"bootstrap": self.bootstrap} if self.bootstrap else {}
        return about | {"seed": self.seed, "fold": self.fold} | resample

    @property
    def keywords(self) -> dict[str, Any]:
        """All keywords that the result depends on, as in the cell's `recipe.yaml`."""
        model = self.contender.estimator(self.seed)
        without = {*model.not_saved} - {"augment"}
        return {name: value for name, value in model.get_params().items() if name not in without}

    def run(
        self, train: Source, test: Source, folder: CellFolder, n_permutations: int, information: bool = False
    ) -> None:
        """Fit and score, or continue an interrupted run; the scores are written last."""
        if not folder.codes.exists():
            fit_cell(self, train, test, folder)
        folder.predictions.path.unlink(missing_ok=True)  # may belong to earlier codes
        read_predictions(folder)
        how: dict[str, Any] = {"n_permutations": n_permutations, "information": information}
        folder.scores.write(score_cell(self, folder, **how))


def fit_cell(cell: Cell, train: Source, test: Source, folder: CellFolder) -> None:
    """Fit, encode, and write model, codes and examples to the folder, the codes last."""
    if not folder.model.is_dir():
        folder.path.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        model = cell.contender.estimator(cell.seed)
        if model.background is not None:
            model.input_adapter().check_new(train, model.background, test)
        if model.capabilities.epochs:
            model.set_params(checkpoint=folder.checkpoint)
        learnt = None  # codes of a resample are those of some people only: all are encoded
        if cell.bootstrap:
            model.fit(resampled(train, cell.bootstrap))
        else:
            learnt = model.fit_encode(train)
        seconds = round(time.monotonic() - started, 1)
        if model.capabilities.epochs:
            folder.metrics.write(model.history_)
        folder.train_codes.write(encoded(model, train, "train", learnt))
        of_fit = {"seconds": seconds, "salient_blocks": block_sizes(model.salient_blocks_)}
        folder.recipe.write(cell.about | {"keywords": cell.keywords} | of_fit)
        model.save(folder.model)
    folder.checkpoint.unlink(missing_ok=True)
    model = load(folder.model)
    text = map(str, described(train, "train").select_dtypes(exclude="number"))
    of_train = read_table(folder.train_codes.path, text)
    codes = pd.concat([of_train, encoded(model, test, "test")], ignore_index=True)
    if (errors := reconstruction_errors(model, test)) is not None:
        folder.reconstruction.write(errors)
    if hasattr(model, "predict_proba"):
        of_target = model.predict_proba(test)[:, model.classes_ != model.background_].sum(axis=1)
        folder.classified.write(pd.DataFrame({"id": test.ids, "probability": of_target}))
    folder.examples.write(examples_of(model, codes, test, per_label=6))
    folder.codes.write(codes)


def resampled(source: Source, number: int) -> Source:
    """Return a bootstrap sample of the source, in which each group is drawn whole, or not at all."""
    return source.select(np.repeat(np.arange(len(source)), resample_counts(source.groups, number)))


def resample_counts(groups: AnyArray, number: int) -> IntArray:
    """Return how often each sample is in the bootstrap sample of this number, by its group."""
    counts, _ = resampling_weights(np.asarray(groups).astype(str), 1, np.random.default_rng(number))
    return np.asarray(counts[0].astype(int))


def score_cell(
    cell: Cell, folder: CellFolder, *, n_permutations: int, information: bool = False
) -> pd.DataFrame:
    """Score a cell by linear probes, with preset "paper" by least squares too, and its groups (App. D)."""
    codes, errors = read_codes(folder), folder.reconstruction.read()
    how: dict[str, Any] = {"kinds": folder.kinds(), "n_permutations": n_permutations}
    how["blocks"] = folder.blocks()
    asked = information or None  # by default with permutations enough
    scores = score_codes(codes, reconstruction_error=errors, information=asked, **how)
    parts = [_with_probe(scores)]
    if cell.contender.preset == PAPER:
        amounts = score_codes(codes, least_squares=True, **how)
        parts += [amounts.assign(probe="least_squares")] if len(amounts) else []
    # A classifier of severities tells no groups: of mild cases it expects less than a half.
    severity = cell.keywords.get("severity") is not None
    own = find_method(cell.contender.method).capabilities.classifier and not severity
    of_target = folder.classified.required()["probability"].to_numpy() if own else mlp_probabilities(codes)
    of_groups = group_scores(codes, of_target, "own classifier" if own else "mlp")
    return pd.concat([*parts, of_groups], ignore_index=True)


def _with_probe(scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores with the probe that they are of; "" for those of no linear one."""
    probed = scores["chance"].notna() & ~scores["metric"].str.contains("information")
    scores.insert(0, "probe", np.where(probed, "linear", ""))
    return scores


def read_predictions(folder: CellFolder) -> pd.DataFrame:
    """Read the probes' predictions of a cell; compute and store them if they are missing."""
    if not folder.predictions.exists():
        folder.predictions.write(probe_predictions(read_codes(folder), kinds=folder.kinds()))
    return folder.predictions.required()


def read_codes(folder: CellFolder) -> pd.DataFrame:
    """Read the codes of a cell."""
    return folder.codes.required().copy()  # in one block: pandas warns of hundreds


@dataclass(frozen=True)
class Pixels:
    """Baseline cell without a method: principal components of the input are scored like codes."""

    n_components: int  # at most; a fair number is a method's number of codes in both spaces
    background: str
    fold: int | None = None
    adapter: InputAdapter = field(default_factory=InputAdapter)  # site and covariates, as the contenders do

    @property
    def name(self) -> str:
        """Name of the cell's folder, which differs for other numbers of components."""
        return f"{PIXELS}-{self.n_components}" + ("" if self.fold is None else f"-fold{self.fold}")

    @property
    def about(self) -> dict[str, Any]:
        """Columns with one value for all rows of the cell."""
        return {"contender": PIXELS, "method": PIXELS, "fold": self.fold}

    def run(
        self, train: Source, test: Source, folder: CellFolder, n_permutations: int, information: bool = False
    ) -> None:
        """Compute and score the components, and write the scores."""
        codes = self.components(train, test)
        how: dict[str, Any] = {"kinds": folder.kinds(), "n_permutations": n_permutations}
        scores = _with_probe(score_codes(codes, information=information or None, **how))
        probed = scores[(scores["space"] == "salient") & scores["chance"].notna()]
        of_groups = group_scores(codes, mlp_probabilities(codes), "mlp")
        both = pd.concat([probed, of_groups], ignore_index=True).assign(space=PIXELS)
        folder.scores.write(both)

    def components(self, train: Source, test: Source) -> pd.DataFrame:
        """Return the components as salient codes, in a table such as `codes.csv`."""
        adapter: InputAdapter = clone(self.adapter)
        samples = adapter.read(train, None, None)
        is_control = np.asarray(samples.labels).astype(str) == self.background
        seen = adapter.fit(samples, is_control, np.arange(len(train)))
        x_train, x_test = _flat(seen), _flat(adapter.transform(test))
        # n centred samples have rank n - 1; one more component is rounding error, which a scaler amplifies.
        most = min(self.n_components, len(x_train) - 1, x_train.shape[1])
        pca = PCA(most, random_state=0).fit(x_train)
        tables = []
        for source, x, name in ((train, x_train, "train"), (test, x_test, "test")):
            components = pca.transform(x).astype(np.float32)
            nothing = np.zeros((len(x), 1), dtype=np.float32)
            about = described(source, name)
            about.insert(4, "y", (about["label"] != self.background).astype(int))
            codes = Codes(nothing, nothing, components, components)
            tables.append(codes_table(codes, with_targets(about, len(np.unique(train.labels)))))
        return pd.concat(tables, ignore_index=True)


def _flat(source: Source) -> AnyArray:
    """Return all samples as rows of numbers; 8-bit images are scaled to [0, 1]."""
    parts = ([in_unit_range(source.take(part).x)] for part in chunks(len(source), CHUNK))
    return gather(len(source), parts)[0].reshape(len(source), -1)
