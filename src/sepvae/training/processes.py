"""
What a process of a distributed fit has to know of the others; alone, there is nothing to know.

Process r of n holds the rows r, r + n, r + 2 n, .. of each batch, as many as every other process.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.rank_zero import rank_zero_only
from torch import Tensor, distributed

from sepvae.errors import DataError
from sepvae.shared import Shared


@cache
def one_device(accelerator: str) -> torch.device:
    """Find the device for work on one, whatever a scheduler's variables say of processes beside this."""
    with first_of_one():
        return Fabric(accelerator=accelerator, devices=1, plugins=[LightningEnvironment()]).device


def is_alone(devices: Any, num_nodes: int) -> bool:
    """Say whether a fit is one process, whatever a scheduler's variables say of others beside it."""
    single = devices in (1, "1") or (isinstance(devices, list) and len(devices) == 1)
    return single and num_nodes == 1


def is_first(devices: Any, num_nodes: int) -> bool:
    """Say whether this process writes files, prints and goes on after the fit."""
    on_first_node = int(os.environ.get("NODE_RANK", 0)) == 0
    return is_alone(devices, num_nodes) or (on_first_node and rank_zero_only.rank == 0)  # type: ignore[attr-defined]


def check_launch(devices: Any, num_nodes: int) -> None:
    """Refuse processes that torchrun started to share a fit, if the fit is told of one only."""
    started = int(os.environ.get("WORLD_SIZE", 1)) if "TORCHELASTIC_RUN_ID" in os.environ else 1
    if started > 1 and is_alone(devices, num_nodes):
        raise DataError(
            f"devices: torchrun started {started} processes, but devices is 1, so each would fit alone; "
            f"set devices to the processes of a node, and num_nodes"
        )


@contextmanager
def first_of_one() -> Iterator[None]:
    """Let Lightning write logs in a fit that is alone, though a scheduler numbers the tasks beside it."""
    with _FIRST():
        yield


@contextmanager
def _first() -> Iterator[None]:
    rank = rank_zero_only.rank  # type: ignore[attr-defined]
    rank_zero_only.rank = 0  # type: ignore[attr-defined]
    try:
        yield
    finally:
        rank_zero_only.rank = rank  # type: ignore[attr-defined]


_FIRST = Shared(_first)


def everyone(x: Tensor, processes: int) -> Tensor:
    """
    Gather the rows of all processes, in the order of the whole batch.

    Shapes: x (rows, ...); returns (rows * processes, ...).
    """
    if processes == 1:
        return x
    parts = [torch.empty_like(x) for _ in range(processes)]
    distributed.all_gather(parts, x.detach().contiguous())
    return torch.stack(parts, dim=1).flatten(0, 1)


def everyone_with_gradient(x: Tensor, processes: int) -> Tensor:
    """
    Gather the rows of all processes as `everyone` does, for quantities of the whole batch.

    Shapes: x (rows, ...); returns (rows * processes, ...).
    """
    return x if processes == 1 else cast(Tensor, _Gather.apply(x, processes))  # type: ignore[no-untyped-call]


class _Gather(torch.autograd.Function):
    """`everyone`, and on the way back the sum of what all processes have to say of this one's rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, processes: int) -> Tensor:
        ctx.processes = processes
        return everyone(x, processes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return total(gradient, ctx.processes)[distributed.get_rank() :: ctx.processes], None


def total(x: Tensor, processes: int) -> Tensor:
    """Add up what each process has counted."""
    if processes == 1:
        return x
    x = x.clone()
    distributed.all_reduce(x)
    return x
