"""Methods of other packages: found by their entry points, fitted, saved, loaded and named like our own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sepvae
from sepvae import ContrastivePCA
from sepvae.benchmark.cells import parse_contender
from sepvae.errors import DataError, ModelFileError
from sepvae.registry import find_method, method_names

from .helpers import invoke, linear

OWN = (
    "SepVAE",
    "ConVAE",
    "MMcVAE",
    "CLVM",
    "RbVAE",
    "DoubleInfoGAN",
    "SepCLR",
    "ContrastivePCA",
    "ProbabilisticContrastivePCA",
)
MODULE = """
from sepvae import ContrastivePCA


class PlainPCA(ContrastivePCA):
    presets = {"default": {"alpha": 0.0}}
"""


def install(folder: Path, package: str, *methods: str, code: str = MODULE) -> Path:
    """Put a package there as pip would, with these methods as entry points."""
    about = folder / f"{package}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    points = "\n".join(f"{name} = {package}:{name}" for name in methods)
    (about / "entry_points.txt").write_text(f"[sepvae.methods]\n{points}\n")
    (folder / f"{package}.py").write_text(code)
    return folder


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[ContrastivePCA]:
    monkeypatch.syspath_prepend(install(tmp_path / "site", "their_methods", "PlainPCA"))
    return find_method("PlainPCA")


@pytest.mark.usefixtures("theirs")
def test_own_methods_come_first() -> None:
    assert set(method_names()[: len(OWN)]) == set(OWN)
    assert method_names()[len(OWN) :] == ("PlainPCA",)
    assert [find_method(name) for name in OWN] == [getattr(sepvae, name) for name in OWN]


def test_a_method_of_another_package_is_saved_and_loaded(
    theirs: type[ContrastivePCA], tmp_path: Path
) -> None:
    x, y = np.random.default_rng(0).normal(size=(40, 4)), np.arange(40) % 2
    model = theirs(2, 1, background=0).fit(x, y)
    again = sepvae.load(model.save(tmp_path / "model"))
    assert type(again) is theirs
    np.testing.assert_array_equal(again.transform(x), model.transform(x))


def test_it_is_named_on_the_command_line(theirs: type[ContrastivePCA], tmp_path: Path) -> None:
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(80, 4)), columns=list("abcd"))
    table.assign(dx=["ill", "well"] * 40).to_csv(tmp_path / "table.csv", index=False)
    data, out = str(tmp_path / "table.csv"), str(tmp_path / "run")
    how = ["--label", "dx", "--features", "number", "--background", "well", *linear("PlainPCA")]
    invoke("fit", data, "--out", out, *how)
    assert type(sepvae.load(out)) is theirs
    assert "all numbers are those of" in invoke("rerun", out, data)


def test_it_is_a_contender(theirs: type[ContrastivePCA]) -> None:
    assert type(parse_contender("PlainPCA").estimator(0)) is theirs


def test_a_name_in_other_case_is_pointed_to() -> None:
    with pytest.raises(DataError, match=r"got 'clvm'; did you mean CLVM\?$"):
        find_method("clvm")


def test_a_name_that_nobody_registers_imports_nothing() -> None:
    with pytest.raises(DataError, match=r"method: wanted one of .*SepVAE.*, got 'antigravity'"):
        find_method("antigravity")
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    ("method", "code", "message"),
    [
        ("SepVAE", MODULE, "SepVAE is registered by other_methods and sepvae; uninstall one"),
        ("Gone", MODULE, "Gone of other_methods cannot be imported"),
        ("Broken", "class Broken(", "Broken of other_methods cannot be imported: .* never closed"),
        ("Raises", "raise RuntimeError('no\\nGPU')", "Raises of other_methods cannot be imported: no GPU"),
        (
            "Plain",
            "class Plain: pass",
            "Plain of other_methods is not a class named Plain with base ContrastiveEstimator",
        ),
        ("Nothing", "Nothing = 3", "other_methods:Nothing of other_methods is not a class named Nothing"),
    ],
)
def test_what_cannot_be_used_names_its_package(
    method: str, code: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path, "other_methods", method, code=code))
    monkeypatch.delitem(sys.modules, "other_methods", raising=False)
    with pytest.raises(DataError, match=message):
        find_method(method)


def test_a_file_that_names_a_method_of_a_missing_package_says_so(
    theirs: type[ContrastivePCA], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = np.random.default_rng(0).normal(size=(40, 4)), np.arange(40) % 2
    folder = theirs(2, 1, background=0).fit(x, y).save(tmp_path / "model")
    monkeypatch.setattr(sys, "path", [part for part in sys.path if not part.endswith("site")])
    with pytest.raises(ModelFileError, match="got class 'PlainPCA'; a class of your own is given"):
        sepvae.load(folder)


def test_names_are_known_without_torch() -> None:
    code = "import sys, sepvae.registry as r; r.method_names(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
