import numpy as np
import pandas as pd
import pytest

from sepvae.evaluation.classifiers import Question, Readings, removal_questions, removal_scores

# Training samples: 12 well, 11 mild, 10 severe, 9 odd (too rare), 5 ill of no known subtype.
SUBTYPES = [None] * 12 + ["mild"] * 11 + ["severe"] * 10 + ["odd"] * 9 + [None] * 5


@pytest.fixture
def table():
    y = np.repeat([0, 1], [12, 35])
    rows = pd.DataFrame({"id": range(47), "group": range(47), "y": y, "subtype": SUBTYPES, "split": "train"})
    rows["label"] = np.where(y == 0, "well", "ill")
    rows["sex"] = ["F", "M", *["F"] * 45]  # the background has it too
    rows["age"] = np.where(y == 0, np.nan, np.linspace(20.5, 60, 47))  # an amount
    test = rows.iloc[[0, 1, 12, 23, 33, 42]].assign(split="test", id=range(47, 53))
    return pd.concat([rows, test], ignore_index=True)


def test_the_label_and_classes_that_only_targets_have_are_asked_for(table):
    (label, subtype), left_out = removal_questions(table)
    assert (label.attribute, label.names) == ("label", ["well", "ill"])
    np.testing.assert_array_equal(label.classes, table["y"])
    assert (subtype.attribute, subtype.names) == ("subtype", ["well", "mild", "severe"])
    numbers = table["subtype"].map({"mild": 1, "severe": 2}).fillna(-1)
    np.testing.assert_array_equal(subtype.classes, numbers.where(table["y"] == 1, 0))
    assert left_out == ["subtype: 1 classes left out, fewer than 10 training samples: odd"]


def test_several_labels_of_targets_are_asked_for_once(table):
    several = table.assign(label=table["subtype"].fillna("well")).drop(columns="subtype")
    several = several[(several["y"] == 0) == (several["label"] == "well")]
    several["target"] = several["label"].where(several["y"] == 1)
    (label,), _ = removal_questions(several)
    assert (label.attribute, label.names) == ("label", ["well", "mild", "severe"])


def test_what_the_user_calls_an_amount_is_no_class(table):
    questions, _ = removal_questions(table, kinds={"subtype": "continuous"})
    assert [question.attribute for question in questions] == ["label"]


def test_samples_of_other_splits_do_not_make_a_class(table):
    fewer = table.assign(split=np.where(table.index == 12, "validation", table["split"]))
    questions, left_out = removal_questions(fewer[fewer.index != 13])
    assert [question.attribute for question in questions] == ["label"]
    assert left_out[-1] == "subtype: left out, 1 classes, not 2 to 20"


def test_names_are_no_classes():
    y = np.repeat([0, 1], [10, 210])
    names = [None] * 10 + [f"site {i}" for i in range(21)] * 10
    table = pd.DataFrame({"y": y, "label": y, "split": "train", "name": names})
    questions, left_out = removal_questions(table)
    assert [question.attribute for question in questions] == ["label"]
    assert left_out == ["name: left out, 21 classes, not 2 to 20"]


def test_without_background_nothing_is_asked(table):
    questions, left_out = removal_questions(table[(table["y"] == 1) | (table["id"] < 9)])
    assert questions == []
    assert left_out == ["label: 9 training samples of the background, at least 10 are needed"]


@pytest.fixture
def scores():
    """Two background samples, four targets of two classes and two patients, one target of no known class."""
    own = np.array([0, 0, 1, 1, 1, 2, -1])
    table = pd.DataFrame({"split": ["train"] * 3 + ["test"] * 7, "group": [*"xyz", *"abppqqr"]})
    question = Question("subtype", ["well", "mild", "severe"], np.array([0, 1, -1, *own]))
    readings = Readings(
        real=own.clip(0),
        full=np.array([0, 1, 1, 1, 0, 2, 0]),
        removed=np.array([0, 2, 0, 0, 0, 2, 1]),
        swapped=np.array([2, 2, 1, 2, 2, 2, 1]),
    )
    return removal_scores(question, table, readings, n_bootstraps=200)


def test_scores_are_shares_read_as_wanted_counted_by_hand(scores):
    by_kind = scores.set_index(["images", "population", "wanted"])["score"].to_dict()
    assert by_kind == pytest.approx(
        {
            ("real", "all", "own"): 1,
            ("full", "all", "own"): (1 / 2 + 2 / 3 + 1) / 3,
            ("full", "target", "own"): (2 / 3 + 1) / 2,
            ("full", "target", "background"): 1 / 4,
            ("salient removed", "target", "background"): 3 / 4,
            ("salient removed", "background", "background"): 1 / 2,
            ("swapped", "target", "donor's"): (1 / 3 + 1) / 2,
            ("swapped", "background", "background"): 0,
        }
    )


def test_a_score_says_what_it_is_and_on_how_many(scores):
    assert scores["metric"].tolist() == ["balanced_accuracy"] * 3 + ["share"] * 3 + [
        "balanced_accuracy",
        "share",
    ]
    assert set(scores["n_train"]) == {2}
    assert scores["n_test"].tolist() == [6, 6, 4, 4, 4, 2, 4, 2]
    assert scores["n_test_groups"].tolist() == [4, 4, 2, 2, 2, 2, 2, 2]
    np.testing.assert_allclose(scores["chance"], 1 / 3)


def test_the_interval_draws_whole_patients(scores):
    # Of patient p both were lost, of q one of two: 3/4, of two patients, says nothing. Four samples would.
    removed = scores[(scores["images"] == "salient removed") & (scores["population"] == "target")].iloc[0]
    assert removed["score"] == 0.75
    assert (removed["low"], removed["high"]) == pytest.approx((0, 1), abs=1e-3)


def test_one_patient_has_no_interval():
    table = pd.DataFrame({"split": ["test"] * 2, "group": ["a", "a"]})
    question = Question("label", ["well", "ill"], np.array([0, 1]))
    scores = removal_scores(question, table, Readings(*[np.array([0, 1])] * 4))
    assert scores[["low", "high"]].isna().all(axis=None)
    assert scores["score"].tolist() == [1, 1, 1, 0, 0, 1, 1, 1]


def test_a_block_is_lost_by_its_own_target_and_kept_by_others():
    table = pd.DataFrame({"split": ["test"] * 6, "group": list("abcdef")})
    question = Question("label", ["HC", "BD", "SZ"], np.array([0, 0, 1, 1, 2, 2]))
    without = {"salient, shared": np.zeros(6, int), "salient of SZ": np.array([0, 0, 1, 2, 0, 2])}
    readings = Readings(*[question.classes] * 4, without=without)
    scores = removal_scores(question, table, readings).query("images == 'without salient of SZ'")
    assert scores["population"].tolist() == ["target SZ", "other targets"]
    assert scores["wanted"].tolist() == ["another", "own"]
    assert scores["score"].tolist() == [0.5, 0.5]
    np.testing.assert_allclose(scores["chance"], [2 / 3, 1 / 3])


def test_rows_without_test_samples_are_left_out():
    table = pd.DataFrame({"split": ["test"] * 2, "group": ["a", "b"]})
    question = Question("label", ["well", "ill"], np.array([0, 0]))
    scores = removal_scores(question, table, Readings(*[np.array([0, 0])] * 4))
    assert set(scores["population"]) == {"all", "background"}
