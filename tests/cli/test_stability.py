import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from sepvae.data import simulate_vbm_cohort
from sepvae.run_folder import RunFolder

from ..helpers import invoke, linear, outcome, sets

COLUMNS = ["--features", "lh_*", "--label", "dx", "--background", "hc", "--test-size", "0.4"]


def test_from_a_table_to_lines_scores_and_a_figure(regions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    how = [
        "--method",
        "ContrastivePCA",
        "--preset",
        "pca",
        *sets(common_dim=2, salient_dim=1),
        "--seeds",
        "2",
    ]
    said = invoke("stability", regions, *COLUMNS, *how, "--out", out)
    assert re.search(r"^on \d+ held-out targets and \d+ of the background$", said, re.MULTILINE)
    assert "ContrastivePCA (pca), 2 seeds" in said
    assert "all seeds give the same codes: nothing here is random" in said
    assert set(pd.read_csv(out / "stability.csv")["contender"]) == {"ContrastivePCA (pca)"}
    assert (out / "figures" / "stability-seeds.png").is_file()
    assert len(pd.read_csv(out / "stability-seeds-features.csv")) == 3


@pytest.mark.slow
def test_volumes_have_maps_as_nifti_on_their_grid(tmp_path: Path) -> None:
    cohort, out = simulate_vbm_cohort(tmp_path / "cohort", n_subjects=40, side=16), tmp_path / "out"
    how = ["--label", "group", "--images", "{participant_id}/anat/{participant_id}_GM.nii.gz"]
    how += ["--method", "ContrastivePCA", *sets(common_dim=2, salient_dim=1), "--test-size", "0.5"]
    said = invoke("stability", cohort, *how, "--seeds", "2", "--bootstraps", "2", "--out", out)
    assert "all seeds give the same codes" in said
    assert "another sample of people says the same" in said
    table = pd.read_csv(out / "stability.csv").query("first.isna() and second.isna() and measure == 'map'")
    assert table.set_index("of")["score"]["bootstraps"] < 0.9999
    images = {what: nib.load(out / f"stability-seeds-{what}.nii.gz") for what in ("map", "icc")}
    scan = nib.load(next(cohort.parent.glob("*/anat/*_GM.nii.gz")))
    for image in images.values():
        assert image.shape == scan.shape
        np.testing.assert_allclose(image.affine, scan.affine)
    shown, icc = (image.get_fdata() for image in images.values())
    brain = nib.load(cohort.parent / "truth" / "brain_mask.nii.gz").get_fdata() > 0
    assert not shown[0, 0, 0]
    assert not icc[0, 0, 0]
    assert 0.5 * brain.mean() < (shown != 0).mean() < 1.2 * brain.mean()  # air does not count
    assert icc[np.abs(shown) > 0.1 * np.abs(shown).max()] == pytest.approx(1, abs=1e-4)
    assert (out / "figures" / "stability-bootstraps.png").is_file()


def test_wrong_options_are_one_line(regions: Path, tmp_path: Path) -> None:
    words = ["stability", regions, *COLUMNS, "--out", tmp_path / "out"]
    for more, message in (
        (["--seeds", "1"], "got --seeds 1 and --bootstraps 0; wanted 2 or more of one"),
        (["--bootstraps", "1"], "--bootstraps 1; wanted 2 or more of one, and no single bootstrap"),
        (["--contender", "SepVAE", "--method", "MMcVAE"], "--contender: names method and preset"),
        (["--set", "random_state=3"], "seeds are 0, 1, ..; --seeds says how many"),
        (["--method", "SepVEA"], "SepVAE"),
        (["--preset", "papr"], "papr"),
        (["--set", "kapa=1"], "did you mean kappa?"),
    ):
        status, said = outcome(*words, *more)
        assert status != 0
        assert message in said
    assert not (tmp_path / "out").exists()
    _, said = outcome("fit", *words[1:], *linear(random_state=3), "--seeds", "2")
    assert said == "--set random_state: leave it out, for --seeds fits with seeds 0, 1, .."


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_fit_of_several_seeds_keeps_the_most_central(regions: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["fit", regions, *COLUMNS, "--out", out, *linear(), "--seeds", "2"]
    said = invoke(*words)
    assert "random_state: 0, the most central of 2 seeds" in said
    run = RunFolder(out)
    assert run.recipe.required()["keywords"]["random_state"] == 0
    assert "Would another seed say the same?" in run.report.read_text()
    assert "all seeds give the same codes" in run.report.read_text()
    kept, seed = (
        pd.read_csv(path / "codes.csv") for path in (out, next((tmp_path / "run-seeds" / "cells").iterdir()))
    )
    assert kept["salient0"].to_numpy() == pytest.approx(seed["salient0"].to_numpy())
    assert "run: wanted a new run folder" in outcome(*words)[1]


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_fit_of_several_seeds_that_is_stopped_goes_on(
    regions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, cells = tmp_path / "run", tmp_path / "run-seeds" / "cells"
    words = ["fit", regions, *COLUMNS, "--out", out, *linear(), "--seeds", "2"]

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("sepvae.benchmark.stability.compare_fits", stop)
        said = invoke(*words, status=130)
    expected = f"stopped; {out}-seeds holds the fits so far; the same command goes on with them"
    assert said.splitlines()[-1] == expected
    times = {path: path.stat().st_mtime_ns for path in cells.glob("*/codes.csv")}
    assert len(times) == 2
    with monkeypatch.context() as patch:
        patch.setattr("sepvae.runs.fitting.finish_run", stop)
        said = invoke(*words, status=130)
    assert said.splitlines()[-1] == f"stopped; {out} is not finished; --resume goes on with it"
    said = invoke(*words, "--resume")
    assert "random_state: 0, the most central of 2 seeds" in said
    assert RunFolder(out).stability.exists()
    assert times == {path: path.stat().st_mtime_ns for path in times}
