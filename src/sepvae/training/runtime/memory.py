"""
Freed memory that the process retains.

Each step allocates the same tensors as the one before. The C library returns large ones to the kernel as soon
as they are freed, and the kernel clears every page that it hands out again: a third of a step on a CPU.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

from sepvae.process_wide import ProcessWideContext

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

    The setting is process-wide; at the end it is the one that glibc itself reaches in a program that uses
    large blocks. With another C library (macOS, Windows, musl), or if the user's environment configures
    glibc's memory, nothing changes.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    _set(libc, KEEP)
    try:
        yield
    finally:
        _set(libc, USUAL)
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """Return glibc, or None if it is absent or the user's environment configures it."""
    if not USERS.isdisjoint(os.environ):
        return None
    try:
        return ctypes.CDLL("libc.so.6")
    except OSError:
        return None


def _set(libc: ctypes.CDLL, values: dict[int, int]) -> None:
    for parameter, value in values.items():
        libc.mallopt(parameter, value)
