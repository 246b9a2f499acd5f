"""Maps of a run: files of people and groups, of volumes, images and tables."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from sepvae import SepVAE
from sepvae.data import ArraySource
from sepvae.errors import DataError, RunFolderError
from sepvae.grid import Grid
from sepvae.interpretation.map_folder import write_maps
from sepvae.interpretation.maps import SalientMaps, axis_maps
from sepvae.methods import CLVM, ContrastivePCA, ProbabilisticContrastivePCA
from sepvae.methods.clvm import salient_loadings
from sepvae.run_folder import MapFolder
from sepvae.runs.figures import draw_maps, map_run

from ..helpers import quick

SHAPE, N = (12, 13, 14), 20
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
AFFINE[:3, 3] = -10, -12, -14


def volumes(ids: list[str] | None = None, labels: list[str] | None = None) -> ArraySource:
    rng = np.random.default_rng(0)
    mask = np.zeros(SHAPE, dtype=bool)
    mask[3:9, 3:10, 2:11] = True
    grid = Grid(SHAPE, AFFINE, size=(10, 14, 12), mask=mask, axes="LAS")
    x = rng.normal(size=(N, 1, *grid.size)).astype(np.float32) * grid.valid_mask
    axes = ["LAS", "PSR"] * (N // 2)
    native = pd.DataFrame({"mean": rng.normal(9, 1, N), "sd": rng.uniform(1, 3, N), "axes": axes})
    ids = ids or [f"sub-{i:02d}" for i in range(N)]
    return ArraySource(x, labels or ["hc", "scz"] * (N // 2), ids=ids, grid=grid, native=native)


@pytest.fixture(scope="module")
def model() -> ContrastivePCA:
    return ContrastivePCA(3, 2, background="hc").fit(volumes())


@pytest.fixture(scope="module")
def maps(model: ContrastivePCA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_maps(model, volumes(), tmp_path_factory.mktemp("run") / "maps")


def in_ras(file: Path) -> np.ndarray:
    return np.asarray(nib.as_closest_canonical(nib.Nifti1Image.from_filename(file)).dataobj)


def test_everybody_has_a_map_in_their_own_orientation_at_its_place(model: ContrastivePCA, maps: Path) -> None:
    for i, axes in ((4, "LAS"), (5, "PSR")):
        file = maps / f"sub-{i:02d}_desc-salient_map.nii.gz"
        image = nib.Nifti1Image.from_filename(file)
        assert "".join(nib.aff2axcodes(image.affine)) == axes
        np.testing.assert_allclose(nib.as_closest_canonical(image).affine, AFFINE)
        added = SalientMaps(model, volumes()).decode(np.array([i])).added[0, 0]
        np.testing.assert_allclose(in_ras(file), volumes().grid.back(added), rtol=1e-5, atol=1e-6)


def test_some_people_have_a_picture_of_the_slice_in_which_their_map_is_largest(
    model: ContrastivePCA, maps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, drawn = volumes(), []

    def draw(added: np.ndarray, limit: float, image: np.ndarray, title: str) -> Figure:
        drawn.append((added, limit, image, title))
        return Figure()

    monkeypatch.setattr("sepvae.interpretation.map_folder.map_picture", draw)
    monkeypatch.setattr("sepvae.interpretation.map_folder.PICTURES", 3)
    folder = write_maps(model, source, tmp_path / "maps")
    names = sorted(file.name.removesuffix(".png") for file in folder.glob("*.png"))
    assert [name[4:6] for name in names] == ["00", "01", "08", "09", "18", "19"]
    assert len({limit for _, limit, _, _ in drawn}) == 1
    inside = np.argwhere(source.grid.mask)
    for name, (added, _, image, title) in zip(names, drawn, strict=True):
        volume = in_ras(maps / f"{name}.nii.gz")
        smooth = {tuple(at): abs(np.sum(volume * near(at))) for at in inside}
        level = max(smooth, key=lambda at: smooth[at])[2]
        assert title == f"z = {AFFINE[2, 2] * level + AFFINE[2, 3]:.0f} mm"
        np.testing.assert_allclose(added[0], volume[:, ::-1, level].T, rtol=1e-5, atol=1e-6)
        mask = source.grid.mask[:, ::-1, level].T
        np.testing.assert_array_equal(np.isnan(image), ~mask)
        own = source.grid.back(source.x[source.ids.tolist().index(name[:6]), 0])[:, ::-1, level].T
        assert np.corrcoef(image[mask], own[mask])[0, 1] > 0.99


def near(at: np.ndarray) -> np.ndarray:
    """Weights of a Gaussian with a deviation of one voxel around a voxel."""
    apart = np.indices(SHAPE) - np.reshape(at, (3, 1, 1, 1))
    return np.exp(-(apart**2).sum(axis=0) / 2)


def test_people_shown_are_at_the_quartiles_of_their_group(maps: Path) -> None:
    people, table = np.load(maps / "people.npz"), pd.read_csv(maps / "maps.csv")
    assert people["quantiles"].tolist() == [0.25, 0.5, 0.75] * 2
    for y in (0, 1):
        ids = table[table["y"] == y].sort_values("mean_absolute")["id"].to_numpy()
        chosen = people["ids"][people["y"] == y]
        assert chosen.tolist() == ids[[len(ids) // 4, len(ids) // 2, 3 * len(ids) // 4]].tolist()


def test_groups_are_the_means_and_deviations_of_their_people(maps: Path) -> None:
    people = np.stack([in_ras(maps / f"sub-{i:02d}_desc-salient_map.nii.gz") for i in range(N)]).astype(float)
    means, variances = [], []
    for label, group in (("hc", people[::2]), ("scz", people[1::2])):
        means.append(group.mean(axis=0))
        variances.append(group.var(axis=0, ddof=1))
        start = f"label-{label}_desc-salient_stat"
        np.testing.assert_allclose(in_ras(maps / f"{start}-mean_map.nii.gz"), means[-1], atol=1e-6)
        np.testing.assert_allclose(in_ras(maps / f"{start}-sd_map.nii.gz"), variances[-1] ** 0.5, atol=1e-5)
    pooled = np.sqrt((variances[0] + variances[1]) / 2)
    d = np.divide(means[1] - means[0], pooled, out=np.zeros(SHAPE), where=pooled > 0)
    np.testing.assert_allclose(in_ras(maps / "desc-salient_stat-d_map.nii.gz"), d, rtol=1e-3, atol=1e-5)


def test_the_table_and_the_description_tell_what_there_is(maps: Path) -> None:
    table = pd.read_csv(maps / "maps.csv")
    assert table["label"].tolist() == ["hc", "scz"] * (N // 2)
    inside = volumes().grid.mask
    sizes = [np.abs(in_ras(maps / file)[inside]).mean() for file in table["file"]]
    np.testing.assert_allclose(table["mean_absolute"], sizes, rtol=1e-4)
    about = json.loads((maps / "dataset_description.json").read_text())
    assert (about["DatasetType"], about["GeneratedBy"][0]["Name"]) == ("derivative", "sepvae")


def test_the_mean_image_is_in_the_units_of_the_files(maps: Path) -> None:
    source = volumes()
    x = source.x * source.native["sd"].to_numpy().reshape(-1, 1, 1, 1, 1)
    x = (x + source.native["mean"].to_numpy().reshape(-1, 1, 1, 1, 1)) * source.grid.valid_mask
    mean = source.grid.back(x.mean(axis=0)[0])
    np.testing.assert_allclose(in_ras(maps / "desc-input_stat-mean_map.nii.gz"), mean, rtol=1e-4)


def test_two_people_never_share_a_file(model: ContrastivePCA, tmp_path: Path) -> None:
    ids = ["a b", "a_b", "sub-A_B", "a_b-2", "../up", *(f"p{i}" for i in range(N - 5))]
    files = pd.read_csv(write_maps(model, volumes(ids), tmp_path / "maps") / "maps.csv")["file"]
    assert files.str.casefold().nunique() == N
    assert all((tmp_path / "maps" / file).is_file() for file in files)
    assert len(list(tmp_path.iterdir())) == 1


def test_new_people_with_labels_are_drawn(model: ContrastivePCA, tmp_path: Path) -> None:
    model.save(tmp_path / "run" / "model")
    out = map_run(tmp_path / "run", volumes(), tmp_path / "new")
    assert {"map_people.png", "map_group.png"} <= {file.name for file in (out / "figures").iterdir()}


def test_new_people_need_no_labels(model: ContrastivePCA, tmp_path: Path) -> None:
    model.save(tmp_path / "run" / "model")
    out = map_run(tmp_path / "run", volumes(labels=["unknown"] * N), tmp_path / "new")
    assert len(list(out.glob("sub-*_desc-salient_map.nii.gz"))) == N
    assert not list(out.glob("*stat-d*"))
    draw_maps(MapFolder(out), tmp_path / "figures")
    with pytest.raises(RunFolderError, match="it exists"):
        map_run(tmp_path / "run", volumes(), out)


def test_a_failure_leaves_nothing(
    model: ContrastivePCA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sepvae.run_files.JsonFile.write", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_maps(model, volumes(), tmp_path / "maps")
    assert list(tmp_path.iterdir()) == []


def test_volumes_that_lie_nowhere_are_refused(tmp_path: Path) -> None:
    source = ArraySource(volumes().x, ["hc", "scz"] * (N // 2))
    with pytest.raises(DataError, match="wanted volumes with a grid"):
        write_maps(ContrastivePCA(2, 2).fit(source), source, tmp_path / "maps")


def test_images_leave_pictures_of_some_and_numbers_of_groups(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, size=(60, 3, 12, 16), dtype=np.uint8)
    source = ArraySource(x, np.repeat(["hc", "scz/ad"], 30))
    model = ContrastivePCA(3, 2, background="hc").fit(source)
    maps = write_maps(model, source, tmp_path / "maps")
    added = model.reconstruct(x, "own") - model.reconstruct(x, "none")
    with np.load(maps / "maps.npz") as groups:
        np.testing.assert_allclose(groups["target_mean"], added[30:].mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(groups["background_sd"], added[:30].std(axis=0, ddof=1), atol=1e-6)
        assert groups["d"].shape == (3, 12, 16)
    assert len(list(maps.glob("sub-*.png"))) == 24
    assert (maps / "label-scz_ad_desc-salient_stat-mean_map.png").is_file()
    assert pd.read_csv(maps / "maps.csv")["file"].notna().sum() == 24
    draw_maps(MapFolder(maps), tmp_path / "figures")
    drawn = {"map_group.png", "map_group.svg", "map_people.png", "map_people.svg"}
    assert {path.name for path in (tmp_path / "figures").iterdir()} == drawn


def test_tables_leave_ranked_regions(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4))
    x[30:, 2] += rng.normal(5, 2, size=30)
    x *= [1, 1, 1e-9, 1e9]  # units of their own
    source = ArraySource(x, np.repeat(["hc", "scz"], 30), feature_names=["a", "b", "insula", "c"])
    model = ContrastivePCA(2, 1, background="hc").fit(source)
    maps = write_maps(model, source, tmp_path / "maps")
    regions = pd.read_csv(maps / "regions.csv")
    assert regions["d"].abs().is_monotonic_decreasing
    added = model.reconstruct(source, "own") - model.reconstruct(source, "none")
    row = regions.set_index("feature").loc["insula"]
    found = row[["background_mean", "background_sd", "target_mean", "target_sd"]]
    one = added[:, 2]
    parts = [f(part) for part in (one[:30], one[30:]) for f in (np.mean, lambda v: v.std(ddof=1))]
    np.testing.assert_allclose(found.to_numpy(float), parts, rtol=1e-5, atol=1e-18)
    assert abs(regions.set_index("feature")["d"]["insula"]) > 1
    draw_maps(MapFolder(maps), tmp_path / "figures")
    assert {"map_regions.svg", "map_axes.svg"} <= {path.name for path in (tmp_path / "figures").iterdir()}


def test_each_row_of_a_table_has_its_own_regions_beside_other_controls(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 14)) * [*np.full(12, 1e3), 1, 0]
    x[30:, 1] += 9e3
    ids, names = [f"0{i}" for i in range(60)], [f"f{i}" for i in range(14)]
    source = ArraySource(x, np.repeat(["hc", "scz"], 30), ids=ids, feature_names=names)
    model = ContrastivePCA(2, 1, background="hc").fit(source)
    own = MapFolder(write_maps(model, source, tmp_path / "maps")).own.required()
    added = model.reconstruct(source, "own") - model.reconstruct(source, "none")
    for person, controls in ((45, np.arange(30)), (3, np.delete(np.arange(30), 3))):  # not with oneself
        z = (added[person] - added[controls].mean(axis=0))[:13] / added[controls].std(axis=0, ddof=1)[:13]
        in_sd = added[person, :13] / x[:, :13].std(axis=0)
        rows = own[own["id"] == f"0{person}"]
        largest = np.argsort(-np.abs(in_sd))[:10]
        assert rows["feature"].tolist() == [names[i] for i in largest]  # a constant feature has none
        np.testing.assert_allclose(rows["added"], added[person, largest], rtol=1e-4)
        np.testing.assert_allclose(rows["added_sd"], in_sd[largest], rtol=1e-4)
        np.testing.assert_allclose(rows["z"], z[largest], rtol=1e-3)
    few = source.select(np.r_[:19, 30:60])
    assert not MapFolder(write_maps(model, few, tmp_path / "few")).own.exists()


def test_axes_of_a_table_are_the_loadings_and_a_constant_feature_has_none(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 5)) * [1, 1, 1e-9, 1e9, 0]
    source = ArraySource(x, np.repeat(["hc", "scz"], 30), feature_names=list("abcde"))
    for method in (ContrastivePCA, ProbabilisticContrastivePCA):
        model = method(2, 2, background="hc").fit(source)
        regions = pd.read_csv(write_maps(model, source, tmp_path / method.__name__) / "regions.csv")
        loadings = regions.set_index("feature").loc[list("abcde"), ["salient0", "salient1"]].to_numpy()
        np.testing.assert_allclose(loadings[:4].T, model.salient_scale_[:, None] * model.salient_axes_)
        assert not loadings[4].any()


def test_axes_of_a_linear_decoder_are_its_weights() -> None:
    x = np.random.default_rng(0).normal(size=(40, 4))
    model = CLVM(**quick(decoder="linear")).fit(x, np.arange(40) % 2)
    np.testing.assert_allclose(axis_maps(model), salient_loadings(model.module_).T.detach(), atol=1e-6)


def test_axes_of_volumes_are_the_loadings_at_their_place(model: ContrastivePCA, maps: Path) -> None:
    for i in (0, 1):
        loadings = (model.salient_scale_[i] * model.salient_axes_[i]).reshape(model.sample_shape_)[0]
        volume = in_ras(maps / f"desc-salient{i}_map.nii.gz")
        np.testing.assert_allclose(volume, volumes().grid.back(loadings), rtol=1e-4, atol=1e-5)


def test_several_targets_have_their_own_statistics_beside_those_of_all(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)), np.array(["HC", "SZ", "BD"] * 20)
    model = ContrastivePCA(2, 1, background="HC").fit(x, y)
    regions = pd.read_csv(write_maps(model, ArraySource(x, y), tmp_path / "maps") / "regions.csv")
    regions = regions.sort_values("feature")
    added = model.reconstruct(x) - model.reconstruct(x, salient="none")
    for name, part in (("target", y != "HC"), ("SZ", y == "SZ"), ("BD", y == "BD")):
        np.testing.assert_allclose(regions[f"{name}_mean"], added[part].mean(axis=0), atol=1e-6)
        pooled = np.sqrt(
            (19 * added[y == "HC"].var(axis=0, ddof=1) + (part.sum() - 1) * added[part].var(axis=0, ddof=1))
            / (18 + part.sum())
        )
        d = (added[part].mean(axis=0) - added[y == "HC"].mean(axis=0)) / pooled
        np.testing.assert_allclose(regions["d" if name == "target" else f"{name}_d"], d, rtol=1e-4)


@pytest.mark.parametrize("shape", [(4,), (1, 16, 16)])
def test_a_target_with_a_block_has_maps_of_what_it_adds(shape: tuple[int, ...], tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).random((60, *shape)).astype("float32"), np.array(["HC", "SZ", "BD"] * 20)
    keywords = quick(salient_dim=4, shared_dim=2, background="HC", batch_size=16)
    model = SepVAE(**keywords, network="linear").fit(x, y)
    maps = write_maps(model, ArraySource(x, y), tmp_path / "maps")
    for k, label in enumerate(("BD", "SZ"), start=1):
        added = model.reconstruct(x) - model.reconstruct(x, without=f"salient of {label}")
        wanted = added[y == label].mean(axis=0)
        if len(shape) == 1:
            found = pd.read_csv(maps / "regions.csv").sort_values("feature")[f"{label}_own_mean"]
        else:
            assert (maps / f"label-{label}_desc-own_stat-mean_map.png").is_file()
            found = np.load(maps / "maps.npz")[f"target{k}_own_mean"]
        np.testing.assert_allclose(found, wanted, atol=1e-6)
