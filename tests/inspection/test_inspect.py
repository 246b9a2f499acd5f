"""Each finding where it belongs, and none where nothing is wrong."""

import json

import numpy as np
import pandas as pd
import pytest

from sepvae.data.quality_metrics import measure
from sepvae.errors import DataError, count, listed
from sepvae.inspection import Finding, inspect


def codes(inspection):
    return [finding.code for finding in inspection.findings]


def the(inspection, code):
    (finding,) = (finding for finding in inspection.findings if finding.code == code)
    return finding


def replaced(quality_metrics, pictures):
    """Measures with other pictures in some rows."""
    quality_metrics = quality_metrics.copy()
    for row, picture in pictures.items():
        picture = np.broadcast_to(np.float32(picture), (1, 48, 48))
        quality_metrics.loc[row] = measure(picture, "L", picture.tobytes())
    return quality_metrics


def test_nothing_is_found_where_nothing_is_wrong(about, quality_metrics):
    inspection = inspect(about, quality_metrics)
    assert codes(inspection) == []
    assert not inspection.spoils


def test_counts_name_samples_and_groups_of_each_label(about):
    about.loc[:1, "split"] = "train"
    counts = inspect(about, background="patient").tables["counts"].fillna("")
    assert counts.to_numpy().tolist() == [
        ["patient", "", 240, 120],
        ["control", "train", 2, 1],
        ["control", "", 238, 119],
    ]


def test_one_label_spoils_a_fit_and_three_need_a_background(about):
    assert the(inspect(about.assign(label="a")), "one-label").level == "error"
    about.loc[:9, "label"] = "other"
    assert "no-background" not in {finding.code for finding in inspect(about).findings}  # control tells
    about["label"] = about["label"].replace("control", "usual")
    many = the(inspect(about), "no-background")
    assert many.level == "error"
    assert "labels other (10 samples), patient (236) and usual (234) do not tell which" in many.message
    assert "no-background" not in {one.code for one in inspect(about, background="usual").findings}


def test_samples_without_a_label_are_named(about):
    about.loc[[3, 5], "label"] = None
    inspection = inspect(about)
    assert the(inspection, "no-label").examples == ("s3", "s5")
    assert inspection.tables["counts"]["samples"].sum() == 478


def test_an_unknown_background_is_refused(about):
    with pytest.raises(DataError, match=r"background: wanted one of control, patient, got 'healthy'"):
        inspect(about, background="healthy")


def test_measures_of_other_samples_are_refused(about, quality_metrics):
    with pytest.raises(DataError, match="a row for each of 480"):
        inspect(about, quality_metrics[1:])


def test_unequal_labels(about):
    few = about[(about["label"] == "control") | (about["group"].str[1:].astype(int) < 48)]
    assert "imbalance" not in codes(inspect(few))  # 240 to 48
    finding = the(inspect(few.drop(few.index[few["label"] == "patient"][0])), "imbalance")
    assert finding.numbers["ratio"] == pytest.approx(240 / 47)
    assert "balanced=true" in finding.message


def test_groups_across_a_given_split_spoil_the_test(about):
    about["split"] = np.where(np.arange(480) < 361, "Train", "test")
    finding = the(inspect(about), "groups-across-split")
    assert (finding.level, finding.examples) == ("error", ("p180",))


def test_validation_is_taken_from_training(about):
    about["split"] = np.where(np.arange(480) < 101, "train", np.where(np.arange(480) < 360, "val", "test"))
    assert codes(inspect(about)) == []


def test_groups_with_both_labels(about):
    about.loc[0, "label"] = "patient"
    finding = the(inspect(about), "groups-with-both-labels")
    assert (finding.level, finding.examples) == ("warning", ("p0",))


def test_samples_without_groups_are_noted(about):
    assert codes(inspect(about.assign(group=about["id"]))) == ["no-groups"]
    assert codes(inspect(about.assign(group=about["id"]), grouped=True)) == []


@pytest.mark.parametrize(
    ("groups", "level"), [(1, "error"), (2, "error"), (5, "warning"), (60, "warning"), (120, None)]
)
def test_few_groups_of_a_label(about, groups, level):
    patients = about["label"] == "patient"
    few = about[~patients | (about["group"].str[1:].astype(int) < 2 * groups)]
    levels = {f.level for f in inspect(few).findings if f.code in ("too-few-groups", "weak-test")}
    assert ("error" in levels, bool(levels)) == (level == "error", level is not None)


