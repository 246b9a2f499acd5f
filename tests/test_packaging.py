"""Metadata of the package: versions that are stated in several places agree."""

import re
import tomllib
from pathlib import Path

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
