"""Options of several commands: one for each field of `DataSpec`, and those of fits and scores."""

import inspect
from collections.abc import Callable, Collection
from functools import wraps
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer

from sepvae.data.spec import DataSpec, option_name, read_spec
from sepvae.errors import DataError
from sepvae.run_folder import N_PERMUTATIONS

KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY
OF_SAMPLES = ("image_size", "channels", "fit", "memory")  # of those that are read, not only listed
LISTED = [name for name in DataSpec.model_fields if name not in OF_SAMPLES]
QUICK_PERMUTATIONS = 19


def _enough(permutations: int | None) -> int | None:
    if permutations is not None and permutations < 19 and permutations != 0:
        raise typer.BadParameter(f"wanted 0, or 19 or more, got {permutations}")
    return permutations


def _size_of_batch(typed: str) -> int | str:
    """Parse --batch-size: a positive integer or auto."""
    if typed == "auto":
        return typed
    if not (typed.isascii() and typed.isdigit() and int(typed) > 0):
        raise typer.BadParameter(f"wanted a whole number of 1 or more, or auto, got {typed!r}")
    return int(typed)


def _share(test_size: float) -> float:
    if not 0 < test_size < 1:
        raise DataError(f"--test-size: wanted a share between 0 and 1, got {test_size:g}")
    return test_size


Data = Annotated[
    Path,
    typer.Argument(
        help="A table (csv, tsv) of NIfTI volumes, surfaces, image files or regional features; a packed "
        "store (zarr); a folder with one subfolder of images per label; an array (npy, npz) with a table "
        "beside it; AnnData (h5ad); CelebA, Kermany's chest_xray or BraTS as downloaded.",
        show_default=False,
    ),
]
Split = Annotated[
    Path | None,
    typer.Option(help="Table of id and split (train or test), such as another run's split.csv."),
]
TestSize = Annotated[
    float, typer.Option(callback=_share, help="Share of the samples to score on, whole patients.")
]
SplitSeed = Annotated[int, typer.Option("--split-seed", help="Seed of the split.")]
Run = Annotated[Path, typer.Argument(help="A run folder, as `sepvae fit` leaves it.", show_default=False)]
Permutations = Annotated[
    int,
    typer.Option(
        "--permutations",
        callback=_enough,
        help="Shuffles behind each p-value; 0 for none, else 19 or more, for fewer cannot give 0.05.",
    ),
]
BatchSize = Annotated[
    str,
    typer.Option(
        callback=_size_of_batch,
        metavar="INTEGER|auto",
        help="Samples a batch that `fit` would take; auto suits the data.",
    ),
]
Removal = Annotated[
    bool | None,
    typer.Option(
        "--removal/--no-removal",
        help="Train classifiers that score removal and swaps, whatever their time, or none; by default they "
        "go through half as many images as the fit, and are left out where that is too few.",
        show_default=False,
    ),
]
Quick = Annotated[
    bool,
    typer.Option(
        "--quick",
        help="A first look: no removal or counterfactuals, 19 permutations, no thumbnails. `sepvae evaluate "
        "RUN DATA --complete` adds them, and takes 100 permutations.",
    ),
]
Logger = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Log the training by csv or tensorboard, in OUT/logs, or by mlflow or wandb, in the current "
        "folder.",
        show_default=False,
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on where a fit in --out was stopped, with its options where they are not given; begin "
        "where there is none, for jobs.",
    ),
]
PermutationsAgain = Annotated[
    int | None,
    typer.Option(
        "--permutations",
        callback=_enough,
        help="Shuffles behind each p-value, as for `fit`; by default as many as the run has, but 100 with "
        "--complete for a run that was fitted with --quick.",
        show_default=False,
    ),
]
Inference = Annotated[
    bool,
    typer.Option(
        "--inference",
        help="Test the group map of the run's held-out people, and their input itself; DATA are those of the "
        "fit. It is written to RUN/inference and to the page.",
    ),
]
AdjustFor = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ATTRIBUTE",
        help="With --inference: covariate of the tests; by default all attributes that everyone has. "
        "Repeatable.",
    ),
]
Complete = Annotated[
    bool,
    typer.Option(
        "--complete",
        help="Add scores of removal and counterfactuals, thumbnails and permutations that the fit left out; "
        "DATA are then those of the fit.",
    ),
]
UnseenSite = Annotated[
    str | None,
    typer.Option(
        help="After --harmonise: people in DATA of a site that was not fitted are refused, or taken as "
        "measured at an average site (reference).",
        show_default=False,
    ),
]
UnseenSiteOrEstimate = Annotated[
    str | None,
    typer.Option(
        "--unseen-site",
        help="After --harmonise: people in DATA of a site that was not fitted are refused, taken as "
        "measured at an average site (reference), or harmonised by its controls in DATA (estimate).",
        show_default=False,
    ),
]
Refits = Annotated[
    int,
    typer.Option(
        "--null",
        callback=_enough,
        help="With --inference: fits on permuted labels, which the group map is compared with; 0 for none, "
        "else 19 or more, for fewer cannot give 0.05. A call that was stopped goes on.",
    ),
]
Method = Annotated[
    str,
    typer.Option(help="SepVAE, ContrastivePCA, or any other that is installed; a wrong name lists them."),
]
Preset = Annotated[str, typer.Option(help="default, paper, or another of the method.")]
Continued = Annotated[
    Path, typer.Option("--out", help="Folder to make; one that was stopped goes on.", show_default=False)
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A keyword of the method, such as max_epochs=50; recipe.yaml of a run has all. Repeatable.",
    ),
]
Residualise = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ATTRIBUTE",
        help="Remove what controls show of it, by regression, and fit w-scores. Repeatable.",
    ),
]
Harmonise = Annotated[
    str | None, typer.Option(metavar="ATTRIBUTE", help="Harmonise this site or scanner by ComBat.")
]
Preserve = Annotated[
    list[str] | None,
    typer.Option(metavar="ATTRIBUTE", help="With --harmonise: what sites may differ in. Repeatable."),
]
ConditionOn = Annotated[
    list[str] | None,
    typer.Option(metavar="ATTRIBUTE", help="Give it to the decoder of a VAE. Repeatable."),
]
RecipeName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="An experiment: how DATA are read, and keywords of each method; `sepvae recipes` lists them. "
        "Options that are typed take precedence.",
    ),
]


