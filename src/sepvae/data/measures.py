"""What an image tells before anyone looks at it: size, light, sharpness, and what tells copies apart."""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import Source, chunks

LOOK_SIDE = 16  # pixels a side of the thumbnail by which near copies are found
COMMON_SIDE = (
    128  # sharpness and anisotropy are those of the image shrunk to 128..255 pixels on its long side
)
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # Pillow's names for images that come as arrays

Grey = npt.NDArray[np.float64]


def measure(pixels: npt.NDArray[np.float32], mode: str, content: bytes) -> dict[str, Any]:
    """
    Measure one image.

    Sharpness and anisotropy are taken from the mean of the channels, averaged by area to 128 pixels on the
    long side (a smaller image stays as it is): images of one scene in several sizes get like values.

    Parameters
    ----------
    pixels : ndarray of float32, of shape (channels, h, w)
        The image at its own size, in 0..255.
    mode : str
        Pillow's name for what the file holds, such as "L" or "RGB".
    content : bytes
        Of the file.

    Returns
    -------
    dict
        Width, height (pixels); mode; low, high (least and greatest value, 0..255); brightness, contrast (mean
        and standard deviation, as shares of 255); sharpness (log of the variance of the Laplacian over the
        variance of the image); anisotropy (log of the mean squared step rightwards over that downwards: 0 for
        like detail along both axes; squashing an image along one axis raises the steps along it);
        digest (SHA-256 of `content`, hexadecimal); look (16 x 16 bytes: the grey image averaged by area, its
        range stretched to 0..255).

        An image of one value has neither sharpness nor anisotropy (NaN), one of less than 3 pixels a side
        no sharpness; values that are not finite leave only size, mode and digest.

    Examples
    --------
    >>> stripes = np.tile(np.float32([0, 255]), (1, 32, 16))
    >>> found = measure(stripes, "L", b"")
    >>> found["width"], found["height"], found["brightness"], found["contrast"]
    (32, 32, 0.5, 0.5)
    >>> found["anisotropy"] > 10
    True
    """
    height, width = pixels.shape[1:]
    digest = hashlib.sha256(content).hexdigest()
    found = {"width": width, "height": height, "mode": mode, **_NOTHING, "digest": digest}
    if not pixels.size or not np.isfinite(pixels).all():
        return found
    low, high = float(pixels.min()), float(pixels.max())
    found |= {"low": low, "high": high}
    found |= {"brightness": float(pixels.mean()) / 255, "contrast": float(pixels.std()) / 255}
    grey = _shrunk(pixels.mean(axis=0))
    if low < high:
        found |= {"sharpness": _sharpness(grey), "anisotropy": _anisotropy(grey)}
    return found | {"look": _look(grey)}


_NOTHING = dict.fromkeys(
    ("low", "high", "brightness", "contrast", "sharpness", "anisotropy"), float("nan")
) | {"look": None}


def measure_source(source: Source, chunk: int = 256) -> pd.DataFrame:
    """
    Measure all samples of a source.

    Parameters
    ----------
    source : Source
        Images as uint8 or as floats in [0, 1], (n, channels, h, w), or samples of any other shape.
    chunk : int, default=256
        Samples that are read at once.

    Returns
    -------
    DataFrame
        One row per sample, in order: columns as `measure` names them, the digest being that of the row's
        bytes. Samples that are no images have the digest only.
    """
    rows = []
    for part in chunks(len(source), chunk):
        for sample in np.ascontiguousarray(source.take(part).x):
            content = sample.tobytes()
            if sample.ndim == 3:
                scale = np.float32(1 if sample.dtype == np.uint8 else 255)
                mode = MODES.get(len(sample), f"{len(sample)} channels")
                rows.append(measure(sample.astype(np.float32) * scale, mode, content))
            else:
                rows.append({"digest": hashlib.sha256(content).hexdigest()})
    return pd.DataFrame(rows)


def _shrunk(grey: npt.NDArray[np.float32]) -> Grey:
    """An image with at most 128 pixels on the long side."""
    # Whole blocks first, which is quick, down to 256 or more.
    step = max(1, min(max(grey.shape) // (2 * COMMON_SIDE), *grey.shape))
    height, width = (n // step for n in grey.shape)
    blocks = grey[: height * step, : width * step].reshape(height, step, width, step)
    scale = min(1, COMMON_SIDE / max(height, width))
    rows, columns = (max(1, round(n * scale)) for n in (height, width))
    return _averaged(blocks.mean(axis=(1, 3), dtype=np.float64), rows, columns)


def _sharpness(grey: Grey) -> float:
    if min(grey.shape) < 3 or not grey.var():
        return float("nan")
    around = grey[1:-1, :-2] + grey[1:-1, 2:] + grey[:-2, 1:-1] + grey[2:, 1:-1]
    # The small number keeps a plain slope, which has no Laplacian, finite.
    return float(np.log((around - 4 * grey[1:-1, 1:-1]).var() / grey.var() + 1e-6))


def _anisotropy(grey: Grey) -> float:
    if min(grey.shape) < 2 or not grey.var():
        return float("nan")
    right, down = (np.square(np.diff(grey, axis=axis)).mean() for axis in (1, 0))
    least = 1e-6 * grey.var()  # keeps stripes finite
    return float(np.log((right + least) / (down + least)))


def _look(grey: Grey) -> bytes:
    small = _averaged(grey, LOOK_SIDE, LOOK_SIDE)
    low, high = small.min(), small.max()
    scale = 255 / (high - low) if high > low else 0
    return bytes(np.rint((small - low) * scale).astype(np.uint8).tobytes())


def _averaged(grey: Grey, rows: int, columns: int) -> Grey:
    """Another number of rows and columns: means by area, from running sums at the edges of the new ones."""
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
