"""`BenchmarkFolder`: every file of a benchmark, and of each of its cells."""

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sepvae.errors import RunFolderError
from sepvae.evaluation.patient_sheet import OVER_SEEDS
from sepvae.files import write_table, write_whole
from sepvae.run_files import JsonFile, TableFile, YamlFile
from sepvae.run_folder import RunFolder, current_versions

# Path from its root up to the file name; folder names may contain spaces.
FOLDERS = re.compile(r"(?<![\w.:/\\])(?:[A-Za-z]:)?[/\\](?:[^/\\\s:'\"<>|][^/\\\n:'\"<>|]*[/\\])+")
States = dict[str, str]


class CellFolder(RunFolder):
    """Folder of one cell: files of a run, and of a benchmark; scores come last, for restarts."""

    def __init__(self, path: str | Path, kinds: Mapping[str, Any] | None = None) -> None:
        super().__init__(path, kinds)
        path = self.path
        self.checkpoint = path / "last.ckpt"  # state of an interrupted fit
        self.train_codes = TableFile(path / "codes-train.csv")
        self.reconstruction = TableFile(path / "reconstruction.csv", text=("id",))
        self.classified = TableFile(path / "classified.csv", text=("id",))
        self.predictions = TableFile(path / "predictions.csv", text=("id", "attribute", "space"))
        self.scores.text = (*self.scores.text, "probe")
        self.started, self.error = path / "started", path / "error.txt"
        self.traceback = path / "traceback.txt"

    def state(self) -> str:
        """Return the state of the cell: waiting, running, finished or failed."""
        found = {"finished": self.scores.path, "failed": self.error, "running": self.started}
        return next((state for state, file in found.items() if file.is_file()), "waiting")

    def fail(self, message: str) -> None:
        """Write an error, on one line."""
        write_whole(self.error, without_folders(" ".join(message.split())) + "\n")


class BenchmarkFolder:
    """Folder of a benchmark: its data and settings, its cells, all scores, tables and figures."""

    def __init__(self, path: str | Path) -> None:
        self.path = path = Path(path)
        self.settings = YamlFile(path / "benchmark.yaml")
        self.versions = JsonFile(path / "versions.json")
        self.results = TableFile(path / "results.csv")
        self.figures = RunFolder(path).figures
        of_seeds = "stability-seeds-people.csv"  # of one contender
        self.people = TableFile(path / of_seeds, ("id",), OVER_SEEDS)

    def cell(self, name: str, kinds: Mapping[str, Any] | None = None) -> CellFolder:
        """Return the folder of a cell."""
        return CellFolder(self.path / "cells" / name, kinds)

    def states(self, names: Iterable[str]) -> States:
        """Return the state of each cell."""
        return {name: self.cell(name).state() for name in names}

    def claim(self, settings: Mapping[str, Any]) -> None:
        """Record the settings of a benchmark; raise RunFolderError for a folder with other content."""
        if (old := self.settings.read()) is not None:
            for name, value in settings.items():
                if old.get(name) != value:
                    was = f"{name} was {old.get(name)}, now {value}"
                    if name == "data":  # a digest
                        was = "other samples, ids, subjects or labels, or another split or folds of them"
                    raise RunFolderError(
                        f"{self.path}: holds another benchmark ({was}); choose another --out"
                    )
            return
        temporary = f".{self.settings.path.name}"
        if self.path.exists() and any(not file.name.startswith(temporary) for file in self.path.iterdir()):
            raise RunFolderError(
                f"{self.path}: wanted a new folder or a benchmark's, but it holds other files"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        self.settings.write(dict(settings))
        self.versions.write(current_versions())

    def write(self, name: str, *, csv: pd.DataFrame | None = None, **texts: str) -> None:
        """Write a result as a table NAME.csv, and as text such as NAME.md and NAME.tex."""
        if csv is not None:
            write_table(self.path / f"{name}.csv", csv)
        for suffix, text in texts.items():
            write_whole(self.path / f"{name}.{suffix}", text + "\n")


def without_folders(text: str) -> str:
    """
    Remove folders from an error, so that a benchmark that is passed on does not reveal paths or users.

    File names stay, and the paths of modules within their package.

    >>> without_folders("DataError: /home/jane doe/study/p1.png: is empty; wanted 3/4 of it")
    'DataError: p1.png: is empty; wanted 3/4 of it'
    """
    for folder in sorted({*sys.path, sys.prefix, str(Path.home())}, key=len, reverse=True):
        if len(Path(folder).parts) > 1:
            place = re.escape(folder)
            text = re.sub(rf"(?<![\w.]){place}[/\\]", "", text)
            text = re.sub(rf"(?<![\w.]){place}(?![\w.-])", "~", text)
    return FOLDERS.sub("", text)
