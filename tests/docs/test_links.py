"""Links of all Markdown files: files and headings exist, other sites have https. Nothing is fetched."""

import re
from collections import Counter
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import pytest

from .blocks import DOCS, ROOT

FILES = [
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *(ROOT / ".github").rglob("*.md"), *DOCS.rglob("*.md"))
    if "_build" not in path.parts
]
CODE = re.compile(r"^( *)```.*?^\1```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)
FENCED = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)


def links(text: str) -> list[str]:
    """Return the targets of the links and images of a Markdown text, without its code."""
    return LINK.findall(CODE.sub("", text))


def anchors(text: str) -> set[str]:
    """Return the anchors of headings, as code hosts make them."""
    return set(_anchors(HEADING.findall(FENCED.sub("", text))))


def _anchors(headings: list[str]) -> Iterator[str]:
    seen: Counter[str] = Counter()
    for heading in headings:
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        yield f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor
        seen[anchor] += 1


def wrong(file: str, target: str) -> str | None:
    """Return what is wrong with a link, if anything."""
    parts = urlsplit(target)
    if parts.scheme == "mailto":
        return None
    if parts.scheme or parts.netloc:
        known = parts.scheme == "https" and re.fullmatch(r"[\w-]+(\.[\w-]+)+", parts.netloc)
        return None if known else "wanted https and the name of a site"
    of = ROOT / file
    path = (of.parent / unquote(parts.path)).resolve() if parts.path else of
    if not path.exists() or not path.is_relative_to(ROOT):
        return "no such file"
    if parts.fragment and path.suffix == ".md" and parts.fragment not in anchors(path.read_text("utf-8")):
        return "no such heading"
    return None


@pytest.mark.parametrize("file", sorted(FILES))
def test_links_lead_somewhere(file: str) -> None:
    found = {target: wrong(file, target) for target in links((ROOT / file).read_text("utf-8"))}
    assert {target: why for target, why in found.items() if why} == {}


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("docs/install.md#tried-so-far", None),
        ("docs/nothing.md", "no such file"),
        ("docs/install.md#nothing", "no such heading"),
        ("../elsewhere.md", "no such file"),
        ("http://example.org", "wanted https and the name of a site"),
        ("https:/example.org/page", "wanted https and the name of a site"),
        ("https://example.org/page", None),
    ],
)
def test_links_are_judged(target: str, why: str | None) -> None:
    assert wrong("README.md", target) == why


def test_headings_have_the_anchors_of_code_hosts() -> None:
    text = "# Network `linear`, the default\n```\n# no heading\n```\n## [One](a.md) & two\n## One  two\n"
    assert anchors(f"{text}## A\n## A\n") == {
        "network-linear-the-default",
        "one--two",
        "one--two-1",
        "a",
        "a-1",
    }


def test_links_are_found_without_those_of_code() -> None:
    assert links("a [b\nc](d.md#e) `[f](g)` ![h](i.png)\n```\n[j](k)\n```\n[l](<m.md>)") == [
        "d.md#e",
        "i.png",
        "m.md",
    ]
