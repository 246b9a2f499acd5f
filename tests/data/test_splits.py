import numpy as np
import pytest

from sepvae.data import ArraySource, split, split_table
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
        ([0, 1, 1, 1], [0, 1, 2, 3], {}, "label 0 has samples of one group only"),
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
        ([0, 0, 1, 1], [0, 1, 2, 2], {}, "label 1 has samples of one group only"),
        ([0, 1, 0, 1, 2, 2], [0, 0, 1, 1, 2, 3], {"test_size": 0.2}, "side gets no sample of label"),
    ],
)
def test_refused(labels, groups, keywords, message):
    with pytest.raises(DataError, match=message):
        split(labels, groups, **keywords)


def test_table_names_the_part_of_each_sample():
    source = ArraySource(np.zeros((4, 1)), list("aabb"), groups=[1, 1, 2, 2])
    table = split_table(source, {"train": [2, 0], "test": [3]})
    assert table.to_dict("list") == {
        "id": ["0", "2", "3"],
        "group": [1, 2, 2],
        "label": ["a", "b", "b"],
        "split": ["train", "train", "test"],
    }
    with pytest.raises(DataError, match="parts: '0' stands in both 'train' and 'test'"):
        split_table(source, {"train": [0], "test": [0]})
