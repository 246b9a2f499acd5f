"""Registry of methods: entry points in group `sepvae.methods` of this and all other installed packages."""

import sys
from collections import defaultdict
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from sepvae.errors import DataError

if TYPE_CHECKING:
    from sepvae.methods.base import ContrastiveEstimator

GROUP = "sepvae.methods"


def method_names() -> tuple[str, ...]:
    """Return the names of all methods, those of this package first; no class is imported."""
    return tuple(_registered(tuple(sys.path)))


def find_method(name: str) -> "type[ContrastiveEstimator]":
    """Import the class of a registered method; raise DataError for any other name, and import nothing."""
    points = _registered(tuple(sys.path)).get(name, [])
    if not points:
        known = ", ".join(method_names())
        near = {each.lower(): each for each in method_names()}.get(name.lower())
        hint = f"; did you mean {near}?" if near else ""
        raise DataError(f"method: wanted one of {known}, got {name!r}{hint}")
    if len(points) > 1:
        owners = " and ".join(sorted(map(_owner, points)))
        raise DataError(f"method: {name} is registered by {owners}; uninstall one of these packages")
    try:
        cls: type[ContrastiveEstimator] = points[0].load()
    except Exception as error:  # the code of another package may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"method: {name} of {_owner(points[0])} cannot be imported: {reason}") from error
    if not isinstance(cls, type) or cls.__name__ != name or not hasattr(cls, "capabilities"):
        what = f"a class named {name} with base ContrastiveEstimator"
        raise DataError(f"method: {points[0].value} of {_owner(points[0])} is not {what}")
    return cls


@cache
def _registered(_path: tuple[str, ...]) -> dict[str, list[EntryPoint]]:
    """Return the distinct entry points by name, this package's first, for a value of `sys.path`."""
    found = list(entry_points(group=GROUP))
    own = [point for point in found if point.value.startswith("sepvae.")]
    if not own:  # a checkout whose installed metadata are older than the entry points
        methods = import_module("sepvae.methods")
        names = [name for name in methods.__all__ if isinstance(getattr(methods, name), type)]
        own = [EntryPoint(name, f"sepvae.methods:{name}", GROUP) for name in names]
    by_name: dict[str, dict[str, EntryPoint]] = defaultdict(dict)
    for point in [*own, *found]:
        by_name[point.name].setdefault(point.value, point)
    return {name: list(points.values()) for name, points in by_name.items()}


def _owner(point: EntryPoint) -> str:
    """Return the name of the package that registers an entry point."""
    return "sepvae" if point.dist is None else point.dist.name
