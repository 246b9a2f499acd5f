import pandas as pd
import pytest

from sepvae.report.scores import AT_CHANCE, BELOW_CHANCE, sections, verdict
from sepvae.report.summary import summary


@pytest.fixture
def scores(run):
    return pd.read_csv(run / "scores.csv")


def test_spaces_stand_side_by_side_and_the_label_comes_first(scores):
    found = sections(scores.sort_values("attribute"))
    assert [section.title for section in found] == [
        "background or target among all samples",
        "age among all samples",
        "subtype among target samples",
        "Without a probe",
    ]
    (row,) = found[0].rows
    assert [(space, cell.score) for space, cell in row.cells.items()] == [
        ("salient", "0.91"),
        ("common", "0.64"),
        ("both", "0.92"),
    ]
    assert row.chance == "0.50"
    assert found[2].rows[0].cells["both"] is None


def test_drawings_of_a_row_share_a_scale(scores):
    cells = sections(scores)[0].rows[0].cells
    assert cells["salient"].marks == {"score": 91.4, "low": 88.1, "high": 94.2, "chance": 50.0}
    age = sections(scores)[1].rows[0].cells
    assert age["common"].marks["chance"] == age["salient"].marks["chance"]
    assert 0 <= age["common"].marks["low"] < age["salient"].marks["high"] <= 100


@pytest.mark.parametrize(
    ("metric", "low", "high", "p", "expected"),
    [
        ("auc", 0.6, 0.8, 0.01, ""),
        ("auc", 0.45, 0.8, 0.01, AT_CHANCE),
        ("auc", 0.6, 0.8, 0.2, AT_CHANCE),
        ("auc", 0.6, 0.8, float("nan"), ""),
        ("auc", 0.3, 0.4, 0.9, BELOW_CHANCE),
        ("mae", 0.3, 0.4, 0.01, ""),
        ("mae", 0.6, 0.8, 0.9, BELOW_CHANCE),
        ("auc", float("nan"), float("nan"), float("nan"), ""),
    ],
)
def test_verdict(metric, low, high, p, expected):
    assert verdict({"metric": metric, "low": low, "high": high, "chance": 0.5, "p_value": p}) == expected


def test_the_summary_speaks_of_what_only_targets_have_and_of_the_leak(scores):
    text = " ".join(summary(scores))
    assert (
        "subtype among target samples, a linear probe gets balanced accuracy 0.83 (95 % interval 0.76" in text
    )
    assert "0.53 (95 % interval 0.45 to 0.61), not to be told from chance, from the common space" in text
    assert "questions" not in text  # age is asked of all samples
    assert "AUC of 0.91" in text
    assert "leaks" in text


def test_the_summary_says_when_it_chose_and_when_the_salient_space_is_not_ahead(scores):
    more = scores[scores["attribute"] == "subtype"].assign(attribute="severity", score=0.5)
    assert "Of 2 questions about what only targets have" in " ".join(summary(pd.concat([scores, more])))
    age = scores[scores["attribute"] == "age"].assign(space=["salient", "common", "salient"])
    age = pd.concat([age, age[age["metric"] == "r2"].assign(space="common", score=0.9)])
    assert "not ahead" in " ".join(summary(age))


def test_no_leak_is_claimed_without_an_interval(scores):
    text = " ".join(summary(scores.assign(low=float("nan"), high=float("nan"), p_value=float("nan"))))
    assert "0.64 from the common space" in text
    assert "leak" not in text


def test_nothing_probed_is_nothing_said(scores):
    assert summary(scores[scores["attribute"].isna()]) == []
    assert [section.title for section in sections(scores[scores["attribute"].isna()])] == ["Without a probe"]
