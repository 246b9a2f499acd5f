"""What a fit needs to go on, or to be repeated: a lock, the same recipe, threads and data."""

import csv
import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from filelock import FileLock, Timeout
from threadpoolctl import threadpool_limits

from sepvae.batch import Source, chunk_rows, chunks
from sepvae.errors import DataError, RunFolderError
from sepvae.files import ASIDE, check_new, read_cells, read_file, remove_asides
from sepvae.progress import Say
from sepvae.run_files import plain
from sepvae.run_folder import RunFolder, current_versions
from sepvae.runs.scoring import described

# Parts of a recipe in which a resumed fit must be the same.
SAME = ("method", "keywords", "data", "attributes", "protocol")
SAME_RESULT = {"gradient_checkpointing"}  # keywords that may change, for they change no number

Recipe = Mapping[str, Any]


def check_new_run(run: Path) -> None:
    """Raise RunFolderError if a run folder exists, before a long fit starts."""
    folder = RunFolder(run)
    half = folder.recipe.exists() and not folder.report.is_file()
    check_new(run, "run folder", "; --resume goes on with what was begun there" * half)


@contextmanager
def claimed(run: RunFolder) -> Iterator[None]:
    """Create a run folder if needed, and lock it (never longer than the process); raise if it is locked."""
    lock, made, refused = FileLock(run.lock), not run.path.exists(), False
    try:
        run.path.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        yield
    except Timeout:
        refused = True
        raise RunFolderError(
            f"{run}: another fit is at work in it; wait for its end, or choose another --out"
        ) from None
    finally:
        if lock.is_locked or (made and not refused):  # or stopped between making the file and locking it
            with suppress(OSError):  # some systems cannot remove an open file
                run.lock.unlink()
            lock.release()
        if made:
            with suppress(OSError):  # removes the folder only if it is empty
                run.path.rmdir()


def earlier_recipe(run: RunFolder, recipe: dict[str, Any]) -> dict[str, Any] | None:
    """Return the recipe of a fit in a folder, finished or not; raise RunFolderError if it cannot go on."""
    if (earlier := run.recipe.read()) is not None:
        check_same_fit(run, earlier, recipe)
        return earlier
    others = [path.name for path in run.path.iterdir()] if run.path.exists() else []
    if strange := [name for name in others if name != run.lock.name and not ASIDE.fullmatch(name)]:
        raise RunFolderError(
            f"{run}: wanted a new folder, or a fit to go on with, but it holds {strange[0]}, no "
            f"{run.recipe.path.name}"
        )
    return None


def wants_more_epochs(earlier: Recipe, keywords: Mapping[str, Any]) -> bool:
    """Return whether `max_epochs` is larger than in an earlier fit; False for methods without epochs."""
    was, now = earlier.get("keywords", {}).get("max_epochs"), keywords.get("max_epochs")
    if was == "auto":
        was = earlier.get("taken", {}).get("max_epochs")
    return isinstance(was, int) and isinstance(now, int) and now > was


def check_same_fit(run: RunFolder, earlier: Recipe, recipe: dict[str, Any]) -> None:
    """Raise RunFolderError if an earlier fit has other data or keywords, or no checkpoint for more epochs."""
    now = plain(recipe)
    for keyword in SAME_RESULT & now["keywords"].keys():
        now["keywords"][keyword] = earlier.get("keywords", {}).get(keyword)
    if wants_more_epochs(earlier, now["keywords"]):
        if run.is_finished(earlier) and not run.checkpoint.is_file():
            state = run.checkpoint.relative_to(run.path)
            raise RunFolderError(
                f"{run}: holds no {state}, which more epochs begin with; fit anew into another --out"
            )
        now["keywords"]["max_epochs"] = earlier["keywords"]["max_epochs"]
    for part in SAME:
        was, asked = earlier.get(part), now.get(part)
        if isinstance(was, dict) and isinstance(asked, dict):  # another version may leave out what is None
            name = next((name for name in {**was, **asked} if was.get(name) != asked.get(name)), "")
            part, was, asked = f"{part}: {name}", was.get(name), asked.get(name)
        if was != asked:
            what = f"another fit ({part} was {was}, now {asked})"
            if part == "data: fingerprint":
                what = "other data (samples, ids, groups or labels)"
            raise RunFolderError(f"{run}: was begun with {what}; choose another --out")


def begin(run: RunFolder, recipe: dict[str, Any], earlier: Recipe | None, say: Say) -> None:
    """Write recipe and versions, or prepare the folder of an earlier fit and take over its threads."""
    now = current_versions()
    if earlier is None:
        run.recipe.write(recipe)
        run.versions.write(now)
        return
    remove_asides(run.path)
    epochs = 0 if (metrics := run.metrics.read()) is None else len(metrics)
    say(f"going on with {run}, after {epochs} epochs" if epochs else f"going on with {run}, from the start")
    then = (run.versions.read() or {}).items()
    if changed := [f"{name} {was} (now {now[name]})" for name, was in then if was != now.get(name, was)]:
        say(f"warning: started with {', '.join(changed)}, so that numbers may differ in their last digits")
    longer = wants_more_epochs(earlier, recipe["keywords"])
    recipe |= {name: earlier[name] for name in ("threads", *["command"] * (not longer)) if name in earlier}
    if longer:
        run.recipe.write(recipe)


@contextmanager
def remove_run_on_error(run: RunFolder) -> Iterator[None]:
    """On error, delete the run folder unless it holds something to resume or to look at."""
    try:
        yield
    except BaseException:
        if not (run.checkpoint.exists() or run.model.exists() or run.diverged.exists()):
            shutil.rmtree(run.path, ignore_errors=True)
        raise


@contextmanager
def use_threads(n: int | None) -> Iterator[None]:
    """Compute with `n` threads, None for no change; the last digits of sums depend on the number."""
    if n is None:
        yield
        return
    before = torch.get_num_threads()
    try:
        with threadpool_limits(n):
            torch.set_num_threads(n)
            yield
    finally:
        torch.set_num_threads(before)


def fingerprint(*sources: Source) -> str:
    """Return the SHA-256 hex digest of samples, ids, groups and labels, in order."""
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
            i, more = changed[0], f", and {changed.size - 1} more" * (changed.size > 1)
            what = f"{name} of {then['id'][i]!r} was {then[name][i]!r}, is {now[name][i]!r}{more}"
            break
    else:
        if fingerprint(train, test) == folder.recipe.required().get("data", {}).get("fingerprint"):
            return
        what = (
            "ids, groups, labels and attributes are the same, what the samples hold is not (files were "
            "changed, or are read in another way)"
        )
    raise DataError(
        f"{run}: was fitted on other data: {what}; nothing was fitted: give the data as they were"
    )
