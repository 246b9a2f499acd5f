"""The verdict on simulated codes whose separation is known."""

import numpy as np
import pandas as pd
import pytest

from sepvae.evaluation.scores import score_codes
from sepvae.report.verdict import SALIENT_KNOWS, Verdict, judge

USE = "Are both spaces in use?"
LABEL = "Is the common code free of the label?"
SHARED = "Do common and salient hold different things?"
BACKGROUND = "Is the background at rest in the salient space?"
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
    found = judge(score_codes(table, n_permutations=39, n_bootstraps=100))
    return found.verdict, {answer.question: answer.light for answer in found.answers}


def test_separated_codes_are_told_so() -> None:
    verdict, lights = judged(codes())
    assert verdict == "separated"
    assert lights == dict.fromkeys(
        [SALIENT_KNOWS, LABEL, SHARED, USE, BACKGROUND, EVERYONE, TARGETS], "green"
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


def test_without_scores_nothing_is_known() -> None:
    empty = pd.DataFrame(columns=["space", "attribute", "population", "metric", "score", "low", "chance"])
    assert judge(empty) == Verdict("not known", [])
    copied = codes().assign(common0=codes()["salient0"])
    assert judge(score_codes(copied, n_permutations=3, n_bootstraps=10)).verdict == "not known"


def test_a_site_that_is_the_label_is_red_beside_other_attributes() -> None:
    table = codes()
    site = np.where(table["y"] == 1, "a", "b")
    assert judged(table.assign(site=site))[1][EVERYONE] == "red"


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
    assert str(found) == "separated (5 of 7 questions have a score)"
