from pathlib import Path

import pandas as pd
import pytest

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
    assert "ContrastivePCA (pca), 2 seeds" in said
    assert "salient codes of targets: 1.00 (1.00 to 1.00), chance" in said
    assert "another seed says the same" in said
    assert "most central: seed 0 (mean alignment with the others 1.00)" in said
    assert set(pd.read_csv(out / "stability.csv")["contender"]) == {"ContrastivePCA (pca)"}
    assert (out / "figures" / "stability-seeds.png").is_file()
    assert len(pd.read_csv(out / "stability-seeds-features.csv")) == 3


def test_wrong_options_are_one_line(regions: Path, tmp_path: Path) -> None:
    words = ["stability", regions, *COLUMNS, "--out", tmp_path / "out"]
    for more, message in (
        (["--seeds", "1"], "got --seeds 1 and --bootstraps 0; wanted 2 or more of one"),
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
    assert "most central: seed 0" in run.report.read_text()
    kept, seed = (
        pd.read_csv(path / "codes.csv") for path in (out, next((tmp_path / "run-seeds" / "cells").iterdir()))
    )
    assert kept["salient0"].to_numpy() == pytest.approx(seed["salient0"].to_numpy())
    assert "run: wanted a new run folder" in outcome(*words)[1]
