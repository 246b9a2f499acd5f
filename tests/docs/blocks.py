"""Code blocks of Markdown pages, and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from itertools import dropwhile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# Its blocks repeat what README and the pages say, or are output of the build.
LEFT_OUT = ("_build", "api", "gallery", "developing/examples")

FENCE = re.compile(r"( *)(`{3,})(\S*)")
MARK = re.compile(r" *<!-- (not run|only parsed): (.+) -->")
MEASURED = "How this was measured"  # commands of hours, and on data that readers do not have


class Block(NamedTuple):
    """
    A fenced block: its page, line and language, the heading above it, and its mark.

    A line `<!-- not run: why -->` or `<!-- only parsed: why -->` above a block is its mark; it is not shown.
    """

    page: str
    line: int
    language: str
    text: str
    heading: str = ""
    mark: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """Return the Markdown pages with blocks, relative to the repository."""
    found = [path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*.md"))]
    return ["README.md", *(f"docs/{name}" for name in found if not name.startswith(LEFT_OUT))]


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page in their order."""
    return list(blocks_of(page, (ROOT / page).read_text("utf-8")))


def blocks_of(page: str, text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a Markdown text."""
    heading, mark, lines = "", "", iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        if fence := FENCE.match(line):
            indent, ticks, language = fence.groups()
            inside = []
            for _, line in lines:
                if line.strip() == ticks:
                    break
                inside.append(line.removeprefix(indent))
            yield Block(page, number, language, "\n".join(inside) + "\n", heading, mark)
        elif line.startswith("#"):
            heading = line.lstrip("# ")
        found = MARK.fullmatch(line)
        mark = found[1] if found else ""


class Command(NamedTuple):
    """Words of a command, and what its page shows as its output."""

    words: list[str]
    output: str = ""


def commands(block: Block) -> Iterator[Command]:
    """Yield the commands of a console block, and those of a script that begin with `sepvae`."""
    text = block.text.replace("\\\n", " ")
    if block.language == "console":
        for command in text.removeprefix("$ ").split("\n$ "):
            line, _, output = command.partition("\n")
            yield from _command(line, output)
    elif block.language == "bash":
        for line in re.findall(r"(?:^|\s)(sepvae .+?)&?$", text, re.MULTILINE):
            yield from _command(line)


def _command(line: str, output: str = "") -> Iterator[Command]:
    """Yield the command of a line, if it has more than variables of the environment."""
    words = list(dropwhile(lambda word: re.match(r"[A-Z_]+=", word), shlex.split(line, comments=True)))
    if words:
        yield Command(words, output)


def without_redirect(words: list[str]) -> tuple[list[str], str | None]:
    """Split the words of a command into those before `>`, and the file behind it."""
    if ">" not in words:
        return words, None
    at = words.index(">")
    return words[:at], words[at + 1]
