"""What files are called that show people, groups or attributes: plain, short, and unlike each other."""

from collections.abc import Iterable
from unicodedata import normalize

from sepvae.files import plain_name

LENGTH = 100  # bytes of a name, of the 255 that a file system takes, for words come before it and after


def names_apart(words: Iterable[str]) -> list[str]:
    """
    Make parts of names of files; those that would be one file, on any disk, are numbered.

    Examples
    --------
    >>> names_apart(["sub-1", "a b", "A_b", "../b"])
    ['1', 'a_b', 'A_b-2', '___b']
    """
    plain = [_cut(plain_name(word.removeprefix("sub-"))) for word in words]
    taken = set(map(_alike, plain))
    last: dict[str, int] = {}  # number that was given, by what a disk makes of a name
    names = []
    for name in plain:
        one, number = name, last.get(_alike(name), 0) + 1
        while number > 1 and _alike(one := f"{name}-{number}") in taken:
            number += 1
        last[_alike(name)] = number
        taken.add(_alike(one))
        names.append(one)
    return names


def scatter_files(columns: Iterable[str]) -> dict[str, str]:
    """
    Name the figures of codes, without an ending.

    Examples
    --------
    >>> scatter_files(["age", "a b", "a_b"])
    {'label': 'codes_label', 'age': 'codes_age', 'a b': 'codes_a_b', 'a_b': 'codes_a_b-2'}
    """
    names = ["label", *columns]
    return {column: f"codes_{name}" for column, name in zip(names, names_apart(names), strict=True)}


def _cut(name: str) -> str:
    return name.encode()[:LENGTH].decode(errors="ignore")


def _alike(name: str) -> str:
    """Names that some disk takes for one: it may tell neither cases nor ways to write an accent apart."""
    return normalize("NFKC", normalize("NFKC", name).casefold())
