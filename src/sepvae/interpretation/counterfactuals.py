"""
Counterfactual scorecard: how far samples move when their codes are changed, decoded and encoded again.

Composition and reversibility are the axioms of Monteiro, De Sousa Ribeiro, Pawlowski, Castro and Glocker,
"Measuring axiomatic soundness of counterfactual image models", ICLR 2023. Minimality is the first half of
the counterfactual latent divergence of Sanchez and Tsaftaris, "Diffusion causal models for counterfactual
estimation", CLeaR 2022, on decoded samples instead of codes. The classifiers of `removal` measure
effectiveness.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import AnyArray, IntArray, Source, chunk_rows, chunks, in_unit_range
from sepvae.data.arrays import ArraySource
from sepvae.evaluation.metrics import interval, resampling_weights
from sepvae.interpretation.maps import members
from sepvae.methods.base import ContrastiveEstimator
from sepvae.progress import Progress

PASSES = 10  # of repeated reconstruction
REFERENCES = 100  # background samples that all others are compared with; fewer of large volumes
COLUMNS = ["measure", "part", "population", "score", "low", "high", "reference", "n_test", "n_test_groups"]
OF_INPUTS = ("mean_sample", "composition_1", f"composition_{PASSES}")  # compared with other inputs
WHOLE = "salient"  # the whole salient part, not a block of it
HALF = 0.5  # share of background samples that are nearer than one of them, taken at random

Found = dict[tuple[str, str], npt.NDArray[np.float64]]  # distances (n,) by measure and part


def score_counterfactuals(
    model: ContrastiveEstimator, test: Source, *, n_bootstraps: int = 1000, progress: Progress | None = None
) -> pd.DataFrame | None:
    """
    Return distances of all test samples to what the model makes of them; None for methods without decoder.

    Distances are mean absolute differences per pixel, valid voxel or standardised feature. `reference` is
    the mean distance to background test samples of other subjects, of inputs or of reconstructions; for
    minimality, a share, it is 0.5. Intervals are over subjects. Without test samples of the background
    there is no reference.
    """
    if not model.capabilities.decoder:
        return None
    background, target = members(model, test)
    scorecard, found = _Scorecard(model, test, background), list[Found]()
    size = chunk_rows(test.sample_shape)
    for done, positions in enumerate(parts := list(chunks(len(test), size)), start=1):
        found.append(scorecard.distances(positions))
        if progress is not None:
            progress(done, len(parts))
    whole = {key: np.concatenate([one[key] for one in found]) for key in found[0]}
    populations = {"background": background, "target": target}
    rows = []
    for measure, part, population, chosen in _asked(model, test, populations):
        between = whole["between_inputs" if measure in OF_INPUTS else "between_decoded", WHOLE]
        row = _row(whole[measure, part], between, test.groups, chosen, measure, n_bootstraps)
        if row is not None:
            rows.append((measure, part, population, *row))
    return pd.DataFrame(rows, columns=COLUMNS)


def _asked(
    model: ContrastiveEstimator, test: Source, populations: dict[str, IntArray]
) -> Iterator[tuple[str, str, str, IntArray]]:
    """Yield measure, part, population and its positions, one for each row."""
    for measure in (*OF_INPUTS, "second_pass", "reversibility", "change", "minimality"):
        for population, chosen in populations.items():
            yield measure, WHOLE, population, chosen
    labels, target = np.asarray(test.labels), populations["target"]
    for block in model.salient_blocks_:
        own = [label for label in model.classes_ if block == f"salient of {label}"]
        yield "change", block, "background", populations["background"]
        if own:
            of_own = np.isin(labels[target], own)
            yield "change", block, "own target", target[of_own]
            yield "change", block, "other targets", target[~of_own]
        else:
            yield "change", block, "target", target


def _row(
    values: npt.NDArray[np.float64],
    between: npt.NDArray[np.float64],
    groups: AnyArray,
    chosen: IntArray,
    measure: str,
    n_bootstraps: int,
) -> tuple[float, float, float, float, int, int] | None:
    """Return mean, ends of its interval, reference and counts; None without samples."""
    chosen = chosen[np.isfinite(values[chosen])]
    if not len(chosen):
        return None
    weights, n_groups = resampling_weights(np.asarray(groups)[chosen].astype(str), n_bootstraps)
    share, known = measure == "minimality", between[chosen][np.isfinite(between[chosen])]
    reference = HALF if share else float(known.mean()) if len(known) else np.nan
    score, resampled = float(values[chosen].mean()), weights @ values[chosen] / weights.sum(axis=1)
    ends = interval(resampled, score, n_groups, scale="share" if share else "error")
    return score, *ends, reference, len(chosen), n_groups


class _Scorecard:
    """Distances of test samples, and some background samples, drawn once, to compare them with."""

    def __init__(self, model: ContrastiveEstimator, test: Source, background: IntArray) -> None:
        self.model, self.test = model, test
        most = chunk_rows(test.sample_shape, REFERENCES)
        chosen = np.sort(np.random.default_rng(0).permutation(background)[:most])
        self.groups = np.asarray(test.groups)[chosen]
        self.inputs = self.decoded = np.zeros((0, *test.sample_shape))
        if len(chosen):
            people = self._samples(chosen)
            self.inputs, first = self._seen(people), model.reconstruct(people)
            self.decoded = self._seen(people, first)

    def distances(self, positions: IntArray) -> Found:
        """Return the distances of the samples at these positions, by measure and part."""
        people, model = self._samples(positions), self.model
        groups = np.asarray(self.test.groups)[positions]
        x, first = self._seen(people), model.reconstruct(people)
        decoded, without = self._seen(people, first), model.reconstruct(people, "none")
        back, last = model.swap(_like(people, without), people), first
        found: Found = {("mean_sample", WHOLE): np.full(len(x), np.nan)}
        if len(self.inputs):
            found["mean_sample", WHOLE] = self._distance(x, self.inputs.mean(axis=0))
        found["composition_1", WHOLE] = self._distance(x, decoded)
        for n in range(2, PASSES + 1):
            last = model.reconstruct(_like(people, last))
            if n == 2:
                found["second_pass", WHOLE] = self._distance(decoded, self._seen(people, last))
        found[f"composition_{PASSES}", WHOLE] = self._distance(x, self._seen(people, last))
        found["reversibility", WHOLE] = self._distance(decoded, self._seen(people, back))
        change = found["change", WHOLE] = self._distance(decoded, self._seen(people, without))
        for block in model.salient_blocks_:
            changed = model.reconstruct(people, without=block)
            found["change", block] = self._distance(decoded, self._seen(people, changed))
        found["between_inputs", WHOLE] = _mean(self._to_others(x, self.inputs, groups))
        between = self._to_others(decoded, self.decoded, groups)
        found["between_decoded", WHOLE] = _mean(between)
        nearer = np.where(np.isnan(between), np.nan, between < change[:, None])
        return found | {("minimality", WHOLE): _mean(nearer)}

    def _samples(self, positions: IntArray) -> ArraySource:
        batch, names = self.test.take(positions), self.test.feature_names
        return ArraySource(batch.x, batch.y, attributes=batch.covariates, feature_names=names)

    def _seen(self, people: ArraySource, x: AnyArray | None = None) -> AnyArray:
        """Return samples, or x in their place, as networks see them."""
        source = self.model.prepare(people if x is None else _like(people, x))
        return in_unit_range(source.take(np.arange(len(source))).x)

    def _distance(self, a: AnyArray, b: AnyArray) -> npt.NDArray[np.float64]:
        """Return the mean absolute difference of each sample (n,) over pixels, valid voxels or features."""
        grid = self.model.grid_ if self.model.grid_ is not None else self.test.grid
        count = np.prod(a.shape[1:]) if grid is None else grid.valid_mask.sum()
        return np.asarray(np.abs(a - b).reshape(len(a), -1).sum(axis=1, dtype=np.float64) / count)

    def _to_others(self, x: AnyArray, others: AnyArray, groups: AnyArray) -> npt.NDArray[np.float64]:
        """Return distances (n, references) to background samples, NaN to those of the same subject."""
        found = np.full((len(x), len(others)), np.nan)
        for i, other in enumerate(others):
            found[:, i] = np.where(groups == self.groups[i], np.nan, self._distance(x, other))
        return found


def _like(people: ArraySource, x: AnyArray) -> ArraySource:
    """Return a source of other values of the same samples, with their attributes."""
    names = people.feature_names
    return ArraySource(x, people.labels, attributes=people.attributes, feature_names=names)


def _mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the mean of the known values in each row, NaN for rows without any."""
    known = np.isfinite(values).sum(axis=1)
    return np.asarray(np.nansum(values, axis=1) / np.where(known > 0, known, np.nan))
