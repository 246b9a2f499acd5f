"""Lock of a run folder, and checks that an earlier fit in it can be resumed."""

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
STATE = Path("checkpoints") / "last.ckpt"  # complete state to resume a fit from
# Parts of a recipe in which a resumed fit must be the same.
SAME = ("method", "keywords", "data", "attributes", "protocol")


@contextmanager
def claimed(run: Path) -> Iterator[None]:
    """
    Create a run folder if needed, and lock it; raise RunFolderError if another fit holds the lock.

    The lock ends with its process, so a crash leaves no stale lock.
    """
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
            with suppress(OSError):  # some systems cannot remove an open file
                (run / LOCK).unlink()
            lock.release()
        if made:
            with suppress(OSError):  # removes the folder only if it is empty
                run.rmdir()


def is_begun(run: Path) -> bool:
    """Return whether a run folder holds a fit, finished or not; raise RunFolderError for other files."""
    if (run / "recipe.yaml").is_file():
        return True
    others = [path.name for path in run.iterdir()] if run.exists() else []
    if strange := [name for name in others if name != LOCK and not ASIDE.fullmatch(name)]:
        raise RunFolderError(
            f"{run}: wanted a new folder, or a fit to go on with, but it holds {strange[0]}, no recipe.yaml"
        )
    return False


def is_finished(run: Path) -> bool:
    """Return whether the fit in a run folder is finished; its page is the last file written."""
    return "seconds" in read_recipe(run) and (run / "report.html").is_file()


def wants_more_epochs(run: Path, keywords: Mapping[str, Any]) -> bool:
    """Return whether `max_epochs` is larger than in the run folder; False for methods without epochs."""
    recipe = read_recipe(run)
    was, now = recipe.get("keywords", {}).get("max_epochs"), keywords.get("max_epochs")
    if was == "auto":
        was = recipe.get("taken", {}).get("max_epochs")
    return isinstance(was, int) and isinstance(now, int) and now > was


def check_same_fit(run: Path, recipe: dict[str, Any]) -> None:
    """
    Raise RunFolderError if a run folder holds a fit of other data or keywords, except for more epochs.

    More epochs of a finished fit need its checkpoint.
    """
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
def remove_run_on_error(run: Path) -> Iterator[None]:
    """On error, delete the run folder unless it holds a checkpoint, a model or `diverged.csv`."""
    try:
        yield
    except BaseException:
        if not any((run / kept).exists() for kept in (STATE, "model", "diverged.csv")):
            shutil.rmtree(run, ignore_errors=True)
        raise
