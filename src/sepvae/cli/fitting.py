"""`sepvae fit` and `sepvae demo`: check what was typed, then read the data, fit, score, write the folder."""

import shlex
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from sepvae.cli import load_torch, printable, tell
from sepvae.cli.options import (
    ConditionOn,
    Data,
    Harmonise,
    Logger,
    Method,
    Permutations,
    Preserve,
    Preset,
    Quick,
    RecipeName,
    Removal,
    Residualise,
    Resume,
    Set,
    Split,
    SplitSeed,
    TestSize,
    data_options,
    parameter_sources,
    scoring_options,
    split_options,
    typed_options,
)
from sepvae.errors import DataError, collapses_told
from sepvae.progress import Say, silence
from sepvae.run_folder import N_PERMUTATIONS, RunFolder

if TYPE_CHECKING:
    import pandas as pd

    from sepvae.recipes import Recipe


@data_options()
def fit(
    context: typer.Context,
    data: Data,
    *,
    out: Annotated[Path, typer.Option(help="Run folder to make.", show_default=False)],
    recipe: RecipeName = None,
    method: Method = "SepVAE",
    preset: Preset = "default",
    set_: Set = None,
    residualise: Residualise = None,
    harmonise: Harmonise = None,
    preserve: Preserve = None,
    condition_on: ConditionOn = None,
    fields: dict[str, Any],
    split: Split = None,
    test_size: TestSize = 0.2,
    split_seed: SplitSeed = 0,
    permutations: Permutations = N_PERMUTATIONS,
    removal: Removal = None,
    quick: Quick = False,
    logger: Logger = None,
    seeds: Annotated[
        int,
        typer.Option(
            min=1,
            help="Fit with so many seeds, in OUT-seeds, and again with the one that agrees best with the "
            "others, as `stability` tells.",
        ),
    ] = 1,
    resume: Resume = False,
) -> None:
    """Fit on one part of the data, score the other, and write a run folder with a page to read."""
    if resume and (whole := with_options_of_run(context, out)) is not None:
        context.command.invoke(whole)
        return
    chosen, spec, keywords = _check_typed(data, fields, recipe, method, preset, set_, split)
    named = {"residualise": residualise, "harmonise": harmonise, "preserve": preserve}
    named = {name: of for name, of in (named | {"condition_on": condition_on}).items() if of}
    if twice := [name for name in named if name in keywords]:
        option = f"--{twice[0].replace('_', '-')}"
        raise DataError(f"--set {twice[0]}: {option} names them already; leave one out")
    keywords |= named
    load_torch()

    from sepvae.benchmark.folder import BenchmarkFolder
    from sepvae.runs.finishing import add_stability
    from sepvae.runs.from_data import check_keywords, fit_data, make_model
    from sepvae.runs.loggers import check_logger

    for name in named:
        check_keywords([name], method, f"--{name.replace('_', '-')}")
    check_keywords(keywords, method, "--set")
    if seeds > 1 and "random_state" in keywords:
        raise DataError("--set random_state: leave it out, for --seeds fits with seeds 0, 1, ..")
    model = make_model(method, preset, chosen, keywords)
    check_logger(logger, model)  # before the fits of --seeds
    say, typed = tell if model.is_first_process() else silence, typed_options(context)
    if context.obj is not None:
        say(f"note: options that are not given are those of {out}: {shlex.join(context.obj)}")
    scoring = scoring_options(permutations=permutations, removal=removal, quick=quick, typed=typed)
    scoring |= {"logger": logger, "command": context.obj or typed_command()}
    how: dict[str, Any] = {"split": split, "resume": resume, "say": say}
    how |= split_options(context, test_size, split_seed)
    with stoppable(out, say, beside=RunFolder(out).seeds if seeds > 1 else None):
        table = (
            _keep_central_seed(model, preset, data, spec, chosen, out, seeds, **how) if seeds > 1 else None
        )
        scores = fit_data(data, out, model, spec, chosen, preset, scoring, **how)
        if table is not None:
            add_stability(out, table, BenchmarkFolder(RunFolder(out).seeds).people.read())
    _show(scores, out)  # of several processes, only rank 0 has scores


