"""Names that are markup, paths or tricks: text in pages, plain as names of files, as they were in CSV."""

import csv
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sepvae.cli import main, printable
from sepvae.cli.benchmark import table_of
from sepvae.cli.tables import print_scores
from sepvae.data import ArraySource
from sepvae.errors import DataError
from sepvae.files import names_apart, write_table
from sepvae.grid import Grid
from sepvae.interpretation.map_folder import write_maps
from sepvae.methods import ContrastivePCA
from sepvae.plotting import code_scatter
from sepvae.plotting.palette import LENGTH
from sepvae.report import write_report
from sepvae.report.benchmark_tables import benchmark_table, to_markdown
from sepvae.report.contents import scatter_files
from sepvae.report.page import write_comparison
from sepvae.run_folder import RunFolder
from sepvae.runs import evaluate_run, fit_run

from .helpers import invoke, linear, score_column

MARKUP = ["<script>alert(1)</script>", "</script>", "<img src=x onerror=alert(1)>", '"><b id="evil">', "&lt;"]
MARKUP += ["{{ 7*7 }}", "{% raw %}", "[bold red]", "[/]", "$x_1$", "_hidden", "**b**", "a|b", "%s"]
PATHS = [
    "../../evil",
    "/etc/passwd",
    "..",
    ".",
    "C:\\evil",
    "a\\b",
    "~",
    "--help",
    "con",
    "a b",
    "a_b",
    "A_B",
]
BLANK = [" ", "\t", "\u200b", "\u2028", "a\nb", "a\tb", "a\x0bb", "\x85", "nul\0in", "\x1b[31mred", "\ufeffx"]
ALIKE = [
    "e\u0301",
    "\u00e9",
    "\u0430bc",
    "abc",
    "ABC",
    "\uff21",
    "\uac00",
    "\u1100\u1161",
    "\u202egnp.exe",
    "\U0001f600",
]
CELLS = [
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(1)",
    "NA",
    "nan",
    "None",
    "1e5",
    "001",
    "1",
    "True",
    "null",
    "#",
]
QUOTES = ['say "a"', '"', "it's", "`id`", "a,b", "a;b", "x" * 5000, "x" * 4999 + "y"]
STRANGE = [*MARKUP, *PATHS, *BLANK, *ALIKE, *CELLS, *QUOTES]
ATTRIBUTES = ["a b", "a_b", "<script>alert(1)</script>", "[/]\x1b[31m", "NA", "x" * 5000]
LABELS = ["NA", "</script>\n$x$ ../../evil"]
PLAIN = re.compile(r"[\w-]+(\.[a-z]+)*")
# What the page is made of; `on..` is nowhere, `script` and `style` have none but these.
KNOWN = {
    "id",
    "class",
    "href",
    "src",
    "alt",
    "content",
    "charset",
    "http-equiv",
    "name",
    "lang",
    "scope",
    "type",
}
KNOWN |= {"colspan", "rowspan", "tabindex", "hidden", "role", "title", "style", "width", "height", "viewbox"}
KNOWN |= {"x1", "x2", "y1", "y2", "cx", "cy", "r", "sandbox", "srcdoc"}


