"""Pixels of what is shown."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from sepvae.explore.pictures import Painter, Picture, joined_png


def test_planes_are_seen_as_radiologists_do_not_left_is_on_the_left():
    volume = np.zeros((1, 4, 6, 5), np.float32)  # x to the right, y to the front, z upwards
    volume[0, 3, 5, 4] = 1  # right, front, top
    picture = Painter(volume, None, (3, 5, 4)).grey("", volume)
    assert picture.pixels.shape == (6, 6 + 2 + 4 + 2 + 4, 3)
    lit = np.argwhere(picture.pixels[..., 0]).tolist()
    # Sagittal: front on the right; coronal and axial: right on the right; all of them: at the top.
    assert lit == [[0, 5], [0, 8 + 3], [0, 14 + 3]]


def test_one_grey_scale_holds_for_a_person():
    rng = np.random.default_rng(0)
    full = rng.normal(size=(1, 4, 4, 4))
    paint = Painter(full, None, (1, 2, 3))
    low, high = np.percentile(full, (1, 99))
    shown = paint.grey("", np.full_like(full, (low + high) / 2)).pixels
    assert set(np.unique(shown)) == {0, 128}  # gaps are black


def test_images_keep_their_grey_levels_and_colours():
    image = np.array([[[0.0, 0.5], [1.0, 2.0]]])
    assert Painter(image, None, ()).grey("", image).pixels[..., 0].tolist() == [[0, 128], [255, 255]]
    colours = np.stack([image[0], image[0] / 2, 0 * image[0]])
    assert Painter(colours, None, ()).grey("", colours).pixels[1, 0].tolist() == [255, 128, 0]


def test_a_difference_is_red_where_more_and_says_its_scale():
    a, b = np.zeros((1, 2, 2)), np.zeros((1, 2, 2))
    a[0, 0, 0], b[0, 1, 1] = 0.5, 0.25
    picture = Painter(a, None, ()).difference("Difference", a, b)
    assert picture.title == "Difference ±0.5"
    more, less, same = (
        picture.pixels[0, 0].astype(int),
        picture.pixels[1, 1].astype(int),
        picture.pixels[0, 1],
    )
    assert more[0] > more[2]
    assert less[2] > less[0]
    assert same.min() > 240


def test_rounding_errors_are_not_drawn_as_a_difference():
    a = np.random.default_rng(0).random((1, 4, 4, 4))
    picture = Painter(a, None, (1, 1, 1)).difference("", a + 1e-7, a)
    assert np.ptp(picture.pixels.astype(int), axis=2).max() <= 2


@pytest.mark.parametrize("n", [1, 3])
def test_pictures_are_saved_side_by_side(n):
    pixels = np.full((8, 8, 3), 200, np.uint8)
    saved = Image.open(io.BytesIO(joined_png([Picture("Input", pixels)] * n, "a person")))
    assert (np.asarray(saved) == 200).all(axis=2).sum() == n * 240 * 240
    data = base64.b64decode(Picture("", pixels).uri.split(",")[1])
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)
