"""Disease or covariate: known where it was planted, silent where it was not, whole people together."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sepvae.evaluation.conditional import conditional_scores, covariates
from sepvae.evaluation.information import Evidence, label_information

HOW = {"n_permutations": 39, "n_bootstraps": 50}


def table(n: int = 240, seed: int = 0) -> pd.DataFrame:
    """Site b has 4 targets to 1 background sample, site a 1 to 4; salient is noise."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) // 2 % 2
    site = np.where(rng.uniform(size=n) < 0.8, y, 1 - y)
    about = {"id": np.arange(n).astype(str), "group": np.arange(n).astype(str), "y": y}
    about |= {"split": ["train", "test"] * (n // 2), "site": np.array(["a", "b"])[site]}
    return pd.DataFrame(about | {"common0": 0.0, "salient0": rng.normal(size=n)})


def scores(of: pd.DataFrame, **how: object) -> pd.DataFrame:
    found = conditional_scores(of, **HOW | how)
    return found.set_index(["attribute", "population", "metric"])


def test_salient_that_shows_the_site_knows_it_among_background_and_nothing_beyond_it() -> None:
    of = table()
    found = scores(of.assign(salient0=of["salient0"] + 3 * (of["site"] == "b")))
    among = found.loc["site", "background", "balanced_accuracy"]
    assert among["low"] > among["chance"]
    assert among["p_value"] == 1 / 40
    assert found.loc["label", "all", "information_given_covariates"]["p_value"] > 0.05


def test_salient_that_shows_the_disease_tells_as_much_as_is_left_beyond_the_site() -> None:
    of = table(n=1200)
    shows = of.assign(salient0=of["salient0"] + 2 * of["y"])
    beyond = scores(shows).loc["label", "all", "information_given_covariates"]
    grid = np.linspace(-8, 10, 4001)  # I(y; s | site) by the densities, of sites with 1 and 4 of 5 targets
    density = np.stack([stats.norm.pdf(grid), stats.norm.pdf(grid, 2)])
    joint = np.array([[0.8], [0.2]]) * density
    terms = joint * np.log(density / joint.sum(axis=0), out=np.zeros_like(joint), where=density > 1e-300)
    assert beyond["score"] == pytest.approx(np.trapezoid(terms.sum(axis=0), grid), abs=0.04)
    assert beyond["p_value"] == 1 / 40
    assert scores(of).loc["label", "all", "information_given_covariates"]["score"] < 0.01


def test_a_site_that_is_the_label_leaves_nothing() -> None:
    of = table()
    is_label = of.assign(site=np.where(of["y"] == 1, "a", "b"), salient0=of["y"] + 0.1 * of["salient0"])
    found = scores(is_label)
    assert found.loc["label", "all", "information_given_covariates"][["score", "p_value"]].tolist() == [0, 1]
    assert "background" not in found.index.get_level_values("population")  # all of one site


def test_covariates_are_what_half_of_either_group_has() -> None:
    of = table()
    background = of["y"] == 0
    known = of.assign(
        age=np.arange(240.0),
        symptoms=np.where(background, np.nan, 1.5 * np.arange(240)),
        few=np.where(of.index < 40, 0.1 * np.arange(240), np.nan),
        constant="one",
        name=of["id"] + "x",
    )
    assert dict(covariates(known)) == {"site": "categorical", "age": "continuous"}


def test_people_of_a_site_with_too_few_to_learn_from_are_left_out() -> None:
    of = table()
    rare = of.assign(site=of["site"].where(of.index >= 6, "c"))  # three of them in either part
    row = scores(rare).loc["site", "all", "label_information_given"]
    assert row[["n_train", "n_test"]].tolist() == [117, 117]


def test_gaps_of_covariates_are_filled_and_marked() -> None:
    of = table()
    age = np.where(of.index % 5 == 0, np.nan, of["y"] + 0.1 * of.index)
    row = scores(of.assign(age=age)).loc["age", "all", "label_information_given"]
    assert row[["n_train", "n_test"]].tolist() == [120, 120]
    assert np.isfinite(row["score"])


def test_a_covariate_that_no_one_of_a_frequent_site_has_tells_nothing() -> None:
    of = table()
    at_large = of.index < 60
    site = np.where(at_large, "large", of["id"])
    age = np.where(at_large, np.nan, 0.5 + 0.1 * of.index)
    row = scores(of.assign(site=site, age=age)).loc["label", "all", "information_given_covariates"]
    assert row["n_train"] == 30
    assert np.isfinite(row["score"])


def test_numbers_of_images_are_asked_of_background_alone() -> None:
    of = table()
    sharpness = np.random.default_rng(1).normal(size=len(of))
    quality = pd.DataFrame({"id": of["id"], "sharpness": sharpness, "site": 0.0})
    found = scores(of.assign(salient0=sharpness + of["y"]), quality=quality)
    assert found.loc["sharpness", "background", "r2"]["score"] == pytest.approx(1, abs=1e-3)
    of_sharpness = found.xs("sharpness").index.get_level_values("population")
    assert set(of_sharpness) == {"background"}


def test_labels_are_exchanged_between_people_of_one_stratum() -> None:
    own, strata = np.array([0, 0, 1, 1, 1, 1, 0, 0]), np.repeat([0, 1], 4)
    told = np.zeros((8, 2))
    told[:4] = np.log([[2.0, 0.5], [2.0, 0.5], [0.5, 2.0], [0.5, 2.0]])  # of the first stratum
    groups = np.repeat(["a", "b", "c", "d"], 2)
    score, *_, p_value = Evidence(told, own, strata).score(groups, n_permutations=199, n_bootstraps=10)
    assert score == pytest.approx(np.log(2) / 2)
    assert p_value == pytest.approx(0.5, abs=0.1)  # two people of a stratum: exchanged, or not


def test_few_people_have_no_information_beyond_covariates() -> None:
    few = table().assign(group=(np.arange(240) % 8).astype(str))
    assert "label_information_given" not in scores(few).index.get_level_values("metric")


def draws(n: int) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
    """Tables whose label goes with age, which salient shows and nothing else."""
    for seed in range(n):
        rng = np.random.default_rng(seed)
        y = np.arange(120) // 2 % 2
        age = rng.normal(size=(120, 1)) + y[:, None]
        yield y, age, age + rng.normal(size=(120, 2))


@pytest.mark.slow
def test_a_planted_confound_raises_no_more_alarms_than_the_level() -> None:
    p_values = []
    for y, age, codes in draws(20):
        people = np.arange(60)
        given = age[::2], age[1::2]
        evidence = label_information(codes[::2], y[::2], people, codes[1::2], y[1::2], given=given)
        p_values.append(evidence.score(people, **HOW)[3])
    assert np.sum(np.array(p_values) <= 0.05) <= stats.binom.ppf(0.999, 20, 0.05)
