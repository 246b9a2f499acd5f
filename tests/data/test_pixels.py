import struct

import numpy as np
import pytest
from PIL import Image

from sepvae.data.images import open_image, pixels_of, resized


def row(*values):
    """One row of grey pixels, (1, 1, n)."""
    return np.float32([[values]])


@pytest.mark.parametrize(
    ("fit", "wanted"),
    [
        # A white and a black pixel side by side, into 4x4. Linear growth: 255 * (1, 3/4, 1/4, 0).
        ("squash", [[255, 191.25, 63.75, 0]] * 4),
        ("pad", [[0] * 4, [255, 191.25, 63.75, 0], [255, 191.25, 63.75, 0], [0] * 4]),
        ("crop", [[255] * 4] * 4),
    ],
)
def test_fit_of_a_wide_image(fit, wanted):
    np.testing.assert_allclose(resized(row(255, 0), (4, 4), fit), [wanted], atol=1e-4)


def test_fit_of_a_tall_image():
    tall = row(100, 200, 0).transpose(0, 2, 1)
    assert resized(tall, (3, 2), "pad").tolist() == [[[100, 0], [200, 0], [0, 0]]]
    assert resized(tall, (1, 1), "crop").tolist() == [[[200]]]


def test_a_thread_of_pixels_fits_everywhere():
    for fit in ("pad", "crop", "squash"):
        assert resized(np.ones((1, 1, 3000), dtype=np.float32), (4, 4), fit).shape == (1, 4, 4)


def test_shrinking_averages_blocks():
    x = np.random.default_rng(0).random((3, 12, 20), dtype=np.float32)
    np.testing.assert_allclose(
        resized(x, (4, 5), "squash"), x.reshape(3, 4, 3, 5, 4).mean(axis=(2, 4)), atol=1e-6
    )


def test_shrinking_counts_pixels_by_area():
    # 3 pixels to 2: each new one covers a whole old one and half of the middle one.
    np.testing.assert_allclose(resized(row(0, 60, 90), (1, 2), "squash"), [[[20, 80]]], rtol=1e-6)


