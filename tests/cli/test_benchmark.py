"""`sepvae benchmark`, through the runner, and once as a process that is killed."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from sepvae.cli.benchmark import table_of
from sepvae.errors import DataError

from ..helpers import invoke

RECIPE = """
title: Noise with a bright half
source: tests
reader: folder
data:
  pattern: '(?P<group>p\\d+)_(?P<kind>left|right)'
  image_size: 16
protocol:
  {how}
  seeds: 2
  contenders: [SepVAE, 'SepVAE:default:no MI', ContrastivePCA]
  columns:
    - {{title: side, attribute: kind, population: target, space: salient, metric: auc, better: high}}
    - {{title: ill, attribute: label, population: all, space: salient, metric: auc, probe: own, better: high}}
methods:
  SepVAE: {{default: {{max_epochs: {epochs}, batch_size: 8, common_dim: 2, salient_dim: 2}}}}
  ContrastivePCA: {{default: {{common_dim: 2, salient_dim: 2}}}}
"""


def write_recipe(folder: Path, how: str = "test_size: 0.25", epochs: int = 1) -> Path:
    (folder / "mine.yaml").write_text(RECIPE.format(how=how, epochs=epochs))
    return folder / "mine.yaml"


def words(folder: Path, recipe: Path, out: Path, *more: str) -> list[str]:
    return [
        "benchmark",
        str(folder),
        "--recipe",
        str(recipe),
        "--out",
        str(out),
        "--permutations",
        "0",
        *more,
    ]


def test_from_a_recipe_to_tables(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = invoke(*words(folder, write_recipe(tmp_path), out))
    contenders = "SepVAE (default), SepVAE (default, no MI), ContrastivePCA (default)"
    assert f"7 cells: {contenders}, and as the baseline principal components of the input (pixels)" in said
    assert len(list((out / "cells").iterdir())) == 7
    assert "| SepVAE (default, no MI) |" in said
    results = pd.read_csv(out / "results.csv")
    assert set(results["recipe"]) == {"mine.yaml"}
    assert set(results["seed"].dropna()) == {0, 1}
    keywords = (out / "cells" / "SepVAE-default-no_MI-seed1" / "recipe.yaml").read_text()
    assert "kappa: 0" in keywords
    assert "background: control" in keywords
    for file in (
        "table.md",
        "table.tex",
        "differences.md",
        "figures/salient_spaces.svg",
        "figures/reconstructions.png",
    ):
        assert (out / file).stat().st_size > 100


@pytest.mark.slow
def test_folds_and_typed_contenders_and_keywords(folder: Path, tmp_path: Path) -> None:
    recipe, out = write_recipe(tmp_path, "folds: 2"), tmp_path / "out"
    typed = ["--contender", "ContrastivePCA", "--contender", "SepVAE", "--seeds", "1", "--set", "kappa=7"]
    invoke(*words(folder, recipe, out, *typed))
    names = sorted(path.name for path in (out / "cells").iterdir())
    assert names == [
        *(f"ContrastivePCA-default-seed0-fold{fold}" for fold in (0, 1)),
        *(f"SepVAE-default-seed0-fold{fold}" for fold in (0, 1)),
        *("pixels-4-fold0", "pixels-4-fold1"),
    ]
    assert "kappa: 7" in (out / "cells" / "SepVAE-default-seed0-fold1" / "recipe.yaml").read_text()


def test_a_failed_cell_is_told_and_counts(folder: Path, tmp_path: Path) -> None:
    typed = ["--set", "network=mlp", "--seeds", "1"]
    said = invoke(*words(folder, write_recipe(tmp_path), tmp_path / "out", *typed), status=1)
    assert "failed: SepVAE (default), seed 0: DataError: network" in said
    assert "wanted one for images" in said
    assert "| ContrastivePCA (default) |" in said


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--set", "kapa=7"], "SepVAE has no keyword 'kapa'; did you mean kappa"),
        (["--contender", "SepVAE:paper"], "has no preset of SepVAE 'paper'; it has default"),
        (["--contender", "MMcVAE"], "has no method 'MMcVAE'; it has SepVAE, ContrastivePCA"),
        (["--contender", "SepVAE", "--contender", "SepVAE:default"], "wanted each once, got 2 for SepVAE"),
        (["--set", "random_state=3"], "seeds are 0, 1, ..; --seeds says how many"),
        (["--set", "background=patient"], "the background is named by --background, not by --set"),
        (["--scheduler", "nowhere.json"], "--scheduler nowhere.json: wanted an address, such as tcp://node1"),
    ],
)
def test_what_there_is_not(folder: Path, tmp_path: Path, typed: list[str], message: str) -> None:
    command = words(folder, write_recipe(tmp_path), tmp_path / "out", *typed)
    with pytest.raises(DataError, match=message):
        invoke(*command)
    assert not (tmp_path / "out").exists()


def test_a_column_that_the_data_cannot_fill_is_refused_before_any_fit(folder: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    recipe.write_text(recipe.read_text().replace("attribute: kind", "attribute: kidn"))
    with pytest.raises(DataError, match="the data have no attribute 'kidn'; they have kind"):
        invoke(*words(folder, recipe, tmp_path / "out"))


def test_a_split_file_beside_folds_is_refused(folder: Path, tmp_path: Path) -> None:
    command = words(folder, write_recipe(tmp_path, "folds: 2"), tmp_path / "out", "--split", "mine.csv")
    with pytest.raises(DataError, match="--split has no meaning for a recipe with folds"):
        invoke(*command)


def of_sites(folder: Path, how: str) -> Path:
    """The first digit of a group is its site."""
    recipe = write_recipe(folder, how)
    text = recipe.read_text().replace("<group>p\\d+)", "<group>p(?P<site>\\d)\\d)")
    site = "{title: site, attribute: site, population: all, space: salient, metric: accuracy, better: low}"
    recipe.write_text(text.replace("  columns:\n", f"  columns:\n    - {site}\n"))
    return recipe


@pytest.mark.slow
def test_each_site_is_left_out(folder: Path, tmp_path: Path) -> None:
    recipe, out = of_sites(tmp_path, "leave_out: site\n  adjust_for: kind"), tmp_path / "out"
    typed = ["--contender", "ContrastivePCA", "--seeds", "1"]
    said = invoke(*words(folder, recipe, out, *typed))
    assert "note: split leaves out site by site: 0, 1" in said
    row = next(line for line in said.splitlines() if line.startswith("| ContrastivePCA"))
    assert row.startswith("| ContrastivePCA (default) | - | ")
    assert "No score of site: all samples that a fold tests have one value of it." in said
    results = pd.read_csv(out / "results.csv")
    assert set(results["fold"]) == {0, 1}
    assert "site" not in set(results["attribute"].dropna())


@pytest.mark.slow
def test_folds_are_stratified_by_site(folder: Path, tmp_path: Path) -> None:
    recipe, out = of_sites(tmp_path, "folds: 2\n  stratify_by: site"), tmp_path / "out"
    typed = ["--contender", "ContrastivePCA", "--seeds", "1"]
    said = invoke(*words(folder, recipe, out, *typed))
    assert "note: split in 2 folds, seed 0, stratified by site" in said
    codes = pd.read_csv(out / "cells" / "ContrastivePCA-default-seed0-fold0" / "codes.csv")
    assert codes.query("split == 'test'").groupby("site").size().to_dict() == {0: 20, 1: 20}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            "folds: 2\n  stratify_by: centre",
            "mine.yaml: protocol.stratify_by: .* no attribute 'centre'; they have",
        ),
        (
            "leave_out: centre",
            "mine.yaml: protocol.leave_out: .* no attribute 'centre'; they have site, kind",
        ),
        ("leave_out: kind", "groups have several values of what is left out, such as p00"),
        ("folds: 2\n  adjust_for: [site, age]", "mine.yaml: protocol.adjust_for: .* no attribute 'age'"),
    ],
)
def test_a_protocol_that_the_data_cannot_keep(folder: Path, tmp_path: Path, how: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        invoke(*words(folder, of_sites(tmp_path, how), tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_split_file_has_no_meaning_where_sites_are_left_out(folder: Path, tmp_path: Path) -> None:
    command = words(folder, of_sites(tmp_path, "leave_out: site"), tmp_path / "out", "--split", "mine.csv")
    with pytest.raises(
        DataError, match="no meaning for a recipe that leaves out site; take one with test_size"
    ):
        invoke(*command)


@pytest.mark.parametrize("typed", ["--seeds=0", "--jobs=0", "--threads=0"])
def test_there_is_at_least_one_of_each(folder: Path, tmp_path: Path, typed: str) -> None:
    said = invoke(*words(folder, write_recipe(tmp_path), tmp_path / "out", typed), status=2)
    assert "greater than or equal to 1" in " ".join(said.replace("│", " ").split())


def test_the_background_can_be_named(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    typed = ["--background", "patient", "--contender", "ContrastivePCA", "--seeds", "1"]
    invoke(*words(folder, write_recipe(tmp_path), out, *typed))
    assert (
        "background: patient" in (out / "cells" / "ContrastivePCA-default-seed0" / "recipe.yaml").read_text()
    )


@pytest.mark.slow
def test_killed_it_goes_on_where_it_was(folder: Path, tmp_path: Path) -> None:
    recipe, out = write_recipe(tmp_path, epochs=8), tmp_path / "out"
    command = [sys.executable, "-m", "sepvae", *words(folder, recipe, out)]
    first = out / "cells" / "SepVAE-default-seed0" / "scores.csv"
    process = subprocess.Popen(
        command,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(1200):
        if first.is_file() or process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    process.wait()
    assert first.is_file()
    stamp = first.stat().st_mtime_ns
    assert len(list(out.glob("cells/*seed*/scores.csv"))) < 6
    invoke(*words(folder, recipe, out))
    assert len(list(out.glob("cells/*seed*/scores.csv"))) == 6
    assert first.stat().st_mtime_ns == stamp
    assert pd.read_csv(out / "results.csv")["error"].isna().all()


def test_the_live_table_has_a_sign_for_each_cell() -> None:
    from rich.console import Console

    from sepvae.benchmark import make_cells, parse_contender

    cells = make_cells([parse_contender("SepVAE"), parse_contender("MMcVAE")], [0, 1], 1)
    states = dict(
        zip((cell.name for cell in cells), ["finished", "failed", "running", "waiting"], strict=True)
    )
    console = Console(record=True, width=80, file=io.StringIO())
    console.print(table_of(cells, states, 120, own=2))
    text = console.export_text()
    assert "SepVAE (default)  ✓▶" in text
    assert "MMcVAE (default)  ✗·" in text
    assert "2 of 4 cells, 2 min, about 2 min left" in text


def test_the_live_table_counts_the_pixels_too() -> None:
    from rich.console import Console

    from sepvae.benchmark import make_cells, parse_contender

    cells = make_cells([parse_contender("SepVAE")], [0], 1)
    states = {"pixels-32": "finished", cells[0].name: "finished"}
    console = Console(record=True, width=80, file=io.StringIO())
    console.print(table_of(cells, states, 60, own=2))
    assert "2 of 2 cells, 1 min, about 0 min left" in console.export_text()
