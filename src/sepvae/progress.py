"""Progress of long stages: a bar on a terminal, and one line with the seconds at the end."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

Progress = Callable[[int, int], None]
Say = Callable[[str], None]


def silence(message: str) -> None:
    """Discard the message; no-op logger for ranks above 0."""


@contextmanager
def progress_bar(name: str, *, show: bool = True) -> Iterator[Progress]:
    """Yield `progress(done, total)` of a bar on stderr, which is shown only on a terminal."""
    console = Console(stderr=True)
    columns = (
        *(TextColumn("{task.description}"), BarColumn(20), TaskProgressColumn()),
        *(TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()),
    )
    with Bars(
        *columns,
        console=console,
        transient=True,
        disable=not (show and console.is_terminal),
        redirect_stdout=sys.stdout.isatty(),  # else output redirected to a file would go to the terminal
    ) as bars:
        task = bars.add_task(name, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


@contextmanager
def stage(name: str, say: Callable[[str], None] | None, *, show: bool = True) -> Iterator[Progress]:
    """
    Show the progress of one stage, then print its name and duration by `say`; None prints and shows nothing.

    >>> with stage("scoring", lambda line: print(line.split(":")[0])) as progress:
    ...     progress(1, 2)
    scoring
    """
    started = time.monotonic()
    with progress_bar(name, show=show and say is not None) as progress:
        yield progress
    if say is not None:
        say(f"{name}: {time.monotonic() - started:.1f} s")
