"""`sepvae recipes`, and the loading of a recipe with notes."""

import warnings

import typer

from sepvae.cli.plain import plain
from sepvae.recipes import Recipe, load_recipe, recipe_names, recipe_text


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


def load_with_notes(name: str) -> Recipe:
    """Load a recipe, and print its FutureWarnings, such as old option names, as notes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FutureWarning)
        recipe = load_recipe(name)
    for warning in caught:
        typer.echo(plain(f"note: {recipe.file}: {warning.message}"), err=True)
    return recipe
