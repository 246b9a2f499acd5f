import pandas as pd
import pytest

from sepvae.report.page import removal_sections
from sepvae.report.scores import (
    AT_CHANCE,
    BELOW_CHANCE,
    flags,
    main_scores,
    number,
    p_values,
    sections,
    summary,
    verdict,
)


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


def test_the_verdict_is_made_of_scores_and_the_rule_of_chance(scores):
    assert summary(scores) == [
        "subtype reads at 0.83 from the salient code and 0.53 from the common code (balanced accuracy, "
        "chance 0.50): the salient space holds it, and the common space is not shown to.",
        "Background or target reads at 0.91 from the salient code and 0.64 from the common code (AUC, "
        "chance 0.50): the salient space holds it, and part of it leaks into the common space.",
    ]


def test_the_verdict_names_its_population_where_an_attribute_has_two(scores):
    subtype = scores[scores["attribute"] == "subtype"]
    everyone = subtype.assign(population="all", score=0.5)
    first = summary(pd.concat([everyone, subtype]))[0]
    assert "(balanced accuracy, among targets, chance 0.50)" in first


KNOWN, NOT_KNOWN = (0.7, 0.8), (0.4, 0.6)


@pytest.mark.parametrize(
    ("salient", "common", "said"),
    [
        (NOT_KNOWN, NOT_KNOWN, "neither space is shown to hold it"),
        (NOT_KNOWN, KNOWN, "the common space holds it, and the salient space is not shown to"),
        (KNOWN, (0.75, 0.85), "both spaces hold it, and neither is clearly ahead"),
        (KNOWN, (0.85, 0.95), "the common space holds more of it than the salient space"),
        ((0.85, 0.95), KNOWN, "the salient space holds it, and part of it leaks into the common space"),
        ((0.2, 0.4), (0.2, 0.4), "neither space is shown to hold it"),
        ((float("nan"), float("nan")), KNOWN, "without intervals this says nothing of either space"),
    ],
)
def test_each_verdict(scores, salient, common, said):
    label = scores[(scores["attribute"] == "label") & (scores["space"] != "both")]
    low, high = zip(salient, common, strict=True)
    (sentence,) = summary(label.assign(low=low, high=high))
    assert sentence.endswith(f": {said}.")


def test_the_summary_says_when_it_chose_and_calls_nothing_a_leak_that_all_samples_have(scores):
    more = scores[scores["attribute"] == "subtype"].assign(attribute="severity", score=0.5)
    assert "Of 2 questions about what only targets have" in " ".join(summary(pd.concat([scores, more])))
    age = scores[scores["metric"] == "r2"].assign(low=0.8, high=0.9, score=0.85, p_value=0.01)
    age = pd.concat([age, age.assign(space="common", low=0.2, high=0.4)])
    assert summary(age)[0].endswith("the salient space holds it, and the common space part of it.")


def test_one_row_speaks_for_each_question(scores):
    found = main_scores(sections(scores))
    assert [(part.title, [row.metric for row in part.rows]) for part in found] == [
        ("background or target among all samples", ["auc"]),
        ("age among all samples", ["r2"]),
        ("subtype among target samples", ["balanced_accuracy"]),
    ]


def test_marks_are_explained_only_where_they_occur(scores):
    assert [mark for mark, _ in flags(sections(scores))] == [AT_CHANCE]
    assert flags(sections(scores[scores["p_value"] < 0.02].query("low > 0.55"))) == []


def test_a_score_far_below_chance_is_short():
    assert number(-3.16479918993e31, "r2") == "-3.16e+31"


def test_p_values_are_told_once(scores):
    assert p_values(scores).startswith("The p-value of each score without a mark is 0.02 at most;")
    assert p_values(scores.assign(p_value=float("nan"))) == ""
    assert p_values(scores.assign(p_value=0.5)) == "The p-value of each score is in scores.csv."


def test_a_block_is_said_to_hold_what_it_knows_best(scores):
    subtype = scores[(scores["space"] == "salient") & (scores["attribute"] == "subtype")]
    blocks = [subtype.assign(space="salient of SZ"), subtype.assign(space="salient of BD", p_value=0.5)]
    known, unknown = summary(pd.concat([scores, *blocks]))[-2:]
    assert known.startswith("The block 'salient of SZ' holds subtype among target samples best: ")
    assert unknown == "The block 'salient of BD' is not shown to hold anything that only targets have."


def test_nothing_probed_is_nothing_said(scores):
    assert summary(scores[scores["attribute"].isna()]) == []
    assert [section.title for section in sections(scores[scores["attribute"].isna()])] == ["Without a probe"]


@pytest.mark.parametrize(("n_labels", "title"), [(2, "background or target"), (4, "which label")])
def test_removal_of_several_targets_asks_for_the_label(n_labels: int, title: str) -> None:
    row = {"attribute": "label", "images": "real", "population": "all", "wanted": "own", "score": 0.9}
    row |= {"low": 0.8, "high": 1.0, "chance": 1 / n_labels, "n_train": 40, "n_test": 20, "n_test_groups": 20}
    assert [section["title"] for section in removal_sections(pd.DataFrame([row]))] == [title]
