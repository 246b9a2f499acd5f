"""Options of several commands, except those that name data."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sepvae.run_folder import N_PERMUTATIONS


def _enough(permutations: int | None) -> int | None:
    if permutations is None:
        return None
    if permutations < 0 or 0 < permutations < 19:
        raise typer.BadParameter(f"wanted 0, or 19 or more, got {permutations}")
    return permutations


def size_of_batch(typed: str) -> int | Literal["auto"]:
    """Parse --batch-size: a positive integer or auto."""
    if typed == "auto":
        return "auto"
    if not (typed.isascii() and typed.isdigit() and int(typed) > 0):
        raise typer.BadParameter(
            f"wanted a whole number of 1 or more, or auto, got {typed!r}", param_hint="--batch-size"
        )
    return int(typed)


Run = Annotated[Path, typer.Argument(help="A run folder, as `sepvae fit` leaves it.", show_default=False)]
Permutations = Annotated[
    int,
    typer.Option(
        "--permutations",
        callback=_enough,
        help="Shuffles behind each p-value; 0 for none, else 19 or more, for fewer cannot give 0.05.",
    ),
]
BatchSize = Annotated[
    str,
    typer.Option(metavar="INTEGER|auto", help="Samples a batch that `fit` would take; auto suits the data."),
]
Removal = Annotated[
    bool | None,
    typer.Option(
        "--removal/--no-removal",
        help="Train classifiers that score removal and swaps, whatever their time, or none; by default they "
        "go through half as many images as the fit, and are left out where that is too few.",
        show_default=False,
    ),
]
Quick = Annotated[
    bool,
    typer.Option(
        "--quick",
        help="A first look: no removal, 19 permutations, no thumbnails. `sepvae evaluate RUN DATA "
        "--complete` adds them, and takes 100 permutations.",
    ),
]
PermutationsAgain = Annotated[
    int | None,
    typer.Option(
        "--permutations",
        callback=_enough,
        help="Shuffles behind each p-value, as for `fit`; by default as many as the run has, but 100 with "
        "--complete for a run that was fitted with --quick.",
        show_default=False,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A keyword of the method, such as max_epochs=50; recipe.yaml of a run has all. Repeatable.",
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="An experiment: how DATA are read, and keywords of each method; `sepvae recipes` lists them. "
        "Options that are typed take precedence.",
    ),
]
QUICK_PERMUTATIONS = 19


def scoring_options(
    *, permutations: int, removal: bool | None, quick: bool, typed: Collection[str]
) -> dict[str, Any]:
    """
    Return the scoring keywords of `fit_run`; options that were typed override --quick.

    >>> scoring_options(permutations=100, removal=None, quick=True, typed=["quick"])
    {'n_permutations': 19, 'removal': False, 'thumbnails': False}
    """
    if quick and "permutations" not in typed:
        permutations = QUICK_PERMUTATIONS
    by_default: Literal["auto", False] = False if quick else "auto"
    scored = by_default if removal is None else removal
    return {"n_permutations": permutations, "removal": scored, "thumbnails": not quick}


def permutations_again(typed: int | None, recorded: int, *, complete: bool) -> int:
    """
    Return the permutations of `evaluate`: typed, else recorded, but 100 for --complete of a quick run.

    >>> permutations_again(None, 19, complete=False), permutations_again(None, 19, complete=True)
    (19, 100)
    """
    if typed is not None:
        return typed
    return N_PERMUTATIONS if complete and recorded == QUICK_PERMUTATIONS else recorded
