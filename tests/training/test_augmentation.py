"""Views of images, volumes and tables: what each augmentation changes, and what it leaves."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from sepvae.training.augmentation import (
    AREA,
    AUGMENTATIONS,
    MASKED,
    SHIFT,
    TABLE_NOISE,
    VOLUME_NOISE,
    two_views,
)
from sepvae.training.sampling import Noise

GENERATOR = torch.Generator().manual_seed(0)
SAMPLES = {
    "table": torch.randn(40, 30, generator=GENERATOR),
    "images": torch.rand(40, 3, 16, 20, generator=GENERATOR),
    "volumes": torch.randn(40, 1, 12, 10, 8, generator=GENERATOR),
}
IMAGES, VOLUMES, TABLE = SAMPLES["images"], SAMPLES["volumes"], SAMPLES["table"]


def noise(seed=0, world_size=1, rank=0):
    empty = torch.empty(0)
    return Noise((empty, empty), empty, (empty, empty), world_size, rank, seed)


def only(name, x, seed=0):
    """Both views by one augmentation."""
    return two_views(x, noise(seed), [other for other in AUGMENTATIONS[x.ndim] if other != name])


@pytest.mark.parametrize("kind", SAMPLES)
def test_views_differ_and_repeat_with_the_seed(kind):
    x = SAMPLES[kind]
    before, state = x.clone(), torch.get_rng_state()
    first, second = two_views(x, noise())
    assert first.shape == second.shape == x.shape
    changed = [(a - b).flatten(1).abs().amax(dim=1) for a, b in ((first, second), (first, x), (second, x))]
    assert all((difference > 1e-3).all() for difference in changed)
    assert all(map(torch.equal, two_views(x, noise()), (first, second)))
    assert not torch.equal(two_views(x, noise(1))[0], first)
    assert torch.equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", SAMPLES)
def test_two_processes_see_what_one_sees(kind):
    whole = two_views(SAMPLES[kind], noise())
    for rank in (0, 1):
        own = two_views(SAMPLES[kind][rank::2], noise(world_size=2, rank=rank))
        for part, view in zip(own, whole, strict=True):
            assert_close(part, view[rank::2])


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_precision_stays(kind, dtype):
    assert all(view.dtype == dtype for view in two_views(SAMPLES[kind].to(dtype), noise()))


@pytest.mark.parametrize("kind", SAMPLES)
def test_without_augmentations_nothing_changes(kind):
    x = SAMPLES[kind]
    assert all(torch.equal(view, x) for view in two_views(x, noise(), AUGMENTATIONS[x.ndim]))


@pytest.mark.parametrize(("kind", "axis"), [("images", 3), ("volumes", 2)])
def test_flips_mirror_left_and_right(kind, axis):
    x = SAMPLES[kind]
    mirrored = x.flip(axis)
    view = only("flip", x)[0]
    same, other = ((view - wanted).flatten(1).abs().amax(dim=1) < 1e-4 for wanted in (x, mirrored))
    assert (same ^ other).all()
    assert 10 < same.sum() < 30


def test_crops_are_parts_of_the_image():
    """Coordinates as pixels: a crop has a range of at least the square root of the least area, nearly."""
    steps = torch.linspace(0, 1, 32).expand(40, 1, 32, 32)
    for x in (steps, steps.mT):
        view = only("crop", x.contiguous())[0].flatten(1)
        sides = (view.amax(dim=1) - view.amin(dim=1)) * 31 / 32 + 1 / 32
        assert sides.min() > (AREA * 3 / 4) ** 0.5 - 0.05
        assert sides.min() < 0.8
        assert sides.max() <= 1


def test_jitter_is_linear_and_stays_in_range():
    x = IMAGES * 0.2 + 0.4
    for image, view in zip(x.flatten(1), only("jitter", x)[0].flatten(1), strict=True):
        assert np.corrcoef(image, view)[0, 1] == pytest.approx(1, abs=1e-4)
    assert 0 == only("jitter", IMAGES)[0].min() < only("jitter", IMAGES)[0].max() <= 1


@pytest.mark.parametrize("kind", ["images", "volumes"])
def test_blur_lowers_the_variance_of_some_and_keeps_constants(kind):
    x = SAMPLES[kind]
    before, after = (part.flatten(1).std(dim=1) for part in (x, only("blur", x)[0]))
    assert 8 < (after < before - 1e-3).sum() < 32
    assert (after < before + 1e-6).all()
    assert_close(only("blur", torch.ones_like(x))[0], torch.ones_like(x))


def test_volumes_are_shifted_by_little():
    x = torch.zeros(40, 1, 20, 20, 20)
    x[:, :, 9:11, 9:11, 9:11] = 1
    view = only("shift", x)[0][:, 0]
    places = torch.arange(20.0)
    for axis in (1, 2, 3):
        weights = view.sum(dim=[other for other in (1, 2, 3) if other != axis])
        centres = (weights * places).sum(dim=1) / weights.sum(dim=1)
        assert (centres - 9.5).abs().max() < SHIFT * 10 + 0.1
        assert centres.std() > SHIFT * 10 / 4


def test_a_box_of_volumes_is_cut_out():
    x = torch.ones(200, 1, 20, 20, 20)
    view = only("cutout", x)[0]
    share = (view == 0).flatten(1).float().mean(dim=1)
    assert set(view.unique().tolist()) == {0, 1}
    assert 0 < share.mean() < share.max() <= 0.35**3
    assert (view[1:] != view[:-1]).flatten(1).any(dim=1).sum() > 190


def test_noise_has_its_deviation():
    deviations = (only("noise", VOLUMES)[0] - VOLUMES).flatten(1).std(dim=1)
    assert VOLUME_NOISE / 4 < deviations.mean() < deviations.max() < 1.2 * VOLUME_NOISE
    assert (only("noise", TABLE)[0] - TABLE).std().item() == pytest.approx(TABLE_NOISE, rel=0.1)


def test_masked_features_are_zero():
    view = only("mask", TABLE)[0]
    assert (view == 0).float().mean().item() == pytest.approx(MASKED, abs=0.05)
    assert_close(view[view != 0], TABLE[view != 0])
