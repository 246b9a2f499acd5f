"""Guards around a fit: random numbers of threads, compilation, freed memory, half precision."""

import ctypes
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sepvae.errors import DataError
from sepvae.process_wide import ProcessWideContext

P = ParamSpec("P")
R = TypeVar("R")


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
        draws = any(argument.name == "generator" for argument in func._schema.arguments)
        return func(*args, **(kwargs or {}) | ({"generator": self.generator} if draws else {}))


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function without side effects on its first call; if torch cannot, warn and do without."""
    chosen: Callable[P, R] | None = None

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal chosen
        if chosen is not None:
            return chosen(*args, **kwargs)
        fast: Callable[P, R] = torch.compile(function, dynamic=False)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # from the compiler, about its own and the traced code
                result = fast(*args, **kwargs)
        except Exception as error:
            # Compiler errors share no class; an error of the function itself is raised again below.
            reason = " ".join(str(error).split("\n\n")[0].split()) or type(error).__name__
            warnings.warn(f"compile: training goes on without, for {reason}", stacklevel=2)
            chosen = function
            return function(*args, **kwargs)
        chosen = fast
        return result

    return run


# Parameters of glibc's mallopt (malloc.h). USUAL has the values that glibc's own adjustment reaches once a
# program has freed a block of 32 MB, as any program that uses tensors has.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
KEEP = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1}
USERS = {"MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"}
USUAL = {M_MMAP_MAX: 65536, M_MMAP_THRESHOLD: 32 << 20, M_TRIM_THRESHOLD: 64 << 20}


@ProcessWideContext
@contextmanager
def retain_freed_memory() -> Iterator[None]:
    """
    Retain freed memory while the context is open, and return it to the kernel at the end.

    Each step allocates the same tensors as the one before. The C library returns large ones to the kernel as
    soon as they are freed, and the kernel clears every page that it hands out again: a third of a step on a
    CPU. Nothing changes with another C library (macOS, Windows, musl), or if the user configures glibc's
    memory. At the end the setting is the one that glibc reaches in a program with large blocks.
    """
    if (libc := _glibc()) is None:
        yield
        return
    for parameter, value in KEEP.items():
        libc.mallopt(parameter, value)
    try:
        yield
    finally:
        for parameter, value in USUAL.items():
            libc.mallopt(parameter, value)
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """Return glibc, or None if it is absent or the user's environment configures it."""
    if not USERS.isdisjoint(os.environ):
        return None
    try:
        return ctypes.CDLL("libc.so.6")
    except OSError:
        return None


SIDE = 512  # of the matrices that are multiplied to measure the time
HALF = {"bf16": torch.bfloat16, "16": torch.float16}
SLOWER = 1.5  # times; smaller ratios may be timing noise


def check_precision(precision: object, device: torch.device) -> None:
    """Raise DataError if half precision is slower: few CPUs multiply it in hardware, the others convert."""
    dtype = HALF.get(str(precision).split("-")[0])
    if dtype is None or device.type != "cpu":
        return
    single, half = matmul_seconds(torch.float32), matmul_seconds(dtype)
    if half > SLOWER * single:
        raise DataError(
            f"precision: {precision} is {half / single:.0f} times slower than 32-true on this processor; "
            "leave it out"
        )


def matmul_seconds(dtype: torch.dtype) -> float:
    """Return the shortest time of a few matrix products, because the first ones include start-up costs."""
    matrix = torch.ones(SIDE, SIDE, dtype=dtype)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - start)
    return min(times)
