import base64
import copy
import io
import json
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.decomposition import PCA

from sepvae.plotting.palette import BACKGROUND, TARGET
from sepvae.report.contents import Contents
from sepvae.report.scatter import scatter_data


def with_codes(contents, codes):
    """The same run with other codes."""
    other = copy.copy(contents)
    other.codes = codes
    return other


@pytest.fixture
def contents(run):
    return Contents(run)


def column(data, name):
    return next(column for column in data["columns"] if column["name"] == name)


def rows_of(data, codes):
    return codes.set_index("id").loc[data["ids"]]


def test_places_are_principal_components_of_the_training_samples(contents):
    data = scatter_data(contents)
    names = ["salient0", "salient1"]
    pca = PCA(2).fit(contents.codes.loc[contents.codes["split"] == "train", names].to_numpy())
    expected = pca.transform(rows_of(data, contents.codes)[names].to_numpy())
    places = data["spaces"]["salient"]["places"]["PCA"]
    for axis, values in zip("xy", expected.T, strict=True):
        np.testing.assert_allclose(np.abs(places[axis]), np.abs(values), rtol=1e-3)
    assert places["axes"][0] == f"PC 1 ({100 * pca.explained_variance_ratio_[0]:.0f} % of variance)"
    assert (data["count"], data["total"], data["fitted"]) == (40, 40, "training")


def test_one_dimension_is_shown_as_it_is(contents):
    codes = contents.codes[contents.codes["split"] == "test"].drop(columns="salient1")
    data = scatter_data(with_codes(contents, codes))
    assert data["fitted"] == "test"
    places = data["spaces"]["salient"]["places"]["PCA"]
    np.testing.assert_allclose(places["x"], rows_of(data, codes)["salient0"], rtol=1e-3)
    assert places["axes"] == ["salient0", ""]
    assert len(set(places["y"])) > 30
    assert max(map(abs, places["y"])) <= 0.5


def test_a_collapsed_space_and_codes_that_are_not_finite_do_no_harm(contents):
    codes = contents.codes.assign(salient0=0.0, salient1=0.0)
    codes.loc[codes.index[-1], "common0"] = np.inf
    data = scatter_data(with_codes(contents, codes))
    assert (data["count"], set(data["spaces"]["salient"]["places"]["PCA"]["x"])) == (39, {0.0})
    json.dumps(data, allow_nan=False)


def test_nothing_to_show_is_nothing(contents):
    assert scatter_data(with_codes(contents, None)) is None
    assert scatter_data(with_codes(contents, contents.codes.assign(split="train"))) is None


def test_classes_come_background_first_and_missing_ones_are_null(contents):
    data = scatter_data(contents)
    label = column(data, "label")
    assert label["names"] == ["well", "ill"]
    assert [look["color"] for look in label["looks"]] == [BACKGROUND, TARGET]
    rows = rows_of(data, contents.codes)
    assert [label["names"][i] for i in label["values"]] == rows["label"].tolist()
    subtype = column(data, "subtype")
    read = [None if i is None else subtype["names"][i] for i in subtype["values"]]
    assert read == [None if pd.isna(value) else value for value in rows["subtype"]]
    assert column(data, "age")["values"] == rows["age"].tolist()


def test_rare_classes_share_a_look_but_keep_their_word(contents):
    names = [f"{i % 20}" for i in range(len(contents.codes))]
    data = scatter_data(with_codes(contents, contents.codes.assign(subtype=names)))
    subtype = column(data, "subtype")
    assert subtype["names"][-1] == "all others"
    assert len(subtype["names"]) == len(subtype["looks"]) == 15
    assert subtype["words"] == rows_of(data, contents.codes.assign(subtype=names))["subtype"].tolist()


def test_every_sample_finds_its_own_thumbnail_on_the_sheet(contents):
    data = scatter_data(contents)
    sheet = data["thumbnails"]
    image = Image.open(io.BytesIO(base64.b64decode(sheet["uri"].partition(",")[2])))
    width, height = sheet["cell"]
    assert (width % 8, height % 8, sheet["size"]) == (0, 0, [10, 12])
    shade = dict(zip(contents.thumbnails["ids"], contents.thumbnails["images"][:, 0, 0, 0], strict=True))
    pixels = np.asarray(image).astype(int)
    for name, cell in zip(data["ids"], sheet["cells"], strict=True):
        if name not in shade:
            assert cell == -1
            continue
        row, col = divmod(cell, sheet["columns"])
        part = pixels[row * height :, col * width :][: sheet["size"][1], : sheet["size"][0]]
        assert abs(part - shade[name]).max() <= 3


def test_large_tables_are_thinned_out_but_keep_those_with_thumbnails(contents, monkeypatch):
    monkeypatch.setattr("sepvae.report.scatter.MAX_POINTS", 32)
    data = scatter_data(contents)
    assert (data["count"], data["total"]) == (32, 40)
    assert set(contents.thumbnails["ids"]) <= set(data["ids"])


def test_groups_are_shown_where_they_hold_several_samples(contents):
    assert scatter_data(contents)["groups"] is None
    codes = contents.codes.assign(group=contents.codes["group"].str[:-1])
    data = scatter_data(with_codes(contents, codes))
    assert data["groups"] == rows_of(data, codes)["group"].tolist()


@pytest.mark.usefixtures("umap")
def test_umap_is_offered_where_it_is_installed(contents, monkeypatch):
    data = scatter_data(contents)
    places = data["spaces"]["common"]["places"]
    expected = 10 * rows_of(data, contents.codes)["common0"]
    np.testing.assert_allclose(places["UMAP"]["x"], expected, rtol=1e-3)
    monkeypatch.setitem(sys.modules, "umap", None)
    assert list(scatter_data(contents)["spaces"]["common"]["places"]) == ["PCA"]


def names_without_images(contents, note, group):
    """Names of the attributes that are shown, where test samples have such notes and groups."""
    codes, test = contents.codes.copy(), contents.codes["split"] == "test"
    codes.loc[test, "note"] = note + [None] * (40 - len(note))
    codes.loc[test, "group"] = [f"p{i}" for i in group]
    data = scatter_data(with_codes(contents, codes), images=False)
    return [column["name"] for column in data["columns"]]


@pytest.mark.parametrize(("rare", "told"), [(4, False), (5, True)])
def test_classes_of_few_groups_are_not_named_without_images(contents, rare, told):
    note = ["rare Mr Smith"] * rare + ["common"] * 20
    assert ("note" in names_without_images(contents, note, range(40))) is told
    twice = ["Jane"] * 9 + ["common"] * 9
    assert "note" not in names_without_images(contents, twice, [1] * 9 + [*range(31)])
