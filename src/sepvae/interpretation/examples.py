"""Test samples for the report of a run: reconstructions, traversals, swaps and thumbnails."""

from typing import Any

import numpy as np
import numpy.typing as npt

from sepvae.batch import AnyArray, Batch, IntArray, Source, chunk_rows, chunks, in_proportion, in_unit_range
from sepvae.codes import Blocks, principal_components
from sepvae.data.arrays import ArraySource
from sepvae.data.images import resized
from sepvae.interpretation.maps import axial, grey_levels, members, spread
from sepvae.methods.base import ContrastiveEstimator

N_TRAVERSED = 4
N_COMPONENTS = 3
STEPS = np.linspace(-3, 3, 7)  # standard deviations
N_SWAPS = 6
VOLUMES = 6  # examples per label at most: volumes are large
CHUNK = 512


def make_examples(
    model: ContrastiveEstimator, salient: npt.NDArray[Any], test: Source, *, per_label: int = 24
) -> dict[str, AnyArray]:
    """
    Return the arrays of `examples.npz`: test samples of each label, evenly spread, and reconstructions if the
    method has a decoder.

    Images also have traversals, of shape (targets, components, steps, channels, h, w), along the principal
    components of `salient`, the salient means of training targets, or the first component of each block.
    Swaps, of shape (pairs, 4, channels, h, w), hold a background sample a, a target b, a with the salient
    part of b, and b with that of a.
    """
    background, target = members(model, test)
    volumes = len(test.sample_shape) == 4
    most = min(per_label, VOLUMES) if volumes else per_label
    chosen = np.concatenate([spread(positions, most) for positions in (background, target)])
    batch = test.take(chosen)
    examples = {
        "inputs": _input(batch.x),
        "labels": np.asarray(batch.y).astype(str),
        "ids": np.asarray(batch.id).astype(str),
    }
    if model.capabilities.decoder:
        source = _as_source(batch, test)
        examples |= {"full": model.reconstruct(source), "common_only": model.reconstruct(source, "none")}
        if len(test.sample_shape) == 3 and len(background) and len(target):
            examples |= _traversals(model, salient, test, spread(target, N_TRAVERSED))
            examples |= _swaps(model, test, spread(background, N_SWAPS), spread(target, N_SWAPS))
    if volumes:
        examples |= {name: x.astype(np.float16) for name, x in examples.items() if x.ndim == 5}
    return examples


def make_thumbnails(
    test: Source, *, limit: int = 1000, side: int = 48, random_state: int = 0
) -> dict[str, AnyArray] | None:
    """Return ids and uint8 images, of volumes a slice, for `thumbnails.npz`; None for tables."""
    if len(test.sample_shape) < 3:
        return None
    shuffled = np.random.default_rng(random_state).permutation(len(test))
    chosen = np.sort(shuffled[in_proportion(np.asarray(test.labels)[shuffled].astype(str))[:limit]])
    parts = [chosen[part] for part in chunks(len(chosen), chunk_rows(test.sample_shape, CHUNK))]
    images = [_thumbnail(image, side) for part in parts for image in _pictures(test, part)]
    return {"ids": np.asarray(test.ids)[chosen].astype(str), "images": np.stack(images)}


def _input(x: AnyArray) -> AnyArray:
    """Return images as float32 in [0, 1], other samples unchanged."""
    return in_unit_range(x).astype(np.float32) if x.ndim == 4 else x


def _traversals(
    model: ContrastiveEstimator, salient: npt.NDArray[Any], test: Source, positions: IntArray
) -> dict[str, AnyArray]:
    """Decode test targets with salient codes along the principal components of `salient`."""
    blocks = model.salient_blocks_
    components, deviations, shares = (
        _principal_of(blocks, salient) if blocks else _principal(salient, N_COMPONENTS)
    )
    codes = salient.mean(axis=0) + STEPS[:, None] * (deviations[:, None] * components)[:, None]
    batch = test.take(positions)
    common = model.encode(batch.x).common_mean
    grid = len(common), *codes.shape[:2]
    moved = np.broadcast_to(codes, (len(common), *codes.shape)).reshape(-1, codes.shape[-1])
    each = np.arange(len(common)).repeat(grid[1] * grid[2])
    covariates = None if batch.covariates is None else batch.covariates.iloc[each]
    decoded = model.decode(common[each], moved.astype(common.dtype), covariates=covariates)
    names = {"traversal_names": np.array([f"Component 1 of {name}" for name in blocks])} if blocks else {}
    return names | {
        "traversals": decoded.reshape(*grid, *decoded.shape[1:]),
        "traversal_ids": np.asarray(batch.id).astype(str),
        "traversal_steps": STEPS,
        "traversal_shares": shares,
    }


def _principal_of(blocks: Blocks, codes: npt.NDArray[Any]) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Return the first principal component of each block, 0 elsewhere, as `_principal` does."""
    components, deviations = np.zeros((len(blocks), codes.shape[1])), np.zeros(len(blocks))
    for k, part in enumerate(blocks.values()):
        components[k, part], deviations[k], _ = (found[0] for found in _principal(codes[:, part], 1))
    return components, deviations, deviations**2 / (codes.var(axis=0, ddof=1).sum() or 1.0)


def _principal(codes: npt.NDArray[Any], n: int) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Return the first n principal components as rows, their standard deviations and shares of variance."""
    components, singular = principal_components(codes.astype(float))
    variances = singular**2 / max(len(codes) - 1, 1)
    return components[:n], np.sqrt(variances)[:n], (variances / (variances.sum() or 1.0))[:n]


def _swaps(
    model: ContrastiveEstimator, test: Source, background: IntArray, target: IntArray
) -> dict[str, AnyArray]:
    """Swap the salient parts of a background sample and a target, pair by pair."""
    n = min(len(background), len(target))
    a, b = test.take(background[:n]), test.take(target[:n])
    of_a, of_b = (_as_source(part, test) for part in (a, b))
    images = [_input(a.x), _input(b.x), model.swap(of_a, of_b), model.swap(of_b, of_a)]
    return {"swaps": np.stack(images, axis=1), "swap_ids": np.stack([a.id, b.id], axis=1).astype(str)}


def _as_source(batch: Batch, test: Source) -> ArraySource:
    return ArraySource(batch.x, batch.y, attributes=batch.covariates, feature_names=test.feature_names)


def _pictures(source: Source, positions: IntArray) -> AnyArray:
    """Return images in [0, 1]; volumes as their middle axial slice."""
    x = source.take(positions).x
    if x.ndim == 4:
        return in_unit_range(x)
    level = x.shape[-1] // 2
    valid_mask = np.ones(x.shape[2:], dtype=bool) if source.grid is None else source.grid.valid_mask
    return grey_levels(axial(x, level), axial(valid_mask, level))


def _thumbnail(image: AnyArray, side: int) -> npt.NDArray[np.uint8]:
    """Shrink an image in [0, 1] to 8 bits and at most `side` pixels a side, with 3 channels or the first."""
    channels = 3 if len(image) == 3 else 1
    pixels = 255 * image[:channels].astype(np.float32)
    scale = min(1.0, side / max(image.shape[1:]))
    height, width = (max(1, round(scale * n)) for n in image.shape[1:])
    return np.rint(resized(pixels, (height, width), "squash")).clip(0, 255).astype(np.uint8)