def test_few_controls_to_test_on_give_no_sheet_of_single_people(about):
    number = about["group"].str[1:].astype(int)
    for label, said in (("control", True), ("patient", False)):
        few = about[(about["label"] != label) | (number < 120)]
        assert ("so few of control give no sheet" in the(inspect(few), "weak-test").message) == said


def test_a_batch_holds_two_of_each_label(about):
    assert the(inspect(about, batch_size=3), "batch-too-small").level == "error"
    assert codes(inspect(about, batch_size=4)) == []


def test_an_age_that_differs_is_a_confound(about):
    about["age"] += 20 * (about["label"] == "patient")
    finding = the(inspect(about), "confound")
    first = about.drop_duplicates("group")  # a patient counts once
    ages = [first.loc[first["label"] == label, "age"] for label in ("control", "patient")]
    pooled = np.sqrt((ages[0].var() + ages[1].var()) / 2)
    assert finding.numbers["d"] == pytest.approx((ages[1].mean() - ages[0].mean()) / pooled)
    assert finding.message.startswith("age differs strongly between control and patient: ")
    assert finding.level == "warning"


def test_a_site_that_goes_with_the_label_is_a_confound(about):
    patients = (about["label"] == "patient").to_numpy()
    group = about["group"].str[1:].astype(int).to_numpy()
    about["site"] = np.where(group % 10 < 2 + 5 * patients, "{A}", "[b]B")
    finding = the(inspect(about, kinds={"site": "categorical"}), "confound")
    assert "site goes with the label" in finding.message
    assert {"cramers_v", "p", "p_corrected"} == set(finding.numbers)


def test_chance_is_no_confound(about):
    # 100 attributes of noise for 12 patients: some have an AUC beyond 0.8.
    few = about[about["group"].str[1:].astype(int) < 24][["id", "group", "label", "split"]]
    noise = np.random.default_rng(0).normal(size=(24, 100)).repeat(2, axis=0)
    few = pd.concat([few, pd.DataFrame(noise, index=few.index).add_prefix("noise")], axis=1)
    inspection = inspect(few)
    assert (inspection.tables["confounds"]["auc"] - 0.5).abs().max() > 0.3
    assert "confound" not in codes(inspection)


def test_an_attribute_of_targets_only_and_one_that_is_missing_more_often(about):
    patients = about["label"] == "patient"
    about["score"] = about["age"].where(patients)
    about["education"] = about["age"].where(~patients | (about["group"].str[-1].isin(list("13"))))
    inspection = inspect(about)
    assert the(inspection, "attribute-of-one-label").message.startswith("score is known of patient only")
    assert "whether education is known" in the(inspection, "missing-by-label").message


def test_values_too_rare_to_learn_and_too_many_to_mean_anything(about):
    about["site"] = ["rare", "rare", *["common"] * 478]
    about["name"] = about["id"]
    inspection = inspect(about)
    assert the(inspection, "rare-values").examples == ("rare",)
    assert the(inspection, "attribute-of-many-values").numbers == {"values": 480}
    assert "confound" not in codes(inspection)


def test_attributes_are_described_by_label(about):
    about["sex"] = np.where(np.arange(480) % 8 < 2, "F", "M")
    table = inspect(about).tables["attributes"].set_index(["attribute", "label"])
    assert (
        table.loc[("age", "patient"), "mean"].item() == about.loc[about["label"] == "patient", "age"].mean()
    )
    counts = about.value_counts(["label", "sex"])
    assert table.loc[("sex", "control"), ["value", "n"]].to_numpy().tolist() == [
        ["F", counts["control", "F"]],
        ["M", counts["control", "M"]],
    ]


def test_unreadable_files_spoil_a_fit(about, quality_metrics):
    quality_metrics = quality_metrics.copy()
    quality_metrics.loc[4] = np.nan
    inspection = inspect(about, quality_metrics.astype(object), unreadable={"s4": "truncated"})
    finding = the(inspection, "unreadable")
    assert codes(inspection) == ["unreadable"]
    assert (finding.level, finding.examples) == ("error", ("s4",))
    assert inspection.spoils


def test_few_constant_images_are_a_warning_and_many_an_error(about, quality_metrics):
    assert the(inspect(about, replaced(quality_metrics, {2: 8})), "constant").level == "warning"
    many = replaced(quality_metrics, {row: row for row in range(60)})
    assert the(inspect(about, many), "constant").level == "error"


