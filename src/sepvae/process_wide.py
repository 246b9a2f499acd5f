"""Process-wide contexts that several threads use at the same time."""

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any


class ProcessWideContext:
    """
    Process-wide context: the first of several concurrent users enters it, the last one exits it.

    >>> from contextlib import chdir
    >>> elsewhere = ProcessWideContext(lambda: chdir("/"))
    >>> with elsewhere():
    ...     with elsewhere():
    ...         pass
    """

    def __init__(self, setting: Callable[[], AbstractContextManager[Any]]) -> None:
        self.setting = setting
        self.changed = threading.Condition()
        self.users: list[tuple[int, bool]] = []  # thread, and whether it excludes others

    @contextmanager
    def __call__(self, *, alone: bool = False) -> Iterator[None]:
        """Hold the context; with `alone`, wait for all other threads, and let them wait meanwhile."""
        user = threading.get_ident(), alone
        with self.changed:
            self.changed.wait_for(lambda: all(self._agree(user, other) for other in self.users))
            if not self.users:
                self.open = self.setting()
                self.open.__enter__()
            self.users.append(user)
        try:
            yield
        finally:
            with self.changed:
                self.users.remove(user)
                try:
                    if not self.users:
                        self.open.__exit__(None, None, None)
                finally:
                    self.changed.notify_all()

    @staticmethod
    def _agree(one: tuple[int, bool], other: tuple[int, bool]) -> bool:
        return one[0] == other[0] or not (one[1] or other[1])


@contextmanager
def ignoring(*messages: str, category: type[Warning] = Warning) -> Iterator[None]:
    """
    Ignore warnings that begin with one of these regular expressions, in all threads.

    Python has one list of filters per process; it is restored when the last of several threads is done.

    >>> with ignoring("it is late"):
    ...     warnings.warn("it is late, and cold", stacklevel=2)
    """
    with _filters():
        for message in messages:
            warnings.filterwarnings("ignore", message, category)
        yield


_filters = ProcessWideContext(warnings.catch_warnings)
