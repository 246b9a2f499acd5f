"""What all threads of a process share, where several of them work at once."""

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any


class Shared:
    """
    A setting of the whole process: the first of several users at once sets it up, the last one undoes it.

    Examples
    --------
    >>> from contextlib import chdir
    >>> elsewhere = Shared(lambda: chdir("/"))
    >>> with elsewhere():
    ...     with elsewhere():
    ...         pass
    """

    def __init__(self, setting: Callable[[], AbstractContextManager[Any]]) -> None:
        self.setting = setting
        self.changed = threading.Condition()
        self.users: list[tuple[int, bool]] = []  # thread, and whether it is to be the only one

    @contextmanager
    def __call__(self, *, alone: bool = False) -> Iterator[None]:
        """Have it set up for a while."""
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
    Leave out some warnings for a while, in all threads, for Python has one list of them.

    Examples
    --------
    >>> with ignoring("it is late"):
    ...     warnings.warn("it is late, and cold", stacklevel=2)
    """
    with _filters():
        for message in messages:
            warnings.filterwarnings("ignore", message, category)
        yield


_filters = Shared(warnings.catch_warnings)
