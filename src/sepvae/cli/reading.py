"""Options of commands that read data: one for each field of `DataSpec`."""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer

from sepvae.data.spec import DataSpec, option_name, option_of, read_spec
from sepvae.errors import DataError

KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY
Data = Annotated[
    Path,
    typer.Argument(
        help="A table (csv, tsv) of NIfTI volumes, of image files or of regional features; a packed store "
        "(zarr); a folder with one subfolder of images per label; an array (npy, npz) with a table "
        "beside it; CelebA, Kermany's chest_xray or BraTS as downloaded.",
        show_default=False,
    ),
]
Split = Annotated[
    Path | None,
    typer.Option(help="Table of id and split (train or test), such as another run's split.csv."),
]
TestSize = Annotated[float, typer.Option(help="Share of the samples to score on, whole patients.")]
OF_SAMPLES = ("image_size", "channels", "fit", "memory")  # of those that are read, not only listed
LISTED = [name for name in DataSpec.model_fields if name not in OF_SAMPLES]


def data_options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """
    Replace the parameter `fields` of a command by the options of these fields of `DataSpec`, or of all.

    The command gets a dict of those that were typed.
    """
    wanted = names or tuple(DataSpec.model_fields)

    def with_options(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(context: typer.Context, **given: Any) -> None:
            typed = typed_options(context)
            chosen = {name: given.pop(name) for name in (*wanted, "group") if name in given}
            fields = _with_subject({name: value for name, value in chosen.items() if name in typed})
            _check(fields)
            own = {"context": context} if "context" in parameters else {}
            command(**given, **own, fields=fields)

        parameters = inspect.signature(command).parameters
        options = [inspect.Parameter("context", KEYWORD_ONLY, annotation=typer.Context)]
        for name, parameter in parameters.items():
            if name == "fields":
                options += map(_option, wanted)
                options += [_GROUP] * ("subject" in wanted)
            elif name != "context":
                options.append(parameter.replace(kind=KEYWORD_ONLY))
        run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        return run

    return with_options


def _check(fields: dict[str, Any]) -> None:
    """Raise DataError that names the option for a wrong value."""
    try:
        read_spec(fields)
    except DataError as error:
        name, colon, reason = str(error).partition(":")
        raise DataError(f"--{name.replace('_', '-')}{colon}{reason}") from None


def typed_options(context: typer.Context) -> set[str]:
    """Return the names of the options given on the command line."""
    # Parameters whose names are taken in Python end in an underscore, such as `set_`.
    return {name.rstrip("_") for name in parameter_sources(context)}


def parameter_sources(context: typer.Context) -> dict[str, Any]:
    """Return the parameter source of each option given on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name: source for name, source in sources.items() if source and source.name == "COMMANDLINE"}


def _option(name: str) -> inspect.Parameter:
    """Return the parameter from which Typer makes the option of a field."""
    field, text = DataSpec.model_fields[name], option_of(name)
    flag = f"--{option_name(name).replace('_', '-')}"
    option = typer.Option(flag, help=text.help, metavar=text.metavar, rich_help_panel=text.panel)
    kind = _option_type(field.annotation)
    default = field.default if kind is bool or isinstance(field.default, float | str) else None
    annotation: Any = Annotated[kind if default is not None else kind | None, option]
    return inspect.Parameter(name, KEYWORD_ONLY, default=default, annotation=annotation)


def _option_type(annotation: Any) -> Any:
    """Return the type of an option: that of its field, a list for several, text where the spec parses it."""
    origin, args = get_origin(annotation), [arg for arg in get_args(annotation) if arg is not NoneType]
    if origin is Annotated or (origin in (Union, UnionType) and len(args) == 1):
        return _option_type(args[0])
    if origin in (list, dict):
        return list[str]
    if origin is Literal:
        return type(args[0])
    return annotation if origin is None else str


def _with_subject(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with the subject column where --group, its deprecated name, gives it."""
    if "group" not in fields:
        return fields
    if "subject" in fields:
        raise DataError("--group is called --subject now; give one of both")
    typer.echo("note: --group is called --subject now; the next version does not know the old name", err=True)
    return {"subject" if name == "group" else name: value for name, value in fields.items()}


_GROUP = inspect.Parameter(
    "group", KEYWORD_ONLY, default=None, annotation=Annotated[str | None, typer.Option(hidden=True)]
)
