"""Errors that the user can fix, each with one line that says what to do, and warnings.

The command line prints the line and exits with status 2; in Python all errors are `SepVAEError`.
"""

import re
from collections.abc import Mapping

LONG = re.compile(r"(\S{200})\S{200,}(\S{100})")  # longer than any word or path: a damaged cell


class SepVAEError(Exception):
    """Error that the user can fix; the message says what was wanted, what came and what to do."""

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


class PassedOverWarning(UserWarning):
    """Warning about a folder that holds files that are not read."""


class BackgroundWarning(UserWarning):
    """Warning that the background is a guess: no keyword names it, and the labels do not show it."""