def _keep_central_seed(
    model: Any,
    preset: str,
    data: Path,
    spec: Any,
    recipe: "Recipe | None",
    out: Path,
    seeds: int,
    *,
    split: Path | None,
    resume: bool,
    say: Say,
    **split_by: Any,
) -> "pd.DataFrame":
    """Fit with several seeds beside the run folder, give the model the most central, and return the table."""
    from torch import get_num_threads

    from sepvae.benchmark.cells import Contender
    from sepvae.benchmark.stability import make_fits, most_central, run_stability
    from sepvae.report.stability import describe_stability
    from sepvae.runs.dataset import read_dataset
    from sepvae.runs.fitting import NOT_IN_RECIPE
    from sepvae.runs.resume import check_new_run

    if not resume:
        check_new_run(out)
    dataset = read_dataset(data, spec, recipe, split=split, **split_by)
    background = dataset.background or model.background or "background"
    keywords = {name: value for name, value in model.get_params().items() if name not in NOT_IN_RECIPE}
    contender = Contender(type(model).__name__, preset, keywords=keywords | {"background": background})
    how: dict[str, Any] = {"background": background, "kinds": dataset.kinds, "threads": get_num_threads()}
    fits = make_fits([contender.with_severity(spec.target_severity)], seeds)
    say(f"fitting with {seeds} seeds, then again with the most central one")
    table = run_stability(fits, *dataset.pairs[0], RunFolder(out).seeds, **how, say=say)
    for line in describe_stability(table):
        say(line)
    model.set_params(random_state=most_central(table))
    say(f"random_state: {model.random_state}, the most central of {seeds} seeds")
    return table


def demo(
    context: typer.Context,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; by default sepvae-demo, or sepvae-demo-2, ..")
    ] = None,
    set_: Set = None,
    permutations: Permutations = N_PERMUTATIONS,
    removal: Removal = None,
    quick: Quick = False,
) -> None:
    """Fit on embedded data: handwritten digits (salient) on photographs (common)."""
    load_torch()

    from sepvae.data.bundled import DIGITS, load_digits_on_photos
    from sepvae.methods import SepVAE
    from sepvae.runs import fit_run
    from sepvae.runs.from_data import check_keywords

    train, test = load_digits_on_photos()
    out = out or free_folder(Path("sepvae-demo"))
    keywords = split_pairs(set_)
    check_keywords(keywords, "SepVAE", "--set")
    model = SepVAE(**{"max_epochs": 40} | keywords)
    tell(f"{DIGITS}: background = half a photograph, target = half a photograph + half a digit")
    typed = typed_options(context)
    scoring = scoring_options(permutations=permutations, removal=removal, quick=quick, typed=typed)
    with stoppable(out, typer.echo, "the next demo gets a folder of its own"):
        scores = fit_run(model, train, test, out, about_data={"reader": DIGITS}, **scoring, say=typer.echo)
    _show(scores, out)


def _check_typed(
    data: Path,
    fields: dict[str, Any],
    recipe: str | None,
    method: str,
    preset: str,
    pairs: list[str] | None,
    split: Path | None,
) -> tuple["Recipe | None", Any, dict[str, Any]]:
    """Return recipe, spec and KEY=VALUE pairs; mistakes are found before torch, which takes seconds."""
    from sepvae.checks import check_choice
    from sepvae.data.cells import read_cells
    from sepvae.data.spec import read_spec
    from sepvae.recipes.recipe import spec_of_data
    from sepvae.registry import method_names

    check_choice("--method", method, method_names())
    chosen = None if recipe is None else load_with_notes(recipe)
    if chosen is not None:
        chosen.keywords(method, preset)
    keywords = split_pairs(pairs)
    spec = spec_of_data(data, read_spec(fields), chosen, split=split)
    if split is not None:
        read_cells(split)
    return chosen, spec, keywords


