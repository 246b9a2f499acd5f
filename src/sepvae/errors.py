"""Errors that the user can fix, each with one line that says what to do, and warnings.

The command line prints the line and exits with status 2; in Python all errors are `SepVAEError`.
"""

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

LONG = re.compile(r"(\S{200})\S{200,}(\S{100})")  # longer than any word or path: a damaged cell
OPTION = re.compile(r"""(such as )?(?<![\w/-])--([a-z]+(?:-[a-z]+)*)(:| (?=['"A-Z]|-?\d)|(?(1) ?))""")
_on_command_line = False  # whether messages name options, such as --test-size


@contextmanager
def on_command_line() -> Iterator[None]:
    """Let messages name the options of the command line, not the keywords of functions."""
    global _on_command_line
    before, _on_command_line = _on_command_line, True
    try:
        yield
    finally:
        _on_command_line = before


def for_caller(message: str) -> str:
    """
    Return a message that names options; it names keywords unless a command was typed.

    >>> for_caller("for --test-size 0.5; give another --split-seed, or a label, such as --label dx")
    'for test_size=0.5; give another split_seed=, or a label, such as label=dx'
    """

    def keyword(option: re.Match[str]) -> str:
        return f"{option[1] or ''}{option[2].replace('-', '_')}{':' if option[3] == ':' else '='}"

    return message if _on_command_line else OPTION.sub(keyword, message)


def nearest(word: str, known: Iterable[str]) -> str:
    """
    Return a hint for an unknown name: the closest known one, or all of them if none is close.

    >>> nearest("sedes", ["folds", "seeds"])
    'did you mean seeds?'
    """
    known = list(known)
    near = get_close_matches(word, known, 1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"


def reason_of(error: Exception) -> str:
    """Return the type of an error of another library and the first line of its message."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def count(n: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1."""
    return f"{n} {noun}{'s' * (n != 1)}"


def listed(names: Sequence[object], most: int = 3) -> str:
    """Return the first names as text, with the number of further ones, as in "a, b, c and 2 more"."""
    shown = ", ".join(map(str, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


class SepVAEError(Exception):
    """Error that the user can fix; the message says what was wanted, what came and what to do."""

    def __init__(self, message: str = "") -> None:
        super().__init__(for_caller(message))

    def __str__(self) -> str:
        """Return one line, with line breaks and very long words of the data shortened."""
        return LONG.sub(r"\1...\2", " ".join(super().__str__().splitlines()))


class DataError(SepVAEError, ValueError):
    """Data, or a keyword about them, that cannot be used."""


class RunFolderError(SepVAEError, OSError):
    """Run folder or output path that already exists, is missing, is damaged or is of another kind."""


class ModelFileError(SepVAEError, ValueError):
    """Model file that is damaged, of another version or of an unknown class."""


class TrainingError(SepVAEError, ArithmeticError):
    """
    Training stopped because a loss term is no longer a finite number.

    `batches` maps the number of each of the last steps in its epoch to the ids of its samples; the last one
    failed, if the failing step is known.
    """

    def __init__(self, message: str, batches: Mapping[int, list[str]] | None = None) -> None:
        super().__init__(message)
        self.batches = dict(batches or {})


class CollapseWarning(UserWarning):
    """Warning during training: a latent space holds no information, or the critic gives none."""


@contextmanager
def collapses_told(say: Callable[[str], object]) -> Iterator[None]:
    """
    Pass the text of each CollapseWarning to `say`; other warnings stay as they are.

    >>> with collapses_told(print):
    ...     warnings.warn("the salient space holds next to nothing", CollapseWarning)
    the salient space holds next to nothing
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=CollapseWarning)
        shown = warnings.showwarning

        def show(message: Any, category: Any, *where: Any, **more: Any) -> None:
            if issubclass(category, CollapseWarning):
                say(str(message))
            else:
                shown(message, category, *where, **more)

        warnings.showwarning = show
        yield


class PassedOverWarning(UserWarning):
    """Warning about a folder that holds files that are not read."""


class RawCountsWarning(UserWarning):
    """Warning that X of AnnData holds whole numbers, as raw counts do: none of the decoders is for them."""


class BackgroundWarning(UserWarning):
    """Warning that the background is a guess: no keyword names it, and the labels do not show it."""
