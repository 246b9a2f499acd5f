"""Near copies: images that are the same but for size or compression."""

import numpy as np
import numpy.typing as npt

from sepvae.batch import AnyArray, IntArray

MAX_COMPARED = 100_000  # images beyond this are not compared: the time grows with the square
MAX_DISTANCE = 0.01  # one minus the correlation of two thumbnails
# Pairs must also lie this much closer than images of these data ordinarily do: chest X-rays look more alike
# than faces. Ordinary is the median distance to the tenth nearest, so that nine copies would not move it.
SHARE_OF_ORDINARY = 0.05
NEIGHBOUR = 10
N_REFERENCES = 500
BLOCK = 512

FloatArray = npt.NDArray[np.float32]


def near_pairs(looks: AnyArray) -> IntArray:
    """
    Find pairs of thumbnails that are nearly the same.

    Near is a correlation above 0.99 whose distance from 1 is less than a twentieth of what is ordinary among
    these images. Brightness and contrast do not matter, a mirrored or a shifted image is another one.

    Shapes: looks (n, pixels); returns (pairs, 2).

    Examples
    --------
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
    # Two unit vectors of that correlation are at most this far apart, so along any one direction too:
    # sorted along the direction in which they differ most, each needs a look at its neighbours only.
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


def _ordinary_distance(unit: FloatArray) -> float:
    """Median distance of an image to its tenth nearest, over some of them."""
    some = np.random.default_rng(0).permutation(len(unit))[:N_REFERENCES]
    nearest = min(NEIGHBOUR, len(unit) - 1)
    # The nearest of all is the image itself.
    distances = [np.partition(1 - unit @ unit[i], nearest)[nearest] for i in some]
    return float(np.median(distances))
