"""File names for samples, groups and attributes: plain, short and distinct."""

from collections.abc import Iterable
from unicodedata import normalize

from sepvae.files import plain_name

LENGTH = 100  # bytes of a name: file systems take 255, and words come before and after the name


def names_apart(words: Iterable[str]) -> list[str]:
    """
    Return distinct parts of file names; names that some file system takes for the same are numbered.

    >>> names_apart(["sub-1", "a b", "A_b", "../b"])
    ['1', 'a_b', 'A_b-2', '___b']
    """
    plain = [_cut(plain_name(word.removeprefix("sub-"))) for word in words]
    taken = set(map(_alike, plain))
    last: dict[str, int] = {}  # last number given, by normalised name
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
    Return the name of each figure of codes by the column that colours it, label first, without suffix.

    >>> scatter_files(["age", "a b", "a_b"])
    {'label': 'codes_label', 'age': 'codes_age', 'a b': 'codes_a_b', 'a_b': 'codes_a_b-2'}
    """
    names = ["label", *columns]
    return {column: f"codes_{name}" for column, name in zip(names, names_apart(names), strict=True)}


def _cut(name: str) -> str:
    return name.encode()[:LENGTH].decode(errors="ignore")


def _alike(name: str) -> str:
    """Normalise case and accents, which some file systems do not distinguish."""
    return normalize("NFKC", normalize("NFKC", name).casefold())
