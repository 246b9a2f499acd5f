"""
Blocks of README and of guides run, page by page, in a folder with small files of the names that they use.

Blocks of a page run in their order: Python in one namespace, `sepvae` commands in this process. A fit has one
epoch. Of what a page shows as output, errors alone are compared.
"""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sepvae import SepVAE
from sepvae.data import read_regions
from sepvae.recipes import load_recipe

from ..helpers import invoke, outcome, short_judges, without_figures
from .blocks import MEASURED, Block, Command, blocks, commands, pages, without_redirect
from .reader import SMALL, N, write_cells, write_reader_folder, write_surfaces

# Results and measurements name data and hours that a test does not have; their commands are parsed.
PARSED = ("docs/results/", "docs/performance.md", "docs/reliability.md", "docs/responsible-use.md")
RUN = [page for page in pages() if not page.startswith(PARSED) and blocks(page)]

IMAGES = "{participant_id}/anat/{participant_id}_GM.nii.gz"
OF_VOLUMES = f"fit participants.tsv --label group --out run --attribute age:continuous --images {IMAGES}"
OF_DIGITS = "fit digits-on-photos --recipe digits-on-photos --method ContrastivePCA --out run"
OF_IMAGES = "fit chest_xray --out run --background NORMAL"
# Data of one page only, which take seconds or a package of their own.
WRITE = {"docs/guide/surfaces.md": write_surfaces, "docs/guide/anndata.md": write_cells}
# Runs that a page assumes, or that its first command leaves with options out.
BEFORE = {
    "docs/guide/maps.md": OF_VOLUMES,
    "docs/guide/subtypes.md": OF_DIGITS,
    "docs/guide/rerun.md": OF_VOLUMES,
    "docs/guide/figures.md": OF_IMAGES,
}
FITS = {"fit", "demo", "maps", "rerun", "subtypes"}
# What is added to a command, so that it takes a moment.
SHORTER = {"fit": ["--seeds", "1"]}
# Commands of many fits, servers and uploads, which have tests of their own.
ONLY_PARSED = ("benchmark", "explore", "push", "stability")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's folder before anything has run."""
    folder = tmp_path_factory.mktemp("reader") / "folder"
    write_reader_folder(folder)
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it, in which a test may work; fits have one epoch, and data without files are few."""
    from sepvae.data import load_digits_on_photos, simulate_vbm_cohort
    from sepvae.evaluation import score_codes
    from sepvae.training.fit import train

    def few_digits(seed: int = 0) -> list[Any]:
        return [source.select(np.arange(0, len(source), 24)) for source in load_digits_on_photos(seed)]

    def one_epoch(*arguments: Any, **keywords: Any) -> Any:
        return train(*arguments, **keywords | {"max_epochs": 1})

    def without_permutations(*arguments: Any, **keywords: Any) -> Any:
        return score_codes(*arguments, **keywords | {"n_permutations": 0})

    def small_cohort(folder: str | Path, **keywords: Any) -> Path:
        remove(Path(folder))  # the link
        return simulate_vbm_cohort(folder, **keywords | SMALL)

    shutil.copytree(template, tmp_path / "folder", symlinks=True)
    monkeypatch.chdir(tmp_path / "folder")
    monkeypatch.setattr("sepvae.methods.vae.train", one_epoch)
    for module in ("sepvae.data", "sepvae.data.bundled"):
        monkeypatch.setattr(f"{module}.load_digits_on_photos", few_digits)
    monkeypatch.setattr("sepvae.data.simulate_vbm_cohort", small_cohort)
    monkeypatch.setattr("sepvae.runs.finishing.score_codes", without_permutations)
    monkeypatch.setattr("sepvae.runs.resume.check_new", lambda run, *_: remove(run))  # of another example
    for module in ("sepvae.runs.fitting", "sepvae.runs.finishing"):
        monkeypatch.setattr(f"{module}.write_report", lambda run: Path(run, "report.html").touch())
    with without_figures(), short_judges():
        yield tmp_path / "folder"


def names() -> dict[str, Any]:
    """Return names that pages take for granted: images of four groups, and a table with its source."""
    rng, y = np.random.default_rng(0), np.array(["HC", "SZ", "BD", "ASD"] * 16)
    frame = pd.read_csv("regions.csv").assign(person=lambda table: table["participant_id"])
    source = read_regions("regions.csv", features=["*_volume"], label="dx", attributes=["age", "sex"])
    parts = {"train": source.select(np.arange(N // 2)), "test": source.select(np.arange(N // 2, N))}
    of_table = {"frame": frame, "source": source, "model": SepVAE(background="HC"), **parts}
    return {"X": rng.random((64, 1, 32, 32), dtype=np.float32), "y": y, **of_table}


def told_of(block: Block) -> str:
    """Return what a page says of a block: "not run", "only parsed", or nothing."""
    return block.mark or ("only parsed" if block.heading == MEASURED else "")


def run_block(block: Block, namespace: dict[str, Any]) -> None:
    """Run a block, or as much of it as a test can."""
    if told_of(block):
        return
    if block.language == "python":
        exec(compile(block.text, str(block), "exec"), namespace)  # noqa: S102 - our own pages
    elif block.language == "console":
        for command in commands(block):
            run_command(command)
    elif block.language == "yaml" and block.text.startswith("title:"):
        Path("mine.yaml").write_text(block.text, "utf-8")
        load_recipe("mine.yaml")


def run_command(command: Command) -> None:
    """Run a command unless it is of another program, takes long, or lacks options."""
    program, *arguments = command.words
    if program != "sepvae" or arguments[0] in ONLY_PARSED or {"..", "..."} & set(arguments):
        return
    if command.output.startswith("sepvae: "):
        status, said = outcome(*arguments)
        assert " ".join(command.output.split()).removeprefix("sepvae: ") in said
        assert status != 0
        return
    arguments, file = without_redirect(arguments)
    output = invoke(*arguments, *SHORTER.get(arguments[0], []))
    if file is not None:
        Path(file).write_text(output, "utf-8")


def remove(path: Path) -> None:
    """Remove a file or a folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_slow(page: str) -> bool:
    """Return whether a page fits by commands, which read, score and map, too, or begins with such a fit."""
    words = [set(command.words) for block in blocks(page) for command in commands(block)]
    return page in BEFORE or any("sepvae" in of_one and of_one & FITS for of_one in words)


PAGES = [pytest.param(page, marks=pytest.mark.slow if is_slow(page) else ()) for page in RUN]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("folder")
def test_blocks_of_a_page_run(page: str) -> None:
    if page in WRITE:
        WRITE[page](Path())
    if page in BEFORE:
        run_command(Command(["sepvae", *BEFORE[page].split()]))
    namespace = names()
    for block in blocks(page):
        run_block(block, namespace)


def test_few_blocks_are_left_out() -> None:
    of_code = [block for page in RUN for block in blocks(page) if block.language in ("python", "console")]
    done = Counter(told_of(block) or "run" for block in of_code)
    assert done["run"] >= 75
    assert done["only parsed"] <= 20
    assert done["not run"] <= 10
