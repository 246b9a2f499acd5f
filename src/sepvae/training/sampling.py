"""Random numbers and pairs of samples of one training step."""

from typing import NamedTuple

import torch
from torch import Tensor

from sepvae.codes import Codes

# Every third target and every second background sample is decoded and encoded again: batches come shuffled.
EVERY_TARGET, EVERY_BACKGROUND = 3, 2


class Noise(NamedTuple):
    """Random numbers of one training step; rows are counted in the whole batch, over all processes."""

    critic: tuple[Tensor, Tensor]  # standard normal noise of c and s in the critic's update
    partners: Tensor  # another image for each common code: its salient code completes a pair of q(c)q(s)
    model: tuple[Tensor, Tensor]  # noise of c and s in the model's update
    world_size: int = 1
    rank: int = 0
    seed: int = 0  # of further random numbers, the same in all processes

    @property
    def own(self) -> slice:
        """Rows of this process in the whole batch."""
        return slice(self.rank, None, self.world_size)

    def normal_like(self, x: Tensor) -> Tensor:
        """Draw further standard normal numbers with torch's generator, which each step seeds."""
        shape = len(x) * self.world_size, *x.shape[1:]
        return torch.randn(shape, device=x.device, dtype=x.dtype)[self.own]


def draw_noise(codes: Codes[Tensor], generator: torch.Generator, rank: int = 0, world_size: int = 1) -> Noise:
    """Draw noise for the whole batch, with the generator in one state in all processes, and keep own rows."""
    rows, own = len(codes.common_mean) * world_size, slice(rank, None, world_size)

    def normal(like: Tensor) -> Tensor:
        shape = rows, like.shape[1]
        return torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)[own]

    critic = normal(codes.common_mean), normal(codes.salient_mean)
    partners = derangement(rows, generator)[own]
    model = normal(codes.common_mean), normal(codes.salient_mean)
    return Noise(critic, partners, model, world_size, rank, generator.initial_seed())


def draw(codes: Codes[Tensor], noise: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Draw c and s from the posterior by the reparameterization trick; `noise` is standard normal."""
    c = codes.common_mean + (0.5 * codes.common_logvar).exp() * noise[0]
    s = codes.salient_mean + (0.5 * codes.salient_logvar).exp() * noise[1]
    return c, s


def derangement(n: int, generator: torch.Generator) -> Tensor:
    """
    Return a random permutation (n,) without fixed points, to pair codes of different images for q(c)q(s).

    It is one cycle through a random order, so that all other elements are equally likely to be a partner. `n`
    is 2 or more; the result is on the device of the generator.

    >>> (derangement(5, torch.Generator().manual_seed(0)) == torch.arange(5)).any()
    tensor(False)
    """
    order = torch.randperm(n, generator=generator, device=generator.device)
    partner = torch.empty_like(order)
    partner[order] = order.roll(1)
    return partner


def donors(y: Tensor, removal: bool = True, swap: bool = True) -> Tensor:
    """
    Return for each sample the target whose salient part it gets, or -1 if it is left out.

    Of targets, a third takes part in `removal` and gets its own. Of the background, a half gets that of a
    target in a `swap`, of each group in turn.

    >>> donors(torch.tensor([0, 1, 2, 0, 0, 2, 1]))
    tensor([ 1,  1, -1, -1,  2, -1,  6])
    """
    target, background = (y != 0).nonzero()[:, 0], (y == 0).nonzero()[::EVERY_BACKGROUND, 0]
    of = torch.full_like(y, -1, dtype=torch.long)
    if removal:
        of[target[::EVERY_TARGET]] = target[::EVERY_TARGET]
    if swap and len(target):
        of[background] = _alternating(target, y)[torch.arange(len(background), device=y.device) % len(target)]
    return of


def _alternating(target: Tensor, y: Tensor) -> Tensor:
    """Return targets in an order in which their groups alternate: batches hold one group after the other."""
    if y.is_floating_point():  # severities
        return target
    alike = y[target][:, None] == y[target]
    place = (alike.tril().sum(dim=1) - 0.5) / alike.sum(dim=1)
    return target[place.argsort(stable=True)]
