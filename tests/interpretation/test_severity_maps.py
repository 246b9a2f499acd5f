"""Maps of targets by severity: thirds and slope, of volumes, images and tables."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from sepvae import SepVAE
from sepvae.data import ArraySource
from sepvae.grid import Grid
from sepvae.interpretation.map_folder import write_maps
from sepvae.interpretation.maps import SeverityMaps
from sepvae.run_folder import MapFolder
from sepvae.runs.figures import draw_maps

from ..helpers import quick

N = 36
ILL = np.arange(N) % 2 == 1
SCORE = np.where(ILL, np.random.default_rng(1).permutation(N) + 1.0, np.nan)
SHAPES = {"table": (4,), "images": (1, 16, 16), "volumes": (1, 6, 6, 6)}


def samples(kind: str) -> ArraySource:
    rng, shape = np.random.default_rng(0), SHAPES[kind]
    x = rng.random((N, *shape)).astype(np.float32)
    x[ILL] *= (SCORE[ILL] / N).reshape(-1, *[1] * len(shape))
    about = {"attributes": pd.DataFrame({"score": SCORE}), "ids": [f"s{i:02d}" for i in range(N)]}
    if kind == "volumes":
        about["grid"] = Grid(shape[1:], np.diag([2.0, 2.0, 2.0, 1.0]))
    return ArraySource(x, np.where(ILL, "ill", "well"), **about)


@pytest.fixture(scope="module", params=list(SHAPES))
def maps(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    source = samples(request.param)
    model = SepVAE(**quick(target="severity", severity="score", background="well")).fit(source)
    return request.param, write_maps(model, source, tmp_path_factory.mktemp("maps") / "maps")


def of_severity(kind: str, folder: Path) -> dict[str, np.ndarray]:
    """The maps by severity, and those of each target."""
    names = ("meanlow", "meanmiddle", "meanhigh", "slope")
    if kind == "table":
        table = pd.read_csv(folder / "regions.csv").sort_values("feature")
        return {name: table[f"severity_{name}"].to_numpy() for name in names}
    if kind == "images":
        assert all((folder / f"label-ill_desc-salient_stat-{name}_map.png").is_file() for name in names)
        groups = MapFolder(folder).groups.required()
        return {name: groups[f"severity_{name}"] for name in names}
    files = {name: folder / f"label-ill_desc-salient_stat-{name}_map.nii.gz" for name in names}
    return {name: np.asarray(nib.load(file).dataobj) for name, file in files.items()}


def test_numbers_are_those_of_numpy(maps: tuple[str, Path]) -> None:
    kind, folder = maps
    found, source = of_severity(kind, folder), samples(kind)
    model = SepVAE(**quick(target="severity", severity="score", background="well")).fit(source)
    codes = model.encode(source)
    without = model.decode(codes.common_mean, np.zeros_like(codes.salient_mean))
    added = (model.decode(codes.common_mean, codes.salient_mean) - without)[ILL]
    order = np.argsort(SCORE[ILL])
    line = np.polyfit(SCORE[ILL], added.reshape(ILL.sum(), -1), 1)[0]
    np.testing.assert_allclose(found["slope"].ravel(), line, rtol=1e-3, atol=1e-7)
    for name, rows in zip(("meanlow", "meanmiddle", "meanhigh"), np.split(order, 3), strict=True):
        expected = added[rows].mean(axis=0).ravel()
        np.testing.assert_allclose(found[name].ravel(), expected, rtol=1e-3, atol=1e-7)


def test_thirds_are_listed_and_drawn(maps: tuple[str, Path], tmp_path: Path) -> None:
    _, folder = maps
    thirds, of_each = pd.read_csv(folder / "severity.csv"), pd.read_csv(folder / "maps.csv")
    assert thirds["n"].tolist() == [6, 6, 6]
    ordered = of_each.dropna(subset="severity").sort_values("severity")
    assert thirds["least"].tolist() == ordered["severity"].iloc[[0, 6, 12]].tolist()
    assert thirds["most"].tolist() == ordered["severity"].iloc[[5, 11, 17]].tolist()
    means = ordered["mean_absolute"].to_numpy().reshape(3, 6).mean(axis=1)
    np.testing.assert_allclose(thirds["mean_absolute"], means)
    draw_maps(MapFolder(folder), tmp_path / "figures")
    assert (tmp_path / "figures" / "map_severity.png").is_file()


@pytest.mark.parametrize("severities", [[np.nan] * 6, [1.0, 2.0] * 3, [1.0, np.nan, 2.0] * 2])
def test_too_few_severities_give_no_maps(severities: list[float]) -> None:
    maps = SeverityMaps(np.array(severities))
    maps.add(np.arange(6), np.ones((6, 3)))
    assert maps.maps() == {}


def test_equal_severities_are_in_one_third() -> None:
    maps = SeverityMaps(np.array([1.0, 1, 1, 2, 2, 3, 3, np.nan]))
    assert {name: third.tolist() for name, third in maps.thirds.items()} == {
        "low": [0, 1, 2],
        "middle": [3, 4],
        "high": [5, 6],
    }


def test_new_samples_without_a_severity_have_other_maps_only(tmp_path: Path) -> None:
    source = samples("table")
    model = SepVAE(**quick(target="severity", severity="score", background="well")).fit(source)
    folder = write_maps(model, ArraySource(source.x, source.labels), tmp_path / "maps")
    assert not (folder / "severity.csv").exists()
    assert "severity" not in pd.read_csv(folder / "maps.csv")
    assert not pd.read_csv(folder / "regions.csv").filter(like="severity").size


def test_severities_in_file_names_are_text(tmp_path: Path) -> None:
    source = samples("table")
    model = SepVAE(**quick(target="severity", severity="score", background="well")).fit(source)
    words = pd.DataFrame({"score": [f"{score:g}" if score == score else "none" for score in SCORE]})
    typed, text = (
        write_maps(model, ArraySource(source.x, source.labels, attributes=table), tmp_path / name)
        for name, table in (("typed", source.attributes), ("text", words))
    )
    assert (typed / "severity.csv").read_bytes() == (text / "severity.csv").read_bytes()
