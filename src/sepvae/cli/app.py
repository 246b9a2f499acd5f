"""Commands; what they need is imported inside them, so that `--help` answers at once."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sepvae import __version__
from sepvae.cli.reading import (
    KEPT,
    MEMORY,
    READ_AS,
    Attribute,
    Background,
    Channels,
    Data,
    FitTo,
    Group,
    Id,
    Images,
    ImageSize,
    Label,
    Limit,
    LimitBy,
    Memory,
    Pattern,
    Root,
    Split,
    Table,
    Target,
    TestSize,
    data_options,
    look_of,
    notes_on,
    read_like,
    read_samples,
)

app = typer.Typer(
    help="Contrastive analysis for medical imaging: separate what patients share with controls "
    "from what only patients have.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _enough(permutations: int) -> int:
    if permutations < 0 or 0 < permutations < 19:
        raise typer.BadParameter(f"wanted 0, or 19 or more, got {permutations}")
    return permutations


Run = Annotated[Path, typer.Argument(help="A run folder, as `sepvae fit` leaves it.", show_default=False)]
Permutations = Annotated[
    int,
    typer.Option(
        "--permutations",
        callback=_enough,
        help="Shuffles behind each p-value; 0 for none, else 19 or more, for fewer cannot give 0.05.",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A keyword of SepVAE, such as max_epochs=50; a run's recipe.yaml lists them all. Repeatable.",
    ),
]


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"sepvae {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    out: Annotated[
        Path | None, typer.Option(help="Run folder; by default sepvae-demo, or sepvae-demo-2, ..")
    ] = None,
    set_: Set = None,
    permutations: Permutations = 100,
) -> None:
    """Fit on embedded data: handwritten digits (salient) on photographs (common)."""
    from sepvae.cli.demo import DEMO, free_folder
    from sepvae.data.bundled import load_digits_on_photos
    from sepvae.methods import SepVAE
    from sepvae.runs import fit_run

    train, test = load_digits_on_photos()
    out = out or free_folder(Path("sepvae-demo"))
    model = SepVAE(**DEMO | _keywords(set_))
    typer.echo("digits-on-photos: background = half a photograph, target = half a photograph + half a digit")
    scores = fit_run(
        model,
        train,
        test,
        out,
        about_data={"reader": "digits-on-photos"},
        n_permutations=permutations,
        say=typer.echo,
    )
    _show(scores, out)


@app.command()
def check(
    data: Data,
    background: Background = None,
    target: Target = None,
    attribute: Attribute = None,
    label: Label = None,
    group: Group = None,
    id_: Id = None,
    images: Images = None,
    root: Root = None,
    table: Table = None,
    pattern: Pattern = None,
    limit: Limit = None,
    limit_by: LimitBy = None,
    split: Split = None,
    test_size: TestSize = 0.2,
    batch_size: Annotated[int, typer.Option(help="Samples a batch that `fit` would take.")] = 128,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Look at data before a fit: copies, confounds, unreadable images; status 1 if a fit would be spoilt."""
    import json

    from sepvae.cli.findings import print_inspection
    from sepvae.cli.inspecting import inspect_listing
    from sepvae.data.opening import list_data

    options = data_options(
        background=background,
        target=target,
        attribute=attribute,
        label=label,
        group=group,
        id=id_,
        images=images,
        root=root,
        table=table,
        pattern=pattern,
        limit=limit,
        limit_by=limit_by,
    )
    listing, reader = list_data(data, **options, two_labels=False)
    inspection = inspect_listing(listing, split=split, test_size=test_size, batch_size=batch_size)
    if json_:
        typer.echo(json.dumps(inspection.to_dict(), indent=2))
    else:
        for note in READ_AS.get(reader, []):
            typer.echo(f"note: {note}")
        print_inspection(inspection)
    raise typer.Exit(1 if inspection.spoils else 0)