def scoring_options(
    *, permutations: int, removal: bool | None, quick: bool, typed: Collection[str]
) -> dict[str, Any]:
    """
    Return the scoring keywords of `fit_run`; options that were typed override --quick.

    >>> scoring_options(permutations=100, removal=None, quick=True, typed=["quick"])
    {'n_permutations': 19, 'removal': False, 'thumbnails': False}
    """
    if quick and "permutations" not in typed:
        permutations = QUICK_PERMUTATIONS
    by_default: Literal["auto", False] = False if quick else "auto"
    scored = by_default if removal is None else removal
    return {"n_permutations": permutations, "removal": scored, "thumbnails": not quick}


def permutations_again(typed: int | None, recorded: int, *, complete: bool) -> int:
    """
    Return the permutations of `evaluate`: typed, else recorded, but 100 for --complete of a quick run.

    >>> permutations_again(None, 19, complete=False), permutations_again(None, 19, complete=True)
    (19, 100)
    """
    if typed is not None:
        return typed
    return N_PERMUTATIONS if complete and recorded == QUICK_PERMUTATIONS else recorded


def split_options(context: typer.Context, test_size: float, split_seed: int) -> dict[str, Any]:
    """Return how `read_dataset` splits: as typed, else as the recipe says."""
    typed, given = typed_options(context), {"test_size": test_size, "split_seed": split_seed}
    return {name.removeprefix("split_"): value for name, value in given.items() if name in typed}


def typed_options(context: typer.Context) -> set[str]:
    """Return the names of the options given on the command line."""
    # Parameters whose names are taken in Python end in an underscore, such as `set_`.
    return {name.rstrip("_") for name in parameter_sources(context)}


def parameter_sources(context: typer.Context) -> dict[str, Any]:
    """Return the parameter source of each option given on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name: source for name, source in sources.items() if source and source.name == "COMMANDLINE"}


def data_options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace `fields` of a command, a dict of those typed, by options of these, or all, of `DataSpec`."""
    wanted = names or tuple(DataSpec.model_fields)

    def with_options(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(context: typer.Context, **given: Any) -> None:
            typed = typed_options(context)
            chosen = {name: given.pop(name) for name in (*wanted, "group") if name in given}
            fields = _checked({name: value for name, value in chosen.items() if name in typed})
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


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields, `group` as `subject`; raise DataError that names the option of a wrong value."""
    if "group" in fields:
        if "subject" in fields:
            raise DataError("--group is called --subject now; give one of both")
        note = "note: --group is called --subject now; the next version does not know the old name"
        typer.echo(note, err=True)
        fields = {"subject" if name == "group" else name: value for name, value in fields.items()}
    try:
        read_spec(fields)
    except DataError as error:
        name, colon, reason = str(error).partition(":")
        raise DataError(f"--{name.replace('_', '-')}{colon}{reason}") from None
    return fields


def _option(name: str) -> inspect.Parameter:
    """Return the parameter from which Typer makes the option of a field."""
    field: Any = DataSpec.model_fields[name]
    flag = f"--{option_name(name).replace('_', '-')}"
    option = typer.Option(flag, help=field.description, **field.json_schema_extra)
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


_GROUP = inspect.Parameter(
    "group", KEYWORD_ONLY, default=None, annotation=Annotated[str | None, typer.Option(hidden=True)]
)