def source(names: list[str], end: str = "") -> ArraySource:
    """Everybody is called strangely, and so is everything that is known of them and measured."""
    n = len(names)
    about = {name: [names[(i + k) % 3] for i in range(n)] for k, name in enumerate(ATTRIBUTES)}
    ids = [name + end for name in names]
    return ArraySource(
        np.random.default_rng(len(end)).normal(size=(n, n)),
        [LABELS[i % 2] for i in range(n)],
        groups=ids,
        ids=ids,
        attributes=pd.DataFrame(about | {"cells": names}),
        feature_names=names,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in a folder of its own, in a folder that nothing else may come into."""
    out = tmp_path_factory.mktemp("outer") / "inner" / "run"
    how = {"about_data": {"reader": "frame", "name": "{{ 7*7 }}</title><script>"}, "n_permutations": 0}
    fit_run(ContrastivePCA(2, 1), source(STRANGE), source(STRANGE, "'"), out, **how, say=lambda _: None)
    return out


class Elements(HTMLParser):
    """Tags and their attributes, and the text outside of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found[-1:] and self.found[-1][0] not in ("script", "style"):
            self.text += data


def see_that_nothing_got_in(page: str, scripts: int) -> str:
    elements = Elements(page)
    names = {name for _, attributes in elements.found for name in attributes}
    assert {name for name in names if not name.startswith("aria-")} <= KNOWN
    assert [tag for tag, _ in elements.found].count("script") == scripts
    assert "evil" not in {attributes.get("id") for _, attributes in elements.found}
    links = [a[name] or "" for _, a in elements.found for name in ("src", "href") if name in a]
    assert all(link.startswith(("data:image/", "#")) for link in links)
    assert not set(elements.text) & set("\0\x1b\x85\u202e")
    return elements.text


def test_the_page_shows_names_as_text(run: Path) -> None:
    text = see_that_nothing_got_in((run / "report.html").read_text("utf-8"), scripts=3)
    assert all(f"Coloured by {name}" in text for name in ("<script>alert(1)</script>", "a b", "a_b", "NA"))
    assert "</script>\n$x$ ../../evil (background)" in text
    assert "{{ 7*7 }}" in text


def test_a_comparison_shows_names_as_text(run: Path, tmp_path: Path) -> None:
    for name in ("<img src=x onerror=alert(1)>", '"><script>alert(1)<'):
        shutil.copytree(run, tmp_path / name)
    page = write_comparison(sorted(tmp_path.iterdir()), tmp_path / "both.html").read_text("utf-8")
    assert "<img src=x onerror=alert(1)>" in see_that_nothing_got_in(page, scripts=0)
    assert "script-src &#39;none&#39;" in page


def test_figures_of_strange_names_are_whole_and_of_sober_size(run: Path) -> None:
    figures = sorted((run / "figures").iterdir())
    assert len([file for file in figures if file.name.startswith("codes_")]) == 2 * (len(ATTRIBUTES) + 2)
    for file in figures:
        if file.suffix == ".svg":
            tags = {element.tag for element in ElementTree.parse(file).iter()}  # noqa: S314
            assert not [tag for tag in tags if tag.endswith(("script", "foreignObject"))]
        else:
            with Image.open(file) as drawn:
                assert max(drawn.size) < 4000


def test_names_of_figures_are_cut_and_shown_in_one_line() -> None:
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(4, 2)), columns=["common0", "salient0"])
    figure = code_scatter(table.assign(**{"x" * 5000: ["a\nb", "y" * 5000, "\u202e", "\uff21"]}), "x" * 5000)
    texts = [*figure.legends[0].get_texts(), figure.legends[0].get_title()]
    assert all(len(text.get_text()) <= LENGTH and text.get_text().isprintable() for text in texts)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_are_plain_and_nothing_lies_outside_of_the_run(run: Path) -> None:
    assert [names_in(folder) for folder in run.parents[:2]] == [["run"], ["inner"]]
    names = [path.name for path in run.rglob("*")]
    assert all(PLAIN.fullmatch(name) and len(name.encode()) <= 200 for name in names)


@pytest.mark.parametrize("words", [STRANGE, ["a b"] * 3 + ["a_b-2", "A B", "a_b-3"], ["e\u0301" * 60] * 2])
def test_no_two_names_are_one_file(words: list[str]) -> None:
    names = names_apart(words)
    assert len({name.casefold() for name in names}) == len(words)
    assert all(len(name.encode()) <= 110 for name in names)


def test_many_people_who_are_alike_are_numbered_at_once() -> None:
    names = names_apart([f"{'x' * 200}{i}" for i in range(20_000)])
    assert len(set(names)) == 20_000


def test_every_attribute_has_a_figure_of_its_own() -> None:
    files = scatter_files(["Label", "a b", "a_b", "A.B", "age"])
    assert list(files.values()) == [
        f"codes_{n}" for n in ("label", "Label-2", "a_b", "a_b-2", "A_B-3", "age")
    ]


