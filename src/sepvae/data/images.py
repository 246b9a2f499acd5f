"""Image files: decoded, resized, and listed ones as a source, cached up to `memory` GB, streamed beyond."""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError
from threadpoolctl import threadpool_limits

from sepvae.batch import IntArray
from sepvae.checks import check_number
from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.manifest import Manifest
from sepvae.data.parallel import in_order
from sepvae.data.quality_metrics import measure
from sepvae.data.spec import DataSpec, Fit
from sepvae.errors import DataError, reason_of
from sepvae.process_wide import ignoring
from sepvae.progress import Progress

if TYPE_CHECKING:
    from sepvae.data.formats.brats import Slice

MOST_PIXELS, MOST_SIDE = 2**25, 2**16  # per image: 5792 x 5792; memory to shrink it grows with its side
logging.getLogger("PIL").addHandler(logging.NullHandler())  # errors of a file are reported once, by us
PHOTOMETRIC, WHITE_IS_ZERO, BITS_PER_SAMPLE, SAMPLE_FORMAT, ORIENTATION = 262, 0, 258, 339, 274  # TIFF tags
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP")  # for others Pillow may run a program of the system
GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B")
OF_IMAGES = [*measure(np.zeros((1, 1, 1), dtype=np.float32), "L", b""), "pages"]  # column names

Pixels = npt.NDArray[np.float32]


def read_images(
    manifest: Manifest, spec: DataSpec, channels: int, progress: Progress | None = None
) -> tuple[ArraySource | StreamSource, pd.DataFrame]:
    """Return listed images as a source, and their quality metrics; every file is read once."""
    if manifest.centre is not None:
        check_number("centre", manifest.centre, above=0, below=1 + 1e-9)
    manifest.refuse_missing("images")
    size = spec.image_size or 64
    sides = (size, size) if isinstance(size, int) else size
    if len(sides) != 2:
        raise DataError(f"image_size: wanted a side or (height, width) in pixels, got {size!r}")
    shape = (channels, *sides)
    reader = ImageReader(manifest.files, shape, spec.fit, manifest.centre)
    kept = min(len(manifest), int(spec.memory * 1e9 / np.prod(shape)))
    quality_metrics, bad = measure_images(manifest, progress, reader, kept)
    if bad:
        (id_, reason), more = next(iter(bad.items())), f", nor can {len(bad) - 1} more" * (len(bad) > 1)
        file = manifest.files[manifest.about["id"].tolist().index(id_)]
        raise DataError(f"{file}: cannot be read as an image ({reason}){more}; replace or remove it")
    if kept == len(manifest):
        return ArraySource(reader.kept, **manifest.described), quality_metrics
    return StreamSource(reader, shape, **manifest.described), quality_metrics


@dataclass
class ImageReader:
    """Decoder of images; the first k are cached in `kept`, (k, *shape)."""

    files: "Sequence[Path | Slice]"
    shape: tuple[int, int, int]  # channels, height and width of the output
    fit: Fit
    centre: float | None = None
    kept: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, dtype=np.uint8))

    def __call__(self, positions: IntArray) -> npt.NDArray[np.uint8]:
        """Return the images at these positions."""
        x = np.empty((len(positions), *self.shape), dtype=np.uint8)
        in_memory = positions < len(self.kept)
        if in_memory.any():
            x[in_memory] = self.kept[positions[in_memory]]
        if not in_memory.all():
            with threadpool_limits(1, "blas"):  # a worker has one core; this also fixes the order of sums
                for i in np.flatnonzero(~in_memory):
                    x[i] = self._decoded(self.files[positions[i]])
        return x

    def _decoded(self, file: "Path | Slice") -> npt.NDArray[np.uint8]:
        try:
            return self.shown(pixels_of(_opened(file)[0], self.shape[0]))
        except Exception as error:
            before = f"{file}: could be read before, but no longer ({reason_of(error)})"
            raise DataError(f"{before}; leave images as they are while they are used") from error

    def shown(self, pixels: Pixels) -> npt.NDArray[np.uint8]:
        """Resize decoded pixels (channels, h, w) in 0..255, and round them to uint8."""
        return np.rint(resized(pixels, self.shape[1:], self.fit, self.centre)).astype(np.uint8)


def measure_images(
    manifest: Manifest, progress: Progress | None = None, reader: ImageReader | None = None, kept: int = 0
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return quality metrics of images, and why some cannot be read; `reader` caches the first `kept`."""
    n, ids = len(manifest), manifest.about["id"].tolist()
    if reader is not None:
        reader.kept = np.empty((kept, *reader.shape), dtype=np.uint8)

    def read(i: int) -> tuple[dict[str, Any] | str, npt.NDArray[np.uint8] | None]:
        """Return the metrics, or why there are none, and the image if it is cached."""
        try:
            image, content = _opened(manifest.files[i])
            channels = reader.shape[0] if reader else 1 if image.mode in GREY else 3
            pixels = pixels_of(image, channels)
            shown = reader.shown(pixels) if reader is not None and i < kept else None
            return measure(pixels, image.mode, content) | {"pages": image.info.get("pages", 1)}, shown
        except Exception as error:  # decoders raise errors of any type
            return reason_of(error), None

    quality_metrics: list[dict[str, Any]] = []
    bad: dict[str, str] = {}
    # The processes use all cores already: threads of matrix products would only slow them down.
    with threadpool_limits(1, "blas"):
        for i, (found, shown) in enumerate(in_order(read, n, progress=progress)):
            quality_metrics.append({} if isinstance(found, str) else found)
            if isinstance(found, str):
                bad[ids[i]] = found
            if reader is not None and shown is not None:
                reader.kept[i] = shown
    return pd.DataFrame(quality_metrics, index=range(n), columns=OF_IMAGES), bad


def _opened(file: "Path | Slice") -> tuple[Image.Image, bytes]:
    """Return an image, and the bytes that distinguish it from others."""
    return open_image(file) if isinstance(file, Path) else file.open()


def open_image(file: Path) -> tuple[Image.Image, bytes]:
    """Return the first page of an image, upright, with their number in `info["pages"]`, and its bytes."""
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
    """Return an image of any mode, laid on black, as floats in 0..255 of shape (channels, h, w)."""
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
    pixels = np.asarray(wanted, dtype=np.float32).reshape(image.height, image.width, channels)
    return pixels.transpose(2, 0, 1)


def resized(pixels: Pixels, size: tuple[int, int], fit: Fit, centre: float | None = None) -> Pixels:
    """
    Resize pixels (channels, h, w) to (channels, *size); an odd remainder goes to the bottom and the right.

    `centre` first takes the central square whose side is this share of the width.
    """
    if centre is not None:
        side = min(round(centre * pixels.shape[2]), pixels.shape[1])
        pixels = _central(pixels, side, side)
    (h, w), (height, width) = pixels.shape[1:], size
    if fit == "crop":
        sides = max(1, round(w * height / width)), max(1, round(h * width / height))
        pixels = _central(pixels, min(h, sides[0]), min(w, sides[1]))
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
    """Return the weight of each of `old` pixels in each of `new`, (new, old): by area, or linear to grow."""
    # Pillow's box filter counts whole pixels: from 96 to 64 it averages two, takes one, averages two.
    pixels = np.arange(old)
    if new <= old:
        edges = np.linspace(0, old, new + 1)[:, None]
        weights = np.diff(np.clip(edges - pixels, 0, 1), axis=0) * (new / old)
    else:
        centres = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)[:, None]
        weights = np.clip(1 - np.abs(centres - pixels), 0, None)
    return np.asarray(weights, dtype=np.float32)
