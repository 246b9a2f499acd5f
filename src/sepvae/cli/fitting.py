"""`sepvae fit`: read the data, fit on the training part, score the test part, write the run folder."""

import os
import shlex
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from sepvae.cli.plain import tell
from sepvae.cli.reading import (
    KEPT,
    READ_AS,
    TABLE_RULES,
    data_options,
    look_of,
    notes_after,
    notes_on,
    read_samples,
    roles_of,
)

if TYPE_CHECKING:
    import pandas as pd

    from sepvae.batch import Source
    from sepvae.codes import Kind
    from sepvae.data.manifest import Manifest
    from sepvae.recipes import Recipe
    from sepvae.runs.finishing import Say


def typed_options(context: typer.Context) -> set[str]:
    """Return the names of the options given on the command line."""
    # Parameters whose names are taken in Python end in an underscore, such as `id_`.
    typed = {name.rstrip("_") for name in _sources(context)}
    return typed | ({"subject"} if "group" in typed else set())


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
    typed, begun = _sources(context), _sources(whole)
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


def _sources(context: typer.Context) -> dict[str, Any]:
    """Return the parameter source of each option given on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name: source for name, source in sources.items() if source and source.name == "COMMANDLINE"}


def run_fit(
    data: Path,
    out: Path,
    options: dict[str, Any],
    *,
    typed: set[str],
    recipe: str | None,
    method: str,
    preset: str,
    pairs: list[str] | None,
    scoring: dict[str, Any],
    resume: bool,
    command: list[str] | None = None,
) -> None:
    """Fit on DATA as a recipe and options say; of several processes, only rank 0 writes and prints."""
    from sepvae.cli.keywords import make_model
    from sepvae.runs import check_new_run, fit_run
    from sepvae.training.distributed import check_launch

    chosen = None
    if recipe is not None:
        from sepvae.cli.recipes import check_data, load_told, with_recipe

        chosen = load_told(recipe)
        check_data(data, chosen)
        options = with_recipe(data, options, chosen, typed)
    model = make_model(method, preset, chosen, pairs, background=options["background"])
    if model.capabilities.epochs:
        check_launch(model.devices, model.num_nodes)
    first = model.is_first_process()
    say = tell if first else _silence
    if command is not None:
        say(f"note: options that are not given are those of {out}: {shlex.join(command)}")
    if first and not resume:
        check_new_run(out)
    parts = read_parts(data, options, chosen)
    for note in parts.notes:
        say(f"note: {note}")
    if parts.background is not None:
        model.set_params(background=parts.background)
    if chosen is not None:
        parts.about["recipe"] = {"name": chosen.name, "preset": preset}
    with stoppable(out, say):
        scores = fit_run(
            model,
            *parts.pairs[0],
            out,
            about_data=parts.about,
            kinds=parts.kinds,
            quality_metrics=parts.quality_metrics,
            command=command or _typed(),
            **scoring,
            resume=resume,
            say=say,
        )
    show(scores, out)


@contextmanager
def stoppable(run: Path, say: "Say", go_on: str = "--resume goes on with it") -> Iterator[None]:
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


@dataclass(frozen=True)
class Parts:
    """Training and test sources, one pair or one per fold, with the recipe's description of the data."""

    pairs: "list[tuple[Source, Source]]"
    about: dict[str, Any]
    notes: list[str]
    kinds: "dict[str, Kind]"
    background: Any = None
    quality_metrics: "pd.DataFrame | None" = None


def read_parts(
    data: Path, options: dict[str, Any], recipe: "Recipe | None", *, in_folds: bool = False
) -> Parts:
    """Read DATA, and split it into training and test or into the recipe's folds."""
    import numpy as np

    from sepvae.cli.splitting import split_manifest
    from sepvae.data.load import list_data

    if recipe is not None and recipe.reader == "digits-on-photos":
        return _digits(options["split_seed"])
    looks = ("image_size", "channels", "fit", "mask", "resample", "mask_threshold")
    apart = ("split", "test_size", "split_seed", "memory")
    told = data_options(**{name: value for name, value in options.items() if name not in looks + apart})
    manifest, reader = list_data(data, **told)
    look = look_of(reader, *(options[name] for name in looks))
    positions, how = split_manifest(manifest, options, recipe, in_folds=in_folds)
    notes = [*notes_on(manifest, reader), f"split {how}"]
    if options["limit"] is not None and how.startswith("as the folders say"):
        notes.append(f"limit {options['limit']}: at most so many of each label for training and in the test")
    notes.insert(0, roles_of(manifest, named=options["background"] is not None or reader in READ_AS))
    source, quality_metrics = read_samples(manifest, look, options["memory"])
    notes += notes_after(source, quality_metrics)
    about: dict[str, Any] = {"reader": reader, "name": data.resolve().name, **look, "centre": manifest.centre}
    if look.get("mask") is not None:
        about["mask"] = Path(look["mask"]).name  # the model file holds the mask itself
    about |= {name: told[name] for name in (*KEPT, *TABLE_RULES, "modality", "assume_orientation")}
    if (images := told["images"]) is not None and Path(images).is_absolute():
        root = os.path.abspath(told["root"] or data.parent)  # noqa: PTH100  (links stay as they are)
        about["images"] = Path(os.path.relpath(images, root)).as_posix()
    # Targets by the names that the user gave them.
    about |= {"targets": [_name_of(target, manifest) for target in told["targets"]]}
    about |= {"labels": dict(manifest.label_names)} if manifest.label_names else {}
    about |= {name: options[name] for name in ("limit", "limit_by")} | {"split": how}
    return Parts(
        # Copies, so that the memory of all samples is free for the fit.
        [(source.select(train), source.select(test)) for train, test in positions],
        about,
        notes,
        {**_kinds(source), **manifest.kinds},
        background=manifest.background,
        quality_metrics=None
        if quality_metrics is None
        else quality_metrics.iloc[np.concatenate(positions[0])],
    )


def _name_of(target: str, manifest: "Manifest") -> str:
    """Return the name of a target given as LABEL=NAME, such as autism of 1=autism, else the target."""
    raw, equals, name = (part.strip() for part in target.partition("="))
    return name if equals and manifest.label_names.get(raw) == name else target


def _digits(seed: int) -> Parts:
    """Return the bundled data of the demo, drawn with `seed`."""
    from sepvae.data.bundled import load_digits_on_photos

    train, test = load_digits_on_photos(seed)
    return Parts([(train, test)], {"reader": "digits-on-photos", "split_seed": seed}, [], _kinds(train))


def _kinds(source: "Source") -> "dict[str, Kind]":
    """Return the kind of each attribute, inferred from its values."""
    from sepvae.codes import attribute_kind

    return {str(name): attribute_kind(values) for name, values in source.attributes.items()}


def _silence(message: str) -> None:
    """Discard the message; no-op logger for ranks above 0."""


def _typed() -> list[str]:
    """Return the typed command without --resume; absolute paths are cut, since pages may be forwarded."""
    return ["sepvae", *(_without_folders(word) for word in sys.argv[1:] if word != "--resume")]


def _without_folders(word: str) -> str:
    """Return the last part of an absolute path, alone or after `=`; other words are unchanged."""
    if Path(word).is_absolute():
        return Path(word).name
    head, equals, tail = word.partition("=")
    return f"{head}={_without_folders(tail)}" if equals else word
