"""The table of scores: which questions are asked, of which rows, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config

from sepvae.errors import DataError
from sepvae.evaluation import Samples, left_out, score_codes, score_probe
from sepvae.evaluation.scores import COLUMNS

QUICK = {"n_permutations": 3, "n_bootstraps": 20}


@pytest.fixture
def table():
    """Digits in c, lesions in s; the lesion is an attribute of targets only, age is anyone's and nowhere."""
    rng = np.random.default_rng(0)
    n = 240
    y, digit, lesion = rng.integers(0, 2, n), rng.integers(0, 3, n), rng.choice(["round", "thin"], n)
    common = np.eye(3)[digit] + 0.1 * rng.normal(size=(n, 3))
    salient = y[:, None] * np.c_[1 + rng.normal(size=n), lesion == "round"] + 0.1 * rng.normal(size=(n, 2))
    about = pd.DataFrame(
        {
            "id": [f"image{i}" for i in range(n)],
            "split": np.repeat(["train", "validation", "test"], [120, 40, 80]),
            "group": [f"patient{i // 2}" for i in range(n)],
            "label": np.where(y, "ill", "well"),
            "y": y,
            "digit": digit,
            "lesion": np.where(y, lesion, None),
            "age": rng.normal(50, 10, n),
        }
    )
    names = [*(f"common{i}" for i in range(3)), *(f"salient{i}" for i in range(2))]
    return pd.concat([about, pd.DataFrame(np.c_[common, salient], columns=names)], axis=1)


def test_each_space_is_found_to_know_what_was_put_there(table):
    scores = score_codes(table, n_permutations=19)
    assert list(scores.columns) == COLUMNS
    found = scores.set_index(["attribute", "population", "space", "metric"])
    accuracy = found.xs("balanced_accuracy", level="metric")["score"]
    assert accuracy["digit", "all", "common"] > 0.95
    assert accuracy["digit", "target", "salient"] < 0.5
    assert accuracy["lesion", "target", "salient"] > 0.95
    assert accuracy["lesion", "target", "common"] < 0.7
    assert found.loc[("label", "all", "salient", "auc"), "score"] > 0.75
    assert found.loc[("digit", "all", "common", "accuracy"), "p_value"] == 0.05


def test_what_targets_alone_have_is_asked_of_targets_alone(table):
    scores = score_codes(table, **QUICK).dropna(subset="attribute")
    asked = scores.groupby("attribute")["population"].unique().map(set).to_dict()
    assert asked == {
        "label": {"all"},
        "digit": {"all", "target"},
        "age": {"all", "target"},
        "lesion": {"target"},
    }
    counts = scores.query("attribute == 'lesion'").iloc[0][["n_train", "n_test", "n_test_groups"]]
    ill = table[table["y"] == 1].groupby("split")
    assert counts.tolist() == [ill.size()["train"], ill.size()["test"], ill["group"].nunique()["test"]]


def test_a_cell_is_the_probe_on_its_rows(table):
    table.loc[:20, "age"] = np.nan
    table.loc[200:210, "age"] = np.inf
    scores = score_codes(table, **QUICK).query(
        "attribute == 'age' and population == 'target' and space == 'common'"
    )
    rows = table[(table["y"] == 1) & np.isfinite(table["age"])]
    train, test = (
        Samples(
            part[["common0", "common1", "common2"]].to_numpy(),
            part["age"].to_numpy(),
            part["group"].to_numpy(str),
        )
        for part in (rows[rows["split"] == "train"], rows[rows["split"] == "test"])
    )
    expected = score_probe(train, test, "continuous", **QUICK)
    pd.testing.assert_frame_equal(
        scores[expected.columns].reset_index(drop=True), expected, check_dtype=False
    )


def test_least_squares_ask_for_amounts_alone(table):
    scores = score_codes(table, least_squares=True, **QUICK)
    assert list(scores.columns) == COLUMNS
    assert set(scores["attribute"]) == {"age"}
    ridge = score_codes(table, **QUICK).query("attribute == 'age'").reset_index(drop=True)
    pd.testing.assert_series_equal(scores["chance"], ridge["chance"])
    assert (scores["score"] != ridge["score"]).all()
    assert score_codes(table.drop(columns="age"), least_squares=True, **QUICK).empty


