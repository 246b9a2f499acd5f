"""One fit at a time in a run folder, and what it finds there of an earlier start."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sepvae.errors import RunFolderError
from sepvae.files import ASIDE
from sepvae.runs.folder import plain, read_recipe

LOCK = ".lock"
STATE = Path("checkpoints") / "last.ckpt"  # all that a fit needs to go on
# What makes two fits the same, in a recipe.
SAME = ("method", "keywords", "data", "attributes", "protocol")


@contextmanager
def claimed(run: Path) -> Iterator[None]:
    """Make a run folder if there is none, and keep other fits out of it; the lock ends with its process."""
    lock, made = FileLock(run / LOCK), not run.exists()
    try:
        run.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        yield
    except Timeout:
        raise RunFolderError(
            f"{run}: another fit is at work in it; wait for its end, or choose another --out"
        ) from None
    finally:
        if lock.is_locked:
            with suppress(OSError):  # where an open file cannot be removed, it stays
                (run / LOCK).unlink()
            lock.release()
        if made:
            with suppress(OSError):  # it was stopped before there was anything in it
                run.rmdir()


def is_begun(run: Path) -> bool:
    """Say whether there is an earlier start of a fit, finished or not."""
    if (run / "recipe.yaml").is_file():
        return True
    others = [path.name for path in run.iterdir()] if run.exists() else []
    if strange := [name for name in others if name != LOCK and not ASIDE.fullmatch(name)]:
        raise RunFolderError(
            f"{run}: wanted a new folder, or a fit to go on with, but it holds {strange[0]}, no recipe.yaml"
        )
    return False


def is_finished(run: Path) -> bool:
    """Say whether a fit has come to its end."""
    return "seconds" in read_recipe(run) and (run / "report.html").is_file()


def wants_more_epochs(run: Path, keywords: Mapping[str, Any]) -> bool:
    """Say whether a fit is to be longer than the one in a run folder."""
    recipe = read_recipe(run)
    was, now = recipe.get("keywords", {}).get("max_epochs"), keywords.get("max_epochs")
    if was == "auto":
        was = recipe.get("taken", {}).get("max_epochs")
    return isinstance(was, int) and isinstance(now, int) and now > was


def check_same_fit(run: Path, recipe: dict[str, Any]) -> None:
    """See that a run folder was begun with the same data and keywords, but for more epochs."""
    old, now = read_recipe(run), plain(recipe)
    if wants_more_epochs(run, now["keywords"]):
        if is_finished(run) and not (run / STATE).is_file():
            raise RunFolderError(
                f"{run}: holds no {STATE}, which more epochs begin with; fit anew into another --out"
            )
        old["keywords"]["max_epochs"] = now["keywords"]["max_epochs"]
    for part in SAME:
        was, asked = old.get(part), now.get(part)
        if was == asked:
            continue
        if isinstance(was, dict) and isinstance(asked, dict):
            part, was, asked = next(
                (f"{part}: {name}", was.get(name), asked.get(name))
                for name in {**was, **asked}
                if was.get(name) != asked.get(name)
            )
        what = f"another fit ({part} was {was}, now {asked})"
        if part == "data: fingerprint":
            what = "other data (samples, ids, groups or labels)"
        raise RunFolderError(f"{run}: was begun with {what}; choose another --out")


@contextmanager
def nothing_useless(run: Path) -> Iterator[None]:
    """Remove a run folder if what goes on in it fails before there is anything to go on from."""
    try:
        yield
    except BaseException:
        if not any((run / kept).exists() for kept in (STATE, "model", "diverged.csv")):
            shutil.rmtree(run, ignore_errors=True)
        raise
