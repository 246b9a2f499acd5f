"""Random numbers of a step, drawn in advance: the rest is a function of them, on one process or many."""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from sepvae.codes import Codes
from sepvae.losses.classifiers import derangement


class Noise(NamedTuple):
    """
    Random numbers of one training step: standard normal noise of c and s for each update, and partners.

    For each common code, `partners` has the row of another image whose salient code completes a pair of
    q(c)q(s). Rows are counted in the whole batch, over all processes.
    """

    critic: tuple[Tensor, Tensor]
    partners: Tensor
    model: tuple[Tensor, Tensor]
    world_size: int = 1
    rank: int = 0

    @property
    def own(self) -> slice:
        """Rows of this process in the whole batch."""
        return slice(self.rank, None, self.world_size)


def draw_noise(codes: Codes[Tensor], generator: torch.Generator, rank: int = 0, world_size: int = 1) -> Noise:
    """
    Draw noise for the whole batch and keep this process's rows, so that it does not depend on `world_size`.

    The generator must be in the same state in every process.
    """
    rows, own = len(codes.common_mean) * world_size, slice(rank, None, world_size)
    c, s = (partial(_normal, mean, rows, own, generator) for mean in (codes.common_mean, codes.salient_mean))
    critic, partners, model = (c(), s()), derangement(rows, generator)[own], (c(), s())
    return Noise(critic, partners, model, world_size, rank)


def _normal(like: Tensor, rows: int, own: slice, generator: torch.Generator) -> Tensor:
    """Return the `own` rows of standard normal numbers with the width, type and device of `like`."""
    shape = rows, like.shape[1]
    return torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)[own]
