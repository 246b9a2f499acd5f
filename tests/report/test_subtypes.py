"""The sheet of single people on the page: load, centile, seeds and what is added to each person."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sepvae.report import write_report

from .conftest import png


@pytest.fixture
def sheet(run: Path) -> Path:
    """The run with a sheet of its 40 test samples, of whom 20 are controls."""
    codes = pd.read_csv(run / "codes.csv").query("split == 'test'")
    people = codes[["id", "group", "label"]].assign(salient_load=2.0, salient_centile=60.0)
    people = people.assign(salient_centile_low=40.0, salient_centile_high=80.0, nearest_patients="train-1")
    people.to_csv(run / "people.csv", index=False)
    return run


def page_of(run: Path) -> str:
    return write_report(run).read_text("utf-8").partition('id="people"')[2].partition("</section>")[0]


def test_rows_of_tables_name_the_features_farthest_from_controls(sheet: Path) -> None:
    own = pd.DataFrame(
        {"id": "test-1", "feature": list("abcd"), "added_sd": 0.125, "z": [-4.26, 3.0, 2.0, 1.0]}
    )
    own.to_csv(sheet / "maps" / "people-regions.csv", index=False)
    page = page_of(sheet)
    assert '<td class="adds">a +0.12 (-4.3); b +0.12 (+3.0); c +0.12 (+2.0)</td>' in page
    assert "people-regions.csv has 10 features of each person" in page


@pytest.mark.parametrize("suffix", ["png", "nii.gz"])
def test_some_have_a_picture_of_the_map_and_other_volumes_name_its_file(sheet: Path, suffix: str) -> None:
    (sheet / "maps" / "sub-1.png").write_bytes(png(40))
    files = {"id": ["test-2", "test-9", "test-1"], "file": ["sub-0.nii.gz", f"sub-1.{suffix}", None]}
    pd.DataFrame(files).assign(label="hc").to_csv(sheet / "maps" / "maps.csv", index=False)
    page = page_of(sheet)
    assert "<code>maps/sub-0.nii.gz</code>" in page
    order = [page.index(f">test-{i}<") for i in (9, 0, 1, 2)]  # those with a picture come first
    assert order == sorted(order)
    assert page.count('<img class="map" src="data:image/webp;base64,') == 1
    assert 'alt="Map of test-9"' in page
    assert "what the salient part adds" in page


def test_seeds_and_a_sheet_that_tells_nothing_are_said(sheet: Path) -> None:
    page = page_of(sheet)
    assert "over seeds" not in page
    assert "what the salient part adds" not in page
    people = pd.read_csv(sheet / "people.csv")
    over = {
        f"salient_centile_seeds_{name}": value for name, value in (("low", 31.0), ("high", 77.0), ("sd", 9.0))
    }
    people.assign(**over).to_csv(sheet / "people.csv", index=False)
    page = page_of(sheet)
    assert "<td>31 to 77</td>" in page
    assert "over seeds it has a standard deviation of 9 (median)" in page
    wide = np.where(np.arange(len(people)) < 38, 0.0, 40.0)  # of 95 %
    people.assign(salient_centile_low=wide, salient_centile_high=100.0).to_csv(
        sheet / "people.csv", index=False
    )
    assert "salient_centile tells nothing of single people: it is among 20 held-out" in page_of(sheet)
