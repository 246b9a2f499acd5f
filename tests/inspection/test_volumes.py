"""Findings on volumes: each where it belongs, and none where nothing is wrong."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sepvae.data.nifti import Header
from sepvae.data.quality_metrics import measure_volume
from sepvae.grid import Grid
from sepvae.inspection import inspect

GRID = Grid((8, 8, 8), np.diag([2.0, 2.0, 3.0, 1.0]))


def measured(voxels, grid=GRID, dtype="float32"):
    return measure_volume(voxels, Header(replace(grid, shape=voxels.shape), dtype))


@pytest.fixture
def about(about) -> pd.DataFrame:
    return about[:120]


@pytest.fixture(scope="session")
def voxels() -> np.ndarray:
    return np.random.default_rng(0).normal(3, 1, size=(120, 8, 8, 8)).astype(np.float32)


@pytest.fixture
def quality_metrics(voxels) -> pd.DataFrame:
    return pd.DataFrame([measured(one) for one in voxels])


def changed(quality_metrics, rows):
    """Measures with other volumes in some rows."""
    records = quality_metrics.to_dict("records")
    return pd.DataFrame([rows.get(row, record) for row, record in enumerate(records)])


def codes(inspection):
    return {finding.code for finding in inspection.findings} - {"weak-test"}


def the(inspection, code):
    (finding,) = (finding for finding in inspection.findings if finding.code == code)
    return finding


def test_nothing_is_found_where_nothing_is_wrong(about, quality_metrics):
    inspection = inspect(about, quality_metrics)
    assert codes(inspection) == set()
    assert inspection.tables["grids"].to_dict("records") == [
        {
            "grid": 0,
            "shape": "8 x 8 x 8",
            "voxel_size": "2 x 2 x 3",
            "origin": "0 x 0 x 0",
            "orientation": "RAS",
            "volumes": 120,
            "example": "s0",
        }
    ]


def test_volumes_are_described_by_label(about, quality_metrics):
    table = inspect(about, quality_metrics).tables["volumes"].set_index(["statistic", "label"])
    assert table.index.get_level_values("statistic").unique().tolist() == ["low", "high", "mean", "sd"]
    of_patients = quality_metrics.loc[about["label"] == "patient", "sd"]
    assert table.loc[("sd", "patient"), "mean"] == pytest.approx(of_patients.mean())
    assert table.loc[("sd", "patient"), "n"] == 60


def test_several_grids_spoil_a_fit(about, quality_metrics, voxels):
    moved = replace(GRID, affine=GRID.affine.copy())
    moved.affine[0, 3] += 1
    rows = {3: measured(voxels[3], moved), 7: measured(voxels[7][:6]), 9: measured(voxels[9], moved)}
    inspection = inspect(about, changed(quality_metrics, rows))
    finding = the(inspection, "several-grids")
    assert (finding.level, finding.examples) == ("error", ("s3", "s7", "s9"))
    assert "3 grids, 117 on 8 x 8 x 8 voxels of 2 x 2 x 3 mm and 3 elsewhere" in finding.message
    table = inspection.tables["grids"]
    assert table["volumes"].tolist() == [117, 2, 1]
    assert table["origin"].tolist() == ["0 x 0 x 0", "1 x 0 x 0", "0 x 0 x 0"]


def test_several_orientations_are_a_note(about, quality_metrics, voxels):
    rows = {row: measured(voxels[row], replace(GRID, axes="LAS")) for row in (0, 2)}
    inspection = inspect(about, changed(quality_metrics, rows))
    assert codes(inspection) == {"several-orientations"}
    finding = the(inspection, "several-orientations")
    assert (finding.level, "118 RAS, 2 LAS" in finding.message) == ("note", True)
    assert inspection.tables["grids"][["grid", "orientation", "volumes"]].to_numpy().tolist() == [
        [0, "LAS", 2],
        [0, "RAS", 118],
    ]


def test_voxels_that_are_no_numbers(about, quality_metrics, voxels):
    some, none = voxels[:2].copy()
    some[0, 0, :5], none[:] = np.nan, np.inf
    inspection = inspect(about, changed(quality_metrics, {4: measured(some), 5: measured(none)}))
    warning, error = the(inspection, "some-not-finite"), the(inspection, "not-finite")
    assert (warning.level, warning.examples) == ("warning", ("s4",))
    assert warning.numbers == {"volumes": 1, "most_voxels": 5}
    assert (error.level, error.examples) == ("error", ("s5",))


def test_constant_volumes_spoil_a_fit(about, quality_metrics):
    rows = {2: measured(np.full((8, 8, 8), 0.3)), 3: measured(np.zeros((8, 8, 8)))}
    inspection = inspect(about, changed(quality_metrics, rows))
    finding = the(inspection, "constant")
    assert (finding.level, finding.examples) == ("error", ("s2", "s3"))
    assert finding.message.startswith("2 volumes of 120 with one value in every voxel")
    assert codes(inspection) == {"constant"}  # no scale of their own, and no near copies


@pytest.mark.parametrize(("factor", "found"), [(200, True), (1 / 200, True), (50, False)])
def test_values_of_another_scale(about, quality_metrics, voxels, factor, found):
    inspection = inspect(about, changed(quality_metrics, {6: measured(voxels[6] * factor)}))
    assert codes(inspection) == ({"other-scale"} if found else set())
    if found:
        assert the(inspection, "other-scale").examples == ("s6",)


def test_two_scales_in_equal_number(about, quality_metrics, voxels):
    rows = {row: measured(voxels[row] * 1000) for row in range(60)}
    finding = the(inspect(about, changed(quality_metrics, rows)), "other-scale")
    assert finding.numbers["volumes"] == 60


def test_copies_are_told_as_volumes(about, quality_metrics, voxels):
    rows = {0: measured(voxels[2]), 1: measured(np.float32(voxels[7] * 2 + 1))}
    inspection = inspect(about, changed(quality_metrics, rows))
    identical = the(inspection, "duplicates-across-labels")
    assert identical.message.startswith("1 byte-identical copy (of 1 volume) under two labels")
    assert identical.examples == ("s0", "s2")
    assert the(inspection, "near-duplicates-across-labels").examples == ("s1", "s7")


def test_near_copies_have_one_shape(about, quality_metrics, voxels):
    thin = measured(voxels[7] * 2, replace(GRID, affine=np.diag([2.0, 2, 5, 1])))
    inspection = inspect(about, changed(quality_metrics, {1: thin}))
    assert codes(inspection) == {"several-grids"}


def test_unreadable_files_say_what_to_do(about, quality_metrics):
    unreadable = {"s4": "cannot be read as a volume (EOFError); copy it again", "s5": "wanted one volume"}
    blank = dict.fromkeys(quality_metrics.columns, np.nan)
    inspection = inspect(about, changed(quality_metrics, {4: blank, 5: blank}), unreadable=unreadable)
    finding = the(inspection, "unreadable")
    assert finding.message == (
        "2 files of no use: cannot be read as a volume (EOFError); copy it again (and for 1 other reason)"
    )
    assert codes(inspection) == {"unreadable"}


def test_nothing_readable_is_no_crash(about, quality_metrics):
    blank = pd.DataFrame(np.nan, index=quality_metrics.index, columns=quality_metrics.columns)
    inspection = inspect(about, blank, unreadable=dict.fromkeys(about["id"], "is gone"))
    assert codes(inspection) == {"unreadable"}
    assert len(inspection.tables["grids"]) == 0


def test_what_volumes_are_like_may_go_with_the_label(about, quality_metrics, voxels):
    patients = np.flatnonzero(about["label"] == "patient")
    rows = {row: measured(voxels[row] + 5, replace(GRID, axes="LPS"), "int16") for row in patients}
    inspection = inspect(about, changed(quality_metrics, rows))
    found = [finding.message for finding in inspection.findings if finding.code == "volume-confound"]
    assert {message.split()[1] for message in found} == {"mean", "orientation", "dtype"}
    causes = {
        "mean": "scanner, processing or the amount of tissue may differ",
        "orientation": "volumes of one label came another way",
        "dtype": "volumes of one label were saved in another way",
    }
    for message in found:
        assert message.startswith("volume ")
        assert f": {causes[message.split()[1]]}, and the salient space may show it" in message
        assert "known" not in message
    table = inspection.tables["confounds"].set_index("variable")
    assert table.loc["mean intensity", "auc"] == 1
