"""
Communication between the processes of a distributed fit.

Process r of n holds the rows r, r + n, r + 2 n, .. of each batch; all processes hold the same number.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, cast

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.plugins.layer_sync import TorchSyncBatchNorm
from torch import Tensor, distributed, nn

from sepvae.errors import DataError
from sepvae.process_wide import ProcessWideContext


@cache
def one_device(accelerator: str) -> torch.device:
    """Return the first device of an accelerator; ignore a scheduler's variables about other processes."""
    with first_of_one():
        return Fabric(accelerator=accelerator, devices=1, plugins=[LightningEnvironment()]).device


def is_alone(devices: Any, num_nodes: int) -> bool:
    """Return whether a fit is one process; ignore a scheduler's variables about other processes."""
    single = devices in (1, "1") or (isinstance(devices, list) and len(devices) == 1)
    return single and num_nodes == 1


def is_first(devices: Any, num_nodes: int) -> bool:
    """Return whether this process writes files, prints and continues after the fit."""
    on_first_node = int(os.environ.get("NODE_RANK", 0)) == 0
    return is_alone(devices, num_nodes) or (on_first_node and rank_zero_only.rank == 0)  # type: ignore[attr-defined]


def check_launch(devices: Any, num_nodes: int) -> None:
    """Raise DataError if torchrun started several processes that would each fit alone into one folder."""
    started = int(os.environ.get("WORLD_SIZE", 1)) if "TORCHELASTIC_RUN_ID" in os.environ else 1
    if started > 1 and is_alone(devices, num_nodes):
        raise DataError(
            f"devices: torchrun started {started} processes, but devices is 1, so each would fit alone; "
            f"set devices to the processes of a node, and num_nodes"
        )


@ProcessWideContext
@contextmanager
def first_of_one() -> Iterator[None]:
    """Act as rank 0 in a single-process fit, so that Lightning logs whatever rank a scheduler sets."""
    rank = rank_zero_only.rank  # type: ignore[attr-defined]
    rank_zero_only.rank = 0  # type: ignore[attr-defined]
    try:
        yield
    finally:
        rank_zero_only.rank = rank  # type: ignore[attr-defined]


def all_gather(x: Tensor, world_size: int) -> Tensor:
    """All-gather rows in the order of the whole batch, detached; one process gets `x` itself."""
    if world_size == 1:
        return x
    parts = [torch.empty_like(x) for _ in range(world_size)]
    distributed.all_gather(parts, x.detach().contiguous())
    return torch.stack(parts, dim=1).flatten(0, 1)


def all_gather_with_grad(x: Tensor, world_size: int) -> Tensor:
    """All-gather rows in the order of the whole batch; gradients flow back to the process of each row."""
    return x if world_size == 1 else cast(Tensor, _Gather.apply(x, world_size))  # type: ignore[no-untyped-call]


class _Gather(torch.autograd.Function):
    """All-gather whose backward pass sums the gradients of all processes for the rows of this one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, world_size: int) -> Tensor:
        ctx.world_size = world_size
        return all_gather(x, world_size)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return all_reduce_sum(gradient, ctx.world_size)[distributed.get_rank() :: ctx.world_size], None


def all_reduce_sum(x: Tensor, world_size: int) -> Tensor:
    """All-reduce: return the sum over all processes, the same in each, with gradients."""
    return x if world_size == 1 else cast(Tensor, _Sum.apply(x))  # type: ignore[no-untyped-call]


class _Sum(torch.autograd.Function):
    """All-reduce whose backward pass sums the gradients of all processes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004
        x = x.clone()
        distributed.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradient)


BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class SyncBatchNorm(TorchSyncBatchNorm):
    """Batch norm over the batch of all processes of a fit, also on CPUs: torch's own needs GPUs."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Make all batch norms of a model use the whole batch; the model must be on its device."""
        if next(model.parameters()).is_cuda:
            return super().apply(model)
        for module in _batch_norms(model):
            module.forward = partial(_normalised, module)  # type: ignore[method-assign]
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Make all batch norms use the samples of their own process again."""
        for module in _batch_norms(model):
            module.__dict__.pop("forward", None)
        return super().revert(model)


def _batch_norms(model: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [module for module in model.modules() if isinstance(module, BATCH_NORMS)]


def _normalised(module: nn.modules.batchnorm._BatchNorm, x: Tensor) -> Tensor:
    """Apply batch norm with the mean and variance over all processes, each with the same number of rows."""
    if not module.training:
        own: Tensor = type(module).forward(module, x)
        return own
    world, axes, shape = distributed.get_world_size(), [0, *range(2, x.ndim)], (1, -1, *[1] * (x.ndim - 2))
    full = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    mean = all_reduce_sum(full.mean(axes), world) / world
    centred = full - mean.view(shape)
    variance = all_reduce_sum(centred.square().mean(axes), world) / world
    _note(module, mean.detach(), variance.detach(), x.numel() // x.shape[1] * world)
    normal = centred * (variance + module.eps).rsqrt().view(shape)
    if module.weight is not None:
        normal = normal * module.weight.view(shape) + module.bias.view(shape)
    return normal.to(x.dtype)


def _note(module: nn.modules.batchnorm._BatchNorm, mean: Tensor, variance: Tensor, n: int) -> None:
    """Update the running statistics as torch does, with the unbiased variance."""
    if module.running_mean is None or module.running_var is None or module.num_batches_tracked is None:
        return
    module.num_batches_tracked += 1
    momentum = 1 / float(module.num_batches_tracked) if module.momentum is None else module.momentum
    with torch.no_grad():
        module.running_mean.lerp_(mean, momentum)
        module.running_var.lerp_(variance * n / (n - 1), momentum)
