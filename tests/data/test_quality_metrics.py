"""Measures of images and volumes whose values are known, and of the same image at another size."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import laplace

from sepvae.data import ArraySource
from sepvae.data.formats.image_folder import ImageFolder
from sepvae.data.formats.tables import VolumeTable
from sepvae.data.manifest import Manifest
from sepvae.data.nifti import Header, NiftiFiles, write_volume
from sepvae.data.quality_metrics import OF_VOLUMES, measure, measure_source, measure_volume
from sepvae.data.volumes import measure_volumes
from sepvae.errors import DataError
from sepvae.grid import Grid


@pytest.fixture
def scene():
    """A smooth scene of detail alike along both axes, 1 x 240 x 240."""
    rng = np.random.default_rng(0)
    noise = np.fft.rfft2(rng.normal(size=(240, 240)))
    frequency = np.hypot(np.fft.fftfreq(240)[:, None], np.fft.rfftfreq(240))
    smooth = np.fft.irfft2(noise * np.exp(-((frequency / 0.02) ** 2)))
    return np.float32(127 + 40 * smooth / smooth.std()).clip(0, 255)[None]


@pytest.fixture
def volume():
    """Noise, 16 x 16 x 16, and its header."""
    voxels = np.random.default_rng(0).normal(3, 2, size=(16, 16, 16)).astype(np.float32)
    return voxels, Header(Grid((16, 16, 16), np.diag([2.0, 2, 2, 1])), "float32")


def test_light_is_that_of_all_channels():
    pixels = np.float32([[[0, 255]], [[51, 51]], [[51, 102]]])
    found = measure(pixels, "RGB", b"file")
    assert (found["width"], found["height"], found["mode"]) == (2, 1, "RGB")
    assert (found["low"], found["high"]) == (0, 255)
    assert found["brightness"] == pytest.approx(pixels.mean() / 255)
    assert found["contrast"] == pytest.approx(np.std([0, 255, 51, 51, 51, 102]) / 255)
    assert found["digest"] == hashlib.sha256(b"file").hexdigest()


def test_sharpness_is_the_laplacian_against_the_variance():
    image = np.random.default_rng(0).uniform(0, 255, size=(40, 30)).astype(np.float32)
    expected = np.log(laplace(image)[1:-1, 1:-1].var() / image.var())
    assert measure(image[None], "L", b"")["sharpness"] == pytest.approx(expected, abs=1e-4)


def test_sharpness_knows_neither_scale_nor_size(scene):
    sharpness = measure(scene, "L", b"")["sharpness"]
    assert measure(scene / 3 + 20, "L", b"")["sharpness"] == pytest.approx(sharpness, abs=0.01)
    twice = scene.repeat(2, axis=1).repeat(2, axis=2)
    assert measure(twice, "L", b"")["sharpness"] == pytest.approx(sharpness, abs=0.01)


def test_squashing_to_half_the_width_doubles_steps_to_the_right(scene):
    # Twice the slope is four times its square.
    squashed = scene.reshape(1, 240, 120, 2).mean(axis=3)
    difference = measure(squashed, "L", b"")["anisotropy"] - measure(scene, "L", b"")["anisotropy"]
    assert difference == pytest.approx(np.log(4), abs=0.1)


def test_turning_an_image_turns_its_anisotropy(scene):
    squashed = scene[:, :, ::2]
    turned = measure(squashed.transpose(0, 2, 1), "L", b"")["anisotropy"]
    assert turned == pytest.approx(-measure(squashed, "L", b"")["anisotropy"])


def test_the_look_is_an_average_by_area(scene):
    look = np.frombuffer(measure(scene, "L", b"")["look"], dtype=np.uint8).reshape(16, 16)
    means = scene[0].reshape(16, 15, 16, 15).mean(axis=(1, 3))
    expected = (means - means.min()) / np.ptp(means) * 255
    np.testing.assert_allclose(look, expected, atol=0.51)


def test_the_look_of_an_image_of_another_size_is_the_same(scene):
    look, larger = (
        np.frombuffer(measure(image, "L", b"")["look"], dtype=np.uint8).astype(int)
        for image in (scene, scene.repeat(3, axis=1).repeat(3, axis=2))
    )
    assert np.abs(look - larger).max() <= 1


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 300), (3, 1, 7)])
def test_images_too_small_for_a_measure_lack_it(shape):
    pixels = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 10
    found = measure(pixels, "L", b"")
    assert np.isnan(found["sharpness"])
    assert len(found["look"]) == 256


def test_a_constant_image_has_light_and_no_sharpness():
    found = measure(np.full((1, 8, 8), 51, dtype=np.float32), "L", b"")
    assert (found["low"], found["high"], found["brightness"], found["contrast"]) == (51, 51, 0.2, 0)
    assert np.isnan([found["sharpness"], found["anisotropy"]]).all()


def test_pixels_that_are_not_finite_leave_the_size():
    found = measure(np.float32([[[0, np.nan]]]), "F", b"")
    assert (found["width"], found["look"]) == (2, None)
    assert np.isnan([found["low"], found["brightness"], found["anisotropy"]]).all()


def test_a_source_is_measured_row_by_row():
    x = np.random.default_rng(0).integers(0, 256, size=(5, 3, 6, 4), dtype=np.uint8)
    table = measure_source(ArraySource(x, np.zeros(5)))
    expected = [measure(image.astype(np.float32), "RGB", image.tobytes()) for image in x]
    assert table.to_dict("records") == expected


def test_floats_are_measured_in_the_units_of_bytes():
    x = np.random.default_rng(0).integers(0, 256, size=(3, 1, 6, 4), dtype=np.uint8)
    of_bytes, of_floats = (measure_source(ArraySource(a, np.zeros(3))) for a in (x, np.float32(x / 255)))
    numbers = ["low", "high", "brightness", "contrast", "sharpness", "anisotropy"]
    np.testing.assert_allclose(of_floats[numbers], of_bytes[numbers], rtol=1e-4)
    assert of_bytes["mode"].tolist() == ["L"] * 3


def test_rows_of_tables_have_a_digest_only():
    x = np.array([[1.0, np.nan], [2.0, 3.0], [1.0, np.nan]])
    table = measure_source(ArraySource(x, np.zeros(3)))
    assert list(table.columns) == ["digest"]
    assert table["digest"].duplicated().tolist() == [False, False, True]


def test_a_volume_is_measured_by_its_finite_voxels(volume):
    voxels, header = volume
    voxels[0, 0, :3] = np.nan, np.inf, -np.inf
    found, finite = measure_volume(voxels, header), voxels[np.isfinite(voxels)].astype(float)
    expected = [3, finite.min(), finite.max(), finite.mean(), finite.std()]
    assert [found[name] for name in ("not_finite", "low", "high", "mean", "sd")] == pytest.approx(expected)
    assert (found["grid"], found["dtype"]) == (header.grid, "float32")
    assert list(found) == OF_VOLUMES


def test_voxels_out_of_the_mask_do_not_count(volume):
    voxels, header = volume
    counts = np.random.default_rng(1).random(voxels.shape) < 0.5
    voxels[~counts] = np.nan
    found = measure_volume(voxels, header, counts)
    assert found["not_finite"] == 0
    assert found["sd"] == pytest.approx(voxels[counts].std(dtype=float))


def test_a_volume_without_a_number_has_a_digest_and_a_look(volume):
    found = measure_volume(np.full((16, 16, 16), np.nan), volume[1])
    assert np.isnan([found[name] for name in ("low", "high", "mean", "sd")]).all()
    assert (found["not_finite"], found["look"]) == (4096, bytes(256))


def test_the_look_of_a_volume_shows_its_middle_slices(volume):
    voxels, header = volume
    look = np.frombuffer(measure_volume(voxels, header)["look"], dtype=np.uint8).reshape(16, 16)
    slices = [part.astype(float).reshape(16, 8, 2).mean(axis=2) for part in (voxels[8], voxels[..., 8])]
    means = np.hstack(slices)
    np.testing.assert_allclose(look, (means - means.min()) / np.ptp(means) * 255, atol=0.51)


def test_volumes_have_one_digest_in_any_orientation(volume, tmp_path):
    voxels, header = volume
    for name, axes in (("a.nii.gz", "RAS"), ("b.nii.gz", "PIL")):
        write_volume(tmp_path / name, voxels, header.grid, axes)
    about = pd.DataFrame({"id": ["a", "b", "c"], "label": "", "group": "", "split": None})
    (tmp_path / "c.nii").write_text("text")
    files = NiftiFiles([tmp_path / name for name in ("a.nii.gz", "b.nii.gz", "c.nii")])
    done = []
    quality_metrics, unreadable = measure_volumes(
        Manifest(tmp_path, about, format=VolumeTable(), volumes=files), progress=lambda *now: done.append(now)
    )
    assert quality_metrics["digest"][0] == quality_metrics["digest"][1]
    assert [grid.axes for grid in quality_metrics["grid"][:2]] == ["RAS", "PIL"]
    assert (list(unreadable), quality_metrics["sd"].isna().tolist()) == (["c"], [False, False, True])
    assert unreadable["c"].startswith("cannot be read as a volume")
    assert done == [(1, 3), (2, 3), (3, 3)]


def test_other_samples_are_no_volumes(tmp_path):
    with pytest.raises(DataError, match="wanted volumes, found other samples"):
        measure_volumes(Manifest(tmp_path, pd.DataFrame({"id": []}), format=ImageFolder()))
