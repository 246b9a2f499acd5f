"""What can go wrong because of what a user gave: each error is one line that says what to do.

The command line prints the line and exits with status 2; in Python all of them are `SepVAEError`.
"""

import re
from collections.abc import Mapping

LONG = re.compile(r"(\S{200})\S{200,}(\S{100})")  # no word and no path, but a cell gone wrong


class SepVAEError(Exception):
    """Something that the user can mend; the message says what was wanted, what came and what to do."""

    def __str__(self) -> str:
        """Give one line, whatever stands in the data."""
        return LONG.sub(r"\1...\2", " ".join(super().__str__().splitlines()))


class DataError(SepVAEError, ValueError):
    """The data, or a keyword about it, cannot be used as it is."""


class RunFolderError(SepVAEError, OSError):
    """A run folder exists where none should, or is not one where one should be."""


class ModelFileError(SepVAEError, ValueError):
    """A model file is damaged, of another version, or of another class than the program knows."""


class TrainingError(SepVAEError, ArithmeticError):
    """Training went astray: a loss term is no longer a finite number."""

    def __init__(self, message: str, batches: Mapping[int, list[str]] | None = None) -> None:
        super().__init__(message)
        self.batches = dict(batches or {})


class CollapseWarning(UserWarning):
    """While training goes on: a space holds nothing, or the critic says nothing."""


class PassedOverWarning(UserWarning):
    """A folder holds files that are not read."""


class BackgroundWarning(UserWarning):
    """The labels do not tell which is the background, and nobody has named it: a guess was taken."""
