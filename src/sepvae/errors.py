"""What can go wrong because of what a user gave: each error is one line that says what to do.

The command line prints the line and exits with status 2; in Python all of them are `SepVAEError`.
"""


class SepVAEError(Exception):
    """Something that the user can mend; the message says what was wanted, what came and what to do."""


class DataError(SepVAEError, ValueError):
    """The data, or a keyword about it, cannot be used as it is."""


class RunFolderError(SepVAEError, OSError):
    """A run folder exists where none should, or is not one where one should be."""


class ModelFileError(SepVAEError, ValueError):
    """A model file is damaged, of another version, or of another class than the program knows."""


class TrainingError(SepVAEError, ArithmeticError):
    """Training went astray: a loss term is no longer a finite number."""