def test_validation_rows_and_other_attributes_change_nothing(table):
    scores = score_codes(table, **QUICK)
    fewer = score_codes(table[table["split"] != "validation"].drop(columns=["digit", "lesion"]), **QUICK)
    kept = scores[~scores["attribute"].isin(["digit", "lesion"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, fewer)


def test_test_rows_never_touch_the_fit(table):
    # The same samples once more, under new names: same probe, same scores.
    later = table[table["split"] == "test"]
    twice = pd.concat([table, later.assign(id=later["id"] + "b", group=later["group"] + "b")])
    one, two = (score_codes(t, **QUICK).dropna(subset="attribute") for t in (table, twice))
    np.testing.assert_allclose(one["score"], two["score"])
    # A shift of all test codes is no longer seen past: their own scaler would have undone it.
    odd = table.assign(common0=table["common0"].where(table["split"] != "test", 1000 + table["common0"]))
    score = score_codes(odd, **QUICK).query(
        "attribute == 'digit' and space == 'common' and metric == 'accuracy'"
    )
    assert (score["score"] < 0.5).all()


def test_scores_survive_the_way_through_a_csv_file(table, tmp_path):
    table["grade"] = (table["digit"] + 1).where(table["y"] == 1).astype("Int64")  # integers with gaps
    table.to_csv(tmp_path / "codes.csv", index=False)
    again = pd.read_csv(tmp_path / "codes.csv")
    pd.testing.assert_frame_equal(score_codes(table, **QUICK), score_codes(again, **QUICK))


def test_jobs_share_the_work_without_changing_it(table):
    with parallel_config(backend="threading"):  # processes take seconds to start
        shared = score_codes(table, **QUICK, n_jobs=2)
    pd.testing.assert_frame_equal(shared, score_codes(table, **QUICK))


def test_progress_counts_to_the_end(table):
    seen = []
    score_codes(table, **QUICK, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 18) for i in range(1, 19)]  # six questions, three spaces


def test_rare_and_new_classes_are_left_out(table):
    table.loc[0, "digit"], table.loc[239, "digit"] = 7, 8
    scores = score_codes(table, **QUICK).query("attribute == 'digit' and population == 'all'")
    assert (scores["n_train"] == 119).all()
    assert (scores["n_test"] == 79).all()
    reasons = left_out(table).query("attribute == 'digit' and population == 'all'")["reason"].tolist()
    assert reasons == ["2 classes left out, fewer than 2 training samples each: 7, 8"]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ("same", "fewer than two distinct values in split 'train'"),
        (None, "0 training samples, at least 10"),
        ([f"name{i}" for i in range(240)], "0 training samples"),
        ([*"ab" * 80, *"a" * 80], "fewer than two distinct values in split 'test'"),
    ],
)
def test_what_cannot_be_asked_is_said(table, values, reason):
    table["odd"] = values
    assert "odd" not in set(score_codes(table, **QUICK)["attribute"])
    reasons = left_out(table).query("attribute == 'odd'")["reason"]
    assert reasons.str.contains(reason, regex=False).any()


def test_nothing_left_out(table):
    assert left_out(table).empty


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop(columns="group"), "it lacks group"),
        (lambda t: t.drop(columns=["salient0", "salient1"]), "it lacks salient0"),
        (lambda t: t[t["split"] != "test"], "split 'test' has no rows"),
        (lambda t: t[(t["split"] != "train") | (t["y"] == 1)], "split 'train' has only y = 1"),
        (lambda t: t.assign(y=t["y"] / 2), "column y must hold 0"),
        (lambda t: t.assign(group="one"), "1 subjects are in train and in test, such as one"),
        (lambda t: t.assign(group=t["group"].where(t["y"] == 1)), "column group has empty cells"),
        (lambda t: t.assign(common1="text"), "column common1 holds"),
        (
            lambda t: t.assign(common1=t["common1"].where(t.index != 5)),
            "1 samples have others, such as id image5",
        ),
    ],
)
def test_a_table_that_cannot_be_scored_says_why(table, spoil, message):
    with pytest.raises(DataError, match=message):
        score_codes(spoil(table))


def test_blocks_are_scored_as_spaces_of_their_own(table):
    blocks = {"salient, shared": slice(0, 1), "salient of ill": slice(1, 2)}
    without, found = score_codes(table, **QUICK), score_codes(table, blocks=blocks, **QUICK)
    assert found["space"].unique().tolist() == ["common", "salient", "both", *blocks]
    of_spaces = found[~found["space"].isin(list(blocks))].reset_index(drop=True)
    pd.testing.assert_frame_equal(of_spaces, without)
    for place, name in enumerate(blocks):
        alone = score_codes(
            table.drop(columns=f"salient{1 - place}").rename(columns={f"salient{place}": "salient0"}), **QUICK
        )
        pd.testing.assert_frame_equal(
            found[found["space"] == name].drop(columns="space").reset_index(drop=True),
            alone[(alone["space"] == "salient") & ~alone["metric"].str.contains("information")]
            .drop(columns="space")
            .reset_index(drop=True),
        )
