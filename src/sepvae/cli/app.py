"""Commands; what they need is imported inside them, so that `--help` answers at once."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sepvae import __version__

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
def fit(
    data: Annotated[
        Path, typer.Argument(help="A folder with one subfolder of images per label.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Run folder to make.", show_default=False)],
    background: Annotated[
        str | None,
        typer.Option(help="Label of the background; by default the first in order of the alphabet."),
    ] = None,
    image_size: Annotated[str, typer.Option(help="Side in pixels, or HEIGHTxWIDTH.")] = "64",
    channels: Annotated[int, typer.Option(help="1 for grey, 3 for RGB.")] = 1,
    fit_: Annotated[
        str, typer.Option("--fit", help="What to do with images of another shape: pad, crop or squash them.")
    ] = "pad",
    pattern: Annotated[
        list[str] | None,
        typer.Option(help="Regular expression for file names; (?P<group>..) names the patient. Repeatable."),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many images of each label, by name.")] = None,
    limit_by: Annotated[
        str | None,
        typer.Option(help="Count them for each value of this attribute of --pattern, within a label."),
    ] = None,
    test_size: Annotated[float, typer.Option(help="Share of the samples to score on, whole patients.")] = 0.2,
    split_seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    preset: Annotated[str, typer.Option(help="default or paper.")] = "default",
    set_: Set = None,
    permutations: Permutations = 100,
) -> None:
    """Fit on a folder of images, score, draw, and write a run folder with a page to read."""
    from sepvae.data.splits import split
    from sepvae.methods import SepVAE
    from sepvae.runs import check_new_run, fit_run

    check_new_run(out)
    model = SepVAE.from_preset(preset, **{"background": background} | _keywords(set_))
    reader = {
        "image_size": _size(image_size),
        "channels": channels,
        "fit": fit_,
        "pattern": pattern,
        "limit": limit,
        "limit_by": limit_by,
    }
    source = _read(data, reader)
    if pattern is None:
        typer.echo("note: no --pattern names the patient, so every image counts as a patient of its own")
    train, test = split(source.labels, source.groups, test_size=test_size, random_state=split_seed)
    about: dict[str, Any] = {"reader": "image_folder", "name": data.resolve().name, **reader}
    about |= {"test_size": test_size, "split_seed": split_seed, "preset": preset}
    scores = fit_run(
        model,
        source.select(train),
        source.select(test),
        out,
        about_data=about,
        n_permutations=permutations,
        say=typer.echo,
    )
    _show(scores, out)


@app.command()
def encode(
    run: Run,
    data: Annotated[
        Path, typer.Argument(help="Images to encode, read as those fitted on.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="CSV file to write.", show_default=False)],
) -> None:
    """Write the codes of new images; labels are not needed."""
    from sepvae.files import write_whole
    from sepvae.runs import encode_run

    _refuse_existing(out)
    codes = encode_run(run, _read_like(run, data, labelled=False))
    write_whole(out, codes.to_csv(index=False))
    typer.echo(f"codes of {len(codes)} images: {out}")


@app.command()
def evaluate(
    run: Run,
    data: Annotated[
        Path | None, typer.Argument(help="New images to score; without, the run's test part.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="CSV file to write; RUN/scores.csv without DATA.")] = None,
    permutations: Permutations = 100,
) -> None:
    """Score codes: what each space knows of each attribute, against chance."""
    from sepvae.cli.table import print_scores
    from sepvae.files import write_whole
    from sepvae.report.page import write_report
    from sepvae.runs import evaluate_run

    if out is not None:
        _refuse_existing(out)
    scores = evaluate_run(run, None if data is None else _read_like(run, data), n_permutations=permutations)
    if data is None and out is None:
        write_whole(run / "scores.csv", scores.to_csv(index=False))
        write_report(run)
    elif out is not None:
        write_whole(out, scores.to_csv(index=False))
    else:
        typer.echo("nothing is written; --out FILE.csv keeps the scores")
    print_scores(scores)


@app.command()
def report(run: Run) -> None:
    """Write the page of a run folder again."""
    from sepvae.report.page import write_report

    typer.echo(f"report: {write_report(run)}")


def _show(scores: Any, run: Path) -> None:
    """Print the scores and where the page is."""
    from sepvae.cli.table import print_scores

    print_scores(scores)
    typer.echo(f"report: {run / 'report.html'}")


def _refuse_existing(file: Path) -> None:
    from sepvae.errors import RunFolderError

    if file.exists():
        raise RunFolderError(f"{file}: exists; choose another --out, or remove it")


def _keywords(pairs: list[str] | None) -> dict[str, Any]:
    """Turn KEY=VALUE pairs into keywords of SepVAE."""
    from sepvae.cli.keywords import parse_keywords

    return parse_keywords(pairs or [])


def _read(data: Path, reader: dict[str, Any], *, labelled: bool = True) -> Any:
    """Read images behind a progress bar."""
    from rich.progress import Progress

    from sepvae.data.images import read_image_folder

    with Progress(transient=True) as bar:
        task = bar.add_task("reading images")
        return read_image_folder(
            data,
            **reader,
            labelled=labelled,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def _read_like(run: Path, data: Path, *, labelled: bool = True) -> Any:
    """Read images as the recipe of a run says, all of them."""
    from sepvae.errors import DataError
    from sepvae.runs import read_recipe

    recipe = read_recipe(run)["data"]
    if recipe["reader"] != "image_folder":
        raise DataError(f"{run}: was fitted on {recipe['reader']}, which takes no other images")
    reader = {name: recipe[name] for name in ("image_size", "channels", "fit", "pattern")}
    return _read(data, reader, labelled=labelled)


def _size(text: str) -> int | tuple[int, int]:
    """Read 64 or 48x64."""
    from sepvae.errors import DataError

    try:
        height, width = (int(part) for part in (text.split("x") * 2)[:2])
    except ValueError:
        raise DataError(f"--image-size: wanted pixels, such as 64 or 48x64, got {text!r}") from None
    return height if height == width else (height, width)
