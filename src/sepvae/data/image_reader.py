"""Listed images as a source: cached up to `memory` GB, streamed beyond."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from threadpoolctl import threadpool_limits

from sepvae.batch import IntArray
from sepvae.checks import check_number
from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.manifest import Manifest
from sepvae.data.parallel import in_order
from sepvae.data.pixels import check_size, open_image, pixels_of, resized
from sepvae.data.quality_metrics import measure
from sepvae.data.spec import DataSpec, Fit
from sepvae.errors import DataError
from sepvae.progress import Progress

if TYPE_CHECKING:
    from sepvae.data.formats.brats import Slice

OF_IMAGES = [*measure(np.zeros((1, 1, 1), dtype=np.float32), "L", b""), "pages"]  # column names
GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B")


def read_images(
    manifest: Manifest, spec: DataSpec, *, channels: int, progress: Progress | None = None
) -> tuple[ArraySource | StreamSource, pd.DataFrame]:
    """Return listed images as a source, and their quality metrics; every file is read once."""
    if manifest.centre is not None:
        check_number("centre", manifest.centre, above=0, below=1 + 1e-9)
    manifest.refuse_missing("images")
    shape = (channels, *check_size(spec.image_size or 64))
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
            raise DataError(
                f"{file}: could be read before, but no longer ({_reason(error)}); leave images as they are "
                "while they are used"
            ) from error

    def shown(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Resize decoded pixels (channels, h, w) in 0..255, and round them to uint8."""
        return np.rint(resized(pixels, self.shape[1:], self.fit, self.centre)).astype(np.uint8)


def measure_images(
    manifest: Manifest, progress: Progress | None = None, reader: ImageReader | None = None, kept: int = 0
) -> tuple[pd.DataFrame, dict[str, str]]:
    """
    Return quality metrics of listed images, missing if unreadable, and the reasons for that by id.

    Every file is decoded once; `reader` caches the first `kept`.
    """
    n = len(manifest)
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
            return _reason(error), None

    quality_metrics: list[dict[str, Any]] = []
    bad: dict[str, str] = {}
    # The processes use all cores already: threads of matrix products would only slow them down.
    with threadpool_limits(1, "blas"):
        for i, (id_, (found, shown)) in enumerate(zip(manifest.about["id"], in_order(read, n), strict=True)):
            quality_metrics.append({} if isinstance(found, str) else found)
            if isinstance(found, str):
                bad[id_] = found
            if reader is not None and shown is not None:
                reader.kept[i] = shown
            if progress:
                progress(i + 1, n)
    return pd.DataFrame(quality_metrics, index=range(n), columns=OF_IMAGES), bad


def _opened(file: "Path | Slice") -> tuple[Image.Image, bytes]:
    """Return an image, and the bytes that distinguish it from others."""
    return open_image(file) if isinstance(file, Path) else file.open()


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
