"""Covariates taken out of tables: what a method sees, what comes back, what is kept."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sepvae import ContrastivePCA, SepVAE, load
from sepvae.data import ArraySource, frame_source
from sepvae.errors import DataError
from sepvae.interpretation.examples import make_examples

from ..helpers import quick

TAKEN = ["age", "site"]
FEATURES = ["f0", "f1", "f2", "f3"]


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.normal(50, 10, 80), "site": rng.choice(["A", "B"], 80)})
    effects = frame[["age"]].to_numpy() * [1.0, 0.5, 0, 0] + 9 * (frame[["site"]] == "B").to_numpy()
    frame[FEATURES] = rng.normal(size=(80, 4)) + effects
    frame["dx"] = np.where(np.arange(80) < 50, "hc", "ill")
    frame.loc[3, "f1"] = np.nan
    return frame


@pytest.fixture
def x(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns="dx")


@pytest.fixture
def source(frame: pd.DataFrame) -> ArraySource:
    return frame_source(frame, label="dx", features=["f*"], attributes=TAKEN)


def model(**keywords: Any) -> Any:
    return SepVAE(**quick(max_epochs=2, batch_size=16, residualise=TAKEN) | keywords)


@pytest.fixture
def fitted(source: ArraySource) -> Any:
    return model().fit(source)


def test_a_frame_and_a_source_give_the_same_codes(
    fitted: Any, frame: pd.DataFrame, x: pd.DataFrame, source: ArraySource
) -> None:
    other = model().fit(x, frame["dx"])
    np.testing.assert_array_equal(other.transform(x), fitted.transform(source))
    np.testing.assert_array_equal(other.reconstruct(x), fitted.reconstruct(source))
    assert other.feature_names_in_.tolist() == fitted.feature_names_in_.tolist() == FEATURES
    assert (other.n_features_in_, fitted.n_features_in_, other.sample_shape_) == (4, 4, (4,))


def test_codes_change(fitted: Any, source: ArraySource) -> None:
    plain = model(residualise=None).fit(source)
    assert plain.residualizer_ is None
    assert np.abs(plain.transform(source) - fitted.transform(source)).max() > 0.01


def test_covariates_alone_change_nothing(fitted: Any, x: pd.DataFrame) -> None:
    effect = fitted.residualizer_.inverse_transform(np.zeros((80, 4)), x)
    older = x.assign(age=x["age"] + 20, site=x["site"].map({"A": "B", "B": "A"}))
    moved = older.copy()
    moved[FEATURES] += fitted.residualizer_.inverse_transform(np.zeros((80, 4)), older) - effect
    np.testing.assert_allclose(fitted.transform(moved), fitted.transform(x), atol=1e-4)


def test_the_same_person_at_another_age_is_moved_along_the_line_of_controls(
    fitted: Any, frame: pd.DataFrame, x: pd.DataFrame
) -> None:
    moved = fitted.reconstruct(x, at={"age": 60.0, "site": "B"}) - fitted.reconstruct(x)
    controls = np.setdiff1d(np.flatnonzero(frame["dx"] == "hc"), [*fitted.validation_indices_, 3])
    design = np.column_stack([np.ones(80), x["age"], x["site"] == "B"])
    effects = np.linalg.lstsq(design[controls], x[FEATURES].to_numpy()[controls])[0]
    wanted = (np.array([[1, 60.0, 1]]) - design) @ effects
    np.testing.assert_allclose(moved[:, [0, 2, 3]], wanted[:, [0, 2, 3]], atol=1e-4)  # f1 has a gap
    with pytest.raises(DataError, match="at: wanted one of age, site, got 'sex'"):
        fitted.reconstruct(x, at={"sex": "f"})
    with pytest.raises(DataError, match=r"at: wanted one value of 'age' for all samples, got \(2,\)"):
        fitted.reconstruct(x, at={"age": [50, 60]})
    plain = model(residualise=None).fit(x[FEATURES], frame["dx"])
    with pytest.raises(DataError, match="at: the model has no covariates"):
        plain.reconstruct(x[FEATURES], at={"age": 60})


def test_effects_are_those_of_the_controls_of_the_training_part(fitted: Any, x: pd.DataFrame) -> None:
    controls = np.setdiff1d(np.arange(50), fitted.validation_indices_)
    assert 0 < len(controls) < 50
    design = np.column_stack([np.ones(80), x["age"], x["site"] == "B"])[controls]
    fit, residuals, *_ = np.linalg.lstsq(design, x["f0"].to_numpy()[controls])
    np.testing.assert_allclose(fitted.residualizer_.scale_[0], np.sqrt(residuals[0] / (len(controls) - 3)))
    np.testing.assert_allclose(fitted.residualizer_.coefficients_[2, 0], fit[2])


def test_what_comes_back_is_in_the_units_of_each_person(fitted: Any, source: ArraySource) -> None:
    back = fitted.reconstruct(source)
    expected = fitted.residualizer_.inverse_transform(np.zeros((80, 4)), source.attributes)
    assert np.corrcoef(back[:, 0], expected[:, 0])[0, 1] > 0.95
    np.testing.assert_array_equal(fitted.swap(source, source), back)
    mean = source.x[:50, 0].mean()  # of an average control
    assert abs(fitted.sample(200, random_state=0)[:, 0].mean() - mean) < 3


def test_it_is_kept(fitted: Any, source: ArraySource, tmp_path: Any) -> None:
    fitted.save(tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(again.reconstruct(source), fitted.reconstruct(source))
    np.testing.assert_array_equal(again.sample(3, random_state=0), fitted.sample(3, random_state=0))
    about = json.loads((tmp_path / "model" / "model.json").read_text())["residuals"]
    assert about == {"kinds": {"age": "continuous", "site": "categorical"}, "levels": {"site": ["A", "B"]}}


def test_linear_methods_have_it_too(source: ArraySource, tmp_path: Any) -> None:
    linear = ContrastivePCA(common_dim=2, salient_dim=1, residualise="site").fit(source)
    linear.save(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").transform(source), linear.transform(source))
    by_site = pd.Series(linear.prepare(source).x[:50, 0]).groupby(source.attributes["site"][:50]).mean()
    assert abs(by_site["A"] - by_site["B"]) < 1e-6


def test_codes_of_training_controls_are_those_of_new_people(frame: pd.DataFrame, x: pd.DataFrame) -> None:
    linear = ContrastivePCA(common_dim=2, salient_dim=1, residualise=TAKEN)
    learnt = linear.fit_transform(x, frame["dx"])
    as_new, control = linear.transform(x), (frame["dx"] == "hc").to_numpy()
    np.testing.assert_array_equal(learnt[~control], as_new[~control])
    assert ((learnt[control] - as_new[control]) ** 2).mean() > 1e-6
    plain = ContrastivePCA(common_dim=2, salient_dim=1)
    features = x[FEATURES]
    np.testing.assert_array_equal(plain.fit_transform(features, frame["dx"]), plain.transform(features))


def test_examples_are_decoded_with_their_covariates(fitted: Any, source: ArraySource) -> None:
    examples = make_examples(fitted, np.zeros((4, 2)), source, per_label=3)
    at = source.ids.searchsorted(examples["ids"], sorter=source.ids.argsort())
    places = source.ids.argsort()[at]
    np.testing.assert_allclose(examples["full"], fitted.reconstruct(source)[places], rtol=1e-5)


def refused(message: str, act: Any, *data: Any) -> None:
    with pytest.raises(DataError, match=message):
        act(*data)


def test_refuses_people_unlike_those_fitted(fitted: Any, x: pd.DataFrame, source: ArraySource) -> None:
    elsewhere = x.assign(site=x["site"].where(x.index > 1, "C"))
    refused("2 of 80 samples have site 'C', which no control that was fitted", fitted.encode, elsewhere)
    refused("1 of 80 samples have no 'age'", fitted.encode, x.assign(age=x["age"].where(x.index > 0)))
    refused("X: no column 'site' for covariate", fitted.encode, x.drop(columns="site"))
    refused("attribute 'age', 'site', got an array, which names none", fitted.encode, source.x)
    bare = ArraySource(source.x, source.labels, feature_names=FEATURES)
    refused("X: no attribute 'age', which is a covariate; the attributes are none", fitted.encode, bare)


def test_refuses_other_features(fitted: Any, frame: pd.DataFrame) -> None:
    about = {"label": "dx", "attributes": TAKEN}
    fewer = frame_source(frame, features=["f0"], **about)  # type: ignore[arg-type]
    refused("X: the model was fitted on 4 features, got 1", fitted.encode, fewer)
    turned = frame_source(frame[[*frame.columns[::-1]]], **about)  # type: ignore[arg-type]
    refused(
        "X: feature 1 is 'f3', where the model was fitted on 'f0'; give the same features",
        fitted.encode,
        turned,
    )


def test_refuses_what_is_no_table_or_no_name(frame: pd.DataFrame, x: pd.DataFrame) -> None:
    images = np.zeros((80, 1, 16, 16), dtype=np.uint8)
    refused(
        "residualise, harmonise: wanted a table in memory or volumes, got samples of 1 x 16 x 16",
        model().fit,
        images,
        frame["dx"],
    )
    refused(
        "X: no column 'ages' for covariate; did you mean 'age'",
        model(residualise=["ages"]).fit,
        x,
        frame["dx"],
    )
    refused("'age' is named twice", model(residualise=["age", "age"]).fit, x, frame["dx"])
    refused(
        "residualise: wanted names of covariates, or None, got 3", model(residualise=3).fit, x, frame["dx"]
    )


def test_a_site_without_controls_is_refused_at_once(x: pd.DataFrame, frame: pd.DataFrame) -> None:
    refused(
        "30 of 80 samples have site 'C'",
        model().fit,
        x.assign(site=frame["dx"].map({"hc": "A", "ill": "C"})),
        frame["dx"],
    )
