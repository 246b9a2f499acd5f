"""Read recipes: packaged ones by name, a user's own by path; match a recipe with data."""

from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import ValidationError

from sepvae.data.spec import DataSpec, first_error, named_fields, read_spec
from sepvae.errors import DataError, nearest, reason_of
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
        Name of a packaged recipe, as `sepvae recipes` lists them, or the path of a YAML file.

    Returns
    -------
    Recipe
        The recipe; the keywords of a method are validated by the method.

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
    """Return the names of the packaged recipes, in alphabetical order."""
    found = (file.name for file in files("sepvae.recipes").iterdir())
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))


def recipe_text(name: str) -> str:
    """Return the YAML text of a packaged recipe, including its comments."""
    if name not in (known := recipe_names()):
        raise DataError(f"recipe: there is no {name!r}; {nearest(name, known)}")
    return (files("sepvae.recipes") / f"{name}.yaml").read_text(encoding="utf-8")


def spec_of_data(data: Path, spec: DataSpec, recipe: Recipe | None, *, split: Path | None = None) -> DataSpec:
    """Return how DATA are read, by `spec`, else by a recipe; raise DataError if both do not fit them."""
    from sepvae.data.bundled import DIGITS
    from sepvae.data.formats import FOLDER, STORE, kind_of
    from sepvae.data.loading import FORMATS, find_format, format_named

    fields = named_fields(spec)
    if recipe is not None and recipe.reader == DIGITS:
        if str(data) != DIGITS:
            raise DataError(f"{data}: recipe {recipe.name} brings its data; write {DIGITS} instead")
        if names := [*named_fields(recipe.data), *fields, *["split"] * (split is not None)]:
            option = names[0].replace("_", "-")
            raise DataError(
                f"--{option} has no meaning for recipe {recipe.name}, whose data come as they are"
            )
        return spec
    kind = kind_of(data)
    if recipe is not None:
        wanted, base, packed = format_named(recipe.reader), recipe.data, data.exists() and kind is STORE
        if data.exists() and not (packed and wanted.sample == "volume"):
            # Only folders are looked into: a table has the format that its columns, named by the spec, give.
            found = [format_ for format_ in FORMATS if format_.kind is kind][-1]
            found = find_format(data, DataSpec()) if kind is FOLDER else found
            if wanted.kind is not kind or (kind is FOLDER and not wanted.reads(found)):
                reads = wanted.title + ", or a packed store" * (wanted.sample == "volume")
                raise DataError(f"{data}: recipe {recipe.name} reads {reads}, but this is {found.title}")
        if packed:  # it does not need paths of volumes
            base = base.model_copy(update={"images": None})
        spec = read_spec(fields, base)
    find_format(data, spec).check(data, spec, labelled=True)
    return spec


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
        raise DataError(f"{file}: is not YAML that is read here ({reason_of(error)})") from None
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
