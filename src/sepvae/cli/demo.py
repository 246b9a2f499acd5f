"""Keywords and run folder of `sepvae demo`."""

from pathlib import Path
from typing import Any

DEMO: dict[str, Any] = {"max_epochs": 40}


def free_folder(wanted: Path) -> Path:
    """
    Return `wanted` if no such path exists, else the first free name with -2, -3, ..

    >>> free_folder(Path("no-such-folder"))
    PosixPath('no-such-folder')
    """
    number, path = 1, wanted
    while path.exists():
        number += 1
        path = wanted.with_name(f"{wanted.name}-{number}")
    return path
