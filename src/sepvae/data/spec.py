"""`DataSpec`: how data are read, in Python, in recipes, on the command line and in recipe.yaml of a run."""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from inspect import cleandoc
from math import inf
from numbers import Integral, Real
from operator import index
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AliasChoices, BeforeValidator, Field, PlainValidator, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from sepvae.data.strict_model import StrictModel, first_error
from sepvae.errors import DataError

MEMORY = 4.0  # GB of cached images or volumes
Fit = Literal["pad", "crop", "squash"]
KINDS = ("continuous", "categorical")
TABLE, FOLDER, IMAGES, VOLUMES = "For a table, an array or a store", "For a folder", "Images", "Volumes"


class Option(NamedTuple):
    """Text on a field for the command line: its help, and where and how that is shown."""

    help: str
    panel: str | None = None
    metavar: str | None = None


def parse_size(given: Any) -> int | tuple[int, ...]:
    """
    Parse the sides of images and volumes: 64, "48x64" or (48, 56, 48).

    >>> parse_size("64"), parse_size("48x64"), parse_size([48, 56, 48])
    (64, (48, 64), (48, 56, 48))
    """
    texts = given.split("x") if isinstance(given, str) else given
    parts = texts if isinstance(texts, list | tuple) else [texts]
    try:
        sides = tuple(int(part) if isinstance(part, str) else index(part) for part in parts)
        if not 1 <= len(sides) <= 3 or min(sides) < 1:
            raise ValueError
    except (TypeError, ValueError):
        raise PydanticCustomError(
            "size", "wanted pixels, such as 64 or 48x64, or voxels, such as 48x56x48"
        ) from None
    same = len(set(sides)) == 1 and isinstance(given, str)  # 64x64 is typed for 64
    return sides[0] if same or len(sides) == 1 else sides


def parse_attributes(given: Any) -> Any:
    """
    Parse names of attributes, or NAME:KIND, to a mapping of names to kinds.

    >>> parse_attributes(["age:continuous", "sex"])
    {'age': 'continuous', 'sex': None}
    """
    given = one_or_more(given)
    if not isinstance(given, list | tuple) or not all(isinstance(text, str) for text in given):
        return given
    attributes: dict[str, str | None] = {}
    for text in given:
        name, colon, kind = text.rpartition(":")
        if colon and kind not in KINDS:
            context = {"text": text, "kinds": ", ".join(KINDS), "kind": kind}
            raise PydanticCustomError("kind", "{text}: wanted one of {kinds}, got '{kind}'", context)
        attributes[name if colon else text] = kind if colon else None
    return attributes


def one_or_more(given: Any) -> Any:
    """Return one text as a list of it."""
    return [given] if isinstance(given, str) else list(given) if isinstance(given, tuple) else given


def parse_memory(given: Any) -> float:
    """Return gigabytes; only finite numbers of 0 or more are."""
    if isinstance(given, bool) or not isinstance(given, Real) or not 0 <= float(given) < inf:
        raise PydanticCustomError("memory", "wanted a number of 0 or more")
    return float(given)


def parse_words(given: Any) -> Any:
    """
    Return words and codes of missing values as text: "x", -9999, ["x", -9999] or an array.

    >>> parse_words(-9999), parse_words(("x", 1.5))
    (['-9999'], ['x', '1.5'])
    """
    words = [given] if isinstance(given, str | Real) else given
    if not isinstance(words, Iterable) or isinstance(words, Mapping):
        return words
    return [str(word) if not isinstance(word, bool) and isinstance(word, Real) else word for word in words]


def plain_integer(given: Any) -> Any:
    """Return an integer of numpy as one of Python; anything else stays."""
    return int(given) if not isinstance(given, bool) and isinstance(given, Integral) else given


OneOrMore = Annotated[list[str], BeforeValidator(one_or_more)]
Words = Annotated[list[str], BeforeValidator(parse_words)]
Count = Annotated[int, BeforeValidator(plain_integer), Field(ge=1, strict=True)]
Size = Annotated[int | tuple[int, ...], PlainValidator(parse_size)]
Attributes = Annotated[
    dict[str, Literal["continuous", "categorical"] | None], BeforeValidator(parse_attributes)
]