def with_options_of_run(context: typer.Context, run: Path) -> typer.Context | None:
    """
    Return a context with the options of a run's command, overridden by those typed now.

    Its `obj` is the full command; new `--set` pairs are appended. None if nothing is added: the run or its
    command does not exist, or all its options are typed again.
    """
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
    of_code = [pair for pair in whole.params["set_"] or () if pair.startswith("augment=")]
    if of_code and of_code[-1] not in (context.params["set_"] or ()):
        raise DataError(f"--resume: no file may name code to import; type --set {of_code[-1]} again")
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


def split_pairs(pairs: list[str] | None) -> dict[str, Any]:
    """
    Parse KEY=VALUE pairs; values are YAML.

    >>> split_pairs(["kappa=2", "gamma=1e-10", "network=e2", "random_state=None"])
    {'kappa': 2, 'gamma': 1e-10, 'network': 'e2', 'random_state': None}
    """
    import yaml

    from sepvae.recipes.recipe import plain_value

    keywords = {}
    for pair in pairs or ():
        key, equals, text = pair.partition("=")
        if not equals:
            raise DataError(f"--set: wanted KEY=VALUE, got {pair!r}")
        if key == "background":
            raise DataError("--set: the background is named by --background, not by --set")
        try:
            keywords[key] = plain_value(yaml.safe_load(text))
        except yaml.YAMLError:
            keywords[key] = text
    return keywords


def load_with_notes(name: str) -> "Recipe":
    """Load a recipe, and print its FutureWarnings, such as old option names, as notes."""
    from sepvae.recipes import load_recipe

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FutureWarning)
        recipe = load_recipe(name)
    for warning in caught:
        typer.echo(printable(f"note: {recipe.file}: {warning.message}"), err=True)
    return recipe


@contextmanager
def stoppable(
    run: Path, say: Say, go_on: str = "--resume goes on with it", beside: Path | None = None
) -> Iterator[None]:
    """Print CollapseWarnings as lines; on Ctrl-C or SystemExit, print what is left of the run and exit."""
    with collapses_told(lambda message: say(f"warning: {message}")):
        try:
            yield
        except (KeyboardInterrupt, SystemExit) as stop:
            left = "nothing is left"
            if RunFolder(run).recipe.exists():
                left = f"{run} is not finished; {go_on}"
            elif beside is not None and beside.exists():
                left = f"{beside} holds the fits so far; the same command goes on with them"
            say(f"stopped; {left}")
            code = stop.code if isinstance(stop, SystemExit) else 128 + signal.SIGINT
            raise typer.Exit(code if isinstance(code, int) else 1) from None


def _show(scores: "pd.DataFrame | None", run: Path) -> None:
    """Print the scores, the warnings and the path of the page."""
    from sepvae.cli.tables import print_scores, print_warnings

    if scores is not None:
        print_scores(scores, RunFolder(run).inspection.read())
        print_warnings(run)
        typer.echo(f"report: {RunFolder(run).report}")


def free_folder(wanted: Path) -> Path:
    """
    Return `wanted` if no such path exists, else the first free name with -2, -3, ..

    >>> free_folder(Path("no-such-folder"))
    PosixPath('no-such-folder')
    """
    number, path = 1, wanted
    while path.exists():
        number += 1
        path = wanted.with_name(f"{wanted.name}-{number}")
    return path


def typed_command() -> list[str]:
    """Return the typed command without --resume; absolute paths are cut, since pages may be forwarded."""
    return ["sepvae", *(_without_folders(word) for word in sys.argv[1:] if word != "--resume")]


def _without_folders(word: str) -> str:
    """Return the last part of an absolute path, alone or after `=`; other words are unchanged."""
    if Path(word).is_absolute():
        return Path(word).name
    head, equals, tail = word.partition("=")
    return f"{head}={_without_folders(tail)}" if equals else word
