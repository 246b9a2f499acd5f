"""Read recipes: packaged ones by name, a user's own by path."""

from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import ValidationError

from sepvae.data.spec import first_error, nearest
from sepvae.errors import DataError
from sepvae.recipes.recipe import Recipe

MOST_LETTERS, MOST_VALUES, MOST_DEPTH = 10**6, 10_000, 50  # limits on the YAML of a recipe
# Raised by yaml, besides YAMLError, for a date that does not exist, !!bool x, !!int '', !!timestamp x or deep
# nesting, and by `_check_size`.
STUMBLES = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)


def load_recipe(name_or_path: str | Path) -> Recipe:
    """
    Read a packaged recipe by its name, or a recipe file by its path.

    Parameters
    ----------
    name_or_path : str or Path
        One of `recipe_names`, or the path of a YAML file.

    Returns
    -------
    Recipe
        Validated, except for the keywords of the methods: each method validates its own.

    Raises
    ------
    DataError
        If the recipe does not exist, or its content is not valid.

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
    Return the names of the packaged recipes.

    Returns
    -------
    list of str
        Names in alphabetical order.

    Examples
    --------
    >>> "pneumonia" in recipe_names()
    True
    """
    found = (file.name for file in files("sepvae.recipes").iterdir())
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))


def recipe_text(name: str) -> str:
    """
    Return the YAML text of a packaged recipe, including its comments.

    Parameters
    ----------
    name : str
        One of `recipe_names`.

    Returns
    -------
    str
        Text to print, or to save and edit.

    Raises
    ------
    DataError
        If the recipe does not exist.
    """
    if name not in (known := recipe_names()):
        raise DataError(f"recipe: there is no {name!r}; {nearest(name, known)}")
    return (files("sepvae.recipes") / f"{name}.yaml").read_text(encoding="utf-8")


def _checked(text: str, file: str, name: str) -> Recipe:
    """Parse and validate YAML; errors name the file and the line or key."""
    try:
        _check_size(text)
        recipe = Recipe.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = (getattr(error, "problem", None) or str(error)).partition("\n")[0]
        raise DataError(f"{file}{line}: is not YAML that is read here ({problem})") from None
    except ValidationError as error:
        raise DataError(f"{file}: {first_error(error.errors())}") from None
    except STUMBLES as error:
        problem = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise DataError(f"{file}: is not YAML that is read here ({problem})") from None
    recipe._name, recipe._file = name, file
    return recipe


def _check_size(text: str) -> None:
    """Raise ValueError for YAML that would take too much time or memory, e.g. through nested aliases."""
    if len(text) > MOST_LETTERS:
        raise ValueError(f"more than {MOST_LETTERS} letters")
    depth = values = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        values += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            raise ValueError(f"values within values, more than {MOST_DEPTH} deep")
        if values > MOST_VALUES:
            raise ValueError(f"more than {MOST_VALUES} values")
    if (root := yaml.compose(text, yaml.SafeLoader)) is not None and _size(root, {}) > MOST_VALUES:
        raise ValueError(f"more than {MOST_VALUES} values, those behind aliases counted each time")


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Count the values of a node; a value behind an alias counts each time."""
    if id(node) not in sizes:
        sizes[id(node)] = MOST_VALUES + 1  # placeholder: a node that contains itself exceeds the limit
        inner = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else []
        inner = node.value if isinstance(node, yaml.SequenceNode) else inner
        if isinstance(node, yaml.ScalarNode):
            node.value.encode()  # raises for an unpaired surrogate such as "\ud800"
        sizes[id(node)] = 1 + sum(_size(part, sizes) for part in inner)
    return sizes[id(node)]
