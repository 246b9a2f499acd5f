from pathlib import Path

import pandas as pd
import pytest

from sepvae.data.formats.image_folder import ImageFolder
from sepvae.data.manifest import Manifest
from sepvae.errors import DataError


@pytest.fixture
def manifest():
    labels = ["well", "flu", "cold", "well", "flu"]
    about = pd.DataFrame({"id": list("abcde"), "group": list("ppqrs"), "label": labels, "split": None})
    about["sex"] = ["f", "f", "m", None, "f"]
    return Manifest(
        Path("data"), about, [Path(name) for name in "abcde"], format=ImageFolder(), missing=["b", "c"]
    )


def test_keep_leaves_samples_out_everywhere(manifest):
    kept = manifest.keep(manifest.about["label"].ne("cold").to_numpy())
    assert kept.about["id"].tolist() == [file.name for file in kept.files] == ["a", "b", "d", "e"]
    assert kept.attributes["sex"].fillna("-").tolist() == ["f", "f", "-", "f"]
    assert (list(kept.missing), len(kept)) == (["b"], 4)


def test_limit_counts_by_label_or_by_an_attribute(manifest):
    assert manifest.limited(1).about["id"].tolist() == ["a", "b", "c"]
    assert manifest.limited(1, "sex").about["id"].tolist() == ["a", "b", "c", "d"]
    assert manifest.limited(None) is manifest


def test_a_limit_counts_val_as_train_and_the_test_apart():
    parts = ["test"] * 3 + ["train"] * 3 + ["Val"] * 3
    about = pd.DataFrame({"id": list("abcdefghi"), "group": list("abcdefghi"), "label": "well"})
    manifest = Manifest(
        Path("data"), about.assign(split=parts), [Path(name) for name in about["id"]], format=ImageFolder()
    )
    assert manifest.limited(2).about["id"].tolist() == ["a", "b", "d", "e"]
    assert manifest.limited(4).about["id"].tolist() == ["a", "b", "c", "d", "e", "f", "g"]


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ((None, "sex"), "limit_by='sex' needs limit"),
        ((1, "age"), r"limit_by: wanted an attribute \(sex\), got 'age'"),
    ],
)
def test_limits_refused(manifest, limit, message):
    with pytest.raises(DataError, match=message):
        manifest.limited(*limit)


def test_one_target_leaves_other_labels_out(manifest):
    two = manifest.with_roles("well", ["flu"])
    assert two.about["label"].tolist() == ["well", "flu", "well", "flu"]
    assert two.background == "well"
    assert two.attributes.columns.tolist() == ["sex"]


def test_several_targets_are_joined_and_told_apart_by_an_attribute(manifest):
    two = manifest.with_roles("well", ["flu", "cold", "flu"])
    assert two.about["label"].tolist() == ["well", "flu + cold", "flu + cold", "well", "flu + cold"]
    assert two.attributes["kind"].fillna("-").tolist() == ["-", "flu", "cold", "-", "flu"]


@pytest.mark.parametrize("name", ["sex", "label", "y"])
def test_the_attribute_of_targets_takes_no_name_that_is_taken(manifest, name):
    manifest = Manifest(
        manifest.data, manifest.about, manifest.files, format=manifest.format, label_name=name
    )
    two = manifest.with_roles("well", ["flu", "cold"])
    assert two.attributes.columns.tolist() == ["sex", f"{name}_given"]


def test_background_is_named_known_or_first(manifest):
    two = manifest.keep(manifest.about["label"].ne("cold").to_numpy())
    assert two.with_roles().background == "flu"
    known = Manifest(two.data, two.about, two.files, format=two.format, background="well")
    assert known.with_roles().background == "well"
    assert known.with_roles("flu").background == "flu"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("ill",), r"background: wanted one of cold, flu, well, got 'ill' \(data\)"),
        ((0,), "background: wanted one of cold, flu, well, got 0"),
        (("well", ["ill"]), "target: wanted one of cold, flu, well, got 'ill'"),
        (("well", ["well"]), "target: 'well' is the background; name another"),
        (
            (),
            r"data: 3 labels, cold \(1\), flu \(2\), well \(2\); name background=, and target= unless",
        ),
    ],
)
def test_labels_refused(manifest, labels, message):
    with pytest.raises(DataError, match=message):
        manifest.with_roles(*labels)


def test_without_named_targets_each_other_label_is_one(manifest):
    several = manifest.with_roles("well")
    assert several.about["label"].tolist() == manifest.about["label"].tolist()
    assert several.roles() == "background: well (2), targets: cold (1), flu (2)"
    named = manifest.named({"well": "control"}).with_roles()
    assert named.background == "control"


def test_one_label_only_and_far_too_many(manifest):
    with pytest.raises(DataError, match="data: wanted two labels, background and target, found cold; name"):
        manifest.keep(manifest.about["label"].eq("cold").to_numpy()).with_roles()
    ages = pd.DataFrame({"id": range(99), "group": range(99), "label": map(str, range(99)), "split": None})
    with pytest.raises(DataError, match=r"99 labels, 0 \(1\), .* and 89 more; name background=") as caught:
        Manifest(Path("data"), ages, format=ImageFolder()).with_roles()
    assert len(str(caught.value)) < 200
