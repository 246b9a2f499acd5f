"""Data options, and functions that list and read DATA."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

    from sepvae.data.arrays import ArraySource, StreamSource
    from sepvae.data.manifest import Manifest

Data = Annotated[
    Path,
    typer.Argument(
        help="A table (csv, tsv) of NIfTI volumes, of image files or of regional features; a packed store "
        "(zarr); a folder with one subfolder of images per label; an array (npy, npz) with a table "
        "beside it; CelebA, Kermany's chest_xray or BraTS as downloaded.",
        show_default=False,
    ),
]
_TABLE, _FOLDER = "For a table, an array or a store", "For a folder"
_IMAGES, _VOLUMES = "Images", "Volumes"
Background = Annotated[
    str | None,
    typer.Option(
        metavar="LABEL[=NAME]",
        help="Label of the background (controls), with another name for it if you like: 2=control. Labels "
        "that are numbers need it; by default the one that is a word for controls (HC, control, normal, ..), "
        "else the first in order of the alphabet.",
    ),
]
Target = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LABEL[=NAME]",
        help="Label of the target; repeat it to join several. Others are left out.",
    ),
]
Attribute = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[:KIND]",
        help="What else is known, to be scored: a column, or a named group of --pattern. KIND is continuous "
        "or categorical; by default its values tell. Repeatable.",
    ),
]
Label = Annotated[str | None, typer.Option(help="Column of labels.", rich_help_panel=_TABLE)]
Subject = Annotated[str | None, typer.Option(help="Column that names the person.", rich_help_panel=_TABLE)]
Group = Annotated[str | None, typer.Option(hidden=True)]  # former name of --subject
Id = Annotated[
    str | None,
    typer.Option(
        "--id",
        help="Column of unique names; by default participant_id for volumes and features, else the file.",
        rich_help_panel=_TABLE,
    ),
]
Images = Annotated[
    str | None,
    typer.Option(
        help="Column of image files or volumes, or a template such as "
        "'{participant_id}/anat/{participant_id}_GM.nii.gz'.",
        rich_help_panel=_TABLE,
    ),
]
Features = Annotated[
    list[str] | None,
    typer.Option(
        help="Columns of features: a name, a pattern such as 'lh_*', a regular expression 're:^(lh|rh)_', or "
        "'number' for all columns of numbers that have no other role. Repeatable.",
        rich_help_panel=_TABLE,
    ),
]
Missing = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WORD",
        help="A word or code that is a missing value in attributes and features, such as -9999, besides NA, "
        "n/a, nan and the like. Repeatable.",
        rich_help_panel=_TABLE,
    ),
]
NotMissing = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WORD",
        help="A word or number that is a value there, such as NA for a site. Repeatable.",
        rich_help_panel=_TABLE,
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        help="Encoding of the table, such as cp1252; by default UTF-8, or as its first bytes say.",
        rich_help_panel=_TABLE,
    ),
]
Root = Annotated[
    Path | None,
    typer.Option(help="Folder of the images; by default that of the table.", rich_help_panel=_TABLE),
]
Table = Annotated[
    Path | None,
    typer.Option(help="Table of an array; by default the one with the same name.", rich_help_panel=_TABLE),
]
Pattern = Annotated[
    list[str] | None,
    typer.Option(
        help="Regular expression for file names; (?P<subject>..) names the person, any other named part is "
        "an attribute. Repeatable.",
        rich_help_panel=_FOLDER,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        help="At most so many samples of each label, in order; of a folder with train and test so many in "
        "each (val counts as train)."
    ),
]
LimitBy = Annotated[
    str | None, typer.Option(help="Count them for each value of this attribute, within a label.")
]
ImageSize = Annotated[
    str | None,
    typer.Option(
        help="Side in pixels, or HEIGHTxWIDTH; by default 64. Of volumes the side in voxels, or XxYxZ, to "
        "crop or pad to; by default they stay as they are.",
        rich_help_panel=_IMAGES,
    ),
]
Mask = Annotated[
    Path | None,
    typer.Option(help="Brain mask on the volumes' grid; nothing else counts.", rich_help_panel=_VOLUMES),
]
Resample = Annotated[
    bool,
    typer.Option(
        "--resample",
        help="Interpolate volumes on other grids to that of most, instead of refusing them.",
        rich_help_panel=_VOLUMES,
    ),
]
MaskThreshold = Annotated[
    float | None,
    typer.Option(
        "--mask-threshold",
        help="Voxels of the mask above it count, for a map of probabilities.",
        rich_help_panel=_VOLUMES,
    ),
]
AssumeOrientation = Annotated[
    str | None,
    typer.Option(
        "--assume-orientation",
        metavar="AXES",
        help="Orientation, such as RAS or LAS, of files whose header has none.",
        rich_help_panel=_VOLUMES,
    ),
]
Channels = Annotated[
    int | None,
    typer.Option(help="1 for grey (the default), 3 for RGB (CelebA's).", rich_help_panel=_IMAGES),
]
FitTo = Annotated[
    str,
    typer.Option(
        "--fit",
        help="What to do with images of another shape: pad, crop or squash them.",
        rich_help_panel=_IMAGES,
    ),
]
Memory = Annotated[
    float,
    typer.Option(
        help="Gigabytes for images or volumes; what is beyond is read again whenever it is needed.",
        rich_help_panel=_IMAGES,
    ),
]
Split = Annotated[
    Path | None,
    typer.Option(help="Table of id and split (train or test), such as another run's split.csv."),
]
TestSize = Annotated[float, typer.Option(help="Share of the samples to score on, whole patients.")]
MEMORY = 4.0
# Options that a recipe records to read new data in the same way, and those of preprocessing.
TABLE_RULES = ("missing", "not_missing", "encoding")  # recorded, too, but not by older versions
KEPT = ("label", "subject", "id", "images", "features", "pattern", "attributes")
LOOK = ("image_size", "channels", "fit", "mask", "resample")
OF_VOLUMES = ("volumes", "packed")


def data_options(*, target: list[str] | None, attribute: list[str] | None, **others: Any) -> dict[str, Any]:
    """Return the keywords of `list_data`."""
    return {**others, "targets": target or (), "attributes": parse_attributes(attribute)}


def subject_of(subject: str | None, group: str | None) -> str | None:
    """Return the subject column; --group is its deprecated name."""
    from sepvae.errors import DataError

    if group is None:
        return subject
    if subject is not None:
        raise DataError("--group is called --subject now; give one of both")
    typer.echo("note: --group is called --subject now; the next version does not know the old name", err=True)
    return group


def look_of(
    reader: str,
    image_size: str | None,
    channels: int | None,
    fit: str,
    mask: Path | None,
    resample: bool,
    mask_threshold: float | None = None,
) -> dict[str, Any]:
    """Return the preprocessing keywords for a reader; raise DataError for options that it does not have."""
    from sepvae.errors import DataError

    if reader in OF_VOLUMES:
        if channels is not None or fit != "pad":
            name = "fit" if channels is None else "channels"
            raise DataError(f"--{name} has no meaning for volumes; leave it out")
        size = None if image_size is None else parse_size(image_size)
        return {"image_size": size, "mask": mask, "resample": resample, "mask_threshold": mask_threshold}
    if mask is not None or resample or mask_threshold is not None:
        name = "mask" if mask is not None else "resample" if resample else "mask-threshold"
        raise DataError(f"--{name} has no meaning for what is no volume; leave it out")
    if channels is None:
        channels = 3 if reader == "celeba" else 1
    return {"image_size": parse_size(image_size or "64"), "channels": channels, "fit": fit}


READ_AS = {
    "kermany": ["read as Kermany's chest X-rays: patient and subtype come from the file names"],
    "celeba": ["read as CelebA: neither, glasses or hat; images with both are left out"],
    "brats": [
        "read as BraTS: every fourth axial slice with brain on a tenth of it or more; tumour from 50 voxels "
        "on, fewer are left out"
    ],
}


def notes_on(manifest: "Manifest", reader: str) -> list[str]:
    """Return notes on how the data were listed that users may not expect."""
    notes = list(READ_AS.get(reader, []))
    if not manifest.grouped:
        how = "--pattern" if reader == "folder" else "--subject"
        notes.append(
            "every sample counts as a subject of its own"
            + f" ({how} names subjects with several samples)" * (reader != "celeba")
        )
    if manifest.unlisted:
        what = "images" if manifest.volumes is None else "volumes"
        notes.append(f"{len(manifest.unlisted)} {what} have no row, such as {manifest.unlisted[0]}; left out")
    notes += [note.message for note in manifest.table_notes]
    return notes + passed_notes(manifest)


def passed_notes(manifest: "Manifest") -> list[str]:
    """Return a note on the files that were skipped, if any."""
    from sepvae.data.folders import told_passed_over

    return [told_passed_over(manifest.passed_over)] if manifest.passed_over else []


def notes_after(source: Any, quality_metrics: "pd.DataFrame | None") -> list[str]:
    """Return notes known after reading: files of several pages, orientations, the mask."""
    from sepvae.inspection.images import told_pages
    from sepvae.inspection.volumes import told_orientations

    notes = []
    if quality_metrics is not None and "pages" in quality_metrics:
        notes += told_pages(quality_metrics)
    if quality_metrics is not None and "orientation" in quality_metrics:
        notes += [message for _, message, _ in told_orientations(quality_metrics)]
    said = source.grid.mask_words if source.grid is not None else None
    return notes + ([said] if said else [])


def roles_of(manifest: "Manifest", *, named: bool) -> str:
    """Return a line with the background, the target, their counts, and how the background was chosen."""
    from sepvae.checks import guess_background

    if named or manifest.background is None:
        return manifest.roles()
    why = guess_background(manifest.about["label"]).why
    told = {"alphabet": "the first by alphabet; ", "word": "by its name; "}.get(why, "")
    return f"{manifest.roles()} ({told}--background names another)"


def read_samples(
    manifest: "Manifest", look: dict[str, Any], memory: float
) -> "tuple[ArraySource | StreamSource, pd.DataFrame | None]":
    """Read listed samples, and quality metrics of images and volumes, with a progress bar."""
    from sepvae.data.reading import read_manifest
    from sepvae.progress import progress_bar

    with progress_bar("reading") as progress:
        return read_manifest(manifest, **look, memory=memory, progress=progress)


def read_like(run: Path, data: Path, root: Path | None = None, *, labelled: bool = True) -> Any:
    """Read all samples of new data as the recipe of a run says, and print notes on them."""
    from sepvae.cli.plain import tell

    manifest, look = list_like(run, data, root, labelled=labelled)
    source, quality_metrics = read_samples(manifest, look, MEMORY)
    told = [note.message for note in manifest.table_notes if note.code != "features-taken"]
    for note in told + passed_notes(manifest) + notes_after(source, quality_metrics):
        tell(f"note: {note}")
    return source


def list_like(
    run: Path, data: Path, root: Path | None = None, table: Path | None = None, *, labelled: bool = True
) -> "tuple[Manifest, dict[str, Any]]":
    """List new data as the recipe of a run says; return the manifest and the preprocessing keywords."""
    from sepvae.data.cells import CellRules, read_cells
    from sepvae.data.load import kind_of, list_data
    from sepvae.errors import DataError
    from sepvae.runs import read_recipe

    recipe = read_recipe(run)
    about = recipe["data"]
    if not {"reader", "targets"} <= about.keys() and about.get("reader") != "digits-on-photos":
        about = _encode_known_labels(run, data, recipe, labelled=labelled)
    if about["reader"] == "digits-on-photos":
        raise DataError(f"{run}: was fitted on {about['reader']}, which takes no other data")
    alike = kind_of(data)
    if alike == "table" and about["reader"] in ("volumes", "regions"):
        alike = about["reader"]
    if alike == "packed" and about["reader"] == "volumes":  # a store may replace the files
        about = about | {"reader": "packed", "images": None, "assume_orientation": None}
    options: dict[str, Any] = {"root": root, "table": table}
    if alike == about["reader"] or (alike == "folder" and about["reader"] in READ_AS):
        kept = (*KEPT, *TABLE_RULES, "modality", "assume_orientation")
        options |= {name: about.get(name) for name in kept}
    elif labelled or alike != "folder":
        if about["reader"] == "packed":
            raise DataError(f"{data}: {run} was fitted on a packed store; give a store: sepvae pack makes it")
        raise DataError(f"{data}: {run} was fitted on a {about['reader']}; give new data of that kind")
    if labelled and about["targets"]:
        options |= {"background": recipe["keywords"]["background"], "targets": about["targets"]}
    if not labelled:
        from sepvae.methods._covariates import covariate_names

        # Covariates that the model residualises are needed for new samples, too.
        taken_out = covariate_names(recipe["keywords"].get("residualise")) or []
        known = (about.get("attributes") or {}).items()
        options |= {"label": None, "attributes": {name: kind for name, kind in known if name in taken_out}}
        if alike == "regions":
            from sepvae.methods import load

            # By name: a pattern could match covariates that have no role here.
            options["features"] = load(run).feature_names_in_.tolist()
        # New data may lack label and subject: these columns are read only if they are complete.
        is_table = alike in ("table", "volumes", "regions")
        cells: Any = read_cells(data, CellRules(encoding=about.get("encoding"))) if is_table else {}
        known_of_all = [name for name in cells if cells[name].notna().all()]
        options |= {role: about[role] for role in ("label", "subject") if about.get(role) in known_of_all}
        if about.get("subject") not in cells:
            options["subject"] = None
    options["label_names"] = about.get("labels")
    manifest, _ = list_data(data, **options, labelled=labelled, two_labels=False)
    manifest = replace(manifest, centre=about.get("centre", manifest.centre))
    if manifest.features is not None:
        from sepvae.methods import load

        fitted = getattr(load(run), "feature_names_in_", [])
        if set(fitted) == set(manifest.features):  # new data may have their columns in another order
            manifest = replace(manifest, features=manifest.features[[*fitted]])
    look = {name: about[name] for name in LOOK if name in about}
    if about["reader"] in OF_VOLUMES:
        from sepvae.methods import load

        look = {
            "grid": load(run).grid_,
            "resample": about.get("resample", False),
        }  # the grid includes the window and the mask
    return manifest, look


def _encode_known_labels(run: Path, data: Path, recipe: dict[str, Any], *, labelled: bool) -> dict[str, Any]:
    """Return reading options that a recipe lacks, from the kind of DATA and the model's sample shape."""
    from sepvae.data.load import kind_of
    from sepvae.errors import DataError
    from sepvae.methods import load

    model, about, kind = load(run), dict(recipe["data"]), kind_of(data)
    shape = model.sample_shape_
    readers = {
        1: {"table": "regions"},
        3: {"folder": "folder", "table": "table", "array": "array"},
        4: {"table": "volumes", "packed": "packed"},
    }.get(len(shape), {})
    unsaid = f"{run}: its recipe.yaml does not say how the data were read"
    in_python = "encode in Python, by sepvae.load(RUN).encode(source)"
    if kind not in readers or (len(shape) == 4 and model.grid_ is None):
        sides = " x ".join(map(str, shape))
        raise DataError(f"{unsaid}, and {data} gives no samples of shape {sides}, as it has; {in_python}")
    if kind == "table" and len(shape) > 1 and not about.get("images"):
        told = "fit with about_data={'images': COLUMN}"
        raise DataError(f"{unsaid}: no column of images in {data} is named; {told}, or {in_python}")
    if labelled and kind != "folder" and not about.get("label"):
        told = "fit with about_data={'label': COLUMN}, or score in Python, by evaluate_run(RUN, source)"
        raise DataError(f"{unsaid}: no column of labels in {data} is named; {told}")
    if len(shape) == 1:
        if (names := getattr(model, "feature_names_in_", None)) is None:
            raise DataError(f"{unsaid}, and its features have no names; {in_python}")
        about.setdefault("features", names.tolist())
    if len(shape) == 3:
        about = {"channels": shape[0], "image_size": tuple(shape[1:]), "fit": "pad"} | about
    if kind != "folder":
        about.setdefault("attributes", recipe.get("attributes"))
    return {"targets": []} | about | {"reader": readers[kind]}


def parse_attributes(given: list[str] | None) -> dict[str, str | None]:
    """
    Parse NAME or NAME:KIND.

    >>> parse_attributes(["age:continuous", "sex"])
    {'age': 'continuous', 'sex': None}
    """
    from sepvae.checks import check_choice

    attributes: dict[str, str | None] = {}
    for text in given or []:
        name, colon, kind = text.rpartition(":")
        if colon:
            check_choice(f"--attribute {text}", kind, ("continuous", "categorical"))
        attributes[name if colon else text] = kind if colon else None
    return attributes


def parse_size(text: str) -> int | tuple[int, ...]:
    """
    Parse 64, 48x64 or 48x56x48.

    >>> parse_size("64"), parse_size("48x64"), parse_size("48x56x48")
    (64, (48, 64), (48, 56, 48))
    """
    from sepvae.errors import DataError

    parts = text.split("x")
    try:
        sides = tuple(int(part) for part in parts)
        if len(sides) > 3:
            raise ValueError
    except ValueError:
        raise DataError(
            f"--image-size: wanted pixels, such as 64 or 48x64, or voxels, such as 48x56x48, got {text!r}"
        ) from None
    return sides[0] if len(set(sides)) == 1 else sides
