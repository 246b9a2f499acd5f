"""`sepvae recipes`, and the options that a recipe sets for `fit`."""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

from sepvae.cli.plain import plain
from sepvae.errors import DataError
from sepvae.recipes import Recipe, load_recipe, recipe_names, recipe_text

WORDS = {
    "folder": "a folder of images",
    "table": "a table of image files",
    "volumes": "a table of volumes, or a packed store",
    "regions": "a table of features",
    "array": "an array",
    "kermany": "Kermany's chest X-rays",
    "celeba": "CelebA",
    "brats": "BraTS",
}


def print_recipes(name: str | None) -> None:
    """Print the text of a packaged recipe; without a name, list all recipes."""
    if name is not None:
        typer.echo(recipe_text(name), nl=False)
        return
    recipes = [load_recipe(name) for name in recipe_names()]
    for recipe in recipes:
        widths = (max(len(getattr(r, column)) for r in recipes) for column in ("name", "title"))
        typer.echo(
            "  ".join([recipe.name.ljust(next(widths)), recipe.title.ljust(next(widths)), recipe.reader])
        )


def load_told(name: str) -> Recipe:
    """Load a recipe, and print its FutureWarnings, such as old option names, as notes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FutureWarning)
        recipe = load_recipe(name)
    for warning in caught:
        typer.echo(plain(f"note: {recipe.file}: {warning.message}"), err=True)
    return recipe


def with_recipe(data: Path, options: dict[str, Any], recipe: Recipe, typed: Iterable[str]) -> dict[str, Any]:
    """Return the options, replaced by the recipe's values except where they were typed."""
    from sepvae.data.load import kind_of

    protocol = {"test_size": recipe.protocol.test_share, "split_seed": recipe.protocol.split_seed}
    told = recipe.data.model_dump(exclude_none=True) | protocol
    if recipe.reader == "digits-on-photos":
        _refuse_options(recipe, [*recipe.data.model_fields_set, *(n for n in typed if n in options)])
    elif data.exists() and kind_of(data) == "packed":
        told.pop("images", None)  # paths of volumes, which a store does not need
    return options | {name: value for name, value in told.items() if name not in typed}


def check_data(data: Path, recipe: Recipe) -> None:
    """Raise DataError if DATA is not of the kind that the recipe reads."""
    if recipe.reader == "digits-on-photos":
        if str(data) != recipe.reader:
            raise DataError(f"{data}: recipe {recipe.name} brings its data; write {recipe.reader} instead")
    elif data.exists() and (found := _reader_of(data, recipe.reader)) != recipe.reader:
        raise DataError(
            f"{data}: recipe {recipe.name} reads {WORDS[recipe.reader]}, but this is {WORDS[found]}"
        )


def _reader_of(data: Path, wanted: str) -> str:
    from sepvae.data.brats import is_brats
    from sepvae.data.folders import list_image_folder
    from sepvae.data.load import kind_of
    from sepvae.data.published import is_celeba, is_kermany

    if (kind := kind_of(data)) == "packed":
        return "volumes"
    if kind == "table" and wanted in ("volumes", "regions"):
        return wanted  # both are tables; their content is known only after reading
    if kind != "folder":
        return kind
    if is_celeba(data):
        return "celeba"
    if is_brats(data):
        return "brats"
    # Kermany's images are recognised by their file names, so all of them are listed.
    return "kermany" if wanted == "kermany" and is_kermany(list_image_folder(data)) else "folder"


def _refuse_options(recipe: Recipe, names: list[str]) -> None:
    """Raise DataError if an option other than --split-seed and --out is set for the digits."""
    if wrong := [name for name in names if name not in ("split_seed", "out")]:
        option = wrong[0].replace("_", "-")
        raise DataError(f"--{option} has no meaning for recipe {recipe.name}, whose data come as they are")
