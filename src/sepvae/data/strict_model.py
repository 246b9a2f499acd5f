"""Models that people write in YAML: unknown keys are errors with a hint, and errors are one line."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError


class StrictModel(BaseModel):
    """Base class of models that people write in YAML: frozen, and unknown keys are errors with a hint."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def _know_keys(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            others = [f.serialization_alias for f in cls.model_fields.values() if f.serialization_alias]
            refuse_unknown("key", given, [*cls.model_fields, *others])
        return given


def refuse_unknown(what: str, given: Iterable[Any], known: Iterable[str]) -> None:
    """Raise an error of pydantic for the first key that is not known, with a hint."""
    known = list(known)
    if unknown := [str(key) for key in given if key not in known]:
        hint = nearest(unknown[0], known)
        raise PydanticCustomError(
            "unknown", "no such {what}; {hint}", {"what": what, "key": unknown[0], "hint": hint}
        )


def nearest(word: str, known: Iterable[str]) -> str:
    """
    Return a hint for an unknown name: the closest known one, or all of them if none is close.

    >>> nearest("sedes", ["folds", "seeds"])
    'did you mean seeds?'
    """
    known = list(known)
    near = get_close_matches(word, known, 1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"


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
