"""Images and three planes of volumes as pictures with titles, and one PNG of several pictures."""

import base64
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from sepvae.batch import AnyArray
from sepvae.grid import Grid
from sepvae.plotting.cells import as_drawn, in_colours, limit_of, signed
from sepvae.plotting.images import GREY_LEVEL
from sepvae.plotting.maps import percentile_limit

PERCENTILES = 1, 99  # of valid voxels, black and white
GAP = 2  # pixels between planes
SAVED, MARGIN, LINE = 240, 12, 18  # pixels of a saved picture: least height, gap, line of its title


class Picture(NamedTuple):
    """Pixels (h, w, 3) as uint8, and the title above them."""

    title: str
    pixels: AnyArray

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return "data:image/png;base64," + base64.b64encode(_png(Image.fromarray(self.pixels))).decode()


class Painter:
    """Paint samples of one person on one grey scale, and differences on a symmetric scale."""

    def __init__(self, full: AnyArray, grid: Grid | None, at: Sequence[int]) -> None:
        """Take the grey scale of a reconstruction (channels, ...); volumes are cut at voxel `at`."""
        self.at, self.is_volume = tuple(at), full.ndim == 4
        self.low, self.high = 0.0, 1.0
        if self.is_volume:
            valid_mask = np.ones(full.shape[1:], bool) if grid is None else grid.valid_mask
            self.valid = _planes(valid_mask, self.at)
            self.low, self.high = map(float, np.percentile(full[0][valid_mask], PERCENTILES))

    def grey(self, title: str, sample: AnyArray) -> Picture:
        """Return the picture of a sample; images of three channels are in colour."""
        return Picture(title, np.rint(255 * self._shades(sample)).astype(np.uint8))

    def difference(self, title: str, a: AnyArray, b: AnyArray) -> Picture:
        """Return the picture of a minus b, red where a is more; of volumes over b, where it is not small."""
        values = signed(a - b) if not self.is_volume else (a - b)[0].astype(float)
        limit = percentile_limit(values) if self.is_volume else limit_of(values)
        limit = max(limit, GREY_LEVEL * (self.high - self.low))
        values = _planes(values, self.at) if self.is_volume else values
        colours = in_colours(values, limit)
        if self.is_volume:
            opacity = np.minimum(1, 2 * np.abs(values / limit))[..., None]
            colours = opacity * colours + (1 - opacity) * self._shades(b)
        return Picture(f"{title} ±{limit:.2g}", np.rint(255 * colours).astype(np.uint8))

    def _shades(self, sample: AnyArray) -> AnyArray:
        """Return colours (h, w, 3) in [0, 1]."""
        if self.is_volume:
            planes = _planes(sample[0].astype(float), self.at)
            scaled = (planes - self.low) / max(self.high - self.low, np.finfo(float).tiny)
            return np.repeat((np.clip(scaled, 0, 1) * self.valid)[..., None], 3, axis=-1)
        shown = np.clip(as_drawn(sample).astype(float), 0, 1)
        return shown if shown.ndim == 3 else np.repeat(shown[..., None], 3, axis=-1)


def _planes(volume: AnyArray, at: tuple[int, ...]) -> AnyArray:
    """
    Return the sagittal, coronal and axial plane of an RAS volume (x, y, z) side by side.

    Up is up, or the front; the front is on the right of the sagittal plane, left on the left of the others.
    """
    i, j, k = at
    cuts = [volume[i, :, ::-1].T, volume[:, j, ::-1].T, volume[:, ::-1, k].T]
    height = max(len(cut) for cut in cuts)
    padded = [np.pad(cut, _middle(cut, height)) for cut in cuts]
    return np.concatenate(padded, axis=1)[:, : -GAP or None]


def _middle(cut: AnyArray, height: int) -> list[tuple[int, int]]:
    """Return the padding of a plane to a height, with a gap on its right."""
    above = (height - len(cut)) // 2
    return [(above, height - len(cut) - above), (0, GAP)]


def joined_png(pictures: Sequence[Picture], about: str) -> bytes:
    """Return one PNG of several pictures side by side, with their titles and a line on what they show."""
    scale = max(1, round(SAVED / max(len(picture.pixels) for picture in pictures)))
    images = [Image.fromarray(picture.pixels) for picture in pictures]
    images = [one.resize((scale * one.width, scale * one.height), Image.Resampling.NEAREST) for one in images]
    widths = [max(one.width, 7 * len(picture.title)) for one, picture in zip(images, pictures, strict=True)]
    size = sum(widths) + MARGIN * (len(images) + 1), max(one.height for one in images) + 2 * LINE + 3 * MARGIN
    page, x = Image.new("RGB", size, "white"), MARGIN
    draw = ImageDraw.Draw(page)
    for image, picture, width in zip(images, pictures, widths, strict=True):
        draw.text((x, MARGIN), picture.title, "black")
        page.paste(image, (x, MARGIN + LINE))
        x += width + MARGIN
    draw.text((MARGIN, size[1] - MARGIN - LINE // 2), about, "#566170")
    return _png(page)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
