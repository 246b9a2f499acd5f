"""Several targets with a block each, from the command line to the page."""

import re

import numpy as np
import pandas as pd
import pytest
import yaml

from ..helpers import invoke, outcome, quick_sets, short_judges, without_figures

BLOCKS = {"salient, shared": 2, "salient of BD": 1, "salient of SZ": 1}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Measures of 20 people of each of three groups, with a score that only SZ has."""
    rng, file = np.random.default_rng(0), tmp_path_factory.mktemp("blocks") / "people.csv"
    frame = pd.DataFrame(rng.normal(size=(60, 4)), columns=["lh_a", "lh_b", "rh_a", "rh_b"])
    frame["dx"], frame["id"] = ["HC", "SZ", "BD"] * 20, [f"p{i}" for i in range(60)]
    frame["voices"] = rng.normal(size=60)
    frame.loc[frame["dx"] != "SZ", "voices"] = np.nan
    frame.to_csv(file, index=False)
    return file


@pytest.fixture(scope="module")
def run(table):
    out = table.parent / "run"
    given = ["--features", "?h_*", "--label", "dx", "--background", "HC", "--id", "id", "--permutations", "0"]
    given += ["--attribute", "voices:continuous", *quick_sets(shared_dim=2, salient_dim=4, batch_size=16)]
    with without_figures(), short_judges():
        invoke("fit", table, "--out", out, *given)
    return out


def test_each_block_has_its_scores(run):
    scores = pd.read_csv(run / "scores.csv")
    assert scores["space"].unique().tolist() == ["common", "salient", "both", *BLOCKS]
    asked = scores[scores["space"] == "salient of SZ"].dropna(subset="attribute")
    assert set(asked["attribute"]) == {"label", "target", "voices"}
    assert yaml.safe_load((run / "recipe.yaml").read_text())["salient_blocks"] == BLOCKS


def test_scores_of_stored_codes_have_them_too(run):
    before = pd.read_csv(run / "scores.csv")
    invoke("evaluate", run)
    after = pd.read_csv(run / "scores.csv")
    keys = ["space", "attribute", "population", "metric"]
    pd.testing.assert_frame_equal(*(part.sort_values(keys, ignore_index=True) for part in (before, after)))


def test_the_page_names_them(run):
    page = (run / "report.html").read_text()
    assert all(f'<th scope="col">{name}</th>' in page for name in BLOCKS)  # scores
    assert all(f'<th colspan="{n}" scope="colgroup">{name}</th>' in page for name, n in BLOCKS.items())


def test_the_terminal_and_what_is_in_short_name_them_too(run):
    output = invoke("evaluate", run)
    _, heading = (line for line in output.splitlines() if line.lstrip().startswith("attribute"))
    assert re.split(r"\s{2,}", heading.strip())[2:] == [*BLOCKS]
    assert "The block &#39;salient of SZ&#39;" in (run / "report.html").read_text()


def test_removal_and_change_are_scored_by_block(run):
    removal, moved = (pd.read_csv(run / name) for name in ("removal.csv", "counterfactuals.csv"))
    of_block = removal[removal["images"] == "without salient of SZ"]
    assert of_block["population"].tolist() == ["target SZ", "other targets"]
    assert set(moved["part"]) == {"salient", *BLOCKS}


def test_a_recipe_without_numbers_of_them_is_damaged(run, tmp_path):
    copy = tmp_path / "run"
    copy.mkdir()
    recipe = yaml.safe_load((run / "recipe.yaml").read_text()) | {"salient_blocks": {"salient, shared": "x"}}
    (copy / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert "salient_blocks has no numbers" in outcome("report", copy)[1]


def test_numbers_that_do_not_fit_are_one_line(table, tmp_path):
    given = [
        "--features",
        "?h_*",
        "--label",
        "dx",
        "--background",
        "HC",
        *quick_sets(shared_dim=1, salient_dim=4),
    ]
    _, said = outcome("fit", table, "--out", tmp_path / "run", *given)
    assert "got 1 of 4 salient dimensions" in said
    assert not (tmp_path / "run").exists()
