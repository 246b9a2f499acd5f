"""Orchestration of removal scores, with a model and a judge that do what they are told."""

from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from sepvae import SepVAE
from sepvae.data import ArraySource
from sepvae.errors import DataError
from sepvae.interpretation import removal
from sepvae.interpretation.removal import partners, score_removal
from sepvae.methods.base import Capabilities

from ..helpers import quick

N = 44  # of each part, the second half targets


class Model:
    """One common and one salient number; a sample is the two of them."""

    capabilities, num_workers, accelerator = Capabilities(epochs=True), 0, "cpu"
    salient_blocks_: ClassVar[dict[str, slice]] = {}

    def prepare(self, source: ArraySource) -> ArraySource:
        return source

    def decode(self, common: np.ndarray, salient: np.ndarray, *, standardised: bool, **_: Any) -> np.ndarray:
        assert standardised
        return np.concatenate([common, salient], axis=1)


def one_part(name: str) -> tuple[ArraySource, pd.DataFrame]:
    """Class 0 is the background, 1 and 2 are subtypes; the salient number is the class, the common one 10."""
    classes = np.repeat([0, 1, 2], [N // 2, N // 4, N // 4])
    x = np.stack([np.full(N, 10.0), classes], axis=1)
    ids = [f"{name}{i}" for i in range(N)]
    about = {"id": ids, "group": ids, "split": name, "label": np.where(classes, "ill", "well")}
    codes = pd.DataFrame({**about, "y": (classes > 0).astype(int), "common0": x[:, 0], "salient0": x[:, 1]})
    codes["subtype"] = np.where(classes, np.array(["", "mild", "severe"])[classes], None)
    return ArraySource(x, codes["label"], ids=ids), codes


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """What judges were trained on; each reads the salient number, as far as it has learnt it."""
    calls: list[tuple[Any, Any]] = []

    def train_attribute_classifier(source: Any, classes: Any, **_: Any) -> SimpleNamespace:
        calls.append((source, classes))
        return SimpleNamespace(predict=lambda x: x[:, 1].astype(int).clip(0, classes.max()))

    monkeypatch.setattr(removal, "train_attribute_classifier", train_attribute_classifier)
    monkeypatch.setattr(removal, "CHUNK", 7)  # so that there are several, and the last is smaller
    return calls


def run(**changes: Any) -> pd.DataFrame | None:
    (train, train_codes), (test, test_codes) = one_part("train"), one_part("test")
    codes = pd.concat([train_codes, test_codes.iloc[::-1]], ignore_index=True)
    return score_removal(Model(), train, test, codes.assign(**changes), say=lambda _: None)


@pytest.mark.usefixtures("judged")
def test_a_perfect_separation_scores_one_and_loses_nothing_by_itself() -> None:
    scores = run()
    assert scores is not None
    assert scores["attribute"].tolist() == ["label"] * 8 + ["subtype"] * 8
    lost_anyway = (scores["images"] == "full") & (scores["wanted"] == "background")
    np.testing.assert_array_equal(scores["score"], np.where(lost_anyway, 0, 1))
    assert scores["n_test"].tolist() == [44, 44, 22, 22, 22, 22, 22, 22] * 2


@pytest.mark.usefixtures("judged")
def test_a_salient_part_that_is_not_used_is_neither_removed_nor_swapped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Model, "decode", lambda _self, common, *_, **__: common.repeat(2, axis=1))
    scores = run(common0=lambda codes: codes["salient0"])
    assert scores is not None
    score = scores[scores["attribute"] == "label"].set_index(["images", "population", "wanted"])["score"]
    assert score["full", "all", "own"] == 1
    assert score["salient removed", "target", "background"] == 0
    assert score["swapped", "target", "donor's"] == score["swapped", "background", "background"] == 0


def test_judges_learn_from_training_samples_only(judged: list[Any]) -> None:
    run(split=lambda codes: codes["split"].mask(codes["id"].isin(["train0", "train25"]), "validation"))
    for (source, classes), used in zip(judged, ([0, 1], [0, 1, 2]), strict=True):
        assert source.ids[0] == "train0"
        assert classes[[0, 25]].tolist() == [-1, -1]
        assert set(np.delete(classes, [0, 25])) == set(used)


@pytest.mark.usefixtures("judged")
def test_samples_of_other_data_are_refused() -> None:
    with pytest.raises(DataError, match="1 samples are not in the data, such as stranger"):
        run(id=lambda codes: codes["id"].mask(codes["id"] == "test3", "stranger"))


def test_too_few_samples_are_not_judged(judged: list[Any]) -> None:
    assert run(split=lambda codes: codes["split"].mask(codes.index < N // 2 - 9, "validation")) is None
    assert judged == []


def test_partners_are_of_the_other_label_and_none_comes_twice() -> None:
    y = np.array([1, 0, 1, 0, 0, 1])
    places = partners(y, np.random.default_rng(0))
    assert sorted(places) == list(range(6))
    assert (y[places] != y).all()
    few = partners(np.array([0, 1, 1, 1]), np.random.default_rng(0))
    assert few[1:].tolist() == [0, 0, 0]
    assert few[0] in (1, 2, 3)


@pytest.mark.parametrize("kind", ["images", "table"])
def test_a_fitted_model_is_judged(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        removal, "train_attribute_classifier", partial(removal.train_attribute_classifier, n_steps=2)
    )
    rng, y = np.random.default_rng(0), np.repeat([0, 1], 20)
    x = rng.random((40, 1, 16, 16)) if kind == "images" else rng.normal(size=(40, 3))
    if kind == "table":
        x[::7, 1] = np.nan
    model = SepVAE(**quick()).fit(x, y)
    train, test = (ArraySource(x, y, ids=[f"{name}{i}" for i in range(40)]) for name in ("a", "b"))
    codes = pd.DataFrame(model.transform(x), columns=list(model.get_feature_names_out())).assign(y=y, label=y)
    parts = [codes.assign(split=s, id=p.ids, group=p.ids) for s, p in (("train", train), ("test", test))]
    scores = score_removal(model, train, test, pd.concat(parts, ignore_index=True))
    assert scores is not None
    assert scores["score"].between(0, 1).all()
    assert len(scores) == 8


@pytest.mark.usefixtures("judged")
def test_blocks_of_targets_are_removed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Model, "salient_blocks_", {"salient of mild": slice(0, 1)})
    (train, train_codes), (test, test_codes) = one_part("train"), one_part("test")
    codes = pd.concat([train_codes, test_codes], ignore_index=True)
    codes["label"] = codes["subtype"].fillna("well")
    scores = score_removal(Model(), train, test, codes.drop(columns="subtype"), say=lambda _: None)
    assert scores is not None
    of_block = scores[scores["images"] == "without salient of mild"].set_index("population")["score"]
    assert of_block.to_dict() == {"target mild": 1, "other targets": 0}  # the only number is that of both


def test_classifiers_share_the_budget(judged: list[Any]) -> None:
    (train, train_codes), (test, test_codes) = one_part("train"), one_part("test")
    images = ArraySource(np.zeros((N, 1, 2, 2)), train.labels, ids=train.ids)
    codes = pd.concat([train_codes, test_codes], ignore_index=True)
    told: list[str] = []
    assert score_removal(Model(), images, test, codes, budget=64 * 2 * 50 - 1, say=told.append) is None
    assert judged == []
    assert "removal: left out" in told[0]
    assert score_removal(Model(), images, test, codes, budget=64 * 2 * 50, say=told.append) is not None
