"""The verdict on simulated codes whose separation is known."""

import numpy as np
import pandas as pd
import pytest

from sepvae.evaluation.scores import score_codes
from sepvae.report.scores import AT_LIMIT, cell
from sepvae.report.verdict import NOT_A_COVARIATE, QUESTIONS, SALIENT_KNOWS, Verdict, judge

USE = "Are both spaces in use?"
LABEL = "Is the common code free of the label?"
SHARED = "Do common and salient hold different things?"
BACKGROUND = "Is the background at rest in the salient space?"
RECONSTRUCTIONS = "Do reconstructions show single samples?"
EVERYONE = "Is the salient code free of what everyone has?"
TARGETS = "Is the common code free of what only targets have?"


def codes(seed: int = 0, n: int = 400) -> pd.DataFrame:
    """Codes that are separated: age in common, severity of targets in salient, the background at rest."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) // 2 % 2
    age, severity, site = rng.normal(size=n), rng.uniform(1, 3, size=n), rng.integers(0, 2, n)
    noise = 0.1 * rng.normal(size=(2, n))
    about = {"id": np.arange(n).astype(str), "group": np.arange(n).astype(str), "y": y}
    about |= {"split": ["train", "test"] * (n // 2), "age": age, "site": np.array(["a", "b"])[site]}
    about["severity"] = np.where(y == 1, severity, np.nan)
    common = {"common0": age + noise[0], "common1": site + 0.3 * rng.normal(size=n)}
    return pd.DataFrame(about | common | {"salient0": y * severity + noise[1]})


def judged(table: pd.DataFrame) -> tuple[str, dict[str, str]]:
    found = judge(score_codes(table, n_permutations=19, n_bootstraps=100))
    return found.verdict, {answer.question: answer.light for answer in found.answers}


def test_separated_codes_are_told_so() -> None:
    verdict, lights = judged(codes())
    assert verdict == "separated"
    assert lights == dict.fromkeys(
        [SALIENT_KNOWS, LABEL, SHARED, USE, BACKGROUND, EVERYONE, TARGETS, NOT_A_COVARIATE], "green"
    )


def test_common_that_knows_severity_is_red_where_it_is() -> None:
    table = codes()
    leak = table["severity"].fillna(0)
    verdict, lights = judged(table.assign(common0=table["common0"] + 2 * leak))
    assert verdict == "partly separated"
    red = {question for question, light in lights.items() if light == "red"}
    assert {LABEL, SHARED, TARGETS} <= red | {q for q, light in lights.items() if light == "amber"}
    assert LABEL in red
    assert lights[SALIENT_KNOWS] == lights[EVERYONE] == "green"


def test_a_planted_site_in_salient_is_red() -> None:
    table = codes()
    verdict, lights = judged(table.assign(salient1=(table["site"] == "a") + table["salient0"] * 0.01))
    assert verdict != "separated"
    assert lights[EVERYONE] == "red"


@pytest.mark.parametrize(("score", "near"), [(2.9, True), (1.0, False)])
def test_information_at_its_limit_is_said_to_be(score: float, near: bool) -> None:
    row = {"space": "both", "attribute": None, "population": "target", "metric": "shared_information"}
    row |= {"score": score, "low": score - 0.1, "high": score + 0.1, "chance": 0.0, "p_value": 0.01}
    (answer,) = judge(pd.DataFrame([row | {"n_test": 20}])).answers
    assert ("so many test samples cannot show more than ln 20 = 3.00" in answer.seen) == near
    assert answer.seen.endswith(".")
    assert (cell(row | {"n_test": 20}, 0, 0).verdict == AT_LIMIT) == near
    assert cell(row, 0, 0).verdict == ""  # runs that do not say how many


def test_a_background_that_spreads_is_red() -> None:
    table = codes()
    spread = table["salient0"] + (table["y"] == 0) * np.random.default_rng(1).normal(size=len(table))
    assert judged(table.assign(salient0=spread))[1][BACKGROUND] == "red"


@pytest.mark.slow
def test_shuffled_labels_are_not_separated() -> None:
    rng = np.random.default_rng(0)
    found = []
    for seed in range(20):
        table = codes(seed, n=200).drop(columns="severity")
        salient = rng.normal(size=(len(table), 1))
        found.append(judged(table.assign(salient0=salient, y=rng.permutation(table["y"])))[0])
    assert found.count("not separated") >= 19


def test_an_estimate_below_zero_is_no_amount() -> None:
    row = {"space": "both", "population": "target", "metric": "shared_information", "attribute": None}
    row |= {"score": -0.06, "low": -0.1, "high": 0.01, "chance": 0.0, "p_value": 0.6, "n_test": 50}
    (answer,) = judge(pd.DataFrame([row])).answers
    assert answer.seen.startswith("among targets they share 0.00 nats or more (95 % interval -0.10 to 0.01)")


def test_without_scores_nothing_is_known() -> None:
    empty = pd.DataFrame(columns=["space", "attribute", "population", "metric", "score", "low", "chance"])
    assert judge(empty) == Verdict("not known", [])
    copied = codes().assign(common0=codes()["salient0"])
    assert judge(score_codes(copied, n_permutations=3, n_bootstraps=10)).verdict == "not known"


def test_a_site_that_is_the_label_is_red_beside_other_attributes() -> None:
    table = codes()
    site = np.where(table["y"] == 1, "a", "b")
    lights = judged(table.assign(site=site))[1]
    assert lights[EVERYONE] == lights[NOT_A_COVARIATE] == "red"


def test_every_answer_that_is_not_green_says_what_to_try() -> None:
    table = codes()
    leaky = table.assign(common0=table["severity"].fillna(0), salient0=table["age"])
    found = judge(score_codes(leaky, n_permutations=19, n_bootstraps=50))
    assert found.verdict == "not separated"
    assert all(answer.advice for answer in found.answers if answer.light != "green")
    first = found.as_json()["answers"][0]
    assert first.keys() == {"question", "light", "seen", "advice", "score"}
    assert first["score"]["metric"] == "auc"


def test_an_empty_space_is_red() -> None:
    table = codes()
    verdict, lights = judged(table.assign(common0=0.0, common1=0.0))
    assert lights[USE] == "red"
    assert verdict != "separated"


def test_questions_without_a_score_are_counted() -> None:
    without = codes().drop(columns=["age", "site", "severity"])
    found = judge(score_codes(without, n_permutations=19, n_bootstraps=50))
    assert str(found).startswith("separated (without a score: Is the")
    asked = {answer.question for answer in found.answers}
    assert {question for question in QUESTIONS if question in str(found)} == set(QUESTIONS) - asked


def with_site(table: pd.DataFrame, *, share: float = 0.8) -> pd.DataFrame:
    """Site b has this share of the targets, and site a that of the background."""
    rng = np.random.default_rng(1)
    site = np.where(rng.uniform(size=len(table)) < share, table["y"], 1 - table["y"])
    return table.assign(site=np.array(["a", "b"])[site])


def test_a_site_that_salient_shows_instead_of_the_disease_is_red() -> None:
    table = with_site(codes())
    rng = np.random.default_rng(2)
    shows_site = (table["site"] == "b") + 0.3 * rng.normal(size=len(table))
    verdict, lights = judged(table.assign(salient0=shows_site))
    assert verdict != "separated"
    assert lights[SALIENT_KNOWS] != "red"
    assert lights[NOT_A_COVARIATE] == "red"


def test_it_is_not_asked_whether_it_is_the_disease_where_nothing_tells_the_groups_apart() -> None:
    scores = score_codes(with_site(codes()), n_permutations=19, n_bootstraps=100)
    of_label = (scores["attribute"] == "label") & (scores["space"] == "salient")
    by_chance = scores.assign(low=scores["low"].mask(of_label & (scores["chance"] == 0.5), 0.3))
    asked = [{answer.question for answer in judge(rows).answers} for rows in (scores, by_chance)]
    assert asked[0] - asked[1] == {NOT_A_COVARIATE}


def test_a_disease_that_goes_with_a_site_is_no_confound_unless_salient_shows_the_site() -> None:
    table = with_site(codes())
    assert judged(table)[1][NOT_A_COVARIATE] == "green"
    both = table.assign(
        salient1=(table["site"] == "b") + 0.3 * np.random.default_rng(2).normal(size=len(table))
    )
    assert judged(both)[1][NOT_A_COVARIATE] == "amber"


def test_what_check_found_and_no_score_covers_is_amber() -> None:
    scores = score_codes(codes(), n_permutations=19, n_bootstraps=100)
    row = {"variable": "orientation", "of": "volume", "auc": None, "cramers_v": 0.5, "p_corrected": 0.001}
    for differs, light in (
        (row, "amber"),
        (row | {"variable": "site"}, "green"),
        (row | {"cramers_v": 0.1}, "green"),
    ):
        found = {answer.question: answer for answer in judge(scores, {"confounds": [differs]}).answers}
        assert found[NOT_A_COVARIATE].light == light
        assert ("orientation" in found[NOT_A_COVARIATE].seen) == (light == "amber")


@pytest.mark.parametrize(("explained", "light"), [(0.05, "red"), (0.2, "amber"), (0.6, "green")])
def test_reconstructions_of_the_worse_group_count(explained: float, light: str) -> None:
    table = codes()
    test = table[table["split"] == "test"]
    full = np.where(test["y"] == 1, 1 - explained, 0.2)
    errors = pd.DataFrame({"id": test["id"], "full": full, "common_only": full, "of_mean": 1.0})
    found = judge(score_codes(table, reconstruction_error=errors, n_permutations=0, n_bootstraps=50))
    answer = next(answer for answer in found.answers if answer.question == RECONSTRUCTIONS)
    assert (answer.light, answer.score["population"]) == (light, "target")


def test_an_image_metric_that_salient_knows_among_background_is_amber() -> None:
    table = codes().drop(columns=["age", "site"])
    rng = np.random.default_rng(0)
    sharpness = rng.normal(size=len(table))
    quality = pd.DataFrame({"id": table["id"], "sharpness": sharpness, "aspect": rng.normal(size=len(table))})
    shows = table.assign(salient1=sharpness + 0.1 * rng.normal(size=len(table)))
    scores = score_codes(shows, quality=quality, n_permutations=19, n_bootstraps=100)
    found = {answer.question: answer for answer in judge(scores).answers}
    assert found[NOT_A_COVARIATE].light == "amber"
    assert "sharpness" in found[NOT_A_COVARIATE].seen
    assert "aspect" not in found[NOT_A_COVARIATE].seen
    plain = score_codes(table, quality=quality, n_permutations=19, n_bootstraps=100)
    assert NOT_A_COVARIATE not in {answer.question for answer in judge(plain).answers}


def test_a_site_that_salient_knows_among_background_only_is_not_green() -> None:
    table = codes()
    at_rest = (table["y"] == 0) & (table["site"] == "b")
    rng = np.random.default_rng(3)
    shows = table.assign(salient1=0.5 * at_rest + 0.05 * rng.normal(size=len(table)))
    scores = score_codes(shows, n_permutations=19, n_bootstraps=100)
    found = {answer.question: answer for answer in judge(scores).answers}
    answer = found[EVERYONE]
    assert answer.light == "amber"
    assert answer.seen.endswith("but among background salient knows site.")
