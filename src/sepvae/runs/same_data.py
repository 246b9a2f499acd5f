"""Check that samples are those of a run."""

import csv
import hashlib
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from sepvae.batch import Source, chunk_rows, chunks
from sepvae.errors import DataError
from sepvae.files import read_cells, read_file
from sepvae.run_folder import RunFolder
from sepvae.runs.scoring import described


def fingerprint(*sources: Source) -> str:
    """
    Return the SHA-256 hex digest of samples, ids, groups and labels, in order.

    >>> from sepvae.data import ArraySource
    >>> fingerprint(ArraySource([[1.0]], ["well"]))[:8] == fingerprint(ArraySource([[2.0]], ["well"]))[:8]
    False
    """
    digest = hashlib.sha256()
    for source in sources:
        for part in chunks(len(source), chunk_rows(source.sample_shape)):
            batch = source.take(part)
            for column in (batch.id, batch.group, batch.y):
                digest.update("\n".join(map(str, column.tolist())).encode())
            digest.update(np.ascontiguousarray(batch.x).tobytes())
    return digest.hexdigest()


def check_same_data(run: str | Path, train: Source, test: Source) -> None:
    """Raise DataError if samples, ids, groups, labels or attributes differ from those of a run."""
    about = pd.concat([described(train, "train"), described(test, "test")], ignore_index=True)
    now = read_cells(StringIO(about.to_csv(index=False, quoting=csv.QUOTE_ALL, lineterminator="\n")))
    folder = RunFolder(run)
    if (then := read_file(folder.codes.path, read_cells)) is None:
        raise folder.codes.missing()
    if then["id"].tolist() != now["id"].tolist():
        raise DataError(f"{run}: wanted its samples in the order of its split.csv, got others")
    for name in now.columns.intersection(then.columns).drop("split"):  # validation is drawn by the fit
        if (changed := np.flatnonzero(then[name] != now[name])).size:
            more = f", and {changed.size - 1} more" * (changed.size > 1)
            sample, was, now_is = (
                table[n].iloc[changed[0]] for table, n in ((then, "id"), (then, name), (now, name))
            )
            raise _not_the_same(run, f"{name} of {sample!r} was {was!r}, is {now_is!r}{more}")
    if fingerprint(train, test) != folder.recipe.required().get("data", {}).get("fingerprint"):
        changed_where = "ids, groups, labels and attributes are the same, what the samples hold is not"
        raise _not_the_same(run, f"{changed_where} (files were changed, or are read in another way)")


def _not_the_same(run: str | Path, what: str) -> DataError:
    return DataError(
        f"{run}: was fitted on other data: {what}; nothing was fitted: give the data as they were"
    )
