"""The methods of docs/developing/examples, in a package of their own: from fit to report, by name."""

import re
import shutil
import tomllib
from collections.abc import Callable, Iterator
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA

import sepvae
from sepvae import SepVAE
from sepvae.errors import DataError
from sepvae.registry import find_method, method_names

from .helpers import invoke, quick, quick_sets, sets
from .methods import test_estimator_battery as battery

PAGE = Path(__file__).parents[1] / "docs" / "developing" / "new-method.md"
EXAMPLES = PAGE.parent / "examples"
FILES = {path.name: path.read_text() for path in EXAMPLES.rglob("*") if path.suffix in (".py", ".toml")}
RECIPE = """
title: Noise, and patients with one measure that differs
reader: regions
data: {features: ['v*'], label: dx, background: hc, attribute: [subtype]}
protocol:
  test_size: 0.3
  seeds: 1
  contenders: [SparseSepVAE, 'SparseSepVAE:default:no L1', BackgroundFirstPCA]
  columns:
    - {title: subtype, attribute: subtype, population: target, space: salient, metric: auc, better: high}
methods:
  SparseSepVAE: {default: {max_epochs: 1, common_dim: 2, salient_dim: 2}}
  BackgroundFirstPCA: {default: {common_dim: 2, salient_dim: 2}}
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The package as pip would install it: its folder, and its entry points beside it."""
    site, project = tmp_path_factory.mktemp("site"), tomllib.loads(FILES["pyproject.toml"])["project"]
    about = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (about / "METADATA").write_text(head)
    lines = [
        line
        for group, points in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    shutil.copytree(EXAMPLES / "my_methods", site / "my_methods")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        yield


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five measures of 80 people; patients of two subtypes, each with one that differs."""
    rng, file = np.random.default_rng(0), tmp_path_factory.mktemp("table") / "regions.csv"
    frame = pd.DataFrame(rng.normal(size=(80, 5)), columns=[f"v{i}" for i in range(5)])
    frame["dx"], frame["subtype"] = ["hc", "scz"] * 40, ["", "a", "", "b"] * 20
    frame.loc[frame["subtype"] == "a", "v0"] += 3
    frame.loc[frame["subtype"] == "b", "v1"] += 3
    frame.assign(participant_id=[f"p{i}" for i in range(80)]).to_csv(file, index=False)
    return file


def data(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng, y = np.random.default_rng(0), np.repeat(["hc", "scz"], n // 2)
    x = rng.normal(size=(n, 5))
    x[y == "scz", 0] += rng.normal(0, 3, size=n // 2)
    return x, y


@pytest.mark.usefixtures("installed")
def test_both_are_found_by_name() -> None:
    assert method_names()[-2:] == ("SparseSepVAE", "BackgroundFirstPCA")


@pytest.mark.parametrize(
    ("method", "keywords"),
    [("SparseSepVAE", quick_sets()), ("BackgroundFirstPCA", sets(common_dim=2, salient_dim=2))],
)
@pytest.mark.usefixtures("installed", "undrawn")
def test_from_fit_to_report(method: str, keywords: list[str], table: Path, tmp_path: Path) -> None:
    run, columns = tmp_path / "run", ["--label", "dx", "--background", "hc", "--features", "v*"]
    fit = ["--method", method, "--attribute", "subtype", "--permutations", "0", *keywords]
    invoke("fit", table, "--out", run, *columns, *fit)
    model = sepvae.load(run)
    assert type(model) is find_method(method)
    x = pd.read_csv(table)[[f"v{i}" for i in range(5)]]
    assert model.reconstruct(x).shape == model.swap(x, x[::-1]).shape == x.shape
    invoke("encode", run, table, "--out", tmp_path / "codes.csv")
    np.testing.assert_allclose(
        pd.read_csv(tmp_path / "codes.csv").filter(regex=r"salient\d"),
        model.encode(x).salient_mean,
        atol=1e-5,
    )
    (run / "report.html").unlink()
    invoke("report", run)
    assert method in (run / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
def test_benchmark(table: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(RECIPE)
    how = ["--recipe", tmp_path / "mine.yaml", "--permutations", "0", "--jobs", "1"]
    said = invoke("benchmark", table, "--out", tmp_path / "out", *how)
    for name in ("SparseSepVAE (default)", "SparseSepVAE (default, no L1)", "BackgroundFirstPCA (default)"):
        assert f"| {name} |" in said
    results = pd.read_csv(tmp_path / "out" / "results.csv")
    probes = results.query("attribute == 'label' and metric == 'auc'").groupby("method")["probe"].agg(set)
    assert probes["SparseSepVAE"] == {"linear", "own classifier"}  # that of SepVAE is its own, too
    assert probes["BackgroundFirstPCA"] == {"linear", "mlp"}


@pytest.mark.usefixtures("installed")
def test_the_new_term_is_the_mean_l1_norm_of_targets_and_its_ablation_is_sepvae() -> None:
    (x, y), method = data(), find_method("SparseSepVAE")
    model = method(**quick(), salient_l1=0.5).fit(x, y)
    norms = model.gradient_norms(x, y).set_index("term").loc["salient_l1"]
    assert norms["weight"] == 0.5
    l1 = np.abs(model.encode(x[y == "scz"]).salient_mean).sum(axis=1)
    assert norms["value"] == pytest.approx(l1.sum() / len(x), rel=1e-4)
    assert norms["salient_encoder"] > 0 == norms["common_encoder"]
    without = method(**quick(), **method.ablations["no L1"]).fit(x, y)
    np.testing.assert_array_equal(without.transform(x), SepVAE(**quick()).fit(x, y).transform(x))
    with pytest.raises(DataError, match="salient_l1: wanted a number of 0 or more, got -1"):
        method(**quick(), salient_l1=-1).fit(x, y)


@pytest.mark.usefixtures("installed")
def test_the_linear_method_is_two_principal_component_analyses() -> None:
    x, y = data()
    model = find_method("BackgroundFirstPCA")(2, 1).fit(x, y)
    standardised = model.prepare(x).take(np.arange(len(x))).x.astype(np.float64)
    of_background = PCA(2, whiten=True).fit(standardised[y == "hc"])
    c = np.abs(of_background.transform(standardised)) * np.sqrt(30 / 29)  # PCA divides by n - 1
    np.testing.assert_allclose(np.abs(model.encode(x).common_mean), c)
    s = model.encode(x[y == "scz"]).salient_mean
    np.testing.assert_allclose((s**2).mean(axis=0), 1)
    with pytest.raises(DataError, match="wanted samples that span 9 dimensions or more, got 5"):
        find_method("BackgroundFirstPCA")(9, 1).fit(x, y)


def shared_checks() -> Iterator[Any]:
    """Checks of the battery that every method passes, with or without epochs."""
    for name, check in vars(battery).items():
        if name.startswith("test_") and {"fitted", "estimator"} & {*signature(check).parameters}:
            yield pytest.param(check, id=name.removeprefix("test_"))


@pytest.mark.parametrize("kind", [battery.tables, battery.images])
@pytest.mark.parametrize("check", list(shared_checks()))
@pytest.mark.usefixtures("installed")
def test_the_battery(check: Callable[..., None], kind: Callable[..., battery.Data], tmp_path: Path) -> None:
    estimator = find_method("BackgroundFirstPCA")(common_dim=2, salient_dim=2)
    samples = kind(np.random.default_rng(0))
    known = {"estimator": estimator, "data": samples, "tmp_path": tmp_path}
    wanted = signature(check).parameters
    if "fitted" in wanted:
        known["fitted"] = clone(estimator).fit(*samples)
    check(**{name: known[name] for name in wanted})


def test_the_code_on_the_page_is_that_of_the_files() -> None:
    blocks = re.findall(r"^```(?:python|toml)\n(.+?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    copies = [block for block in blocks if any(block in text for text in FILES.values())]
    assert FILES["sparse_sepvae.py"] in copies
    assert FILES["background_first_pca.py"] in copies
    assert len(blocks) - len(copies) == 1  # how a method is used in Python
