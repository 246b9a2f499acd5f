"""Distances of the counterfactual scorecard against numbers computed another way."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

from sepvae import ContrastivePCA, SepVAE
from sepvae.data import ArraySource, frame_source
from sepvae.interpretation import counterfactuals
from sepvae.interpretation.counterfactuals import score_counterfactuals
from sepvae.methods.base import Capabilities

from ..helpers import quick

N = 60  # half of them targets
Y = np.repeat([0, 1], N // 2)
EVERYWHERE = ["mean_sample", "composition_1", "composition_10", "second_pass", "reversibility", "change"]


def table(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, 3)) @ rng.normal(size=(3, 8)) + 0.3 * rng.normal(size=(N, 8))
    x[:, :2] += 3 * Y[:, None] * rng.normal(size=(N, 2))
    return x


@pytest.fixture(scope="module")
def linear() -> ContrastivePCA:
    return ContrastivePCA(3, 2, background=0).fit(table(0), Y)


def by_row(scores: pd.DataFrame, column: str = "score", part: str = "salient") -> dict[Any, float]:
    return scores[scores["part"] == part].set_index(["measure", "population"])[column].to_dict()


def test_distances_of_a_linear_method_are_those_of_its_decoded_samples(linear: ContrastivePCA) -> None:
    scores = score_counterfactuals(linear, ArraySource(table(1), Y))
    assert scores is not None
    x, codes = linear.prepare(table(1)).take(np.arange(N)).x, linear.encode(table(1))
    first = linear.decode(codes.common_mean, codes.salient_mean, standardised=True)
    without = linear.decode(codes.common_mean, 0 * codes.salient_mean, standardised=True)
    found, own = by_row(scores), Y == 1
    assert found["composition_1", "target"] == pytest.approx(np.abs(x - first)[own].mean())
    change = np.abs(first - without).mean(axis=1)
    assert found["change", "target"] == pytest.approx(change[own].mean())
    between = cdist(first, first[~own], "cityblock") / 8
    nearer = (between[own] < change[own, None]).mean()
    assert found["minimality", "target"] == pytest.approx(nearer)
    reference = by_row(scores, "reference")
    assert reference["change", "target"] == pytest.approx(between[own].mean())
    # Background samples are not compared with themselves.
    assert reference["change", "background"] == pytest.approx(between[~own].sum() / (30 * 29))
    assert reference["minimality", "target"] == 0.5


def test_a_projection_loses_nothing_more_when_repeated_or_reversed(linear: ContrastivePCA) -> None:
    scores = score_counterfactuals(linear, ArraySource(table(1), Y))
    assert scores is not None
    found = by_row(scores)
    for population in ("background", "target"):
        again, once = found["composition_10", population], found["composition_1", population]
        assert again == pytest.approx(once)
        for measure in ("second_pass", "reversibility"):
            assert found[measure, population] == pytest.approx(0, abs=1e-6)
    assert (scores["low"] <= scores["score"]).all()
    assert (scores["score"] <= scores["high"]).all()


def test_without_a_use_of_the_salient_part_nothing_changes(
    linear: ContrastivePCA, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = ContrastivePCA.reconstruct
    monkeypatch.setattr(ContrastivePCA, "reconstruct", lambda self, X, *_, **__: plain(self, X))
    scores = score_counterfactuals(linear, ArraySource(table(1), Y))
    assert scores is not None
    found = by_row(scores)
    assert found["change", "target"] == found["minimality", "target"] == 0


def test_samples_of_one_subject_are_no_reference_of_each_other(linear: ContrastivePCA) -> None:
    groups = np.where(Y == 0, "one", [f"sub-{i // 2}" for i in range(N)])
    scores = score_counterfactuals(linear, ArraySource(table(1), Y, groups=groups))
    assert scores is not None
    assert scores[scores["population"] == "background"]["reference"].isna().sum() == len(EVERYWHERE)
    assert ("minimality", "background") not in by_row(scores)
    of_target = scores[scores["population"] == "target"]
    assert of_target["reference"].notna().all()
    assert set(of_target["n_test_groups"]) == {15}


def test_without_background_samples_there_is_no_reference(linear: ContrastivePCA) -> None:
    scores = score_counterfactuals(linear, ArraySource(table(1)[Y == 1], Y[Y == 1]))
    assert scores is not None
    assert set(scores["population"]) == {"target"}
    assert scores["measure"].tolist() == EVERYWHERE[1:]
    assert scores["reference"].isna().all()


def test_a_method_without_decoder_has_no_scorecard(
    linear: ContrastivePCA, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ContrastivePCA, "capabilities", Capabilities(decoder=False))
    assert score_counterfactuals(linear, ArraySource(table(1), Y)) is None


def test_chunks_change_nothing(linear: ContrastivePCA, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, steps = score_counterfactuals(linear, ArraySource(table(1), Y)), []
    rows = counterfactuals.chunk_rows
    monkeypatch.setattr(counterfactuals, "chunk_rows", lambda shape, most=7: rows(shape, most))
    parts = score_counterfactuals(
        linear, ArraySource(table(1), Y), progress=lambda done, total: steps.append((done, total))
    )
    assert whole is not None
    assert parts is not None
    pd.testing.assert_frame_equal(parts, whole)
    assert steps == [(i, 9) for i in range(1, 10)]


def test_each_block_changes_its_own_target_and_others() -> None:
    labels = np.array(["BD", "HC", "SZ"] * 20)
    model = SepVAE(**quick(salient_dim=6, shared_dim=2, background="HC")).fit(table(0), labels)
    scores = score_counterfactuals(model, ArraySource(table(1), labels))
    assert scores is not None
    full = model.reconstruct(table(1))
    less = model.reconstruct(table(1), without="salient of SZ")
    unit = model.scaler_.inverse_transform(np.ones((1, 8))) - model.scaler_.inverse_transform(
        np.zeros((1, 8))
    )
    change = (np.abs(full - less) / unit).mean(axis=1)
    found = by_row(scores, part="salient of SZ")
    assert found["change", "own target"] == pytest.approx(change[labels == "SZ"].mean(), rel=1e-4)
    assert found["change", "other targets"] == pytest.approx(change[labels == "BD"].mean(), rel=1e-4)
    assert set(by_row(scores, part="salient, shared")) == {("change", "background"), ("change", "target")}


def test_residualised_tables_with_gaps_keep_their_covariates() -> None:
    frame = pd.DataFrame(table(0), columns=list("abcdefgh")).assign(dx=Y, age=np.linspace(20, 60, N))
    frame.loc[::7, "b"] = np.nan
    source = frame_source(frame, label="dx", attributes=["age"], features=list("abcdefgh"))
    model = ContrastivePCA(3, 2, background=0, residualise=["age"]).fit(source)
    scores = score_counterfactuals(model, source)
    assert scores is not None
    assert by_row(scores)["second_pass", "target"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 8, 8, 8)])
def test_images_and_volumes_are_scored(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x = rng.random((N, *shape)).astype(np.float32)
    volumes = len(shape) == 4
    model = SepVAE(**quick(network="linear" if volumes else "auto", background=0)).fit(x, Y)
    scores = score_counterfactuals(model, ArraySource(x, Y))
    assert scores is not None
    error = np.abs(model.reconstruct(x) - x)[Y == 1].mean()
    assert by_row(scores)["composition_1", "target"] == pytest.approx(error, rel=1e-5)
