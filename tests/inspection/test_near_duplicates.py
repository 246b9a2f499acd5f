"""Near copies: what is found, and what is not."""

import numpy as np
import pytest

from sepvae.inspection.duplicates import near_pairs


@pytest.fixture
def looks():
    return np.random.default_rng(0).integers(0, 256, size=(700, 256), dtype=np.uint8)


def test_nothing_is_near_among_noise(looks):
    assert len(near_pairs(looks)) == 0


def test_copies_in_another_light_are_found_across_blocks(looks):
    rng = np.random.default_rng(1)
    for old, new in ((3, 699), (10, 11)):
        looks[new] = np.rint(0.8 * looks[old] + 20 + rng.normal(scale=2, size=256))
    assert near_pairs(looks).tolist() == [[3, 699], [10, 11]]


def test_all_pairs_are_those_of_plain_correlation(looks):
    noise = np.random.default_rng(1).normal(scale=6, size=(350, 256))
    looks[350:] = np.clip(looks[:350] + noise, 0, 255)
    correlation = np.triu(np.corrcoef(looks.astype(float)), 1)
    assert near_pairs(looks).tolist() == np.argwhere(correlation > 0.99).tolist()


def test_a_mirrored_image_is_another_one(looks):
    looks[1] = looks[0].reshape(16, 16)[:, ::-1].ravel()
    assert len(near_pairs(looks)) == 0


def test_images_that_all_look_alike_are_no_copies(looks):
    # Each is one scene and a little of its own: pairs correlate by 0.995, none more than others.
    scene = 3 * looks[0].astype(int)
    alike = ((scene + 0.2 * looks) / 3.2).astype(np.uint8)
    assert np.corrcoef(alike[1:3])[0, 1] > 0.99
    assert len(near_pairs(alike)) == 0


def test_empty_and_constant_images_are_near_nothing():
    assert near_pairs(np.full((5, 256), 7, dtype=np.uint8)).shape == (0, 2)
    assert near_pairs(np.empty((0, 256), dtype=np.uint8)).shape == (0, 2)
