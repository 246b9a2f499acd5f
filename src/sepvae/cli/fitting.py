"""`sepvae fit`: read the data, fit on the training part, score the test part, write the run folder."""

import shlex
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import typer

from sepvae.cli.plain import tell
from sepvae.cli.reading import parameter_sources
from sepvae.progress import Say, silence


def with_options_of_run(context: typer.Context, run: Path) -> typer.Context | None:
    """
    Return a context with the options of a run's command, overridden by those typed now.

    Its `obj` is the full command; new `--set` pairs are appended. None if nothing is added: the run or its
    command does not exist, or all its options are typed again.
    """
    from sepvae.run_folder import RunFolder

    recipe = RunFolder(run).recipe
    usage_error: Any = typer.BadParameter.__base__  # UsageError of click, or of Typer's copy of it
    if context.obj is not None or not recipe.exists():
        return None
    words = [str(word) for word in recipe.required().get("command") or []]
    if words[:2] != ["sepvae", "fit"]:
        return None
    try:
        whole = cast("typer.Context", context.command.make_context("fit", words[2:], parent=context.parent))
    except usage_error:  # the recorded options are those of another version
        return None
    typed, begun = parameter_sources(context), parameter_sources(whole)
    for name in typed:
        if name == "set_":
            new = [pair for pair in context.params[name] if pair not in (whole.params[name] or [])]
            whole.params[name] = [*(whole.params[name] or []), *new]
            words += [word for pair in new for word in ("--set", pair)]
        else:
            whole.params[name] = context.params[name]
        whole.set_parameter_source(name, typed[name])
    if not begun.keys() - typed.keys():
        return None
    whole.obj = words
    return whole


def run_fit(
    data: Path,
    out: Path,
    fields: dict[str, Any],
    *,
    recipe: str | None,
    method: str,
    preset: str,
    pairs: list[str],
    command: list[str] | None,
    scoring: dict[str, Any],
    **splitting: Any,
) -> None:
    """Fit on DATA as a recipe and options say; of several processes, only rank 0 writes and prints."""
    from sepvae.checks import check_choice
    from sepvae.cli.keywords import parse_keywords
    from sepvae.cli.recipes import load_with_notes
    from sepvae.registry import method_names
    from sepvae.runs import fit_folder
    from sepvae.runs.models import make_model

    check_choice("--method", method, method_names())
    chosen = None if recipe is None else load_with_notes(recipe)
    model = make_model(method, preset, chosen, parse_keywords(pairs, method))
    say = tell if model.is_first_process() else silence
    if command is not None:
        say(f"note: options that are not given are those of {out}: {shlex.join(command)}")
    scoring = scoring | {"command": command or typed_command()}
    with stoppable(out, say):
        scores = fit_folder(
            data, out, model, preset=preset, recipe=chosen, scoring=scoring, say=say, **splitting, **fields
        )
    show(scores, out)


@contextmanager
def stoppable(run: Path, say: Say, go_on: str = "--resume goes on with it") -> Iterator[None]:
    """Print CollapseWarnings as lines; on Ctrl-C or SystemExit, print what is left of the run and exit."""
    from sepvae.errors import CollapseWarning
    from sepvae.run_folder import RunFolder

    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=CollapseWarning)
        shown = warnings.showwarning

        def show_warning(message: Any, category: Any, *where: Any, **more: Any) -> None:
            if issubclass(category, CollapseWarning):
                say(f"warning: {message}")
            else:
                shown(message, category, *where, **more)

        warnings.showwarning = show_warning
        try:
            yield
        except (KeyboardInterrupt, SystemExit) as stop:
            left = f"{run} is not finished; {go_on}" if RunFolder(run).recipe.exists() else "nothing is left"
            say(f"stopped; {left}")
            code = stop.code if isinstance(stop, SystemExit) else 128 + signal.SIGINT
            raise typer.Exit(code if isinstance(code, int) else 1) from None


def show(scores: Any, run: Path) -> None:
    """Print the scores, the warnings and the path of the page; do nothing on ranks above 0."""
    from sepvae.cli.table import print_scores, print_warnings
    from sepvae.run_folder import RunFolder

    if scores is None:
        return
    print_scores(scores)
    print_warnings(run)
    typer.echo(f"report: {RunFolder(run).report}")


def typed_command() -> list[str]:
    """Return the typed command without --resume; absolute paths are cut, since pages may be forwarded."""
    return ["sepvae", *(_without_folders(word) for word in sys.argv[1:] if word != "--resume")]


def _without_folders(word: str) -> str:
    """Return the last part of an absolute path, alone or after `=`; other words are unchanged."""
    if Path(word).is_absolute():
        return Path(word).name
    head, equals, tail = word.partition("=")
    return f"{head}={_without_folders(tail)}" if equals else word
