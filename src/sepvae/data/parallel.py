"""Work on many files with all cores: by forked processes, for decoders hold Python's lock for too long."""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from sepvae.batch import IntArray, chunks
from sepvae.errors import DataError
from sepvae.shared import ignoring

T = TypeVar("T")
PART = 32  # calls that a process takes at once
AHEAD = 4  # parts that wait for each process, so that few results are in memory


def n_cores() -> int:
    """Count the cores that this process may use, as a scheduler such as SLURM allots them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def may_fork() -> bool:
    """Say whether this process may start others that begin as copies of it."""
    main = threading.current_thread() is threading.main_thread()
    return sys.platform == "linux" and main and not multiprocessing.current_process().daemon


@contextmanager
def forking() -> Iterator[None]:
    """Fork without Python's warning: processes that only read wait for no lock that a thread held."""
    with ignoring(r".*multi-threaded, use of fork\(\)", category=DeprecationWarning):
        yield


def in_order(function: Callable[[int], T], n: int, *, part: int = PART) -> Iterator[T]:
    """
    Call a function for 0, 1, .. n - 1 on all cores.

    Where processes cannot be forked safely (macOS, Windows), threads call it.
    """
    workers = min(n_cores(), -(-n // part))
    if workers < 2 or (sys.platform == "linux" and not may_fork()):
        yield from map(function, range(n))
    elif sys.platform == "linux":
        yield from _by_processes(function, n, workers, part)
    else:
        with ThreadPoolExecutor(workers) as pool:
            yield from pool.map(function, range(n))


def _by_processes(function: Callable[[int], T], n: int, workers: int, part: int) -> Iterator[T]:
    fork = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(workers, fork, initializer=_begin, initargs=(function,))
    waiting: deque[Future[list[T]]] = deque()
    try:
        for positions in chunks(n, part):
            waiting.append(_submit(pool, positions))
            if len(waiting) > AHEAD * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise DataError("a process that reads was killed, perhaps for want of memory; free some") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, part: IntArray) -> Future[list[Any]]:
    """Hand a part over; the processes are forked when the first ones are."""
    with forking():
        return pool.submit(_call, part)


_function: Callable[[int], Any]  # in a forked process: what it calls, which need not be pickled


def _begin(function: Callable[[int], Any]) -> None:
    global _function
    _function = function
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for no more work from a process that was killed."""
    if parent := multiprocessing.parent_process():
        parent.join()
    os._exit(1)


def _call(part: IntArray) -> list[Any]:
    return [_function(int(i)) for i in part]
