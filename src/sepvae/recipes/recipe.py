"""Recipes: their schema, validated by pydantic, packaged ones by name, a user's own by path, beside data."""

import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from sepvae.data.spec import (
    Count,
    DataSpec,
    OneOrMore,
    StrictModel,
    first_error,
    named_fields,
    read_spec,
    refuse_unknown,
)
from sepvae.errors import DataError, nearest, reason_of
from sepvae.registry import method_names

Reader = Literal[
    "digits-on-photos",
    "folder",
    "table",
    "array",
    "kermany",
    "celeba",
    "brats",
    "volumes",
    "regions",
    "anndata",
]
Keywords = dict[str, Any]
INFORMATION = ("information", "shared_information")  # metrics in nats, which no probe gives


class ScoreColumn(StrictModel):
    """Column of the benchmark's table: one score."""

    title: str
    attribute: str = ""  # to predict; "label" is background or target; none of shared_information
    population: Literal["all", "target"]
    space: str  # common, salient, both, or a block: "salient, shared", "salient of TARGET"
    metric: Literal["balanced_accuracy", "accuracy", "auc", "mae", "r2", "information", "shared_information"]
    # Ridge regression, for continuous attributes; the method's classifier of salient codes, else a network of
    # two layers; no penalty, for preset "paper" only.
    probe: Literal["linear", "own", "least_squares"] = "linear"
    better: Literal["high", "low"]  # of a successful separation: low for common attributes from salient codes

    @model_validator(mode="after")
    def _probe_suits(self) -> Self:
        if not re.fullmatch("common|both|salient(, shared| of .+)?", self.space):
            said = "wanted space common, salient, both, 'salient, shared' or 'salient of TARGET'"
            raise PydanticCustomError("own", said)
        if self.probe == "own" and (self.space, self.attribute) != ("salient", "label"):
            raise PydanticCustomError("own", "wanted space salient and attribute label with probe own")
        if self.probe == "least_squares" and self.metric not in ("mae", "r2"):
            raise PydanticCustomError("one_of_both", "wanted metric mae or r2 with probe least_squares")
        if (self.metric == "shared_information") != (not self.attribute):
            said = "wanted an attribute, or metric shared_information, which has none"
            raise PydanticCustomError("own", said)
        if self.metric == "shared_information" and self.space != "both":
            raise PydanticCustomError("own", "wanted space both with metric shared_information")
        of_label = self.attribute == "label" and self.space in ("common", "salient")
        if self.metric == "information" and not (of_label and self.population == "all"):
            said = (
                "wanted attribute label, population all and space common or salient with metric information"
            )
            raise PydanticCustomError("own", said)
        return self

    @property
    def probe_of_rows(self) -> str:
        """Probe in the results; "" of scores in nats."""
        return "" if self.metric in INFORMATION else self.probe


class Protocol(StrictModel):
    """Splits and repetitions of the fits, and the benchmark's contenders and table."""

    # One of three: a share to score on, a number of folds, or an attribute, such as the site, each of whose
    # values with samples of every label is scored once, by a model that has not seen it.
    test_size: Annotated[float, Field(gt=0, lt=1)] | None = None
    folds: Annotated[int, Field(ge=2, strict=True)] | None = None
    leave_out: str | None = None
    stratify_by: str | None = None  # attribute with similar shares in test and training, or in all folds
    adjust_for: OneOrMore = Field(default_factory=list)  # of the partial correlation with clinical scores
    seeds: Count = 1  # fits on each fold
    split_seed: Annotated[int, Field(ge=0, strict=True)] = 0
    contenders: Annotated[list[str], Field(min_length=1)]  # the first is compared with each other one
    columns: Annotated[list[ScoreColumn], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(way is not None for way in (self.test_size, self.folds, self.leave_out)) != 1:
            raise PydanticCustomError("one_of_both", "wanted one of test_size, folds and leave_out")
        if self.leave_out is not None and self.stratify_by is not None:
            raise PydanticCustomError("one_of_both", "stratify_by has no meaning with leave_out")
        return self

    @property
    def wants_information(self) -> bool:
        """Whether a column shows a score in nats, which cells then have without permutations, too."""
        return any(column.metric in INFORMATION for column in self.columns)

    @property
    def test_share(self) -> float:
        """Fraction of the samples that one fit is scored on; 0.2 with `leave_out`, whose folds differ."""
        return 1 / self.folds if self.folds is not None else self.test_size or 0.2


class Recipe(StrictModel):
    """
    One experiment: data, protocol, and the keywords of each method.

    Parameters
    ----------
    title : str
        Title of the experiment.
    source : str, default=None
        Publication of the experiment.
    note : str, default=None
        Differences from the publication, and limitations.
    reader : str
        Reader of DATA: digits-on-photos, folder, table, array, kermany, celeba, brats, volumes (in files or
        packed), regions or anndata.
    data : DataSpec, default=none of its options
        How DATA are read.
    protocol : Protocol
        Splits, repetitions, contenders and table.
    methods : dict
        Keywords by method and preset, such as `methods["SepVAE"]["paper"]`. They override those of the
        method's preset with the same name, if it has one.
    """

    title: str
    source: str | None = None
    note: str | None = None
    reader: Reader
    data: DataSpec = Field(default_factory=DataSpec)
    protocol: Protocol
    methods: Annotated[dict[str, dict[str, Keywords]], Field(min_length=1)]
    _name: str = PrivateAttr("recipe")
    _file: str = PrivateAttr("recipe")

    @field_validator("methods", mode="before")
    @classmethod
    def _know_methods(cls, given: Any) -> Any:
        if isinstance(given, dict):
            refuse_unknown("method", given, method_names())
        return given

    @field_validator("methods")
    @classmethod
    def _plain_values(cls, methods: dict[str, dict[str, Keywords]]) -> dict[str, dict[str, Keywords]]:
        for presets in methods.values():
            for preset, keywords in presets.items():
                presets[preset] = {key: plain_value(value) for key, value in keywords.items()}
        return methods

    @property
    def name(self) -> str:
        """Name of a packaged recipe, or file name of another one."""
        return self._name

    @property
    def file(self) -> str:
        """Path of the file for messages, or NAME.yaml for a packaged recipe."""
        return self._file

    def keywords(self, method: str, preset: str) -> Keywords:
        """
        Return the keywords of a method.

        Parameters
        ----------
        method, preset : str
            Names, such as "SepVAE" and "paper".

        Returns
        -------
        dict of str to object
            Copy of the recipe's keywords.

        Raises
        ------
        DataError
            If the recipe lacks the method, or that preset of it.
        """
        presets = self.methods.get(method, {})
        known = {"method": (method, self.methods), f"preset of {method}": (preset, presets)}
        for what, (wanted, names) in known.items():
            if wanted not in names:
                raise DataError(f"{self.file}: has no {what} {wanted!r}; it has {', '.join(names)}")
        return dict(presets[preset])


def plain_value(value: Any) -> Any:
    """
    Convert text such as "1e-10" to a number, and "None" to None: YAML reads both as text.

    >>> plain_value("1e-10"), plain_value("None"), plain_value("e2")
    (1e-10, None, 'e2')
    """
    if value == "None":
        return None
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


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
