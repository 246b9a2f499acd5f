"""One rule tells a score from chance; console and page say the same of it."""

import re

import pandas as pd
import pytest

from sepvae.cli.tables import print_scores
from sepvae.evaluation.metrics import ABOVE_CHANCE, AT_CHANCE, BELOW_CHANCE, against_chance
from sepvae.report.scores import sections

NAN = float("nan")
CASES = [
    ("auc", 0.6, 0.8, 0.01, ABOVE_CHANCE),
    ("auc", 0.6, 0.8, NAN, ABOVE_CHANCE),
    ("auc", 0.45, 0.8, 0.01, AT_CHANCE),
    ("auc", 0.5, 0.5, 0.01, AT_CHANCE),
    ("auc", 0.6, 0.8, 0.2, AT_CHANCE),
    ("auc", NAN, NAN, 0.2, AT_CHANCE),
    ("auc", 0.3, 0.4, 0.9, BELOW_CHANCE),
    ("auc", NAN, NAN, 0.01, ""),
    ("auc", NAN, NAN, NAN, ""),
    ("mae", 0.3, 0.4, 0.01, ABOVE_CHANCE),
    ("mae", 0.4, 0.6, 0.01, AT_CHANCE),
    ("mae", 0.6, 0.8, 0.9, BELOW_CHANCE),
]


@pytest.mark.parametrize(("metric", "low", "high", "p", "expected"), CASES)
def test_interval_and_p_decide(metric, low, high, p, expected):
    assert (
        against_chance({"metric": metric, "low": low, "high": high, "chance": 0.5, "p_value": p}) == expected
    )


def test_a_score_without_a_p_value_goes_by_its_interval():
    assert against_chance({"metric": "share", "low": 0.6, "high": 0.8, "chance": 0.5}) == ABOVE_CHANCE


@pytest.mark.parametrize("case", [case for case in CASES if case[0] == "auc"])
def test_console_and_page_agree(case, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    metric, low, high, p, expected = case
    row = {"attribute": "label", "population": "all", "metric": metric, "score": 0.55, "low": low}
    row |= {"high": high, "chance": 0.5, "p_value": p}
    table = pd.DataFrame([row | {"space": space} for space in ("salient", "common")])
    print_scores(table)
    marks = len(re.findall(r"\]~", capsys.readouterr().out))
    cells = sections(table)[0].rows[0].cells
    assert marks == 2 * bool(cells["salient"].verdict)
    assert cells["salient"].verdict == ("" if expected == ABOVE_CHANCE else expected)


def test_an_r2_around_zero_is_by_chance_where_chance_is_negative() -> None:
    row = {"metric": "r2", "low": -0.35, "high": 0.65, "chance": -0.41, "p_value": 0.05}
    assert against_chance(row) == AT_CHANCE
    assert against_chance(row | {"low": 0.05}) == ABOVE_CHANCE
    assert against_chance(row | {"high": -0.5, "low": -0.6}) == BELOW_CHANCE
