"""What a reader of a run wants to see of the test samples: reconstructions, traversals, swaps, thumbnails."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from sepvae.batch import AnyArray, IntArray, Source, chunks, in_unit_range
from sepvae.data.pixels import resized
from sepvae.methods._estimator import ContrastiveEstimator

N_TRAVERSED = 4
N_COMPONENTS = 3
STEPS = np.linspace(-3, 3, 7)  # standard deviations
N_SWAPS = 6
CHUNK = 512


def make_examples(
    model: ContrastiveEstimator, salient: npt.NDArray[Any], test: Source, *, per_label: int = 24
) -> dict[str, AnyArray]:
    """
    Take some test samples of each label, spread over the test part, and decode them in all ways.

    Parameters
    ----------
    model : ContrastiveEstimator
        Fitted.
    salient : ndarray of shape (n, salient_dim)
        Salient means of the targets that it was fitted on: they give directions and steps of traversals.
    test : Source
        Where samples are taken from.
    per_label : int, default=24
        Samples of each label with their reconstructions.

    Returns
    -------
    dict of str to ndarray
        What `examples.npz` holds: ids, labels, inputs, full and common_only, of shape (n, ...). For images
        also traversals of shape (targets, components, steps, channels, h, w), decoded from the target's
        common code and a salient code that moves along a principal component of the salient means of training
        targets, with traversal_ids, traversal_steps in standard deviations and traversal_shares of the
        variance; and swaps of shape (pairs, 4, channels, h, w), each a background sample a, a target b, a
        with the salient part of b, b with that of a, with swap_ids of shape (pairs, 2).
    """
    background, target = _members(model, test)
    chosen = np.concatenate([_spread(members, per_label) for members in (background, target)])
    batch = test.take(chosen)
    examples = {
        "inputs": _input(batch.x),
        "labels": np.asarray(batch.y).astype(str),
        "ids": np.asarray(batch.id).astype(str),
        "full": model.reconstruct(batch.x, "own"),
        "common_only": model.reconstruct(batch.x, "none"),
    }
    if len(test.sample_shape) == 3 and len(background) and len(target):
        examples |= _traversals(model, salient, test, _spread(target, N_TRAVERSED))
        examples |= _swaps(model, test, _spread(background, N_SWAPS), _spread(target, N_SWAPS))
    return examples


def make_thumbnails(
    test: Source, *, limit: int = 1000, side: int = 48, random_state: int = 0
) -> dict[str, AnyArray] | None:
    """
    Shrink test images to what a page can show at a glance.

    Parameters
    ----------
    test : Source
        The samples.
    limit : int, default=1000
        Make at most so many, drawn at random in the labels' proportions.
    side : int, default=48
        No thumbnail is higher or wider. Images are averaged by area to fit, never enlarged.
    random_state : int, default=0
        Seed of the draw.

    Returns
    -------
    dict of str to ndarray or None
        What `thumbnails.npz` holds: ids of shape (n,), images of shape (n, 1 or 3, h, w) as uint8; None for
        tables.
    """
    if len(test.sample_shape) != 3:
        return None
    chosen = _in_proportion(np.asarray(test.labels), limit, random_state)
    parts = [chosen[part] for part in chunks(len(chosen), CHUNK)]
    images = [_thumbnail(image, side) for part in parts for image in in_unit_range(test.take(part).x)]
    return {"ids": np.asarray(test.ids)[chosen].astype(str), "images": np.stack(images)}


def _members(model: ContrastiveEstimator, source: Source) -> tuple[IntArray, IntArray]:
    """Positions of background samples and of targets."""
    labels = np.asarray(source.labels)
    background = labels == model.background_
    target = np.isin(labels, model.classes_) & ~background
    return np.flatnonzero(background), np.flatnonzero(target)


def _spread(members: IntArray, n: int) -> IntArray:
    """At most `n` of them, evenly over their order."""
    if not len(members):
        return members
    chosen: IntArray = members[np.unique(np.linspace(0, len(members) - 1, n).astype(int))]
    return chosen


def _input(x: AnyArray) -> AnyArray:
    """Images as float32 in [0, 1]; tables as they are."""
    return in_unit_range(x).astype(np.float32) if x.ndim == 4 else x


def _traversals(
    model: ContrastiveEstimator, salient: npt.NDArray[Any], test: Source, positions: IntArray
) -> dict[str, AnyArray]:
    """Decode test targets with salient codes along the principal components of those given."""
    components, deviations, shares = _principal(salient, N_COMPONENTS)
    codes = salient.mean(axis=0) + STEPS[:, None] * (deviations[:, None] * components)[:, None]
    batch = test.take(positions)
    common = model.encode(batch.x).common_mean
    grid = len(common), *codes.shape[:2]
    moved = np.broadcast_to(codes, (len(common), *codes.shape)).reshape(-1, codes.shape[-1])
    decoded = model._decode(common.repeat(grid[1] * grid[2], axis=0), moved.astype(common.dtype))
    return {
        "traversals": decoded.reshape(*grid, *decoded.shape[1:]),
        "traversal_ids": np.asarray(batch.id).astype(str),
        "traversal_steps": STEPS,
        "traversal_shares": shares,
    }


def _principal(codes: npt.NDArray[Any], n: int) -> tuple[AnyArray, AnyArray, AnyArray]:
    """The first principal components (rows), the standard deviation along each, its share of the variance."""
    codes = codes.astype(float)
    _, singular, components = np.linalg.svd(codes - codes.mean(axis=0), full_matrices=False)
    # Either sign is right; that of the largest entry is made the same everywhere.
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    variances = singular**2 / max(len(codes) - 1, 1)
    shares = variances / (variances.sum() or 1.0)
    return (components * np.where(largest < 0, -1, 1))[:n], np.sqrt(variances)[:n], shares[:n]


def _swaps(
    model: ContrastiveEstimator, test: Source, background: IntArray, target: IntArray
) -> dict[str, AnyArray]:
    """Exchange the salient parts of a background sample and a target, pair by pair."""
    n = min(len(background), len(target))
    a, b = test.take(background[:n]), test.take(target[:n])
    images = [_input(a.x), _input(b.x), model.swap(a.x, b.x), model.swap(b.x, a.x)]
    return {
        "swaps": np.stack(images, axis=1),
        "swap_ids": np.stack([a.id, b.id], axis=1).astype(str),
    }


def _in_proportion(labels: AnyArray, limit: int, random_state: int) -> IntArray:
    """At most `limit` positions, in order: of each label its share, to one sample."""
    shuffled = np.random.default_rng(random_state).permutation(len(labels))
    label = pd.Series(labels[shuffled].astype(str))
    by_label = label.groupby(label)
    place = (by_label.cumcount() + 0.5) / by_label.transform("size")
    return np.sort(shuffled[np.argsort(place.to_numpy(), kind="stable")[:limit]])


def _thumbnail(image: AnyArray, side: int) -> npt.NDArray[np.uint8]:
    """An image in [0, 1] as 8 bits, no larger than asked for; of other than three channels the first."""
    channels = 3 if len(image) == 3 else 1
    pixels = 255 * image[:channels].astype(np.float32)
    scale = min(1.0, side / max(image.shape[1:]))
    height, width = (max(1, round(scale * n)) for n in image.shape[1:])
    return np.rint(resized(pixels, (height, width), "squash")).clip(0, 255).astype(np.uint8)
