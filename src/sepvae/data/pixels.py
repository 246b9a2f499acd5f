"""Decoding of image files, and resizing to the requested size."""

import io
import logging
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from sepvae.data.spec import Fit
from sepvae.errors import DataError
from sepvae.process_wide import ignoring

MOST_PIXELS, MOST_SIDE = 2**25, 2**16  # per image: 5792 x 5792; memory to shrink it grows with its side
logging.getLogger("PIL").addHandler(logging.NullHandler())  # errors of a file are reported once, by us
PHOTOMETRIC, WHITE_IS_ZERO, BITS_PER_SAMPLE, SAMPLE_FORMAT, ORIENTATION = 262, 0, 258, 339, 274  # TIFF tags
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP")  # for others Pillow may run a program of the system

Pixels = npt.NDArray[np.float32]


def check_size(image_size: int | tuple[int, ...]) -> tuple[int, int]:
    """
    Return an image size as (height, width) in pixels; raise if it is invalid.

    >>> check_size(64)
    (64, 64)
    """
    size = tuple(image_size) if isinstance(image_size, tuple | list) else (image_size, image_size)
    if len(size) != 2 or not all(isinstance(side, int | np.integer) and side >= 1 for side in size):
        raise DataError(f"image_size: wanted a side or (height, width) in pixels, got {image_size!r}")
    return int(size[0]), int(size[1])


def open_image(file: Path) -> tuple[Image.Image, bytes]:
    """
    Return the first page or frame of an image, upright by its EXIF, and the bytes of the file.

    `info["pages"]` is the number of pages or frames. Damaged files raise errors of any type.
    """
    content = file.read_bytes()
    try:
        with ignoring(""), Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:  # a few bytes may expand to more than memory holds
                raise ValueError(f"{width} x {height} pixels are more than {MOST_PIXELS}")
            if max(width, height) > MOST_SIDE:
                raise ValueError(f"a side of {max(width, height)} pixels is more than {MOST_SIDE}")
            pages = _pages(image)
            image.load()
            upright = ImageOps.exif_transpose(_black_is_zero(image))
            upright.info["pages"] = pages
            return upright, content
    except UnidentifiedImageError as error:
        if content[:4] in (b"II*\0", b"MM\0*"):
            raise ValueError("a variant of TIFF that Pillow does not read, save it as PNG") from error
        raise ValueError("no image format that is known" if content else "the file is empty") from error


def _pages(image: Image.Image) -> int:
    """Return the number of pages or frames; 1 if those after the first are damaged."""
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # decoders raise errors of any type
        return 1
    finally:
        image.seek(0)


def _black_is_zero(image: Image.Image) -> Image.Image:
    """Invert 16-bit pixels of a TIFF file whose 0 is white; Pillow inverts only up to 8 bits."""
    tags = getattr(image, "tag_v2", {})
    if tags.get(PHOTOMETRIC) != WHITE_IS_ZERO or not image.mode.startswith(("I", "F")):
        return image
    bits = tags.get(BITS_PER_SAMPLE, (1,))[0]
    if image.mode == "F" or bits > 16 or tags.get(SAMPLE_FORMAT, (1,))[0] != 1:
        raise ValueError("white is 0 in pixels without a known range, save as 8 or 16 bits")
    grey = 2**bits - 1 - np.asarray(image, dtype=np.int32)
    inverted = Image.fromarray(grey.astype(np.uint16))
    inverted.info.update(image.info)
    if orientation := image.getexif().get(ORIENTATION):
        inverted.getexif()[ORIENTATION] = orientation
    return inverted


def pixels_of(image: Image.Image, channels: int) -> Pixels:
    """
    Return an image of any mode as floats in 0..255, of shape (channels, h, w).

    16 bits are scaled by their full range; transparent parts are laid on black.
    """
    if image.mode.startswith("I"):  # 16 bits, which Pillow reads from some files as 32
        grey = np.asarray(image, dtype=np.float32)
        if grey.min() < 0 or grey.max() > 65535:
            raise ValueError("32-bit pixels beyond 16 bits have no known range, save as 8 or 16 bits")
        return np.repeat(grey[None] / np.float32(257), channels, axis=0)
    if image.mode == "F":
        raise ValueError("float pixels have no known range, save as 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    if image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")
    wanted = image.convert("L" if channels == 1 else "RGB")
    return (
        np.asarray(wanted, dtype=np.float32).reshape(image.height, image.width, channels).transpose(2, 0, 1)
    )


def resized(pixels: Pixels, size: tuple[int, int], fit: Fit, centre: float | None = None) -> Pixels:
    """
    Resize pixels (channels, h, w) to (channels, *size); an odd remainder goes to the bottom and the right.

    An axis that shrinks is averaged by area (each pixel weighted by its covered part); one that grows is
    interpolated linearly. `centre` first takes the central square whose side is this share of the width.
    """
    if centre is not None:
        side = min(round(centre * pixels.shape[2]), pixels.shape[1])
        pixels = _central(pixels, side, side)
    (h, w), (height, width) = pixels.shape[1:], size
    if fit == "crop":
        pixels = _central(
            pixels, min(h, max(1, round(w * height / width))), min(w, max(1, round(h * width / height)))
        )
    if fit != "pad":
        return _scaled(pixels, height, width)
    scale = min(height / h, width / w)
    shown = _scaled(pixels, max(1, round(h * scale)), max(1, round(w * scale)))
    free_h, free_w = height - shown.shape[1], width - shown.shape[2]
    bars = ((0, 0), (free_h // 2, free_h - free_h // 2), (free_w // 2, free_w - free_w // 2))
    return np.pad(shown, bars)


def _central(pixels: Pixels, height: int, width: int) -> Pixels:
    top, left = (pixels.shape[1] - height) // 2, (pixels.shape[2] - width) // 2
    return pixels[:, top : top + height, left : left + width]


def _scaled(pixels: Pixels, height: int, width: int) -> Pixels:
    rows, columns = _weights(pixels.shape[1], height), _weights(pixels.shape[2], width)
    return np.asarray(rows @ pixels @ columns.T)


@lru_cache(16)
def _weights(old: int, new: int) -> Pixels:
    """
    Return the weight of each of `old` pixels in each of `new`, (new, old): by area to shrink, linear to grow.

    Pillow's box filter counts whole pixels: from 96 to 64 it averages two pixels, takes one, averages two.
    """
    pixels = np.arange(old)
    if new <= old:
        edges = np.linspace(0, old, new + 1)[:, None]
        weights = np.diff(np.clip(edges - pixels, 0, 1), axis=0) * (new / old)
    else:
        centres = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)[:, None]
        weights = np.clip(1 - np.abs(centres - pixels), 0, None)
    return np.asarray(weights, dtype=np.float32)
