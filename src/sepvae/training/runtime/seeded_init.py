"""Seeded random initialisation that is independent of other threads."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class SeededInit(TorchDispatchMode):
    """
    Draw this thread's random numbers from its own generator, not from torch's, which all threads share.

    The numbers are those of torch's generator after `torch.manual_seed(seed)`.

    >>> with SeededInit(0):
    ...     layer = torch.nn.Linear(2, 1)
    >>> with torch.random.fork_rng(devices=[]):
    ...     same = torch.manual_seed(0) and torch.nn.Linear(2, 1)
    >>> bool((layer.weight == same.weight).all())
    True
    """

    def __init__(self, seed: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.generator = torch.Generator().manual_seed(seed)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        own = {"generator": self.generator} if _draws(func) else {}
        return func(*args, **{**(kwargs or {}), **own})


def _draws(function: Any) -> bool:
    """Return whether a function takes a generator, as all of `torch.nn.init` do."""
    return any(argument.name == "generator" for argument in function._schema.arguments)
