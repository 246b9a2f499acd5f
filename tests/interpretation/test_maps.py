import numpy as np
import pandas as pd
import pytest

from sepvae import SepVAE
from sepvae.data import ArraySource
from sepvae.grid import Grid
from sepvae.interpretation.maps import Moments, SalientMaps, axial, effect_size, grey_levels, members, spread
from sepvae.methods import ContrastivePCA

from ..helpers import quick

rng = np.random.default_rng(0)
Y = np.repeat(["well", "ill"], 20)


def own_minus_none(model, source):
    return model.reconstruct(source, "own") - model.reconstruct(source, "none")


def test_maps_of_tables_are_in_the_units_of_the_table():
    x = rng.normal(5, [1, 10, 100, 0], size=(40, 4))  # the last says nothing
    source = ArraySource(x, Y, feature_names=list("abcd"))
    model = ContrastivePCA(2, 1, background="well").fit(source)
    expected = own_minus_none(model, source)
    parts, maps = zip(*SalientMaps(model, source), strict=True)
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(40))
    np.testing.assert_allclose(maps[0].added, expected, atol=1e-9)
    assert not maps[0].added[:, 3].any()
    np.testing.assert_allclose(maps[0].without, model.reconstruct(source, "none"))
    sizes = np.abs(expected[:, :3] / x[:, :3].std(axis=0)).mean(axis=1)
    np.testing.assert_allclose(maps[0].strength, sizes, rtol=1e-5)


def test_maps_of_images_are_what_the_salient_code_adds():
    x = rng.integers(0, 256, size=(40, 1, 16, 16), dtype=np.uint8)
    source = ArraySource(x, Y)
    model = SepVAE(**quick()).fit(source)
    expected = own_minus_none(model, source)
    maps = SalientMaps(model, source).decode(np.array([7, 3]))
    np.testing.assert_allclose(maps.added, expected[[7, 3]], atol=1e-6)
    np.testing.assert_allclose(maps.strength, np.abs(expected[[7, 3]]).mean(axis=(1, 2, 3)), rtol=1e-4)


@pytest.fixture(scope="module")
def volumes():
    mask = np.zeros((9, 10, 11), dtype=bool)
    mask[2:7, 2:8, 2:9] = True
    x = rng.normal(size=(40, 1, 9, 10, 11)).astype(np.float32) * mask
    native = pd.DataFrame({"mean": rng.normal(50, 9, 40), "sd": rng.uniform(2, 9, 40), "axes": "LAS"})
    return ArraySource(
        x, Y, grid=Grid(mask.shape, np.eye(4), mask=mask), native=native.set_index(native.index + 7)
    )


def test_maps_of_volumes_are_in_the_units_of_each_file(volumes):
    model = ContrastivePCA(3, 2, background="well").fit(volumes)
    maps, some = SalientMaps(model, volumes), np.array([30, 2])
    found = maps.decode(some)
    sd, mean = (volumes.native[name].to_numpy()[some].reshape(2, 1, 1, 1, 1) for name in ("sd", "mean"))
    np.testing.assert_allclose(found.added, own_minus_none(model, volumes)[some] * sd, atol=1e-4)
    counts = volumes.grid.valid_mask
    expected = (model.reconstruct(volumes, "none")[some] * sd + mean) * counts
    np.testing.assert_allclose(found.without, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.strength, np.abs(found.added[:, 0, counts]).mean(axis=1), rtol=1e-5)


def test_labels_change_nothing(volumes):
    model = ContrastivePCA(3, 2, background="well").fit(volumes)
    others = ArraySource(volumes.x, ["?"] * 40, grid=volumes.grid, native=volumes.native)
    a, b = (SalientMaps(model, source).decode(np.arange(3)).added for source in (volumes, others))
    np.testing.assert_array_equal(a, b)
    assert [len(group) for group in members(model, others)] == [0, 0]


def test_moments_are_exact_far_from_zero():
    x = 1e6 + rng.normal(size=(50, 3)).astype(np.float32)
    moments = Moments()
    for part in np.split(x, [1, 1, 20]):
        moments.add(part)
    assert moments.n == 50
    np.testing.assert_allclose(moments.mean, x.mean(axis=0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(moments.sd, x.astype(float).std(axis=0, ddof=1), rtol=1e-9)


def test_effect_sizes_are_cohens_d():
    a, b = rng.normal(0, 2, (30, 4)), rng.normal(1, 1, (12, 4))
    a[:, 3] = b[:, 3] = 0.25  # nobody differs
    groups = [Moments(), Moments()]
    for moments, x in zip(groups, (a, b), strict=True):
        moments.add(x)
    pooled = np.sqrt((29 * a.var(axis=0, ddof=1) + 11 * b.var(axis=0, ddof=1)) / 40)
    expected = (b.mean(axis=0) - a.mean(axis=0))[:3] / pooled[:3]
    np.testing.assert_allclose(effect_size(*groups, 1.0), [*expected, 0])
    assert effect_size(groups[0], Moments(), 1.0) is None


def test_effects_within_the_rounding_of_a_network_are_none():
    groups = [Moments(), Moments()]
    for i, moments in enumerate(groups):
        moments.add(i * 1e-7 + rng.normal(0, 1e-8, (10, 2)))
    assert not effect_size(*groups, np.array([1.0, 1.0])).any()
    assert effect_size(*groups, np.array([1.0, 1e-3]))[1] > 1


def test_axial_slices_have_the_front_at_the_top_and_the_left_on_the_left():
    volume = np.zeros((4, 5, 6))
    volume[0, 4, 2] = 1  # leftmost, foremost
    assert axial(volume, 2).shape == (5, 4)
    assert axial(volume, 2)[0, 0] == 1


def test_grey_levels_go_by_what_counts():
    slices = np.r_[np.full(50, -7.0), np.linspace(0, 100, 101), np.full(49, 900.0)].reshape(1, 1, 1, 200)
    counts = np.r_[np.zeros(50), np.ones(101), np.zeros(49)].astype(bool)[None]
    levels = grey_levels(slices, counts)[0, 0, 0]
    assert not levels[~counts[0]].any()
    np.testing.assert_allclose(levels[50:151], ((np.linspace(0, 100, 101) - 1) / 98).clip(0, 1), atol=1e-6)


def test_few_are_spread_as_they_are_and_many_evenly():
    assert spread(np.arange(10, 20), 3).tolist() == [10, 14, 19]
    assert spread(np.array([4, 9]), 3).tolist() == [4, 9]
    assert spread(np.array([], dtype=int), 3).tolist() == []