def test_dim_images_of_12_bits_in_16(about, quality_metrics):
    assert codes(
        inspect(
            about, quality_metrics.assign(low=quality_metrics["low"] / 16, high=quality_metrics["high"] / 16)
        )
    ) == ["dim"]


def test_shapes_and_modes_that_differ(about, quality_metrics):
    quality_metrics = quality_metrics.assign(
        mode=["L", "L", "RGB", "RGB"] * 120, width=[40, 40, 48, 48] * 120
    )
    assert codes(inspect(about, quality_metrics)) == ["image-confound"] * 3 + ["mixed-modes", "mixed-shapes"]


@pytest.mark.parametrize(
    ("rows", "split", "code", "level"),
    [
        ((0, 1), False, "duplicates-within-groups", "note"),
        ((0, 4), False, "duplicates-across-groups", "warning"),
        ((0, 2), False, "duplicates-across-labels", "error"),
        ((0, 476), True, "duplicates-across-split", "error"),
    ],
)
def test_identical_and_near_copies_are_told_by_where_they_stand(
    about, quality_metrics, pictures, rows, split, code, level
):
    old, new = rows
    if split:
        about["split"] = np.where(np.arange(480) < 360, "train", "test")
    finding = the(inspect(about, replaced(quality_metrics, {new: pictures[old]})), code)
    assert (finding.level, finding.examples) == (level, (f"s{old}", f"s{new}"))
    noisy = 0.9 * pictures[old] + np.random.default_rng(0).normal(size=(48, 48))
    inspection = inspect(about, replaced(quality_metrics, {new: noisy}))
    assert the(inspection, f"near-{code}").level == ("note" if level == "note" else "warning")
    assert not inspection.spoils


def test_the_same_picture_in_another_shape_is_no_copy(about, quality_metrics):
    quality_metrics = quality_metrics.copy()
    quality_metrics.loc[4, "look"] = quality_metrics.loc[0, "look"]
    assert codes(inspect(about, quality_metrics)) == ["near-duplicates-across-groups"]
    quality_metrics.loc[4, "width"] = 60
    assert "near-duplicates-across-groups" not in codes(inspect(about, quality_metrics))


def test_copies_are_listed_in_sets(about, quality_metrics, pictures):
    copied = replaced(quality_metrics, {1: pictures[0], 7: pictures[6], 9: pictures[6]})
    table = inspect(about, copied).tables["duplicates"]
    assert table[["set", "kind", "id"]].to_numpy().tolist() == [
        *([0, "identical", "s0"], [0, "identical", "s1"]),
        *([1, "identical", "s6"], [1, "identical", "s7"], [1, "identical", "s9"]),
    ]


def test_rows_of_a_table_have_copies_and_no_images(about):
    digests = [f"{i}" for i in range(479)] + ["0"]
    inspection = inspect(about, pd.DataFrame({"digest": digests}))
    assert codes(inspection) == ["duplicates-across-labels"]
    assert "images" not in inspection.tables


def test_problems_of_readers_stand_among_the_rest(about):
    problem = Finding("error", "no-file", "3 rows without a file: copy the images", ("a", "b", "c"))
    about["age"] += 20 * (about["label"] == "patient")
    assert codes(inspect(about, problems=[problem])) == ["no-file", "confound"]


def test_everything_is_json(about, quality_metrics):
    about.loc[0, "age"] = np.nan
    about["one"] = np.where(about["label"] == "patient", 1.0, 0.0)  # d is infinite
    inspection = inspect(about, quality_metrics)
    told = json.loads(json.dumps(inspection.to_dict(), allow_nan=False))
    assert [finding["code"] for finding in told["findings"]] == codes(inspection)
    assert told["findings"][0]["numbers"]["d"] is None
    assert told["counts"][0] == {"label": "control", "split": None, "samples": 240, "groups": 120}


def test_batches_that_leave_few_steps_are_warned_of(about):
    found = the(inspect(about, batch_size=128), "few-steps")
    assert found.level == "warning"
    assert "gives 2 steps an epoch" in found.message
    assert "leave it at auto" in found.message
    assert "few-steps" not in codes(inspect(about))


def test_numbers_and_lists_in_messages():
    assert (count(1, "image"), count(2, "pair")) == ("1 image", "2 pairs")
    assert (listed("ab"), listed("abcde")) == ("a, b", "a, b, c and 2 more")
