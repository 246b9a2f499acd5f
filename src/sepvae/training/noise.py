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

    Parameters
    ----------
    critic, model : tuple of two Tensor, of shapes (batch, common_dim) and (batch, salient_dim)
        Standard normal: what each of the two updates draws its codes with.
    partners : Tensor of shape (batch,)
        For each common code the row of another image, whose salient code makes up a pair of q(c)q(s); counted
        among the samples of all processes.
    processes, rank : int, default=1, 0
        How many share the batch, and which of them this is.
    """

    critic: tuple[Tensor, Tensor]
    partners: Tensor
    model: tuple[Tensor, Tensor]
    processes: int = 1
    rank: int = 0

    @property
    def own(self) -> slice:
        """
        Where this process's rows are in the whole batch.

        Returns
        -------
        slice
            Every row, where it is alone.
        """
        return slice(self.rank, None, self.processes)


def draw_noise(codes: Codes[Tensor], generator: torch.Generator, rank: int = 0, world_size: int = 1) -> Noise:
    """
    Draw for the whole batch, and keep this process's rows: the same numbers, however many processes share it.

    Parameters
    ----------
    codes : Codes of Tensor
        Posterior of this process's samples, for their number and dimensions.
    generator : torch.Generator
        In the same state in every process.
    rank, world_size : int
        Which share of the batch this process has.

    Returns
    -------
    Noise
        One row per sample of this process.
    """
    rows, own = len(codes.common_mean) * world_size, slice(rank, None, world_size)
    c, s = (partial(_normal, mean, rows, own, generator) for mean in (codes.common_mean, codes.salient_mean))
    critic, partners, model = (c(), s()), derangement(rows, generator)[own], (c(), s())
    return Noise(critic, partners, model, world_size, rank)


def _normal(like: Tensor, rows: int, own: slice, generator: torch.Generator) -> Tensor:
    """Standard normal numbers of the width and type of `like`."""
    shape = rows, like.shape[1]
    return torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)[own]
