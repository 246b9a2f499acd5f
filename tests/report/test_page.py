import base64
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pandas as pd
import pytest

from sepvae.errors import RunFolderError
from sepvae.report import write_report


def text_of(run):
    """The page without its style and tags, white space as one blank."""
    page = re.sub(r"<style>.*?</style>", "", write_report(run).read_text("utf-8"), flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def attributes_of(page):
    found = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: found.extend((tag, *pair) for pair in attrs)
    parser.feed(page)
    return found


def test_the_page_tells_what_the_folder_holds(run):
    text = text_of(run)
    for words in (
        "SepVAE on chest_xray",
        "13 min",
        "seed 7",
        "epochs 2",
        "scored_on.part test",
        "image_size 64, 64",
        "python 3.11.7",
    ):
        assert words in text
    assert "well (background) ill (target) all groups" in text
    assert "train 2 4 6 3" in text
    assert "all 6 6 12 6" in text


def test_every_score_is_there(run):
    text = text_of(run)
    for number in (
        "0.91",
        "0.88 to 0.94",
        "0.64",
        "8.41",
        "7.50 to 9.10",
        "-0.08 to 0.09",
        "20.3",
        "12",
        "0.00312",
    ):
        assert number in text
    assert "learnt on 150, scored on 50 samples, 20 groups" in text


def test_figures_are_inside_the_page_label_first(run):
    sources = [
        value for _, name, value in attributes_of(write_report(run).read_text("utf-8")) if name == "src"
    ]
    images = [base64.b64decode(source.removeprefix("data:image/png;base64,")) for source in sources]
    order = ("reconstructions", "codes_label", "codes_age", "learning_curves")
    assert images == [(run / "figures" / f"{name}.png").read_bytes() for name in order]


def test_nothing_is_loaded_from_elsewhere(run):
    page = write_report(run).read_text("utf-8")
    links = [value for _, name, value in attributes_of(page) if name in ("src", "href")]
    assert all(link.startswith(("data:", "#")) for link in links)
    assert "url(" not in page
    assert "@import" not in page


def test_every_link_leads_somewhere_and_every_image_has_words(run):
    attributes = attributes_of(write_report(run).read_text("utf-8"))
    ids = {"#" + value for _, name, value in attributes if name == "id"}
    assert {value for _, name, value in attributes if name == "href"} <= ids
    assert sum(name == "alt" and bool(value) for _, name, value in attributes) == 4


def test_text_from_data_is_escaped(run):
    evil = "<script>alert(1)</script>"
    scores = (run / "scores.csv").read_text().replace("subtype", evil)
    (run / "scores.csv").write_text(scores)
    split = pd.read_csv(run / "split.csv")
    split.assign(label=split["label"].replace("ill", evil)).to_csv(run / "split.csv", index=False)
    (run / "recipe.yaml").write_text(f'method: "{evil}"\nkeywords: {{a: "{evil}"}}\n')
    page = write_report(run).read_text("utf-8")
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 5


@pytest.mark.parametrize(
    "part",
    [
        "split.csv",
        "versions.json",
        "scores.csv",
        "figures/reconstructions.png",
        "figures/learning_curves.png",
    ],
)
def test_a_missing_part_is_left_out_with_a_word(run, part):
    (run / part).unlink()
    assert part in text_of(run)


def test_a_recipe_alone_is_enough(run):
    for path in run.iterdir():
        if path.name != "recipe.yaml":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    text = text_of(run)
    assert "This run has not been scored" in text
    assert text.count("Nothing to show here") == 6


def test_groups_in_two_splits_are_pointed_out(run):
    assert "Take care" not in text_of(run)
    split = pd.read_csv(run / "split.csv")
    split.assign(group="same").to_csv(run / "split.csv", index=False)
    assert "more than one split: 1." in text_of(run)


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(RunFolderError, match="not a run folder") as error:
        write_report(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("recipe.yaml", "a: [1", "damaged"),
        ("recipe.yaml", "just words", "damaged"),
        ("versions.json", "{", "damaged"),
        ("scores.csv", "", "damaged"),
        ("scores.csv", "space,score\nsalient,1\n", "lacks columns attribute"),
    ],
)
def test_a_damaged_file_is_named_in_one_line_and_the_old_page_stays(run, name, content, message):
    (run / "report.html").write_text("old")
    (run / name).write_text(content)
    with pytest.raises(RunFolderError, match=message) as error:
        write_report(run)
    assert str(run / name) in str(error.value)
    assert "\n" not in str(error.value)
    assert (run / "report.html").read_text() == "old"


def test_a_page_is_written_whole_and_leaves_nothing_beside_it(run):
    before = {path.name for path in run.iterdir()}
    assert write_report(run) == run / "report.html"
    assert {path.name for path in run.iterdir()} == before | {"report.html"}


def test_reporting_needs_neither_torch_nor_jinja_to_be_imported():
    code = "import sys, sepvae.report; sys.exit(bool({'torch', 'jinja2', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