class DataSpec(StrictModel):
    """
    How data are read; every field has the name of its option of `sepvae fit`.

    Fields that have no meaning for a kind of data are refused when these are listed.

    >>> DataSpec(label="diagnosis", attributes=["age:continuous", "sex"], image_size="48x64").image_size
    (48, 64)
    """

    background: Annotated[
        str | None,
        Option(
            "Label of the background (controls), with another name for it if you like: 2=control. Labels "
            "that are numbers need it; by default the one that is a word for controls (HC, control, normal, "
            "..), else the first in order of the alphabet.",
            metavar="LABEL[=NAME]",
        ),
    ] = None
    targets: Annotated[
        OneOrMore,
        Option(
            "Label of the target; repeat it to join several. Others are left out.", metavar="LABEL[=NAME]"
        ),
    ] = Field(default=[], validation_alias=AliasChoices("targets", "target"), serialization_alias="target")
    attributes: Annotated[
        Attributes,
        Option(
            "What else is known, to be scored: a column, or a named group of --pattern. KIND is continuous "
            "or categorical; by default its values tell. Repeatable.",
            metavar="NAME[:KIND]",
        ),
    ] = Field(
        default={}, validation_alias=AliasChoices("attributes", "attribute"), serialization_alias="attribute"
    )
    label: Annotated[str | None, Option("Column of labels.", TABLE)] = None
    subject: Annotated[str | None, Option("Column that names the person.", TABLE)] = None
    id: Annotated[
        str | None,
        Option(
            "Column of unique names; by default participant_id for volumes and features, else the file.",
            TABLE,
        ),
    ] = None
    images: Annotated[
        str | None,
        Option(
            "Column of image files or volumes, or a template such as "
            "'{participant_id}/anat/{participant_id}_GM.nii.gz'.",
            TABLE,
        ),
    ] = None
    features: Annotated[
        OneOrMore | None,
        Option(
            "Columns of features: a name, a pattern such as 'lh_*', a regular expression 're:^(lh|rh)_', or "
            "'number' for all columns of numbers that have no other role. Repeatable.",
            TABLE,
        ),
    ] = None
    root: Annotated[Path | None, Option("Folder of the images; by default that of the table.", TABLE)] = None
    table: Annotated[
        Path | None, Option("Table of an array; by default the one with the same name.", TABLE)
    ] = None
    pattern: Annotated[
        OneOrMore | None,
        Option(
            "Regular expression for file names; (?P<subject>..) names the person, any other named part is "
            "an attribute. Repeatable.",
            FOLDER,
        ),
    ] = None
    modality: Annotated[str | None, Option("For BraTS: flair (the default), t1, t1ce or t2.")] = None
    image_size: Annotated[
        Size | None,
        Option(
            "Side in pixels, or HEIGHTxWIDTH; by default 64. Of volumes the side in voxels, or XxYxZ, to "
            "crop or pad to; by default they stay as they are.",
            IMAGES,
        ),
    ] = None
    channels: Annotated[
        Literal[1, 3] | None, Option("1 for grey (the default), 3 for RGB (CelebA's).", IMAGES)
    ] = None
    fit: Annotated[
        Fit,
        Option("What to do with images of another shape: pad, crop or squash them.", IMAGES),
    ] = "pad"
    mask: Annotated[Path | None, Option("Brain mask on the volumes' grid; nothing else counts.", VOLUMES)] = (
        None
    )
    mask_threshold: Annotated[
        float | None, Option("Voxels of the mask above it count, for a map of probabilities.", VOLUMES)
    ] = None
    resample: Annotated[
        bool,
        Option("Interpolate volumes on other grids to that of most, instead of refusing them.", VOLUMES),
    ] = False
    assume_orientation: Annotated[
        str | None,
        Option("Orientation, such as RAS or LAS, of files whose header has none.", VOLUMES, "AXES"),
    ] = None
    missing: Annotated[
        Words | None,
        Option(
            "A word or code that is a missing value in attributes and features, such as -9999, besides NA, "
            "n/a, nan and the like. Repeatable.",
            TABLE,
            "WORD",
        ),
    ] = None
    not_missing: Annotated[
        Words | None,
        Option("A word or number that is a value there, such as NA for a site. Repeatable.", TABLE, "WORD"),
    ] = None
    encoding: Annotated[
        str | None,
        Option("Encoding of the table, such as cp1252; by default UTF-8, or as its first bytes say.", TABLE),
    ] = None
    memory: Annotated[
        float,
        PlainValidator(parse_memory),
        Option(
            "Gigabytes for images or volumes; what is beyond is read again whenever it is needed.", IMAGES
        ),
    ] = MEMORY
    limit: Annotated[
        Count | None,
        Option(
            "At most so many samples of each label, in order; of a folder with train and test so many in "
            "each (val counts as train)."
        ),
    ] = None
    limit_by: Annotated[
        str | None, Option("Count them for each value of this attribute, within a label.")
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _know_other_names(cls, given: Any) -> Any:
        """
        Accept one name of each field; `group`, the old name of `subject`, with a FutureWarning.

        None stands for the default of targets and attributes, as of all other fields.
        """
        if not isinstance(given, Mapping):
            return given
        several = ("target", "targets", "attribute", "attributes")
        given = {key: value for key, value in given.items() if value is not None or key not in several}
        for names in (("group", "subject"), ("target", "targets"), ("attribute", "attributes")):
            if given.keys() >= set(names):
                raise PydanticCustomError(
                    "one_of_both", f"{' and '.join(names)} are one key; give one of both"
                )
        if "group" in given:
            message = "data.group is called data.subject now; the next version does not know the old name"
            warnings.warn(message, FutureWarning, stacklevel=2)
            return {"subject" if key == "group" else key: value for key, value in given.items()}
        return given


def read_spec(fields: Mapping[str, Any], base: DataSpec | None = None) -> DataSpec:
    """
    Return a validated spec of these fields, and of those of `base` that they do not replace.

    A wrong value raises DataError, which names the field.

    >>> read_spec({"target": "ill"}, DataSpec(label="dx", targets=["odd"])).targets
    ['ill']
    """
    try:
        return DataSpec.model_validate(named_fields(base) | {option_name(k): v for k, v in fields.items()})
    except ValidationError as error:
        raise DataError(first_error(error.errors())) from None


def named_fields(spec: DataSpec | None) -> dict[str, Any]:
    """Return the fields of a spec that were set, by the names of their options."""
    return {} if spec is None else spec.model_dump(exclude_unset=True, by_alias=True)


def option_name(field: str) -> str:
    """Return the name of the option of a field, such as target of targets; other names stay."""
    known = DataSpec.model_fields.get(field)
    return known.serialization_alias or field if known else field


def spec_of_run(recorded: Mapping[str, Any]) -> DataSpec:
    """Return the spec that recipe.yaml of a run records, of any version; it has no mask, the model has it."""
    known = DataSpec.model_fields.keys() - {"mask", "mask_threshold", "limit", "limit_by", "background"}
    return read_spec({name: recorded[name] for name in known if recorded.get(name) is not None})


def option_of(name: str) -> Option:
    """Return the help of a field."""
    return next(note for note in DataSpec.model_fields[name].metadata if isinstance(note, Option))


def _parameters() -> Iterator[str]:
    """Yield the fields as numpydoc documents parameters."""
    yield "\n\nParameters\n----------"
    for name, field in DataSpec.model_fields.items():
        default = field.get_default(call_default_factory=True)
        yield f"{name} : object, default={default!r}\n    {option_of(name).help}"


DataSpec.__doc__ = cleandoc(str(DataSpec.__doc__)) + "\n".join(_parameters())