def rows_of(file: Path) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return pd.read_csv(file, dtype=str, keep_default_na=False), list(csv.DictReader(opened))


def test_tables_hold_what_came_in(run: Path) -> None:
    ids = [*STRANGE, *(f"{name}'" for name in STRANGE)]
    for file in ("codes.csv", "split.csv"):
        table, rows = rows_of(run / file)
        assert table["id"].tolist() == table["group"].tolist() == ids
        assert [row["id"] for row in rows] == ids
        assert [row["label"] for row in rows[:2]] == LABELS
    table, rows = rows_of(run / "codes.csv")
    for column in (*ATTRIBUTES, "cells"):
        wanted = [*source(STRANGE).attributes[column]] * 2
        assert table[column].tolist() == wanted
        assert [row[column] for row in rows] == wanted
    assert set(rows_of(run / "scores.csv")[0]["attribute"]) >= set(ATTRIBUTES)
    assert sorted(rows_of(run / "maps" / "regions.csv")[0]["feature"]) == sorted(STRANGE)


@pytest.mark.parametrize("name", ["a\rb", "\r"])
def test_carriage_returns_stay_within_their_cell(name: str, tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", pd.DataFrame({"id": [name, "b"], "score": [0.5, None]}))
    table, rows = rows_of(tmp_path / "t.csv")
    assert table["id"].tolist() == [row["id"] for row in rows] == [name, "b"]
    assert table["score"].tolist() == ["0.5", ""]


def test_cells_that_look_like_numbers_or_nothing_stay_text(run: Path) -> None:
    codes = RunFolder(run).codes.required()
    assert codes["id"].tolist()[: len(STRANGE)] == STRANGE
    assert set(codes["label"]) == set(LABELS)
    assert set(codes["cells"]) == set(STRANGE)
    scores = evaluate_run(run, n_permutations=0)
    assert set(scores["attribute"].dropna()) >= {"label", *ATTRIBUTES}
    assert scores.query("attribute == 'NA' and population == 'all'")["n_test"].max() == len(STRANGE)


def test_a_page_without_images_names_nobody(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    (copy / "maps" / "regions.csv").unlink()  # features have the names of people here, and are shown
    text = Elements(write_report(copy, images=False).read_text("utf-8")).text
    assert not [name for name in ("=cmd|", "\uac00", "@SUM(1)") if name in text]


def test_everybody_has_a_map_of_their_own(tmp_path: Path) -> None:
    n, grid = len(STRANGE), Grid((4, 4, 4), np.eye(4))
    x = np.random.default_rng(0).normal(size=(n, 1, *grid.size)).astype(np.float32)
    native = pd.DataFrame({"mean": 0.0, "sd": 1.0, "axes": "RAS"}, index=range(n))
    people = ArraySource(x, [LABELS[i % 2] for i in range(n)], ids=STRANGE, grid=grid, native=native)
    maps = write_maps(ContrastivePCA(2, 2).fit(people), people, tmp_path / "run" / "maps")
    table, _ = rows_of(maps / "maps.csv")
    assert table["id"].tolist() == STRANGE
    assert table["file"].str.casefold().nunique() == n
    assert {*table["file"]} <= {path.name for path in maps.iterdir()}
    assert len(list(maps.glob("label-*"))) == 4
    assert all(PLAIN.fullmatch(p.name) and len(p.name.encode()) <= 200 for p in tmp_path.rglob("*"))
    assert names_in(tmp_path) == ["run"]


def can_be_a_file(name: str) -> bool:
    return (
        not {"/", "\0"} & set(name) and name.strip(".") != "" and len(name.encode()) < 200 and name[0] != "."
    )


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of labels and files whose names are as strange as the disk takes them."""
    root, rng = tmp_path_factory.mktemp("pictures") / "$x$ <script>", np.random.default_rng(0)
    for i, name in enumerate(filter(can_be_a_file, STRANGE)):
        folder = root / ('"><b>\n[red]' if i % 2 else "NA")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (6, 6), dtype=np.uint8)).save(folder / f"{name}.png")
    return root


@pytest.mark.slow
def test_images_of_strange_names_go_all_the_way(pictures: Path) -> None:
    run, outer = pictures.parent / "run", pictures.parent
    how = linear()
    commands = [["fit", str(pictures), "--out", str(run), "--image-size", "8", "--background", "NA", *how]]
    commands += [["evaluate", str(run), "--permutations", "0"]]
    commands += [[what, str(run), str(pictures), "--out", str(outer / what)] for what in ("encode", "maps")]
    for command in commands:
        invoke(*command)
    files = {path.relative_to(pictures).as_posix() for path in pictures.rglob("*.png")}
    for table in (run / "codes.csv", outer / "encode", outer / "maps" / "maps.csv"):
        assert set(rows_of(table)[0]["id"]) == files
        assert set(rows_of(table)[0]["label"]) == {"NA", '"><b>\n[red]'}
    see_that_nothing_got_in((run / "report.html").read_text("utf-8"), scripts=3)
    assert names_in(outer) == sorted([pictures.name, "run", "encode", "maps"])


@pytest.mark.parametrize("name", ["[bold red]", "[/]", "[link=http://x]", "\x1b[31m", "a\nb", "x" * 5000])
def test_a_terminal_obeys_no_name(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    row = {"attribute": name, "population": "all", "metric": "balanced_accuracy", "score": 0.5, "low": 0.4}
    row |= {"high": 0.6, "chance": 0.5, "p_value": 0.5}
    print_scores(pd.DataFrame([row | {"space": "salient"}, row | {"space": "common"}]))
    out = capsys.readouterr().out
    assert printable(name)[:30] in out
    assert "\x1b" not in out
    assert len(out.splitlines()) == 6


def test_a_benchmarks_table_takes_names_as_they_are() -> None:
    from rich.console import Console

    from sepvae.benchmark import make_cells
    from sepvae.benchmark.cells import Contender

    cells = make_cells([Contender("SepVAE", "[/]\x1b[31m")], [0], 1)
    with (console := Console(width=80)).capture() as shown:
        console.print(table_of(cells, {cells[0].name: "waiting"}, 0.0, own=0))
    assert "SepVAE ([/]\\x1b[31m)" in shown.get()


def test_a_row_of_markdown_is_one_row_of_text() -> None:
    column = score_column("a|b\n<script>[x](http://y)`\\", "sex", "all", "salient", "auc", "linear", "high")
    results = pd.DataFrame(
        {"contender": ["A", "B"], "seed": 0, "fold": None, "attribute": "sex", "score": [0.6, 0.7]}
    )
    results = results.assign(
        population="all", space="salient", metric="auc", probe="linear", chance=0.5, error=None
    )
    first, *_, last = to_markdown(benchmark_table(results, [column])).split("\n\n")[0].splitlines()
    assert first == r"|  | a\|b \<script>\[x](http://y)\`\\ ↑ |".replace(r"\u2191", "\u2191")
    assert last == "| B | **70.00** |"


def test_what_nobody_sees_is_written_as_its_number(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    recipe = tmp_path / "run" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("reader: frame", 'reader: "\\u202e0.9\\0\\e[31m"'))
    text = Elements(write_report(tmp_path / "run").read_text("utf-8")).text
    assert "\\u202e0.9\\x00\\x1b[31m" in text


def test_an_error_is_one_line_whatever_it_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sepvae", "fit", "gone\n\x1b[31m[/]", "--out", "run"])
    with pytest.raises(SystemExit, match="2"):
        main()
    error = capsys.readouterr().err
    assert error.startswith("sepvae: gone \\x1b[31m[/]: ")
    assert error.count("\n") == 1


def test_twins_stay_two_people() -> None:
    assert len(source(ALIKE)) == len(ALIKE)
    with pytest.raises(DataError, match="more than once"):
        source([*ALIKE, ALIKE[0]])
