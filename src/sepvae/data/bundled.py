"""Data for first runs, demos and tests without a download, built from data sets of scikit-learn."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images
from sklearn.model_selection import train_test_split

from sepvae.batch import IntArray
from sepvae.data.arrays import ArraySource

FloatImages = npt.NDArray[np.float32]

DIGITS = "digits-on-photos"  # their name as `reader` of a recipe
N_TEST = 360
PATCH = 32
ENLARGED = 24  # side of a resized digit in pixels; the original has 8
SHIFT = 2  # largest shift of a digit off the centre, in pixels along each axis
# Photos are divided into tiles, and a patch lies within one tile. Every fifth tile, in a knight's-move
# pattern, is for the test: test regions are disjoint from training regions and spread like them.
TILE = 40


def load_digits_on_photos(random_state: int = 0) -> tuple[ArraySource, ArraySource]:
    """
    Create images of digits on photo patches: the digit is the salient part, the patch the common part.

    A background image is a photo patch times 0.5; a target image adds a handwritten digit times 0.5. The
    digits are scikit-learn's (8x8, resized to 24x24, shifted by up to 2 pixels), the photos its "china" and
    "flower" in grey. Every digit is used once. Test digits and test regions of the photos are disjoint from
    those for training.

    Parameters
    ----------
    random_state : int, default=0
        Seed of the choice of test digits, the patches and the shifts.

    Returns
    -------
    train : ArraySource
        1437 images of each label, "background" and "target"; `x` is float32 in [0, 1], (n, 1, 32, 32).
    test : ArraySource
        360 images of each label. The attributes of both sources are `digit` ("0" to "9", missing for
        background), `photo` ("china" or "flower"), `position_row` and `position_col` (the patch's corner in
        the photo, in pixels) and `brightness` (mean of the photo patch, in [0, 1]).

    Examples
    --------
    >>> train, test = load_digits_on_photos()
    >>> len(train), len(test), train.sample_shape
    (2874, 720, (1, 32, 32))
    """
    rng = np.random.default_rng(random_state)
    digits = load_digits()
    names, side = digits.target.astype(str), (ENLARGED, ENLARGED)
    small = [Image.fromarray((digit / 16).astype(np.float32)) for digit in digits.images]
    large = np.stack([np.asarray(image.resize(side, Image.Resampling.BICUBIC)) for image in small])
    large = large.clip(0, 1)  # bicubic resampling overshoots
    pictures = zip(("china", "flower"), load_sample_images().images, strict=True)
    grey = {name: np.asarray(Image.fromarray(image).convert("L")) for name, image in pictures}
    photos = {name: image.astype(np.float32) / np.float32(255) for name, image in grey.items()}
    how = {"test_size": N_TEST, "stratify": digits.target, "random_state": random_state}
    train, test = map(np.sort, train_test_split(np.arange(len(names)), **how))
    first = _compose("train", large[train], names[train], train, photos, rng)
    return first, _compose("test", large[test], names[test], test, photos, rng)


def _compose(
    part: str,
    digits: FloatImages,
    names: npt.NDArray[np.str_],
    rows: IntArray,
    photos: dict[str, FloatImages],
    rng: np.random.Generator,
) -> ArraySource:
    """Return the source of one part (train or test): n backgrounds, then n targets with a digit each."""
    n, free = len(digits), PATCH - ENLARGED
    height, width = photos["china"].shape
    tiles = np.array([(i, j) for i in range(height // TILE) for j in range(width // TILE)])
    for_test = (tiles[:, 0] + 2 * tiles[:, 1]) % 5 == 0
    photo = rng.choice(list(photos), 2 * n)
    corner = TILE * rng.choice(tiles[for_test == (part == "test")], 2 * n)
    corner += rng.integers(TILE - PATCH + 1, size=corner.shape)
    cut = [photos[p][r : r + PATCH, c : c + PATCH] for p, (r, c) in zip(photo, corner, strict=True)]
    patches = np.stack(cut)
    row, column = corner.T.astype(float)
    attributes = {"digit": [None] * n + names.tolist(), "photo": photo.tolist()}
    attributes |= {"position_row": row, "position_col": column}
    attributes["brightness"] = patches.mean(axis=(1, 2)).astype(float)  # of the patch without a digit
    x = patches / 2
    for patch, digit in zip(x[n:], digits, strict=True):
        top, left = free // 2 + rng.integers(-SHIFT, SHIFT + 1, size=2)
        patch[top : top + ENLARGED, left : left + ENLARGED] += digit / 2
    return ArraySource(
        x[:, None],
        np.repeat(["background", "target"], n),
        ids=[f"{part}-background-{i:04d}" for i in range(n)] + [f"{part}-target-{row:04d}" for row in rows],
        attributes=pd.DataFrame(attributes),
    )
