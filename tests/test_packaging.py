"""Metadata of the package: versions that are stated in several places agree."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import sepvae

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_least_versions_are_those_of_the_dependencies():
    lines = (ROOT / "constraints-min.txt").read_text("utf-8").splitlines()
    least = [line.replace("==", ">=") for line in lines if not line.startswith("#")]
    assert least == PROJECT["dependencies"]


def test_pinned_versions_include_every_dependency():
    pinned = re.findall(r"^([^#=\s]+)==", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    names = {re.split("[>=]", requirement)[0] for requirement in PROJECT["dependencies"]}
    assert names <= {name.lower().replace("_", "-") for name in pinned}


def test_workflows_test_every_python_that_the_classifiers_name():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text("utf-8"))["jobs"]
    tested = set(jobs["tests"]["strategy"]["matrix"]["python"])
    named = set(re.findall(r":: (3\.\d+)", "\n".join(PROJECT["classifiers"])))
    assert named <= tested
    assert min(tested, key=lambda version: int(version[2:])) == PROJECT["requires-python"].removeprefix(">=")


def test_the_citation_has_the_version_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == sepvae.__version__


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder of an sdist of the sources and of a wheel made from the sdist, as a release makes them."""
    folder = tmp_path_factory.mktemp("dist")
    build(ROOT, "sdist", folder)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as sdist:
        sdist.extractall(folder / "unpacked", filter="data")
    build(next((folder / "unpacked").iterdir()), "wheel", folder)
    return folder


def build(sources, kind, folder):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", folder],
        cwd=sources,
        check=True,
    )


def test_the_wheel_has_every_file_of_the_package(built):
    source = ROOT / "src"
    wanted = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        found = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert found == wanted


def test_the_sdist_has_the_tests_and_what_they_read(built):
    unpacked = next((built / "unpacked").iterdir())
    assert {"README.md", "constraints-min.txt", "tests", "pyproject.toml"} <= {
        path.name for path in unpacked.iterdir()
    }
    assert {path.name for path in unpacked.joinpath("tests").rglob("*.py")} == {
        path.name for path in ROOT.joinpath("tests").rglob("*.py")
    }


@pytest.mark.slow
def test_the_wheel_fits_where_there_are_no_sources(built, tmp_path):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "installed")  # noqa: S202 - of this project
    # -I and the path of the wheel alone: an editable install of the sources comes after it.
    program = "import sys; sys.path.insert(0, 'installed'); from sepvae.cli import main; main()"
    options = [
        "--quick",
        "--permutations",
        "0",
        "--set",
        "network=linear",
        "--set",
        "max_epochs=1",
        "--out",
        "run",
    ]
    told = subprocess.run(
        [sys.executable, "-I", "-c", program, "demo", *options],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "background background, target target; fitting on 2874 samples" in told
    assert "digit" in (tmp_path / "run" / "report.html").read_text("utf-8")
