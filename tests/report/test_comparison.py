import re
import shutil

import pandas as pd
import pytest

from sepvae.errors import RunFolderError
from sepvae.report.page import write_comparison


@pytest.fixture
def runs(run, tmp_path_factory):
    """Two run folders that are alike."""
    folder = tmp_path_factory.mktemp("runs")
    return [shutil.copytree(run, folder / name) for name in ("first", "second")]


def text_of(runs, **how):
    page = write_comparison(runs, runs[0].parent / "comparison.html", **how).read_text("utf-8")
    page = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def change(run, old, new):
    recipe = run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace(old, new))


def test_only_settings_that_differ_are_listed(runs):
    assert "None: the recipes are the same." in text_of(runs)
    change(runs[1], "kappa: 2.0", "kappa: 5.0, gamma: 1")
    change(runs[1], "fit: 611.0", "fit: 999.0")
    settings = text_of(runs).partition("Settings that differ first second")[2].partition("Scores")[0]
    assert settings.split() == ["keywords.kappa", "2.0", "5.0", "keywords.gamma", "-", "1"]


def test_scores_stand_side_by_side(runs):
    scores = pd.read_csv(runs[1] / "scores.csv")
    scores.assign(score=scores["score"].replace(0.914, 0.777)).to_csv(runs[1] / "scores.csv", index=False)
    text = text_of(runs)
    assert re.search(r"AUC 0\.91 0\.88 to 0\.94 0\.64 .* 0\.92 .* 0\.78 .* 0\.64 .* 0\.92", text)
    assert text.index("background or target among") < text.index("age among") < text.index("Without a probe")


def test_a_run_without_scores_is_named(runs):
    (runs[1] / "scores.csv").unlink()
    text = text_of(runs)
    assert "second: the run folder has no scores.csv" in text
    assert "0.91" in text


def test_runs_on_the_same_data_and_split_are_comparable(runs):
    split = pd.read_csv(runs[1] / "split.csv")
    split.loc[0, "split"] = "validation"  # drawn from the training part
    split.to_csv(runs[1] / "split.csv", index=False)
    assert "may not be comparable" not in text_of(runs)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda run: change(run, "0a1b", "ffff"), "The data differ between these runs"),
        (lambda run: change(run, ", fingerprint: 0a1b2c3d4e5f6071", ""), "has no fingerprint"),
        (lambda run: (run / "split.csv").unlink(), "a run has no split.csv"),
        (
            lambda run: pd.read_csv(run / "split.csv")[:-1].to_csv(run / "split.csv", index=False),
            "The split differs",
        ),
    ],
)
def test_other_data_or_another_split_are_warned_of(runs, spoil, words):
    spoil(runs[1])
    text = text_of(runs)
    assert "These numbers may not be comparable" in text
    assert words in text


def test_figures_stand_below_each_other_unless_images_are_left_out(runs):
    page = write_comparison(runs, runs[0] / "c.html").read_text("utf-8")
    assert page.count('alt="Reconstructions of ') == page.count('alt="Learning curves of ') == 2
    assert "<script" not in page
    page = write_comparison(runs, runs[0] / "c.html", images=False).read_text("utf-8")
    assert 'alt="Reconstructions of ' not in page
    assert "made without pictures" in page
    assert "test-3" not in page


def test_folders_of_one_name_are_told_apart_and_names_escaped(runs):
    twice = [runs[0].parent / place / "<b>run" for place in ("a", "b")]
    for path in twice:
        shutil.copytree(runs[0], path)
    text = text_of(twice)
    assert "&lt;b&gt;run (1) · &lt;b&gt;run (2)" in text


def test_mistakes_are_one_line(runs):
    with pytest.raises(RunFolderError, match="two run folders or more, got 1"):
        write_comparison(runs[:1], runs[0] / "c.html")
    with pytest.raises(RunFolderError, match="does not exist"):
        write_comparison(runs, runs[0] / "no" / "c.html")
    with pytest.raises(RunFolderError, match="not a run folder"):
        write_comparison([runs[0], runs[0].parent], runs[0] / "c.html")
