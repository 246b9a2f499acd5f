import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sepvae
from sepvae.benchmark.folder import BenchmarkFolder, CellFolder
from sepvae.errors import RunFolderError
from sepvae.run_files import RunFile
from sepvae.run_folder import MapFolder, RunFolder

SRC = Path(sepvae.__file__).parent
WHERE = {"run_folder.py": RunFolder("run"), "benchmark/folder.py": BenchmarkFolder("benchmark")}
RECORDS = [*WHERE.values(), WHERE["benchmark/folder.py"].cell("a"), MapFolder(Path("maps"))]


def file_names() -> set[str]:
    """Names of all files of a run, its maps, a benchmark and its cells."""
    values = [value for record in RECORDS for value in vars(record).values()]
    paths = [value.path if isinstance(value, RunFile) else value for value in values]
    return {path.name for path in paths if isinstance(path, Path) and path.suffix}


def strings(file: Path) -> Iterator[str]:
    """Strings of a module, without docstrings."""
    tree = ast.parse(file.read_text("utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.value


def test_all_files_are_known():
    assert {"recipe.yaml", "codes.csv", "examples.npz", "last.ckpt", "report.html"} < file_names()
    assert {"benchmark.yaml", "results.csv", "predictions.csv", "people.npz"} < file_names()


def test_no_other_module_spells_the_name_of_a_file():
    others = {file.relative_to(SRC).as_posix(): file for file in SRC.rglob("*.py")}
    for name, file in others.items():
        words = {text.rpartition("/")[2] for text in strings(file) if " " not in text}  # sentences may
        assert name in WHERE or not words & file_names(), name


def test_a_table_comes_back_with_its_text_and_a_number_that_is_none_is_named(tmp_path):
    run = RunFolder(tmp_path)
    run.recipe.write({"attributes": {"site": "categorical", "age": "continuous"}})
    codes = pd.DataFrame({"id": ["01"], "group": ["1"], "label": ["NA"], "split": ["test"], "y": [0]})
    codes = codes.assign(site="7", age=3.5, common0=0.1, salient0=0.2)
    run.codes.write(codes)
    pd.testing.assert_frame_equal(run.codes.required(), codes, check_dtype=False)
    assert run.codes.required().loc[0, "site"] == "7"
    run.codes.write(codes.assign(salient1="much"))
    with pytest.raises(RunFolderError, match=r"codes\.csv is damaged \(column salient1 holds something that"):
        run.codes.read()
    run.codes.write(codes.drop(columns="y"))
    with pytest.raises(RunFolderError, match=r"codes\.csv lacks columns y; delete it"):
        run.codes.read()


def test_a_missing_file_is_none_or_refused(tmp_path):
    run = RunFolder(tmp_path)
    assert run.recipe.read() is run.codes.read() is run.examples.read("inputs") is None
    for file in (run.scores, run.examples):
        with pytest.raises(
            RunFolderError, match=f"{tmp_path}: wanted a run folder with {file.path.name}, as"
        ):
            file.required()
    with pytest.raises(RunFolderError, match=r"is not a run folder: it has no recipe\.yaml; give"):
        run.kinds()


def test_a_newer_format_is_refused_and_an_older_word_is_read(tmp_path):
    recipe = RunFolder(tmp_path).recipe
    recipe.write({"data": {"group": "patient"}})
    assert recipe.required() == {"format": 1, "data": {"subject": "patient"}}
    recipe.write({"format": 2})
    with pytest.raises(RunFolderError, match=r"its recipe\.yaml is of format 2, this sepvae reads format 1"):
        recipe.read()


def test_arrays_come_back_all_or_by_name(tmp_path):
    examples = RunFolder(tmp_path).examples
    examples.write({"inputs": np.arange(3), "full": np.ones(2)})
    assert sorted(examples.required()) == ["full", "inputs"]
    assert sorted(examples.read("inputs")) == ["inputs"]
    with pytest.raises(RunFolderError, match=r"examples\.npz is damaged .*swaps"):
        examples.read("swaps")


def test_a_cell_is_a_run_of_known_kinds(tmp_path):
    cell = CellFolder(tmp_path, {"site": "categorical"})
    assert cell.kinds() == {"site": "categorical"}
    assert cell.state() == "waiting"
    cell.fail("out\nof memory")
    assert (cell.state(), cell.error.read_text()) == ("failed", "out of memory\n")
