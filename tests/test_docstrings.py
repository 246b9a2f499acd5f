"""What packages export is documented by numpydoc's rules; ruff sees to it that all else has a line."""

import inspect
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import pytest
from numpydoc.validate import validate

import sepvae

NOT_ASKED_FOR = {"ES01", "SA01", "EX01", "GL01", "GL02", "GL03", "RT02", "YD01"}
NOT_ASKED_FOR |= {"PR03"}  # a method's own keywords come first, then those that all methods take


def exported() -> Iterator[str]:
    """Functions and classes in `__all__` of each package, and the public methods of the classes."""
    packages = ["sepvae", *(f"sepvae.{found.name}" for found in iter_modules(sepvae.__path__) if found.ispkg)]
    for package in packages:
        face = import_module(package)
        for name in getattr(face, "__all__", []):
            thing = getattr(face, name)
            if inspect.isroutine(thing) or inspect.isclass(thing):
                yield f"{package}.{name}"
            if inspect.isclass(thing):
                yield from (
                    f"{where(thing, member)}.{member}" for member, of in members(thing) if is_ours(of)
                )


def members(cls: type) -> list[tuple[str, Any]]:
    """Public methods and properties."""
    found = inspect.getmembers(cls, lambda m: inspect.isroutine(m) or isinstance(m, property))
    return [(name, member) for name, member in found if not name.startswith("_")]


def where(cls: type, member: str) -> str:
    """Class whose documentation of a member counts: a base class, for an override documented in one line."""
    classes = [base for base in cls.__mro__ if member in vars(base)]
    lines = len(inspect.cleandoc(vars(classes[0])[member].__doc__ or "").splitlines())
    documented = classes[1] if lines == 1 and len(classes) > 1 else cls
    return f"{documented.__module__}.{documented.__qualname__}"


def is_ours(member: Any) -> bool:
    """Whether scikit-learn, pydantic and Python have no part in it."""
    function = member.fget if isinstance(member, property) else member
    return getattr(function, "__module__", None) is not None and function.__module__.startswith("sepvae")


@pytest.mark.parametrize("name", list(exported()))
def test_what_is_exported_is_documented(name: str) -> None:
    assert [error for error in validate(name)["errors"] if error[0] not in NOT_ASKED_FOR] == []
