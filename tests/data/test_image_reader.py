from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from sepvae.data import ArraySource
from sepvae.data.arrays import StreamSource
from sepvae.data.formats.array import Array
from sepvae.data.formats.image_folder import ImageFolder
from sepvae.data.images import measure_images
from sepvae.data.loading import read_manifest
from sepvae.data.spec import DataSpec
from sepvae.errors import DataError

EVERYTHING = np.arange(6)
IMAGE_BYTES = 5 * 4


@pytest.fixture
def noise(folder):
    """Listing of six images of noise, of several sizes."""
    images = {f"{'ab'[i % 2]}/{i}.png": Image.effect_noise((20 + i, 30 - i), 50) for i in range(6)}
    return ImageFolder().list(folder(**images), DataSpec())


def test_the_budget_of_memory_changes_no_pixel(noise):
    whole, _ = read_manifest(noise, image_size=(5, 4))
    half, _ = read_manifest(noise, image_size=(5, 4), memory=3.5 * IMAGE_BYTES / 1e9)
    none, _ = read_manifest(noise, image_size=(5, 4), memory=0)
    assert (type(whole), type(half), type(none)) == (ArraySource, StreamSource, StreamSource)
    assert (len(half.read.kept), len(none.read.kept)) == (3, 0)
    assert whole.x.any(axis=(1, 2, 3)).all()
    rows = np.array([5, 0, 2, 3, 0])
    for source in (half, none):
        np.testing.assert_array_equal(source.take(EVERYTHING).x, whole.x)
        np.testing.assert_array_equal(source.take(rows).x, whole.x[rows])
        np.testing.assert_array_equal(source.select(rows[1:4]).take(np.array([2, 1])).x, whole.x[[3, 2]])


def test_images_in_memory_are_not_opened_again(noise):
    source, _ = read_manifest(noise, image_size=4, memory=3.5 * 16 / 1e9)
    for file in noise.files[:3]:
        file.unlink()
    source.take(np.arange(3))
    noise.files[4].write_bytes(b"no image")
    with pytest.raises(
        DataError, match=r"b.3\.png: could be read before, but no longer \(ValueError: no image"
    ):
        source.take(EVERYTHING)


def test_every_image_is_measured_as_it_is(noise):
    _, quality_metrics = read_manifest(noise, image_size=4, memory=0)
    assert sorted(zip(quality_metrics["width"], quality_metrics["height"], strict=True)) == [
        (20 + i, 30 - i) for i in range(6)
    ]
    assert measure_images(noise)[0].equals(quality_metrics)


def test_progress_counts_every_image(noise):
    calls = []
    read_manifest(noise, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 6) for i in range(1, 7)]


def test_unreadable_images_are_named(noise):
    first, second = noise.files[1], noise.files[4]
    first.write_bytes(first.read_bytes()[:200])
    with pytest.raises(DataError, match=r"a.2\.png: cannot be read as an image \(.*truncated.*\); replace"):
        read_manifest(noise)
    second.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a.2\.png: .*, nor can 1 more; replace or remove it"):
        read_manifest(noise)
    quality_metrics, bad = measure_images(noise)
    assert list(bad) == ["a/2.png", "b/3.png"]
    assert quality_metrics["width"].isna().tolist() == [False, True, False, False, True, False]


def test_measures_have_their_names_where_nothing_can_be_read(noise):
    named = measure_images(noise)[0].columns
    for file in noise.files:
        file.unlink()
    quality_metrics, bad = measure_images(noise)
    assert quality_metrics.columns.equals(named)
    assert quality_metrics.isna().all(axis=None)
    assert len(bad) == 6


def test_missing_images_are_named(noise):
    manifest = replace(noise, missing=["b/1.png", "b/3.png"])
    with pytest.raises(DataError, match=r"b.1\.png and 1 more are named there, but not to be found; copy"):
        read_manifest(manifest)


def test_decompression_bombs_are_refused(noise, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match="DecompressionBombError"):
        read_manifest(noise)


def test_a_centre_beyond_the_image_is_refused(noise):
    with pytest.raises(DataError, match="centre: wanted a number above 0"):
        read_manifest(replace(noise, centre=1.1))


@pytest.mark.parametrize("memory", [-1, float("nan"), "4"])
def test_budgets_refused(noise, memory):
    with pytest.raises(DataError, match="memory: wanted a number of 0 or more"):
        read_manifest(noise, memory=memory)


X = np.random.default_rng(0).integers(0, 256, size=(4, 1, 3, 2), dtype=np.uint8)


@pytest.fixture
def array(tmp_path, written):
    """List an array of four samples; the third is of a label that is left out."""

    def build(x):
        np.save(tmp_path / "x.npy", x)
        manifest = Array().list(
            tmp_path / "x.npy", DataSpec(table=written("dx\nwell\nill\nodd\nill\n"), label="dx")
        )
        return manifest.with_roles("well", ["ill"])

    return build


@pytest.mark.parametrize("x", [X, X / 255, (X / 255).astype(">f4"), np.asfortranarray(X), X[:, 0]])
def test_images_of_an_array_are_read_when_taken(array, x):
    source, quality_metrics = read_manifest(array(x))
    assert isinstance(source, StreamSource)
    assert quality_metrics is None
    assert source.sample_shape == (1, 3, 2)
    np.testing.assert_array_equal(source.take(np.array([2, 1])).x, x.reshape(X.shape)[[3, 1]])
    assert source.labels.tolist() == ["well", "ill", "ill"]


def test_measures_of_an_array_are_kept(array):
    source, _ = read_manifest(array(np.arange(8).reshape(4, 2)))
    assert isinstance(source, ArraySource)
    assert source.x.tolist() == [[0, 1], [2, 3], [6, 7]]
    assert source.x.dtype == np.float64


def changed(row, value):
    x = X / 255
    x[row, 0, 1, 1] = value
    return x


def test_rows_that_are_left_out_may_be_spoilt(array):
    assert len(read_manifest(array(changed(2, np.nan)))[0]) == 3


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (changed(3, np.nan), r"wanted values in \[0, 1\], got NaN in row 3 \(from 0\)"),
        (changed(1, np.inf), r"wanted values in \[0, 1\], got .* to inf in row 1 "),
        (X.astype(np.float32), r"wanted values in \[0, 1\], got .* in row 0 .*; scale all rows"),
        (X.astype(int), r"wanted images as uint8 or as floats in \[0, 1\], got int64"),
        (X > 99, "wanted images as uint8 .*, got bool"),
        (X.reshape(4, 6, 1, 1).repeat(5, axis=2), "wanted images .* looks like channels last"),
        (X[..., None], r"wanted .* images .*, got shape \(4, 1, 3, 2, 1\)"),
        (X[:, 0, 0, 0], r"wanted .* images .*, got shape \(4\)"),
    ],
)
def test_arrays_refused(array, x, message):
    with pytest.raises(DataError, match=rf"x\.npy: {message}"):
        read_manifest(array(x))


@pytest.mark.real_data
def test_mixed_sizes_and_modes(real_data):
    manifest = ImageFolder().list(real_data / "xray-originals", DataSpec())
    source, quality_metrics = read_manifest(manifest, image_size=32)
    assert np.unique(source.labels, return_counts=True)[1].tolist() == [10, 10]
    assert (source.x.mean(axis=(1, 2, 3)) > 20).all()
    assert quality_metrics["mode"].nunique() > 1
    assert len(quality_metrics[["width", "height"]].drop_duplicates()) == 10
