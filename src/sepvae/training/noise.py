"""The randomness of a step, drawn beforehand: what follows is a function of it, on one process or on many."""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from sepvae.codes import Codes
from sepvae.losses.density_ratio import derangement


class Noise(NamedTuple):  # numpydoc ignore=PR02
    """
    What a step needs of chance.

    Shapes: partners (batch,).
    """

    critic: tuple[Tensor, Tensor]
    partners: Tensor
    model: tuple[Tensor, Tensor]
    processes: int = 1
    rank: int = 0

    @property
    def own(self) -> slice:
        """Where this process's rows are in the whole batch."""
        return slice(self.rank, None, self.processes)


def draw_noise(codes: Codes[Tensor], generator: torch.Generator, rank: int = 0, world_size: int = 1) -> Noise:
    """
    Draw for the whole batch, and keep this process's rows: the same numbers, however many processes share it.
    """
    rows, own = len(codes.common_mean) * world_size, slice(rank, None, world_size)
    c, s = (partial(_normal, mean, rows, own, generator) for mean in (codes.common_mean, codes.salient_mean))
    critic, partners, model = (c(), s()), derangement(rows, generator)[own], (c(), s())
    return Noise(critic, partners, model, world_size, rank)


def _normal(like: Tensor, rows: int, own: slice, generator: torch.Generator) -> Tensor:
    """Standard normal numbers of the width and type of `like`."""
    shape = rows, like.shape[1]
    return torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)[own]
