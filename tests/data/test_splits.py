import numpy as np
import pandas as pd
import pytest

from sepvae.data import split
from sepvae.data.splits import choose_split, given_split, read_split
from sepvae.errors import DataError


def shares(labels, rows):
    """Share of each label that lies in these rows."""
    names, counts = np.unique(labels, return_counts=True)
    return np.array([(labels[rows] == name).sum() for name in names]) / counts


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("test_size", [0.1, 0.25, 0.37, 0.5])
def test_groups_stay_whole_and_shares_near(seed, test_size):
    rng = np.random.default_rng(seed)
    groups = rng.integers(300, size=1000)
    labels = np.where(rng.random(300) < 0.3, "ill", "well")[groups]
    train, test = split(labels, groups, test_size=test_size, random_state=seed)
    assert not set(groups[train]) & set(groups[test])
    assert np.sort(np.r_[train, test]).tolist() == list(range(1000))
    np.testing.assert_allclose(shares(labels, test), test_size, atol=0.02)


def test_without_groups_shares_are_exact():
    labels = np.repeat(["a", "b"], [50, 150])
    train, test = split(labels, np.arange(200), test_size=0.2)
    assert shares(labels, test).tolist() == [0.2, 0.2]
    assert len(train) == 160


def test_stratify_keeps_a_second_variable_that_may_be_missing():
    labels = np.repeat(["well", "ill"], [100, 100])
    kind = np.array([None] * 100 + ["bacteria"] * 80 + ["virus"] * 20, dtype=object)
    _, test = split(labels, np.arange(200), test_size=0.25, stratify=kind)
    assert (kind[test] == "virus").sum() == 5
    _, test = split(labels, np.arange(200) // 2, test_size=0.25, stratify=kind)
    assert (kind[test] == "virus").sum() in (4, 6)


def test_repeats_and_varies_with_random_state():
    labels, groups = np.tile([0, 1], 50), np.arange(100) // 2
    first, again, other = (split(labels, groups, random_state=seed)[1].tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_a_label_of_two_groups_gets_one_on_each_side():
    labels = np.repeat([0, 1], [90, 10])
    groups = np.r_[np.arange(90) // 3, np.arange(10) // 5 + 1000]
    for side in split(labels, groups, test_size=0.1):
        assert set(labels[side]) == {0, 1}


@pytest.mark.parametrize(
    ("labels", "groups", "keywords", "message"),
    [
        ([0, 1, 1, 1], [0, 1, 2, 3], {}, "label 0 has samples of one subject only"),
        (
            [0, 0, 1, 1],
            [0, 1, 0, 1],
            {"test_size": 1.0},
            "test_size: wanted a share between 0 and 1, got 1.0",
        ),
        ([0, 0, 1, 1], [0, 1], {}, r"groups: wanted one per sample \(4\), got 2"),
        ([0, 0, 1, 1], range(4), {"stratify": [0]}, r"stratify: wanted one per sample \(4\), got 1"),
        ([0, 0, 1, None], range(4), {}, "labels: 1 of 4 are missing"),
        ([0, 0, 1, 1], [0, 1, 2, None], {}, "groups: 1 of 4 are missing"),
        ([0, 0, 1, 1], range(4), {"test_size": 0.1}, "4 samples of 2 kinds are too few for test_size=0.1"),
        ([0, 0, 1, 1], [0, 1, 2, 2], {}, "label 1 has samples of one subject only"),
        ([0, 1, 0, 1, 2, 2], [0, 0, 1, 1, 2, 3], {"test_size": 0.2}, "side gets no sample of label"),
    ],
)
def test_refused(labels, groups, keywords, message):
    with pytest.raises(DataError, match=message):
        split(labels, groups, **keywords)


def test_parts_have_many_names():
    parts = np.array(["Train", "training", "val", "valid", "VALIDATION", "test", "Testing", None, np.nan])
    train, test = given_split(parts, np.arange(9), np.zeros(9))
    assert (train.tolist(), test.tolist()) == ([0, 1, 2, 3, 4], [5, 6])


@pytest.mark.parametrize(
    ("parts", "groups", "message"),
    [
        (["train", "test", "holdout", "test"], "abcd", "wanted train, validation or test, got 'holdout'"),
        ([0, 1, 0, 1], "abcd", "wanted train, validation or test, got '0'"),
        (["train", "test", "train", "test"], "abca", "1 subjects have samples on both sides, such as a;"),
        (["train", "train", "train", "test"], "abcd", "the test side gets no sample of label 0"),
        (["val", "test", "train", None], "abcd", "the test side gets no sample of label 1"),
    ],
)
def test_given_parts_refused(parts, groups, message):
    with pytest.raises(DataError, match=f"split: .*{message}"):
        given_split(np.array(parts, dtype=object), np.array(list(groups)), np.array([0, 0, 1, 1]))


IDS = np.array(["001", "b c", "d"])


@pytest.mark.parametrize(
    "text",
    [
        "id,group,label,split\nd,x,y,TEST\n001,x,y,train\nother,x,y,val\n",
        "\ufeffsplit;id\r\ntrain; 001\r\ntest;d\r\n;b c\r\n\r\n",
    ],
)
def test_a_split_is_read_from_a_table(written, text):
    parts = read_split(written(text), IDS)
    assert [part and part.lower() for part in parts] == ["train", None, "test"]


def test_numbers_are_found_by_their_text(written):
    assert read_split(written("id,split\n1,test\n"), np.array([0, 1])).tolist() == [None, "test"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,part\nd,test\n", ": no columns 'split'; wanted id and split"),
        ("id,id,split\nd,d,test\n", ": 2 columns 'id'; wanted id and split"),
        ("id,split\nd,test\n001,train\nd,train\n", " line 4: 'd' stands there twice"),
        ("id,split\nd,test\n001,dev\n", " line 3: wanted train, validation or test, got 'dev'; rename"),
        ("id,split\n1,test\n", ": names none of the samples; it has '1', ids in the data look like '001'"),
        ("id,split\n", ": wanted one row per sample"),
        ("id,split\n\xe4,test\n".encode("latin-1"), ": is no text in UTF-8"),
    ],
)
def test_split_files_refused(written, text, message):
    with pytest.raises(DataError, match=rf"table\.csv{message}"):
        read_split(written(text), IDS)


@pytest.fixture
def about():
    labels = np.tile(["ill", "well"], 20)
    return pd.DataFrame(
        {"id": [f"s{i}" for i in range(40)], "group": range(40), "label": labels, "split": None}
    )


def test_without_parts_the_split_is_drawn(about):
    train, test, how = choose_split(about, test_size=0.25, random_state=3)
    wanted = split(about["label"], about["group"], test_size=0.25, random_state=3)
    assert (train.tolist(), test.tolist()) == (wanted[0].tolist(), wanted[1].tolist())
    assert how == "drawn with seed 3, 0.25 for the test"
    # Training and validation alone leave nothing for the test.
    of_two = choose_split(about.assign(split=["train", "val"] * 20), test_size=0.25, random_state=3)
    assert of_two[1].tolist() == test.tolist()


def test_a_drawn_split_keeps_a_second_variable(about):
    site = np.repeat(["big", "small"], [32, 8])
    _, test, _ = choose_split(about, test_size=0.25, stratify=site)
    assert (site[test] == "small").sum() == 2


def test_parts_of_the_data_count_unless_a_file_says_otherwise(about, written):
    split_covariates = about.assign(split=["train"] * 30 + ["test"] * 10)
    train, test, how = choose_split(split_covariates)
    assert (train.tolist(), test.tolist(), how) == (
        list(range(30)),
        list(range(30, 40)),
        "as the folders say",
    )
    file = written("id,split\ns0,test\ns1,test\ns2,train\ns3,val\n")
    train, test, how = choose_split(split_covariates, file=file)
    assert (train.tolist(), test.tolist()) == ([2, 3], [0, 1])
    assert how == "as table.csv says; 36 samples are in no part"


def test_a_patient_on_both_sides_is_refused(about):
    about = about.assign(split=["train", "train", "test", "test"] * 10, group=np.arange(40) // 4)
    with pytest.raises(
        DataError, match=r"10 subjects have samples on both sides, such as 0; .* only its part"
    ):
        choose_split(about)
