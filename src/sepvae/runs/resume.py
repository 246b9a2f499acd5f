"""Lock of a run folder, and checks that an earlier fit in it can be resumed."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from filelock import FileLock, Timeout

from sepvae.errors import RunFolderError
from sepvae.files import ASIDE, remove_asides
from sepvae.progress import Say
from sepvae.run_folder import RunFolder, current_versions, plain

# Parts of a recipe in which a resumed fit must be the same.
SAME = ("method", "keywords", "data", "attributes", "protocol")

Recipe = Mapping[str, Any]


@contextmanager
def claimed(run: RunFolder) -> Iterator[None]:
    """
    Create a run folder if needed, and lock it; raise RunFolderError if another fit holds the lock.

    The lock ends with its process, so a crash leaves no stale lock.
    """
    lock, made = FileLock(run.lock), not run.path.exists()
    try:
        run.path.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        yield
    except Timeout:
        raise RunFolderError(
            f"{run}: another fit is at work in it; wait for its end, or choose another --out"
        ) from None
    finally:
        if lock.is_locked:
            with suppress(OSError):  # some systems cannot remove an open file
                run.lock.unlink()
            lock.release()
        if made:
            with suppress(OSError):  # removes the folder only if it is empty
                run.path.rmdir()


def earlier_recipe(run: RunFolder) -> dict[str, Any] | None:
    """Return the recipe of a fit in a folder, finished or not; raise RunFolderError for other files."""
    if (recipe := run.recipe.read()) is not None:
        return recipe
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
    """
    Raise RunFolderError if an earlier fit has other data or keywords, except for fewer epochs.

    More epochs of a finished fit need its checkpoint.
    """
    now = plain(recipe)
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
            names = [name for name in {**was, **asked} if was.get(name) != asked.get(name)]
            name = next(iter(names), "")
            part, was, asked = f"{part}: {name}", was.get(name), asked.get(name)
        if was == asked:
            continue
        what = f"another fit ({part} was {was}, now {asked})"
        if part == "data: fingerprint":
            what = "other data (samples, ids, groups or labels)"
        raise RunFolderError(f"{run}: was begun with {what}; choose another --out")


def begin(run: RunFolder, recipe: dict[str, Any], earlier: Recipe | None, say: Say) -> None:
    """Write recipe and versions, or prepare the folder of an earlier fit and take over its threads."""
    if earlier is None:
        run.recipe.write(recipe)
        run.versions.write(current_versions())
        return
    remove_asides(run.path)
    epochs = 0 if (metrics := run.metrics.read()) is None else len(metrics)
    say(f"going on with {run}, after {epochs} epochs" if epochs else f"going on with {run}, from the start")
    if changed := differing_versions(run):
        say(f"warning: started with {changed}, so that numbers may differ in their last digits")
    longer = wants_more_epochs(earlier, recipe["keywords"])
    recipe |= {name: earlier[name] for name in ("threads", *["command"] * (not longer)) if name in earlier}
    if longer:
        run.recipe.write(recipe)


def differing_versions(run: RunFolder) -> str:
    """Return versions that changed, as in "torch 2.12.0 (now 2.13.0)"; empty if none did or none is known."""
    old, now = run.versions.read() or {}, current_versions()
    pairs = [(name, was, now[name]) for name, was in old.items() if was != now.get(name, was)]
    return ", ".join(f"{name} {was} (now {is_now})" for name, was, is_now in pairs)


@contextmanager
def remove_run_on_error(run: RunFolder) -> Iterator[None]:
    """On error, delete the run folder unless it holds something to resume or to look at."""
    try:
        yield
    except BaseException:
        if not run.has_results():
            shutil.rmtree(run.path, ignore_errors=True)
        raise
