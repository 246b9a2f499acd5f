"""`Augment`: the user's random transform of training samples, from a seed, an epoch and a step."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pkgutil import resolve_name
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sepvae.batch import IntArray, Source
from sepvae.errors import DataError

Step = tuple[int, int]  # epoch, and step in it


class Augment:
    """
    Transform of samples, one by one, whose random numbers depend on seed, epoch, step and sample alone.

    The transform may have an own generator that `set_random_state` seeds, as those of MONAI have, or draw
    from the generators of torch, NumPy or Python, as those of torchio do. They are left as found.
    """

    def __init__(self, transform: Any, random_state: int, valid_mask: Tensor | None) -> None:
        self.transform = deepcopy(_find(transform))  # its generator belongs to one fit
        self.random_state = random_state
        self.valid_mask = None if valid_mask is None else valid_mask[0]  # (1, d, h, w)

    def __call__(self, x: Tensor, step: Step, positions: IntArray) -> Tensor:
        """Return the transformed samples of a batch, whose positions in the source are given."""
        if x.dtype == torch.uint8:
            x = x.float() / 255
        entropy = self.random_state, *step
        seeds = (np.random.SeedSequence([*entropy, int(i)]).generate_state(1)[0] for i in positions)
        return torch.stack([self._transformed(one, int(seed)) for one, seed in zip(x, seeds, strict=True)])

    def _transformed(self, x: Tensor, seed: int) -> Tensor:
        if hasattr(self.transform, "set_random_state"):
            self.transform.set_random_state(seed)
        try:
            with _seeded(seed):
                new = self.transform(x.clone())
        except Exception as error:  # the user's code may raise anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"augment: raised for a sample of shape {tuple(x.shape)}: {reason}") from error
        if isinstance(new, np.ndarray):
            new = torch.from_numpy(np.ascontiguousarray(new))
        if not isinstance(new, Tensor) or new.shape != x.shape:
            got = f"one of shape {tuple(new.shape)}" if isinstance(new, Tensor) else type(new).__name__
            raise DataError(f"augment: wanted a sample of shape {tuple(x.shape)}, got {got}")
        new = new.as_subclass(Tensor).to(x)
        if not new.isfinite().all():
            raise DataError("augment: wanted finite values, got NaN or infinite ones")
        return new if self.valid_mask is None else torch.where(self.valid_mask, new, 0)


def tried(
    transform: Any, random_state: int, valid_mask: Tensor | None, source: Source, positions: IntArray
) -> Augment | None:
    """Return the transform of a fit, if any, after a try, so that a wrong one is found before the fit."""
    if transform is None:
        return None
    augment = Augment(transform, random_state, valid_mask)
    augment(torch.from_numpy(source.take(positions).x), (0, 0), positions)
    return augment


def check_augment(augment: Any) -> None:
    """Raise DataError unless this is None, a callable or the name of one."""
    if not (augment is None or callable(augment) or isinstance(augment, str)):
        raise DataError(f"augment: wanted a callable on one sample, or 'module:name', got {augment!r}")


def _find(transform: Any) -> Callable[[Tensor], Any]:
    """Return the transform; a name such as "my_transforms:augment" is imported."""
    found = transform
    if isinstance(transform, str):
        try:
            found = resolve_name(transform)
        except Exception as error:  # the user's module may raise anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(
                f"augment: wanted module:name of a transform on Python's path, got {transform!r}: {reason}"
            ) from error
    if not callable(found):
        raise DataError(f"augment: wanted a callable, but {transform} is a {type(found).__name__}")
    return found  # type: ignore[no-any-return]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the generators of torch (on the CPU), NumPy and Python, and restore them at the end."""
    own = torch.default_generator
    states = own.get_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    own.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    try:
        yield
    finally:
        own.set_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])
