"""Trained networks on the device of inference; concurrent users share one copy."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sepvae.batch import AnyArray
from sepvae.networks.model import ContrastiveAutoencoder
from sepvae.training.distributed import one_device
from sepvae.training.module import as_input
from sepvae.training.runtime import retain_freed_memory

Networks = tuple[ContrastiveAutoencoder, Callable[[Any], Tensor]]


@contextmanager
def inference(module: ContrastiveAutoencoder, accelerator: str) -> Iterator[Networks]:
    """Yield the module on the device of `accelerator`, and a function that puts arrays on that device."""
    device = one_device(accelerator)
    one = next(module.parameters())
    with torch.inference_mode(), retain_freed_memory(), _lent(module, device):
        yield module, lambda x: as_input(torch.as_tensor(x).to(device), one.dtype)


def as_numpy(tensor: Tensor) -> AnyArray:
    """Return a tensor of any device as a contiguous array."""
    array: AnyArray = tensor.cpu().contiguous().numpy()
    return array


# By id of a module: the number of its nested or concurrent loans, and the device that it returns to.
_LOANS: dict[int, tuple[int, torch.device]] = {}
_lending = threading.Lock()


@contextmanager
def _lent(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Move a module to a device until its last concurrent user is done."""
    with _lending:
        loans, home = _LOANS.get(id(module), (0, next(module.parameters()).device))
        _LOANS[id(module)] = loans + 1, home
        module.to(device)
    try:
        yield
    finally:
        with _lending:
            loans, home = _LOANS.pop(id(module))
            if loans > 1:
                _LOANS[id(module)] = loans - 1, home
            else:
                module.to(home)
