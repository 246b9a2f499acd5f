"""`DataSpec`: how data are read, in Python, in recipes, on the command line and in recipe.yaml of a run."""

import codecs
import warnings
from collections.abc import Iterable, Mapping
from inspect import cleandoc
from math import inf
from numbers import Integral, Real
from operator import index
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from sepvae.errors import DataError, nearest

MEMORY = 4.0  # GB of cached images or volumes
Fit = Literal["pad", "crop", "squash"]
KINDS = ("continuous", "categorical")
TABLE, FOLDER, IMAGES, VOLUMES = "For a table, an array or a store", "For a folder", "Images", "Volumes"


class StrictModel(BaseModel):
    """Base class of models that people write in YAML: frozen, and unknown keys are errors with a hint."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def _know_keys(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            names = {name: field.serialization_alias or name for name, field in cls.model_fields.items()}
            refuse_unknown("key", [key for key in given if key not in names], names.values())
        return given


def refuse_unknown(what: str, given: Iterable[Any], known: Iterable[str]) -> None:
    """Raise an error of pydantic for the first key that is not known, with a hint."""
    known = list(known)
    if unknown := [str(key) for key in given if key not in known]:
        context = {"what": what, "key": unknown[0], "hint": nearest(unknown[0], known)}
        raise PydanticCustomError("unknown", "no such {what}; {hint}", context)


def first_error(errors: list[ErrorDetails]) -> str:
    """Format the first error in one line: place, expected value, given value, number of other errors."""
    error = errors[0]
    context, came = error.get("ctx", {}), error["input"]
    words = [*error["loc"], *([context["key"]] if "key" in context else [])]
    place = " ".join(".".join(map(str, words)).split())
    place = place if len(place) <= 100 else place[:97] + "..."
    prefix, message = f"{place}: " if place else "", error["msg"].replace("Input should be ", "wanted ")
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    if error["type"] == "missing":
        return f"{prefix}wanted a value, found no such key{more}"
    if error["type"] in ("unknown", "one_of_both", "own", "kind"):
        return f"{prefix}{message}{more}"
    if error["type"].startswith(("model_", "dict_")):
        message = "wanted keys with values"
    elif error["type"] == "string_type":
        message = "wanted text" + " (put it in quotes)" * isinstance(came, bool)
    try:
        got = "nothing" if came is None else repr(came)
    except ValueError:  # Python reads huge hexadecimal or octal integers, but limits the digits of repr
        got = "a number of thousands of digits"
    return f"{prefix}{message}, got {got if len(got) <= 60 else got[:57] + '...'}{more}"


def parse_size(given: Any) -> int | tuple[int, ...]:
    """Parse the sides of images and volumes: 64, "48x64" or (48, 56, 48)."""
    texts = given.split("x") if isinstance(given, str) else given
    parts = texts if isinstance(texts, list | tuple) else [texts]
    try:
        sides = tuple(int(part) if isinstance(part, str) else index(part) for part in parts)
        if not 1 <= len(sides) <= 3 or min(sides) < 1:
            raise ValueError
    except (TypeError, ValueError):
        message = "wanted pixels, such as 64 or 48x64, or voxels, such as 48x56x48"
        raise PydanticCustomError("size", message) from None
    same = len(set(sides)) == 1 and isinstance(given, str)  # 64x64 is typed for 64
    return sides[0] if same or len(sides) == 1 else sides


def parse_attributes(given: Any) -> Any:
    """Parse names of attributes, such as "sex" and "age:continuous", to a mapping of names to kinds."""
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
    """Return one text or path as a list of it."""
    return [given] if isinstance(given, str | Path) else list(given) if isinstance(given, tuple) else given


def parse_memory(given: Any) -> float:
    """Return gigabytes, a finite number of 0 or more."""
    if isinstance(given, bool) or not isinstance(given, Real) or not 0 <= float(given) < inf:
        raise PydanticCustomError("memory", "wanted a number of 0 or more")
    return float(given)


def parse_words(given: Any) -> Any:
    """Return words and codes of missing values as text: "x", -9999, ["x", -9999] or an array."""
    words = [given] if isinstance(given, str | Real) else given
    if not isinstance(words, Iterable) or isinstance(words, Mapping):
        return words
    return [
        word if isinstance(word, bool) or not isinstance(word, str | Real) else str(word).strip()
        for word in words
    ]


def known_encoding(given: str) -> str:
    """Return an encoding that Python knows."""
    try:
        codecs.lookup(given)
    except LookupError:
        raise PydanticCustomError("encoding", "wanted one that Python knows, such as cp1252") from None
    return given


def plain_integer(given: Any) -> Any:
    """Return an integer of numpy as one of Python; anything else stays."""
    return int(given) if not isinstance(given, bool) and isinstance(given, Integral) else given


OneOrMore = Annotated[list[str], BeforeValidator(one_or_more)]
Paths = Annotated[list[Path], BeforeValidator(one_or_more)]
Words = Annotated[list[str], BeforeValidator(parse_words)]
Count = Annotated[int, BeforeValidator(plain_integer), Field(ge=1, strict=True)]
Size = Annotated[int | tuple[int, ...], PlainValidator(parse_size)]
Kinds = dict[str, Literal["continuous", "categorical"] | None]
Attributes = Annotated[Kinds, BeforeValidator(parse_attributes)]
Encoding = Annotated[str, AfterValidator(known_encoding)]


def option(
    text: str, panel: str | None = None, metavar: str | None = None, default: Any = None, name: str = ""
) -> Any:
    """Return a field of `DataSpec` with keywords of its `typer.Option`; `name` is a name in the singular."""
    extra: Any = {"rich_help_panel": panel, "metavar": metavar}
    aliases: Any = {"validation_alias": AliasChoices(f"{name}s", name), "serialization_alias": name}
    return Field(default=default, description=text, json_schema_extra=extra, **(aliases if name else {}))


class DataSpec(StrictModel):
    """
    How data are read; every field has the name of its option of `sepvae fit`.

    Fields that have no meaning for a kind of data are refused when these are listed.

    >>> DataSpec(label="diagnosis", attributes=["age:continuous", "sex"], image_size="48x64").image_size
    (48, 64)
    """

    background: str | None = option(
        "Label of the background (controls), with another name for it if you like: 2=control. Labels "
        "that are numbers need it; by default the one that is a word for controls (HC, control, normal, "
        "..), else the first of two in order of the alphabet.",
        metavar="LABEL[=NAME]",
    )
    targets: OneOrMore = option(
        "Label of the target; repeat it to join several. Others are left out. By default each label but the "
        "background is a target of its own.",
        metavar="LABEL[=NAME]",
        default=[],
        name="target",
    )
    target_severity: str | None = option(
        "How ill each target is, for SepVAE: an attribute; y is its share of the maximum in training.",
        metavar="NAME",
    )
    attributes: Attributes = option(
        "What else is known, to be scored: a column, or a named group of --pattern. KIND is continuous or "
        "categorical; by default its values tell. Repeatable.",
        metavar="NAME[:KIND]",
        default={},
        name="attribute",
    )
    label: str | None = option("Column of labels.", TABLE)
    subject: str | None = option("Column that names the person.", TABLE)
    id: str | None = option(
        "Column of unique names; by default participant_id for volumes and features, else the file.", TABLE
    )
    images: str | None = option(
        "Column of image files or volumes, or a template such as '{participant_id}/anat/*_GM.nii.gz', which "
        "one file must fit; of surfaces ?h. or hemi-? stands for both hemispheres.",
        TABLE,
    )
    features: OneOrMore | None = option(
        "Columns of features: a name, a pattern such as 'lh_*', a regular expression 're:^(lh|rh)_', or "
        "'number' for all columns of numbers that have no other role. Repeatable.",
        TABLE,
    )
    root: Path | None = option("Folder of the images; by default that of the table.", TABLE)
    tables: Paths = option(
        "Further table, joined to DATA by participant_id and session_id: of FreeSurfer's aparcstats2table "
        "or asegstats2table, sessions.tsv, or a pattern such as 'sub-*/*_sessions.tsv'. Repeatable. Of an "
        "array its only table; by default the one with the same name.",
        TABLE,
        default=[],
        name="table",
    )
    pattern: OneOrMore | None = option(
        "Regular expression for file names; (?P<subject>..) names the person, any other named part is an "
        "attribute. Repeatable.",
        FOLDER,
    )
    modality: str | None = option("For BraTS: flair (the default), t1, t1ce or t2.")
    image_size: Size | None = option(
        "Side in pixels, or HEIGHTxWIDTH; by default 64. Of volumes the side in voxels, or XxYxZ, to crop or "
        "pad to; by default they stay as they are.",
        IMAGES,
    )
    channels: Literal[1, 3] | None = option("1 for grey (the default), 3 for RGB (CelebA's).", IMAGES)
    fit: Fit = option(
        "What to do with images of another shape: pad, crop or squash them.", IMAGES, default="pad"
    )
    mask: Path | None = option("Brain mask on the volumes' grid; nothing else counts.", VOLUMES)
    mask_threshold: float | None = option(
        "Voxels of the mask above it count, for a map of probabilities.", VOLUMES
    )
    resample: bool = option(
        "Interpolate volumes on other grids to that of most, instead of refusing them.",
        VOLUMES,
        default=False,
    )
    assume_orientation: str | None = option(
        "Orientation, such as RAS or LAS, of files whose header has none.", VOLUMES, "AXES"
    )
    missing: Words | None = option(
        "A word or code that is a missing value in attributes and features, such as -9999, besides NA, n/a, "
        "nan and the like. Repeatable.",
        TABLE,
        "WORD",
    )
    not_missing: Words | None = option(
        "A word or number that is a value there, such as NA for a site. Repeatable.", TABLE, "WORD"
    )
    encoding: Encoding | None = option(
        "Encoding of the table, such as cp1252; by default UTF-8, or as its first bytes say.", TABLE
    )
    memory: Annotated[float, PlainValidator(parse_memory)] = option(
        "Gigabytes for images or volumes; what is beyond is read again whenever it is needed.",
        IMAGES,
        default=MEMORY,
    )
    limit: Count | None = option(
        "At most so many samples of each label, in order; of a folder with train and test so many in each "
        "(val counts as train)."
    )
    limit_by: str | None = option("Count them for each value of this attribute, within a label.")

    @model_validator(mode="before")
    @classmethod
    def _know_other_names(cls, given: Any) -> Any:
        """Accept one name of each field, None for any default, and `group`, the old name of `subject`."""
        if not isinstance(given, Mapping):
            return given
        several = ("target", "targets", "attribute", "attributes", "table", "tables")
        given = {key: value for key, value in given.items() if value is not None or key not in several}
        for names in (
            ("group", "subject"),
            ("target", "targets"),
            ("attribute", "attributes"),
            ("table", "tables"),
        ):
            if given.keys() >= set(names):
                message = f"{' and '.join(names)} are one key; give one of both"
                raise PydanticCustomError("one_of_both", message)
        if "group" in given:
            message = "data.group is called data.subject now; the next version does not know the old name"
            warnings.warn(message, FutureWarning, stacklevel=2)
            return {"subject" if key == "group" else key: value for key, value in given.items()}
        return given

    @model_validator(mode="after")
    def _see_that_fields_agree(self) -> Self:
        """Refuse words that are missing and not; make the severity an attribute, read as all others."""
        if both := [word for word in self.missing or () if word in (self.not_missing or ())]:
            message = "{word} is named as missing and as not missing; leave one out"
            raise PydanticCustomError("one_of_both", message, {"word": repr(both[0])})
        if (name := self.target_severity) is not None:
            if self.attributes.get(name) == "categorical":
                raise PydanticCustomError("own", "target_severity: {n} must not be :categorical", {"n": name})
            self.attributes[name] = "continuous"
            self.model_fields_set.add("attributes")
        return self


def read_spec(fields: Mapping[str, Any], base: DataSpec | None = None) -> DataSpec:
    """Return a spec of these fields, and of those of `base` that they do not replace; raise DataError."""
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


DataSpec.__doc__ = cleandoc(str(DataSpec.__doc__)) + "\n\nParameters\n----------\n"  # as numpydoc wants them
DataSpec.__doc__ += "\n".join(
    f"{name} : object, default={field.get_default(call_default_factory=True)!r}\n    {field.description}"
    for name, field in DataSpec.model_fields.items()
)
