"""Listed samples as a source: cached up to `memory` GB, streamed beyond."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from threadpoolctl import threadpool_limits

from sepvae.batch import IntArray, chunks
from sepvae.checks import ROUNDING, check_images, check_number
from sepvae.data.arrays import ArraySource, StreamSource
from sepvae.data.brats import Slice
from sepvae.data.manifest import Manifest
from sepvae.data.mapped import MappedArray
from sepvae.data.packed import Progress
from sepvae.data.parallel import in_order
from sepvae.data.pixels import Fit, check_look, check_size, open_image, pixels_of, resized
from sepvae.data.quality_metrics import measure
from sepvae.data.regions import regions_source
from sepvae.data.volume_table import MEMORY, read_volume_listing
from sepvae.errors import DataError
from sepvae.grid import Grid, Shape

OF_IMAGES = [*measure(np.zeros((1, 1, 1), dtype=np.float32), "L", b""), "pages"]  # column names
CHUNK = 256  # rows of an array that are checked at once
GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B")


def read_manifest(
    manifest: Manifest,
    *,
    image_size: int | tuple[int, int] | Shape | None = None,
    channels: int = 1,
    fit: Fit = "pad",
    mask: str | Path | None = None,
    mask_threshold: float | None = None,
    resample: bool = False,
    grid: Grid | None = None,
    memory: float = MEMORY,
    progress: Progress | None = None,
) -> tuple[ArraySource | StreamSource, pd.DataFrame | None]:
    """
    Return listed samples as a source, and quality metrics of images or volumes (None for other data).

    Every file is read once, so that no unreadable file is found later.
    """
    if manifest.array is not None:
        return _read_array(manifest, manifest.array), None
    if manifest.features is not None:
        return regions_source(manifest), None
    if manifest.volumes is not None:
        size = _three(image_size)
        look: dict[str, Any] = {"size": size, "mask": mask, "resample": resample, "grid": grid}
        look["mask_threshold"] = mask_threshold
        return read_volume_listing(manifest, **look, memory=memory, progress=progress)
    check_look(channels, fit, manifest.centre)
    check_number("memory", memory, least=0)
    manifest.refuse_missing("images")
    reader = ImageReader(
        manifest.files,
        (channels, *check_size(64 if image_size is None else image_size)),
        fit,
        manifest.centre,
    )
    kept = min(len(manifest), int(memory * 1e9 / np.prod(reader.shape)))
    quality_metrics, bad = _read_files(manifest, reader, kept, progress)
    if bad:
        (id_, reason), more = next(iter(bad.items())), f", nor can {len(bad) - 1} more" * (len(bad) > 1)
        file = manifest.files[manifest.about["id"].tolist().index(id_)]
        raise DataError(f"{file}: cannot be read as an image ({reason}){more}; replace or remove it")
    if kept == len(manifest):
        return ArraySource(reader.kept, **manifest.described), quality_metrics
    return StreamSource(reader, reader.shape, **manifest.described), quality_metrics


def measure_manifest(
    manifest: Manifest, *, progress: Progress | None = None
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return quality metrics of listed images, missing if unreadable, and the reasons for that by id."""
    return _read_files(manifest, None, 0, progress)


@dataclass
class ImageReader:
    """Decoder of images; the first k are cached in `kept`, (k, *shape)."""

    files: Sequence[Path | Slice]
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

    def _decoded(self, file: Path | Slice) -> npt.NDArray[np.uint8]:
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


def _read_files(
    manifest: Manifest, reader: ImageReader | None, kept: int, progress: Progress | None
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Decode every file once: compute its metrics, and cache the first `kept`."""
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


def _three(size: int | tuple[int, ...] | None) -> int | Shape | None:
    """Return the size of volumes as one side or three; raise for two."""
    if size is None or isinstance(size, int):
        return size
    if len(size) != 3:
        raise DataError(f"image_size: wanted three sides for volumes, such as 48x56x48, got {len(size)}")
    return size[0], size[1], size[2]


def _opened(file: Path | Slice) -> tuple[Image.Image, bytes]:
    """Return an image, and the bytes that distinguish it from others."""
    return file.open() if isinstance(file, Slice) else open_image(file)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _read_array(manifest: Manifest, array: MappedArray) -> ArraySource | StreamSource:
    """Return rows of an array as a source: images memory-mapped, features in memory."""
    if len(array.shape) == 3:  # grey images without a channel axis
        array = array.grey()
    if len(array.shape) == 2:
        with np.errstate(invalid="ignore"):  # signalling NaN would warn
            features = array(np.arange(len(manifest))).astype(np.float64)
        return ArraySource(features, **manifest.described)
    try:
        check_images(np.broadcast_to(np.zeros(1, dtype=array.dtype), array.shape))  # shape and type
    except DataError as error:
        raise DataError(f"{manifest.data}: {str(error).removeprefix('X: ')}") from error
    if array.dtype.kind == "f":
        _check_values(manifest, array)
    return StreamSource(array, array.shape[1:], **manifest.described)


def _check_values(manifest: Manifest, array: MappedArray) -> None:
    """Raise unless the floats of all listed rows lie in [0, 1], up to rounding."""
    for rows in chunks(len(manifest), CHUNK):
        x = array(rows).reshape(len(rows), -1)
        low, high = x.min(axis=1), x.max(axis=1)
        if (
            wrong := np.flatnonzero(~((low >= -ROUNDING) & (high <= 1 + ROUNDING)))
        ).size:  # NaN is not in [0, 1] either
            bad = wrong[0]
            found = "NaN" if np.isnan(low[bad]) else f"{low[bad]:g} to {high[bad]:g}"
            raise DataError(
                f"{manifest.data}: wanted values in [0, 1], got {found} in row "
                f"{array.rows[rows[bad]]} (from 0); scale all rows, or leave that one out"
            )
