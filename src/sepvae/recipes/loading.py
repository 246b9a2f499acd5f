"""How a recipe is read: by its name, or from a user's own file."""

from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sepvae.errors import DataError
from sepvae.recipes.recipe import Recipe
from sepvae.recipes.words import nearest


def load_recipe(name_or_path: str | Path) -> Recipe:
    """
    Read a packaged recipe by its name, or a file.

    Parameters
    ----------
    name_or_path : str or Path
        One of `recipe_names`, or a YAML file.

    Returns
    -------
    Recipe
        Checked, but for the keywords of the methods, which those check.

    Raises
    ------
    DataError
        If there is no such recipe, or something in it is not as it must be.

    Examples
    --------
    >>> load_recipe("pneumonia").keywords("SepVAE", "paper")["beta_salient"]
    0.1
    """
    if name_or_path in recipe_names():
        return _checked(recipe_text(str(name_or_path)), f"{name_or_path}.yaml", str(name_or_path))
    path = Path(name_or_path)
    if not path.is_file():
        hint = nearest(str(name_or_path), recipe_names())
        raise DataError(f"recipe: wanted a YAML file or the name of a recipe, got {str(path)!r}; {hint}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{path}: wanted a YAML file, but it is not UTF-8 text") from None
    return _checked(text, str(path), path.name)


def recipe_names() -> list[str]:
    """
    List the packaged recipes by name.

    Returns
    -------
    list of str
        Sorted.

    Examples
    --------
    >>> "pneumonia" in recipe_names()
    True
    """
    found = (file.name for file in files("sepvae.recipes").iterdir())
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))


def recipe_text(name: str) -> str:
    """
    Read the YAML of a packaged recipe, comments and all.

    Parameters
    ----------
    name : str
        One of `recipe_names`.

    Returns
    -------
    str
        To be printed, saved and edited.

    Raises
    ------
    DataError
        If there is no such recipe.
    """
    if name not in (known := recipe_names()):
        raise DataError(f"recipe: there is no {name!r}; {nearest(name, known)}")
    return (files("sepvae.recipes") / f"{name}.yaml").read_text(encoding="utf-8")


def _checked(text: str, file: str, name: str) -> Recipe:
    """A recipe from YAML; mistakes in it are named with their place."""
    try:
        recipe = Recipe.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise DataError(f"{file}{line}: is not YAML ({getattr(error, 'problem', None) or error})") from None
    except ValidationError as error:
        raise DataError(f"{file}: {_told(error.errors())}") from None
    recipe._name, recipe._file = name, file
    return recipe


def _told(errors: list[ErrorDetails]) -> str:
    """The first mistake in one line: where, what was wanted, what came."""
    error = errors[0]
    context, came = error.get("ctx", {}), error["input"]
    place = ".".join(map(str, [*error["loc"], *([context["key"]] if "key" in context else [])]))
    prefix, message = f"{place}: " if place else "", error["msg"].replace("Input should be ", "wanted ")
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    if error["type"] == "missing":
        return f"{prefix}wanted a value, found no such key{more}"
    if error["type"] in ("unknown", "one_of_both"):
        return f"{prefix}{message}{more}"
    if error["type"].startswith(("model_", "dict_")):
        message = "wanted keys with values"
    elif error["type"] == "string_type":
        message = "wanted text" + " (put it in quotes)" * isinstance(came, bool)
    got = "nothing" if came is None else repr(came)
    return f"{prefix}{message}, got {got if len(got) <= 60 else got[:57] + '...'}{more}"
