"""Parallel work on many files, by forked processes because decoders hold Python's lock for long."""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, closing
from typing import Any, TypeVar

from sepvae.batch import IntArray, chunks
from sepvae.errors import DataError
from sepvae.process_wide import ignoring
from sepvae.progress import Progress

T = TypeVar("T")
PART = 32  # calls per task of a process
AHEAD = 4  # tasks queued per process, so that few results are in memory


def n_cores() -> int:
    """Return the number of cores that this process may use, as allotted by a scheduler such as SLURM."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def may_fork() -> bool:
    """Return whether this process can fork: on Linux, no daemon, in the main thread, as locks are copied."""
    main = threading.current_thread() is threading.main_thread()
    return sys.platform == "linux" and main and not multiprocessing.current_process().daemon


def forking() -> AbstractContextManager[None]:
    """Suppress Python's warning on forks: processes that only read wait for no lock of another thread."""
    return ignoring(r".*multi-threaded, use of fork\(\)", category=DeprecationWarning)


def in_order(
    function: Callable[[int], T], n: int, *, part: int = PART, progress: Progress | None = None
) -> Iterator[T]:
    """
    Yield `function(0)`, .., `function(n - 1)` in order, computed on all cores; call `progress` after each.

    Threads call it where processes cannot be forked safely (macOS, Windows). `function` must only read: a
    process sees the state at the first result. `part` calls form one task: choose few if results are large.
    """
    with closing(_results(function, n, part)) as results:
        for i, result in enumerate(results):
            yield result
            if progress is not None:
                progress(i + 1, n)


def _results(function: Callable[[int], T], n: int, part: int) -> Generator[T, None, None]:
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
            with forking():  # the processes are forked with the first parts
                waiting.append(pool.submit(_call, positions))
            if len(waiting) > AHEAD * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise DataError("a process that reads was killed, perhaps for want of memory; free some") from error
    finally:
        pool.shutdown(cancel_futures=True)


_function: Callable[[int], Any]  # function of a forked process, which inherits it without pickling


def _begin(function: Callable[[int], Any]) -> None:
    global _function
    _function = function
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles Ctrl-C
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Exit when the parent process ends, so that none waits for work of a killed parent."""
    if parent := multiprocessing.parent_process():
        parent.join()
    os._exit(1)


def _call(part: IntArray) -> list[Any]:
    return [_function(int(i)) for i in part]
