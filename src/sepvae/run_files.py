"""Kinds of files of a folder: mappings, tables and arrays, written whole, read with one line on damage."""

import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sepvae.errors import RunFolderError
from sepvae.files import read_file, read_table, write_arrays, write_table, write_whole

if TYPE_CHECKING:
    import pandas as pd

    from sepvae.batch import AnyArray

T = TypeVar("T")


class RunFile(Generic[T]):
    """One file of a folder. It is written whole: readers see the old content or the new."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        """Return whether the file exists."""
        return self.path.is_file()

    def read(self) -> T | None:
        """Return the content, None if the file does not exist; raise RunFolderError if it is damaged."""
        return read_file(self.path, self._parse)

    def required(self) -> T:
        """Return the content; raise RunFolderError if the file does not exist or is damaged."""
        if (content := self.read()) is None:
            raise self.missing()
        return content

    def missing(self) -> RunFolderError:
        """Return the error for a folder without this file."""
        wanted = f"a run folder with {self.path.name}, as `sepvae fit` leaves it"
        return RunFolderError(f"{self.path.parent}: wanted {wanted}")

    def _parse(self, path: Path) -> T:
        raise NotImplementedError


class YamlFile(RunFile[dict[str, Any]]):
    """A mapping in YAML."""

    def write(self, content: dict[str, Any]) -> None:
        """Write the mapping, with objects without a YAML type as the name of their class."""
        import yaml

        write_whole(self.path, yaml.safe_dump(plain(content), sort_keys=False))

    def _parse(self, path: Path) -> dict[str, Any]:
        import yaml

        return dict(yaml.safe_load(path.read_text("utf-8")))


class JsonFile(RunFile[dict[str, Any]]):
    """A mapping in JSON."""

    def write(self, content: dict[str, Any]) -> None:
        """Write the mapping."""
        write_whole(self.path, json.dumps(content, indent=2) + "\n")

    def _parse(self, path: Path) -> dict[str, Any]:
        return dict(json.loads(path.read_text("utf-8")))


class TableFile(RunFile["pd.DataFrame"]):
    """A table in CSV with its required columns; all that match `numeric`, too, must hold numbers."""

    def __init__(
        self, path: Path, text: tuple[str, ...] = (), numbers: tuple[str, ...] = (), numeric: str = "$"
    ) -> None:
        super().__init__(path)
        self.text, self.numbers, self.numeric = text, numbers, re.compile(numeric)

    def write(self, content: "pd.DataFrame") -> None:
        """Write the table, without its index."""
        write_table(self.path, content)

    def _parse(self, path: Path) -> "pd.DataFrame":
        import pandas as pd

        table = read_table(path, self._text_columns())
        if missing := [name for name in (*self.text, *self.numbers) if name not in table]:
            columns = ", ".join(missing)
            raise RunFolderError(
                f"{path} lacks columns {columns}; delete it to leave it out, or make it again"
            )
        numeric = [name for name in map(str, table) if name in self.numbers or self.numeric.fullmatch(name)]
        if odd := [name for name in numeric if len(table) and not pd.api.types.is_numeric_dtype(table[name])]:
            raise ValueError(f"column {odd[0]} holds something that is no number")
        return table

    def _text_columns(self) -> tuple[str, ...]:
        return self.text


class ArraysFile(RunFile["dict[str, AnyArray]"]):
    """Arrays by name, in `.npz`."""

    def write(self, content: "Mapping[str, AnyArray]") -> None:
        """Write the arrays, compressed."""
        write_arrays(self.path, content)

    def read(self, *names: str) -> "dict[str, AnyArray] | None":
        """Return these arrays, of which only the first must be there; by default all. None without file."""
        return read_file(self.path, partial(self._parse, names=names))

    def _parse(self, path: Path, names: tuple[str, ...] = ()) -> "dict[str, AnyArray]":
        import numpy as np

        with np.load(path, allow_pickle=False) as arrays:
            wanted = [*names[:1], *(name for name in names[1:] if name in arrays.files)] or arrays.files
            return {name: arrays[name] for name in wanted}


def plain(value: Any) -> Any:
    """Convert a value to YAML types: NumPy scalars to Python's, other objects to the name of their class."""
    import numpy as np

    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, str | int | float | bool) else type(value).__name__
