import numpy as np
import pytest

from sepvae.data.splits import leave_out_folds, make_folds
from sepvae.errors import DataError


def test_folds_test_every_sample_once_with_patients_whole_and_labels_in_shares():
    groups = np.repeat(np.arange(60), 2)
    labels = np.where(groups % 3 == 0, "ill", "well")
    folds = make_folds(labels, groups, 5, random_state=3)
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(120))
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])
        assert sorted([*train, *test]) == list(range(120))
        assert (labels[test] == "ill").mean() == pytest.approx(1 / 3, abs=0.1)
    assert [test.tolist() for _, test in folds] != [t.tolist() for _, t in make_folds(labels, groups, 5)]


def test_more_folds_than_patients():
    with pytest.raises(DataError, match="folds: wanted 3 groups or more of each label, got 2 of ill"):
        make_folds(["ill", "ill", "well", "well", "well"], [0, 1, 2, 3, 4], 3)


@pytest.fixture
def cohort():
    """300 samples of 150 people; three sites with 80, 50 and 20 of them, and some without a site."""
    groups = np.repeat(np.arange(150), 2)
    labels = np.where(groups % 3 == 0, "ill", "well")
    sites = np.repeat(np.array(["A", "B", "C"], dtype=object), [80, 50, 20])
    return labels, groups, np.random.default_rng(0).permutation(sites)[groups]


def test_folds_have_labels_and_sites_in_shares(cohort):
    labels, groups, sites = cohort
    for train, test in make_folds(labels, groups, 5, stratify=sites):
        assert not set(groups[train]) & set(groups[test])
        for label in ("ill", "well"):
            for site in "ABC":
                share = np.mean((labels == label)[test] & (sites == site)[test])
                assert share == pytest.approx(np.mean((labels == label) & (sites == site)), abs=0.03)


def test_small_sites_and_missing_ones_are_taken_together(cohort):
    labels, groups, sites = cohort
    sites = sites.copy()
    sites[:6], sites[6:8], sites[groups == 100] = None, "tiny", "one"  # warnings are errors
    folds = make_folds(labels, groups, 5, stratify=sites)
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(300))
    assert all((labels[test] == "ill").mean() == pytest.approx(1 / 3, abs=0.05) for _, test in folds)


def test_one_site_changes_no_fold(cohort):
    labels, groups, _ = cohort
    plain, of_one = make_folds(labels, groups, 4), make_folds(labels, groups, 4, stratify=["A"] * 300)
    assert [test.tolist() for _, test in plain] == [test.tolist() for _, test in of_one]


@pytest.mark.parametrize(
    ("labels", "stratify", "message"),
    [
        (["ill", "well"] * 3, ["A"], r"stratify: wanted one per sample \(6\), got 1"),
        (["ill", None] * 3, None, "labels: 3 of 6 are missing"),
    ],
)
def test_folds_refused(labels, stratify, message):
    with pytest.raises(DataError, match=message):
        make_folds(labels, range(6), 2, stratify=stratify)


def test_a_fold_that_would_lack_a_label_is_refused():
    with pytest.raises(DataError, match="folds: fold 1 gets no sample of label 'b'; take fewer folds than 2"):
        make_folds(list("bbabab"), [2, 2, 0, 2, 3, 3], 2)


def test_each_site_is_left_out_once(cohort):
    labels, groups, sites = cohort
    folds, never = leave_out_folds(labels, groups, sites)
    assert [set(sites[test]) for _, test in folds] == [{"A"}, {"B"}, {"C"}]
    assert all(sorted([*train, *test]) == list(range(300)) for train, test in folds)
    assert never == ""


def test_what_lacks_a_label_or_a_site_stays_in_training(cohort):
    labels, groups, sites = cohort
    sites = np.where((sites == "B") & (labels == "ill"), None, sites)
    folds, never = leave_out_folds(labels, groups, sites)
    assert [set(sites[test]) for _, test in folds] == [{"A"}, {"C"}]
    n = sum(site is None for site in sites)
    assert never == f"B (no sample of ill), what has no value ({n} samples) are never left out"


def test_a_gap_beside_a_known_site_of_the_same_person_is_no_leak(cohort):
    labels, groups, sites = cohort
    gaps = sites.copy()
    gaps[::2] = None
    whole, of_gaps = (leave_out_folds(labels, groups, values)[0] for values in (sites, gaps))
    assert [test.tolist() for _, test in whole] == [test.tolist() for _, test in of_gaps]


def test_a_person_of_several_sites_and_a_single_site_are_refused(cohort):
    labels, groups, sites = cohort
    with pytest.raises(DataError, match="1 groups have several values of what is left out, such as 7;"):
        leave_out_folds(
            labels, groups, np.where(np.arange(300) == 14, "D", np.where(groups == 7, "A", sites))
        )
    with pytest.raises(
        DataError, match="wanted two values or more that have samples of every label, got 1 of 1"
    ):
        leave_out_folds(labels, groups, ["A"] * 300)