def test_growing_is_pillows_bilinear():
    x = np.random.default_rng(0).random((5, 7), dtype=np.float32)
    wanted = np.asarray(Image.fromarray(x).resize((16, 13), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(resized(x[None], (13, 16), "squash")[0], wanted, atol=1e-6)


def test_one_axis_shrinks_while_the_other_grows():
    assert resized(row(0, 100), (2, 1), "squash").tolist() == [[[50], [50]]]


@pytest.mark.parametrize(
    ("shape", "centre", "top", "left", "side"),
    [
        ((218, 178), 108 / 178, 55, 35, 108),  # CelebA, and at half its size
        ((109, 89), 108 / 178, 27, 17, 54),
        ((4, 10), 0.8, 0, 3, 4),  # no higher than the image
        ((6, 6), 1, 0, 0, 6),
    ],
)
def test_the_central_square_is_a_share_of_the_width(shape, centre, top, left, side):
    x = np.random.default_rng(0).random((1, *shape), dtype=np.float32)
    wanted = x[:, top : top + side, left : left + side]
    np.testing.assert_allclose(resized(x, (side, side), "crop", centre), wanted, atol=1e-6)


RED, HALF = (255, 0, 0), (255, 0, 0, 128)  # red is 76 in grey (ITU-R 601)
CLEAR = Image.new("RGBA", (1, 1), (0, 255, 0, 0))


@pytest.mark.parametrize(
    ("image", "channels", "wanted"),
    [
        (Image.new("1", (1, 1), 1), 1, [255]),
        (Image.new("L", (1, 1), 7), 1, [7]),
        (Image.new("L", (1, 1), 7), 3, [7, 7, 7]),
        (Image.new("RGB", (1, 1), RED), 1, [76]),
        (Image.new("RGB", (1, 1), RED), 3, [255, 0, 0]),
        (Image.new("RGB", (1, 1), RED).convert("P"), 3, [255, 0, 0]),
        (Image.new("CMYK", (1, 1), (255, 0, 0, 0)), 3, [0, 255, 255]),
        (Image.new("RGBA", (1, 1), HALF), 3, [128, 0, 0]),
        (Image.new("LA", (1, 1), (200, 0)), 1, [0]),
        (CLEAR.quantize(), 3, [0, 0, 0]),
        (Image.fromarray(np.uint16([[65535]])), 1, [255]),
        (Image.fromarray(np.uint16([[0x8000]])), 3, [0x8000 / 257] * 3),
        (Image.fromarray(np.int32([[257]])), 1, [1]),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_modes(image, channels, wanted):
    np.testing.assert_allclose(pixels_of(image, channels).ravel(), wanted, rtol=1e-6)


@pytest.mark.parametrize("image", [np.float32([[0.5]]), np.int32([[70000]]), np.int32([[-1]])])
def test_pixels_without_a_known_range_are_refused(image):
    with pytest.raises(ValueError, match="no known range, save as 8 or 16 bits"):
        pixels_of(Image.fromarray(image), 1)


def test_exif_turns_the_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    Image.fromarray(np.uint8([[10, 20]])).save(tmp_path / "turned.png", exif=exif)
    image, content = open_image(tmp_path / "turned.png")
    assert pixels_of(image, 1).tolist() == [[[10], [20]]]
    assert content == (tmp_path / "turned.png").read_bytes()


@pytest.mark.parametrize(("content", "reason"), [(b"text", "no image format"), (b"", "the file is empty")])
def test_what_is_no_image_is_said_in_words(tmp_path, content, reason):
    (tmp_path / "1.png").write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        open_image(tmp_path / "1.png")


def tiff(grey, photometric, bits):
    """An uncompressed TIFF file by hand; `grey` is what it shows, 0 black, in 0..255."""
    top = 2**bits - 1
    values = grey.astype(np.uint64) * top // 255
    content = (top - values if photometric == 0 else values).astype(f"<u{bits // 8}").tobytes()
    tags = [(256, grey.shape[1]), (257, grey.shape[0]), (258, bits), (259, 1), (262, photometric), (273, 8)]
    tags += [(277, 1), (278, grey.shape[0]), (279, len(content))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    start = struct.pack("<I", 8 + len(content))
    return b"II*\0" + start + content + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0"


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("photometric", [0, 1])
def test_black_is_zero_whatever_the_file_says(tmp_path, bits, photometric):
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
    (tmp_path / "a.tif").write_bytes(tiff(grey, photometric, bits))
    np.testing.assert_array_equal(pixels_of(open_image(tmp_path / "a.tif")[0], 1)[0], grey)


def test_an_inverted_image_is_turned_as_its_exif_says(tmp_path):
    grey = np.arange(48, dtype=np.uint16).reshape(6, 8) * 257
    Image.fromarray(65535 - grey).save(tmp_path / "a.tif", tiffinfo={262: 0, 274: 3})
    np.testing.assert_array_equal(pixels_of(open_image(tmp_path / "a.tif")[0], 1)[0], grey[::-1, ::-1] / 257)


def test_white_is_zero_in_32_bits_is_refused(tmp_path):
    (tmp_path / "a.tif").write_bytes(tiff(np.zeros((4, 4), dtype=np.uint8), 0, 32))
    with pytest.raises(ValueError, match="variant of TIFF"):
        open_image(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", ["tif", "gif", "png"])
def test_pages_are_counted_and_the_first_is_taken(tmp_path, suffix):
    pages = [Image.new("L", (4, 4), level) for level in (40, 90, 200)]
    pages[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=pages[1:])
    image, _ = open_image(tmp_path / f"a.{suffix}")
    assert (image.info["pages"], pixels_of(image, 1).max()) == (3, 40)
