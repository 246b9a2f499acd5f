import base64
import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sepvae.errors import RunFolderError
from sepvae.plotting.palette import BACKGROUND, TARGET
from sepvae.report import write_report

from .conftest import FIGURES

EVIL = ("<script>alert(1)</script>", "</script>", '"><img src=x onerror=alert(1)>', "\u2028&amp;")


def page_of(run, **how):
    return write_report(run, **how).read_text("utf-8")


def scripts_of(page):
    """The scripts that run, and the data of the one that does not."""
    data = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    return re.findall(r"<script>(.*?)</script>", page, re.DOTALL), [json.loads(text) for text in data]


def without_scripts(page):
    return re.sub(r"<(script|style)[^>]*>.*?</\1>", "", page, flags=re.DOTALL)


def text_of(run, **how):
    """What one reads, white space as one blank."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", without_scripts(page_of(run, **how))))


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
        "data fingerprint 0a1b2c3d4e5f",
        "sepvae fit &#39;my images&#39; --out run --split RUN/split.csv",
    ):
        assert words in text
    assert "well (background) ill (target) all train" in text
    assert "train 10 10 20" in text
    assert "all 30 30 60" in text


def test_covariates_that_were_removed_or_given_are_named_at_the_top(run):
    recipe = run / "recipe.yaml"
    of_sites = "harmonise: site, preserve: [age, sex], residualise: [age], condition_on: [sex]"
    recipe.write_text(recipe.read_text().replace("common_dim: 16", f"common_dim: 16, {of_sites}"))
    text = text_of(run)
    assert "harmonised site, by controls of the training part; kept: age, sex" in text
    assert "removed by a regression on controls age" in text
    assert "given to the decoder sex" in text


def test_every_score_is_there(run):
    text = text_of(run)
    numbers = "0.91,0.88 to 0.94,0.64,8.41,7.50 to 9.10,-0.08 to 0.09,20.3,12,0.00312"
    assert [number for number in numbers.split(",") if number not in text] == []
    assert "learnt on 150, scored on 50 samples, 20 subjects" in text


def test_removal_scores_stand_below_the_classifiers_own(run):
    text = text_of(run)
    rows = [
        "real test images its own class 0.93",
        "full reconstructions its own class 0.81",
        "for comparison: nothing is removed; share of images background 0.07 0.02 to 0.12 0.50",
        "targets without their salient part share of images background 0.77",
        "salient part of a target share of images the class of the donor 0.55 0.45 to 0.64 ≈ chance 0.50",
    ]
    assert sorted(rows, key=text.index) == rows


def test_full_reconstructions_that_are_read_by_chance_are_marked(run):
    table = pd.read_csv(run / "removal.csv")
    table.loc[table["wanted"] == "background", ["score", "low", "high"]] = 0.48, 0.4, 0.56
    table.to_csv(run / "removal.csv", index=False)
    text = text_of(run)
    assert "nothing is removed; share of images background 0.48 0.40 to 0.56 ≈ chance 0.50" in text


def test_tables_without_rows_are_said_to_hold_nothing(run):
    for name in ("removal.csv", "correlations.csv"):
        pd.read_csv(run / name)[:0].to_csv(run / name, index=False)
    text = text_of(run)
    assert "No attribute had classes enough" in text
    assert "nothing to correlate" in text


def test_removal_that_was_left_out_says_what_adds_it(run):
    (run / "removal.csv").unlink()
    assert "sepvae evaluate RUN DATA --complete adds it" not in text_of(run)
    recipe = run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("protocol: {", "protocol: {removal: false, "))
    assert "Left out by an option of the fit, such as --quick" in text_of(run)


def test_correlations_are_marked_by_their_adjusted_p(run):
    page = page_of(run)
    cells = re.findall(r'<td class="(plus|minus)( marked)?" style="--strength: (\d+)%"[^>]*>([-.\d]+)', page)
    expected = [
        ("plus", " marked", "71", "0.71"),
        ("minus", "", "12", "-0.12"),
        ("minus", " marked", "34", "-0.34"),
    ]
    assert cells == expected
    assert "p = 0.030, adjusted = 0.060" in page


def test_findings_come_errors_first_with_examples(run):
    text = text_of(run)
    assert text.index("error 2 images are in both splits. For example test-3") < text.index("note All images")
    assert "The check of the data found 1 error" in text[: text.index("Codes Colour by")]


def shades_of(uris):
    """The grey of each figure."""
    images = [Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) for uri in uris]
    return [np.asarray(image)[0, 0, 0] for image in images]


def shades(*names):
    return [10 * FIGURES.index(name) for name in names]


def test_figures_are_inside_the_page_codes_first_and_curves_last(run):
    sources = [value for _, name, value in attributes_of(without_scripts(page_of(run))) if name == "src"]
    idea = [source for source in sources if source.startswith("data:image/svg")]
    assert len(idea) == 1
    order = ["codes_label", "codes_age", "map_group", "map_regions", "map_axes"]
    order += ["reconstructions", "traversals", "swaps", "learning_curves"]
    figures = sources[12:]  # after those of the strip
    figures.remove(*idea)
    found, wanted = shades_of(figures), shades(*order)
    assert (found[0], found[-1], sorted(found)) == (wanted[0], wanted[-1], sorted(wanted))


def test_the_verdict_comes_first_and_curves_far_below(run):
    page = without_scripts(page_of(run))
    order = ["summary", "picture", "codes", "reading", "warnings", "scores", "removal", "training", "run"]
    assert sorted(order, key=lambda name: page.index(f'id="{name}"')) == order
    assert "<details open" not in page


@pytest.mark.parametrize(
    ("shape", "one", "never"),
    [
        ((6, 5), "rows", "image|pixel|voxel|volume"),
        ((6, 1, 4, 4, 4), "volumes", "image|pixel"),
        ((6, 1, 8, 8), "images", "voxel|volume"),
    ],
)
@pytest.mark.parametrize("images", [True, False])
def test_samples_have_their_own_name_on_each_kind_of_page(run, shape, one, never, images):
    """Settings and findings are words of the user and of check."""
    for figure in ("reconstructions", "traversals", "swaps", "map_people"):
        if one == "rows":
            (run / "figures" / f"{figure}.png").unlink()
    inputs = np.random.default_rng(0).random(shape)
    np.savez(run / "examples.npz", inputs=inputs, full=inputs * 0.9)
    (run / "check.json").unlink()
    (run / "recipe.yaml").write_text("method: SepVAE\ndata: {reader: table, name: data}\n")
    text = text_of(run, images=images)
    assert f"decoded test {one}" in text
    assert re.findall(never, text, re.IGNORECASE) == []


def test_p_values_are_not_in_every_line(run):
    text = text_of(run)
    assert text.count("The p-value of each score") == 1
    assert "p = 0.0" not in text


def test_a_page_without_large_figures_leaves_them_room_below_4_mb(run):
    assert write_report(run).stat().st_size < 2_300_000


def test_the_files_that_hold_figures_and_numbers_are_named(run):
    (run / "figures" / "swaps.svg").touch()
    text = text_of(run)
    for name in ("figures/swaps.png, .svg", "figures/traversals.png", "scores.csv", "codes.csv", "split.csv"):
        assert name in text
    assert "traversals.png, .svg" not in text


def test_nothing_is_loaded_from_elsewhere_and_only_known_scripts_run(run):
    page = page_of(run)
    attributes = attributes_of(without_scripts(page))
    links = [value for _, name, value in attributes if name in ("src", "href")]
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not [name for _, name, _ in attributes if name.startswith("on")]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    (policy,) = [v for t, n, v in attributes if t == "meta" and n == "content" and "default-src" in v]
    (own,), _ = scripts_of(page)
    library = re.search(r'<script type="application/gzip" id="plotly">(.*?)</script>', page)[1]
    scripts = [own, gzip.decompress(base64.b64decode(library)).decode()]
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    assert policy == (
        f"default-src 'none'; script-src {allowed}; img-src data:; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )


def test_without_codes_no_script_is_needed(run):
    (run / "codes.csv").unlink()
    page = page_of(run)
    assert "<script" not in page
    assert "script-src &#39;none&#39;" in page


def test_every_link_leads_somewhere_and_every_image_has_words(run):
    attributes = attributes_of(without_scripts(page_of(run)))
    ids = ["#" + value for _, name, value in attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value for _, name, value in attributes if name == "href"} <= set(ids)
    assert sum(name == "alt" and bool(value) for _, name, value in attributes) == 22


@pytest.mark.parametrize("evil", EVIL)
def test_text_from_data_is_escaped(run, evil):
    split = pd.read_csv(run / "split.csv")
    split.assign(label=split["label"].replace("ill", evil)).to_csv(run / "split.csv", index=False)
    codes = pd.read_csv(run / "codes.csv")
    codes["id"] += evil
    codes["subtype"] = codes["subtype"].replace("a", evil)
    codes.rename(columns={"age": evil}).to_csv(run / "codes.csv", index=False)
    for name in ("scores.csv", "removal.csv", "correlations.csv"):
        table = pd.read_csv(run / name)
        table.assign(attribute=table["attribute"].where(table["attribute"] != "label", evil)).to_csv(
            run / name
        )
    finding = {"level": "warning", "message": evil, "examples": [evil]}
    (run / "check.json").write_text(json.dumps({"findings": [finding]}))
    (run / "versions.json").write_text(json.dumps({evil: evil}))
    (run / "recipe.yaml").write_text(
        json.dumps({"method": evil, "keywords": {evil: evil}, "command": [evil]})
    )
    page = page_of(run)
    plain = without_scripts(page)
    assert "alert(1)</script" not in page
    assert "<img src=x" not in page
    assert len(re.findall(r"<script", page)) == 3
    assert plain.count("&lt;" if "<" in evil else "&amp;amp;") > 8
    _, (data,) = scripts_of(page)
    assert data["ids"][0].endswith(evil)
    assert evil in [column["name"] for column in data["columns"]]


@pytest.mark.parametrize(
    "part",
    [
        "split.csv",
        "versions.json",
        "scores.csv",
        "removal.csv",
        "correlations.csv",
        "check.json",
        "figures/reconstructions.png",
        "figures/traversals.png",
        "figures/swaps.png",
        "figures/learning_curves.png",
    ],
)
def test_a_missing_part_is_left_out_with_a_word(run, part):
    assert f"the run folder has no {part}" not in text_of(run)
    (run / part).unlink()
    assert f"the run folder has no {part}" in text_of(run)


def test_a_recipe_alone_is_enough(run):
    for path in run.iterdir():
        if path.name != "recipe.yaml":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    text = text_of(run)
    assert "This run has not been scored" in text
    assert text.count("Nothing to show here") == 10


def test_without_images_no_sample_can_be_told(run):
    codes = pd.read_csv(run / "codes.csv").assign(scan=lambda t: "scan of " + t["id"])
    codes.to_csv(run / "codes.csv", index=False)
    (run / "figures" / "codes_scan.png").write_bytes((run / "figures" / "swaps.png").read_bytes())
    kept = page_of(run)
    page = page_of(run, images=False)
    scripts, (data,) = scripts_of(page)
    said = page + json.dumps(data, ensure_ascii=False)
    for script in scripts:
        said = said.replace(script, "")
    names = [*codes["id"], *codes["group"]]
    assert [name for name in names if name in said] == []
    assert all(name in kept for name in codes["id"][codes["split"] == "test"])
    encoded = re.findall(r"data:image/[a-z]+;base64,[^\"]+", said)
    allowed = ("learning_curves", "map_group", "map_regions", "map_axes", "codes_label", "codes_age")
    assert sorted(shades_of(encoded)) == sorted(shades(*allowed))
    assert (data["ids"], data["groups"], data["thumbnails"]) == (None, None, None)
    assert [column["name"] for column in data["columns"]] == ["label", "age"]
    assert text_of(run, images=False).count("made without") == 3
    assert "Made without single samples" in text_of(run, images=False)


def test_groups_in_two_splits_are_pointed_out(run):
    assert "Take care" not in text_of(run)
    split = pd.read_csv(run / "split.csv")
    split.assign(group="same").to_csv(run / "split.csv", index=False)
    text = text_of(run)
    assert "more than one split: 1." in text
    assert "Subjects on both sides of the split" in text


def test_a_good_run_has_no_warning_and_says_so(run):
    (run / "check.json").unlink()
    scores = pd.read_csv(run / "scores.csv")
    scores[~((scores["space"] == "common") & (scores["attribute"] == "label"))].to_csv(
        run / "scores.csv", index=False
    )
    text = text_of(run)
    assert "No warning: none of the thresholds" in text
    assert "It may mean" not in text


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(RunFolderError, match="not a run folder") as error:
        write_report(tmp_path)
    assert "\n" not in str(error.value)


def test_a_page_is_written_whole_and_leaves_nothing_beside_it(run):
    before = {path.name for path in run.iterdir()}
    assert write_report(run) == run / "report.html"
    assert {path.name for path in run.iterdir()} == before | {"report.html"}


def test_a_page_can_lie_elsewhere(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("pages") / "for-sharing.html"
    assert write_report(run, out, images=False) == out
    assert not (run / "report.html").exists()
    with pytest.raises(RunFolderError, match="does not exist; make it first"):
        write_report(run, out.parent / "no" / "page.html")
    with pytest.raises(RunFolderError, match="got a folder"):
        write_report(run, out.parent)


def test_reporting_needs_neither_torch_nor_jinja_to_be_imported():
    heavy = "{'torch', 'jinja2', 'matplotlib', 'plotly'}"
    code = f"import sys, sepvae.report; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_whole_page_is_made_without_torch(run):
    code = (
        "import sys; from pathlib import Path; from sepvae.report import write_report\n"
        f"write_report(Path({str(run)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_colours_of_the_page_are_those_of_figures(run):
    page = page_of(run)
    assert f"--common: {BACKGROUND}; --salient: {TARGET};" in page
    assert re.search(r'<svg class="bar salient"', page)