@app.command()
def fit(
    data: Data,
    out: Annotated[Path, typer.Option(help="Run folder to make.", show_default=False)],
    background: Background = None,
    target: Target = None,
    attribute: Attribute = None,
    label: Label = None,
    group: Group = None,
    id_: Id = None,
    images: Images = None,
    root: Root = None,
    table: Table = None,
    pattern: Pattern = None,
    image_size: ImageSize = "64",
    channels: Channels = None,
    fit_: FitTo = "pad",
    memory: Memory = MEMORY,
    limit: Limit = None,
    limit_by: LimitBy = None,
    split: Split = None,
    test_size: TestSize = 0.2,
    split_seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    preset: Annotated[str, typer.Option(help="default or paper.")] = "default",
    set_: Set = None,
    permutations: Permutations = 100,
) -> None:
    """Fit on images, score, draw, and write a run folder with a page to read."""
    import numpy as np

    from sepvae.data.opening import list_data
    from sepvae.data.splits import choose_split
    from sepvae.methods import SepVAE
    from sepvae.runs import check_new_run, fit_run
    from sepvae.training.processes import check_launch, is_first

    model = SepVAE.from_preset(preset, **{"background": background} | _keywords(set_))
    check_launch(model.devices, model.num_nodes)
    first = is_first(model.devices, model.num_nodes)
    say = typer.echo if first else _silence
    if first:
        check_new_run(out)
    options = data_options(
        background=background,
        target=target,
        attribute=attribute,
        label=label,
        group=group,
        id=id_,
        images=images,
        root=root,
        table=table,
        pattern=pattern,
        limit=limit,
        limit_by=limit_by,
    )
    listing, reader = list_data(data, **options)
    model.set_params(background=listing.background)
    look = look_of(reader, image_size, channels, fit_)
    train, test, how = choose_split(listing.about, file=split, test_size=test_size, random_state=split_seed)
    if background is None and reader not in READ_AS:
        say(f"note: background is {listing.background}, the first by alphabet (--background names it)")
    for note in [*notes_on(listing, reader), f"split {how}"]:
        say(f"note: {note}")
    source, measures = read_samples(listing, look, memory)
    about: dict[str, Any] = {"reader": reader, "name": data.resolve().name, **look, "centre": listing.centre}
    about |= {name: options[name] for name in KEPT}
    about |= {"targets": list(target or ()), "limit": limit, "limit_by": limit_by, "split": how}
    parts = source.select(train), source.select(test)
    del source  # they are copies: its memory is free for the fit
    scores = fit_run(
        model,
        *parts,
        out,
        about_data=about,
        kinds=listing.kinds,
        measures=None if measures is None else measures.iloc[np.concatenate([train, test])],
        command=_typed(),
        n_permutations=permutations,
        say=say,
    )
    _show(scores, out)


@app.command()
def encode(
    run: Run,
    data: Annotated[
        Path, typer.Argument(help="Images to encode, read as those fitted on.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="CSV file to write.", show_default=False)],
    root: Root = None,
) -> None:
    """Write the codes of new images; labels are not needed."""
    from sepvae.files import write_whole
    from sepvae.runs import encode_run

    _refuse_existing(out)
    codes = encode_run(run, read_like(run, data, root, labelled=False))
    write_whole(out, codes.to_csv(index=False))
    typer.echo(f"codes of {len(codes)} images: {out}")


@app.command()
def evaluate(
    run: Run,
    data: Annotated[
        Path | None, typer.Argument(help="New images to score; without, the run's test part.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="CSV file to write; RUN/scores.csv without DATA.")] = None,
    root: Root = None,
    permutations: Permutations = 100,
) -> None:
    """Score codes: what each space knows of each attribute, against chance."""
    from sepvae.cli.table import print_scores
    from sepvae.files import write_whole
    from sepvae.report.page import write_report
    from sepvae.runs import evaluate_run, keep_scores

    if out is not None:
        _refuse_existing(out)
    source = None if data is None else read_like(run, data, root)
    scores = evaluate_run(run, source, n_permutations=permutations)
    if data is None and out is None:
        keep_scores(run, scores, n_permutations=permutations)
        typer.echo(f"scores: {run / 'scores.csv'}, report: {write_report(run)}")
    elif out is not None:
        write_whole(out, scores.to_csv(index=False))
        typer.echo(f"scores: {out}")
    else:
        typer.echo("nothing is written; --out FILE.csv keeps the scores")
    print_scores(scores)


@app.command()
def report(
    runs: Annotated[
        list[Path],
        typer.Argument(help="A run folder; or several, to set side by side.", show_default=False),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Page to write; by default RUN/report.html, or comparison.html.")
    ] = None,
    images: Annotated[
        bool, typer.Option("--images/--no-images", help="Show single images and ids, or leave them out.")
    ] = True,
) -> None:
    """Write the page of a run folder again, or one page on several."""
    from sepvae.report import write_comparison, write_report

    if len(runs) == 1:
        page = write_report(runs[0], out, images=images)
    else:
        page = write_comparison(runs, out or Path("comparison.html"), images=images)
    typer.echo(f"report: {page}")


def _silence(message: str) -> None:
    """What all processes of a distributed fit but the first have to say."""


def _show(scores: Any, run: Path) -> None:
    """Print the scores and where the page is, in the process that has them."""
    from sepvae.cli.table import print_scores

    if scores is None:
        return
    print_scores(scores)
    typer.echo(f"report: {run / 'report.html'}")


def _typed() -> list[str]:
    """What was typed; of absolute paths the last part, for a forwarded page tells nothing of a disk."""
    words = [word.partition("=") for word in sys.argv[1:]]
    return [
        "sepvae",
        *("".join(Path(p).name if Path(p).is_absolute() else p for p in word) for word in words),
    ]


def _refuse_existing(file: Path) -> None:
    from sepvae.errors import RunFolderError

    if file.exists():
        raise RunFolderError(f"{file}: exists; choose another --out, or remove it")
    if not file.parent.is_dir():
        raise RunFolderError(f"{file}: there is no folder {file.parent}; make it, or choose another --out")


def _keywords(pairs: list[str] | None) -> dict[str, Any]:
    """Turn KEY=VALUE pairs into keywords of SepVAE."""
    from sepvae.cli.keywords import parse_keywords

    return parse_keywords(pairs or [])
