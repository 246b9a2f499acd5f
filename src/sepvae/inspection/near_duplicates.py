"""Near duplicates: images that are equal except for size or compression."""

import numpy as np
import numpy.typing as npt

from sepvae.batch import AnyArray, IntArray

MAX_COMPARED = 100_000  # further images are not compared: the time grows with the square of the number
MAX_DISTANCE = 0.01  # 1 minus the correlation of two thumbnails
# The distance of a pair must also be below this share of the ordinary distance in the data: chest X-rays
# are more alike than faces. Ordinary is the median distance to the tenth nearest; nine copies leave it as is.
SHARE_OF_ORDINARY = 0.05
NEIGHBOUR = 10
N_REFERENCES = 500
BLOCK = 512


def near_pairs(looks: AnyArray) -> IntArray:
    """
    Find pairs of nearly equal thumbnails of shape (n, pixels); return their rows, of shape (pairs, 2).

    Near pairs have a correlation above 0.99, and its distance from 1 is less than a twentieth of the ordinary
    distance in these images. Brightness and contrast do not matter; a mirrored or shifted image is another
    image. Constant thumbnails are in no pair.

    >>> looks = np.random.default_rng(0).integers(0, 255, size=(20, 256), dtype=np.uint8)
    >>> looks[7] = looks[3] // 2
    >>> near_pairs(looks).tolist()
    [[3, 7]]
    """
    pixels = looks.astype(np.float32)
    pixels -= pixels.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(pixels, axis=1)
    rows = np.flatnonzero(norm > 0)
    if len(rows) < 2:
        return np.empty((0, 2), dtype=np.intp)
    unit = pixels[rows] / norm[rows, None]
    limit = min(MAX_DISTANCE, SHARE_OF_ORDINARY * _ordinary_distance(unit))
    # Two unit vectors of that correlation are at most this far apart, also along any single direction. Sorted
    # along the direction of largest variance, each vector is compared with its neighbours only.
    reach = np.sqrt(2 * limit)
    centred = unit - unit.mean(axis=0)
    position = unit @ np.linalg.eigh(centred.T @ centred)[1][:, -1]
    order = np.argsort(position, kind="stable")
    unit, position = unit[order], position[order]
    pairs = []
    for start in range(0, len(unit), BLOCK):
        block = unit[start : start + BLOCK]
        stop = np.searchsorted(position, position[start + len(block) - 1] + reach, side="right")
        i, j = np.nonzero(block @ unit[start:stop].T > 1 - limit)
        pairs.append(start + np.stack([i, j], axis=1)[j > i])
    found = np.sort(rows[order[np.concatenate(pairs)]], axis=1)
    return np.asarray(found[np.lexsort((found[:, 1], found[:, 0]))])


def _ordinary_distance(unit: npt.NDArray[np.float32]) -> float:
    """Return the median distance of an image to its tenth nearest, over a random subset."""
    some = np.random.default_rng(0).permutation(len(unit))[:N_REFERENCES]
    nearest = min(NEIGHBOUR, len(unit) - 1)
    # The smallest distance is that to the image itself.
    distances = [np.partition(1 - unit @ unit[i], nearest)[nearest] for i in some]
    return float(np.median(distances))
