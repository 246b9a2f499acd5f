"""Every `sepvae` command of every page has options that exist, with values of their type."""

from typing import Any

import pytest
import typer

from sepvae.cli.app import app

from .blocks import blocks, commands, pages, without_redirect

COMMANDS = [
    pytest.param(command.words[1:], id=f"{block}-{i}")
    for page in pages()
    for block in blocks(page)
    for i, command in enumerate(commands(block))
    if command.words[0] == "sepvae" and command.words[1] != "--help" and block.mark != "not run"
]
ROOT: Any = typer.main.get_command(app)


def parse(arguments: list[str]) -> None:
    """Parse as the command line does, without running the command."""
    context = ROOT.make_context("sepvae", list(arguments))
    name, command, rest = ROOT.resolve_command(context, list(arguments))
    command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_command_of_a_page_exists(arguments: list[str]) -> None:
    parse([word for word in without_redirect(arguments)[0] if word not in ("..", "...")])  # what is left out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fitt", "data"], "No such command"),
        (["fit", "data"], "Missing parameter: out"),
        (["fit", "data", "--out", "run", "--sed", "1"], "No such option"),
        (["fit", "data", "--out", "run", "--seeds", "many"], "valid integer"),
    ],
)
def test_a_wrong_command_is_found(arguments: list[str], message: str) -> None:
    with pytest.raises(Exception, match=message):
        parse(arguments)
