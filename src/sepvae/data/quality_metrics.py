"""Quality metrics of images and volumes: size, intensity, sharpness, and digests that find duplicates."""

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import AnyArray, Source, chunk_rows, chunks

if TYPE_CHECKING:
    from sepvae.data.nifti import Header

LOOK_SIDE = 16  # side in pixels of the thumbnail that finds near-duplicates
COMMON_SIDE = 128  # limit of the long side, in pixels, for sharpness and anisotropy
OF_VOLUMES = ["grid", "orientation", "dtype", "not_finite", "low", "high", "mean", "sd", "digest", "look"]
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # Pillow's names of modes, for images from arrays

Grey = npt.NDArray[np.float64]


def measure(pixels: npt.NDArray[np.float32], mode: str, content: bytes) -> dict[str, Any]:
    """
    Return the quality metrics of an image of shape (channels, h, w) in 0..255; `content` is for the digest.

    Sharpness and anisotropy are those of the mean of the channels, averaged by area to at most 128 pixels on
    the long side, so that images of one scene in several sizes get similar values.
    """
    height, width = pixels.shape[1:]
    unmeasured = dict.fromkeys(("low", "high", "brightness", "contrast", "sharpness", "anisotropy"), np.nan)
    found = {"width": width, "height": height, "mode": mode, **unmeasured, "look": None}
    found["digest"] = hashlib.sha256(content).hexdigest()
    if not pixels.size or not np.isfinite(pixels).all():
        return found
    low, high = float(pixels.min()), float(pixels.max())
    found |= {"low": low, "high": high}
    found |= {"brightness": float(pixels.mean()) / 255, "contrast": float(pixels.std()) / 255}
    grey = _shrunk(pixels.mean(axis=0))
    if low < high:
        found |= {"sharpness": _sharpness(grey), "anisotropy": _anisotropy(grey)}
    return found | {"look": _look(grey)}


def measure_source(source: Source) -> pd.DataFrame:
    """Return the quality metrics of all samples; samples that are not images have the digest only."""
    rows = []
    for part in chunks(len(source), chunk_rows(source.sample_shape, 256)):
        for sample in np.ascontiguousarray(source.take(part).x):
            if sample.ndim == 3:
                scale = np.float32(1 if sample.dtype == np.uint8 else 255)
                mode = MODES.get(len(sample), f"{len(sample)} channels")
                rows.append(measure(sample.astype(np.float32) * scale, mode, sample.tobytes()))
            else:
                rows.append({"digest": hashlib.sha256(sample.tobytes()).hexdigest()})
    return pd.DataFrame(rows)


def measure_volume(voxels: AnyArray, header: "Header", valid_mask: AnyArray | None = None) -> dict[str, Any]:
    """
    Return the quality metrics of a volume in RAS; low, high, mean and sd are over `valid_mask`.

    Files that differ only in orientation or compression have one digest. The thumbnail shows the middle
    sagittal and axial slices side by side.
    """
    inside = voxels if valid_mask is None else voxels[valid_mask]
    finite = inside[np.isfinite(inside)]
    found: dict[str, Any] = {"grid": header.grid, "orientation": header.orientation, "dtype": header.dtype}
    found |= {"not_finite": inside.size - finite.size, **dict.fromkeys(("low", "high", "mean", "sd"), np.nan)}
    if finite.size:
        found |= {"low": float(finite.min()), "high": float(finite.max())}
        with np.errstate(over="ignore", invalid="ignore"):  # values near the limit of float64
            found |= {"mean": float(finite.mean(dtype=np.float64)), "sd": float(finite.std(dtype=np.float64))}
    x, _, z = (n // 2 for n in voxels.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        middle = [part.astype(np.float64) for part in (voxels[x], voxels[..., z])]
        slices = [np.nan_to_num(part, posinf=0, neginf=0) for part in middle]
        look = _look(np.hstack([_averaged(part, LOOK_SIDE, LOOK_SIDE // 2) for part in slices]))
    return found | {"digest": digest(voxels).hex(), "look": look}


def digest(voxels: AnyArray) -> bytes:
    """Return the SHA-256 of values in C order, least significant byte first: the same on all machines."""
    ordered = np.ascontiguousarray(voxels, dtype=voxels.dtype.newbyteorder("<"))
    return hashlib.sha256(ordered.data).digest()


def _shrunk(grey: npt.NDArray[np.float32]) -> Grey:
    """Average an image by area to at most 128 pixels on the long side, first by blocks, which is fast."""
    step = max(1, min(max(grey.shape) // (2 * COMMON_SIDE), *grey.shape))
    height, width = (n // step for n in grey.shape)
    blocks = grey[: height * step, : width * step].reshape(height, step, width, step)
    scale = min(1, COMMON_SIDE / max(height, width))
    rows, columns = (max(1, round(n * scale)) for n in (height, width))
    return _averaged(blocks.mean(axis=(1, 3), dtype=np.float64), rows, columns)


def _sharpness(grey: Grey) -> float:
    """Return the log of the variance of the Laplacian over the variance of the image."""
    if min(grey.shape) < 3 or not grey.var():
        return float("nan")
    around = grey[1:-1, :-2] + grey[1:-1, 2:] + grey[:-2, 1:-1] + grey[2:, 1:-1]
    # 1e-6 keeps the value of a linear slope, whose Laplacian is 0, finite.
    return float(np.log((around - 4 * grey[1:-1, 1:-1]).var() / grey.var() + 1e-6))


def _anisotropy(grey: Grey) -> float:
    """Return the log of the mean squared step rightwards over that downwards; 0 for equal detail."""
    if min(grey.shape) < 2 or not grey.var():
        return float("nan")
    right, down = (np.square(np.diff(grey, axis=axis)).mean() for axis in (1, 0))
    least = 1e-6 * grey.var()  # keeps stripes finite
    return float(np.log((right + least) / (down + least)))


def _look(grey: Grey) -> bytes:
    """Return the thumbnail, with its range stretched to 0..255."""
    small = _averaged(grey, LOOK_SIDE, LOOK_SIDE)
    low, high = small.min(), small.max()
    scale = 255 / (high - low) if high > low else 0
    return bytes(np.rint((small - low) * scale).astype(np.uint8).tobytes())


def _averaged(grey: Grey, rows: int, columns: int) -> Grey:
    """Resize to rows x columns by means over area, from running sums at the new edges."""
    for size in (columns, rows):
        grey = grey.T
        old = len(grey)
        if size == old:
            continue
        edges = np.linspace(0, old, size + 1)
        whole = np.minimum(edges.astype(int), old - 1)
        sums = np.vstack([np.zeros(grey.shape[1]), grey.cumsum(axis=0)])
        at_edges = sums[whole] + (edges - whole)[:, None] * grey[whole]
        grey = np.diff(at_edges, axis=0) * (size / old)
    return grey
