"""A simulated cohort of surfaces: the same files each time, and the loss that is said."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sepvae.data.simulated_surfaces import LOSS, read_cortex, simulate_surface_cohort
from sepvae.data.surfaces import read_hemisphere
from sepvae.errors import DataError


def read(cohort: Path, person: str) -> np.ndarray:
    name = "surf/{}h.thickness.fwhm10.fsaverage5.mgh"
    return np.concatenate([read_hemisphere(cohort / person / name.format(side)) for side in "lr"])


def loss(cohort: Path, subtype: str) -> np.ndarray:
    files = [cohort / f"truth/hemi-{side}_desc-{subtype}_loss.shape.gii" for side in "LR"]
    return np.concatenate([read_hemisphere(file) for file in files])


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate_surface_cohort(tmp_path_factory.mktemp("made") / "cohort", n_subjects=24).parent


def test_patients_lose_what_is_said(cohort: Path) -> None:
    people = pd.read_csv(cohort / "participants.tsv", sep="\t").set_index("participant_id")
    thickness = pd.DataFrame([read(cohort, name) for name in people.index], index=people.index)
    truth = {name: loss(cohort, name) for name in "AB"}
    controls = thickness[people["group"] == "control"].mean()
    for name in "AB":
        assert truth[name].max() == pytest.approx(LOSS, rel=0.05)
        focus = truth[name] > 0.8 * LOSS
        mine = people["subtype"] == name
        lost = (controls - thickness[mine]).loc[:, focus].mean().mean()
        assert lost == pytest.approx((truth[name][focus] * people["severity"][mine].mean()).mean(), rel=0.4)


def test_the_medial_wall_is_0(cohort: Path) -> None:
    wall = read_cortex().thickness == 0
    assert 0.03 < wall.mean() < 0.15
    for person in ("sub-001", "sub-002"):
        np.testing.assert_array_equal(read(cohort, person) == 0, wall)


def test_visits_have_folders_of_their_own(tmp_path: Path) -> None:
    table = simulate_surface_cohort(tmp_path / "a", n_subjects=4, visits=(0, 1))
    scans = pd.read_csv(table.with_name("scans.tsv"), sep="\t")
    assert {path.name for path in table.parent.glob("sub-*")} == set(scans["scan_id"])
    again = simulate_surface_cohort(tmp_path / "b", n_subjects=4, visits=(0, 1)).parent
    for file in table.parent.rglob("*.*"):
        if file.is_file():
            assert (again / file.relative_to(table.parent)).read_bytes() == file.read_bytes()


def test_an_old_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="wanted a new folder"):
        simulate_surface_cohort(tmp_path)
