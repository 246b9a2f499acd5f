"""Training and test samples of a fit: data are listed and split as a spec says, then read once."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sepvae.batch import Source
from sepvae.codes import Kind, attribute_kinds
from sepvae.data import bundled
from sepvae.data.bundled import DIGITS
from sepvae.data.formats import FOLDER, STORE, kind_of
from sepvae.data.formats.image_folder import describe_skipped
from sepvae.data.loading import FORMATS, describe_roles, find_format, format_named, list_data, read_manifest
from sepvae.data.manifest import Manifest
from sepvae.data.spec import DataSpec, named_fields, read_spec
from sepvae.errors import DataError
from sepvae.inspection.images import describe_orientations, describe_pages
from sepvae.progress import progress_bar
from sepvae.recipes import Recipe
from sepvae.runs.splitting import Splitting, split_manifest

# Fields that recipe.yaml of a run records, besides those by which the format brings samples to one shape.
RECORDED = (
    *("label", "subject", "id", "images", "features", "pattern", "attributes"),
    *("missing", "not_missing", "encoding", "modality", "assume_orientation"),
)


@dataclass(frozen=True)
class Dataset:
    """Training and test sources, one pair or one per fold, and what recipe.yaml says of the data."""

    pairs: list[tuple[Source, Source]]
    about: dict[str, Any]
    kinds: dict[str, Kind]
    notes: list[str] = field(default_factory=list)
    background: Any = None
    quality_metrics: pd.DataFrame | None = None


def read_dataset(data: Path, spec: DataSpec, splitting: Splitting) -> Dataset:
    """Read data, and split them into training and test, or into the folds of a recipe."""
    if splitting.recipe is not None and splitting.recipe.reader == DIGITS:
        train, test = bundled.load_digits_on_photos(splitting.seed)
        return Dataset(
            [(train, test)],
            {"reader": DIGITS, "split_seed": splitting.seed},
            attribute_kinds(train.attributes),
        )
    manifest = list_data(data, spec)
    positions, how = split_manifest(manifest, splitting)
    notes = [describe_roles(manifest, spec), *_notes_on_listing(manifest), f"split {how}"]
    if spec.limit is not None and how.startswith("as the folders say"):
        notes.append(f"limit {spec.limit}: at most so many of each label for training and in the test")
    with progress_bar("reading") as progress:
        source, quality_metrics = read_manifest(manifest, spec, progress=progress)
    return Dataset(
        # Copies, so that the memory of all samples is free for the fit.
        [(source.select(train), source.select(test)) for train, test in positions],
        _recorded(data, spec, manifest) | {"split": how},
        {**attribute_kinds(source.attributes), **manifest.kinds},
        notes + notes_on_samples(source, quality_metrics),
        background=manifest.background,
        quality_metrics=None
        if quality_metrics is None
        else quality_metrics.iloc[np.concatenate(positions[0])],
    )


def spec_with_recipe(data: Path, recipe: Recipe, spec: DataSpec, *, split: Path | None = None) -> DataSpec:
    """Return the spec of a recipe, with the fields that were set in another in place of its own."""
    base, fields = recipe.data, named_fields(spec)
    if recipe.reader == DIGITS and (
        names := [*named_fields(base), *fields, *["split"] * (split is not None)]
    ):
        option = names[0].replace("_", "-")
        raise DataError(f"--{option} has no meaning for recipe {recipe.name}, whose data come as they are")
    if data.exists() and kind_of(data) is STORE:  # it does not need paths of volumes
        base = base.model_copy(update={"images": None})
    return read_spec(fields, base)


def check_recipe(data: Path, recipe: Recipe) -> None:
    """Raise DataError if DATA is not of the kind that a recipe reads."""
    if recipe.reader == DIGITS:
        if str(data) != DIGITS:
            raise DataError(f"{data}: recipe {recipe.name} brings its data; write {DIGITS} instead")
        return
    wanted, kind = format_named(recipe.reader), kind_of(data)
    if not data.exists() or (kind is STORE and wanted.sample == "volume"):
        return
    # Only folders are looked into: a table has the format that its columns, named by the spec, give it.
    found = find_format(data, DataSpec()) if kind is FOLDER else [f for f in FORMATS if f.kind is kind][-1]
    if wanted.kind is not kind or (kind is FOLDER and not wanted.reads(found)):
        reads = wanted.title + ", or a packed store" * (wanted.sample == "volume")
        raise DataError(f"{data}: recipe {recipe.name} reads {reads}, but this is {found.title}")


def notes_on_skipped(manifest: Manifest) -> list[str]:
    """Return a note on the files that were skipped, if any."""
    return [describe_skipped(manifest.passed_over)] if manifest.passed_over else []


def notes_on_samples(source: Source, quality_metrics: pd.DataFrame | None) -> list[str]:
    """Return notes known after reading: files of several pages, orientations, the mask."""
    notes = []
    if quality_metrics is not None:
        notes += [message for message, _ in describe_pages(quality_metrics)]
        notes += [message for _, message, _ in describe_orientations(quality_metrics)]
    said = source.grid.mask_words if source.grid is not None else None
    return notes + ([said] if said else [])


def _notes_on_listing(manifest: Manifest) -> list[str]:
    """Return notes on how the data were listed that users may not expect."""
    format_ = manifest.format
    notes = [] if format_.note is None else [format_.note]
    if not manifest.grouped:
        how = f" ({format_.subject_option} names subjects with several samples)"
        notes.append(
            "every sample counts as a subject of its own" + how * (format_.subject_option is not None)
        )
    if n := len(manifest.unlisted):
        notes.append(f"{n} {format_.sample}s have no row, such as {manifest.unlisted[0]}; left out")
    return notes + [note.message for note in manifest.table_notes] + notes_on_skipped(manifest)


def _recorded(data: Path, spec: DataSpec, manifest: Manifest) -> dict[str, Any]:
    """Return what repeats the reading of the data, as recipe.yaml of a run records it."""
    about: dict[str, Any] = {"reader": manifest.format.name, "name": data.resolve().name}
    about |= manifest.format.recorded(spec) | {"centre": manifest.centre}
    about |= {name: getattr(spec, name) for name in RECORDED}
    if spec.images is not None and Path(spec.images).is_absolute():
        root = os.path.abspath(spec.root or data.parent)  # noqa: PTH100  (links stay as they are)
        about["images"] = Path(os.path.relpath(spec.images, root)).as_posix()
    about["targets"] = [_name_of(target, manifest) for target in spec.targets]
    about |= {"labels": dict(manifest.label_names)} if manifest.label_names else {}
    return about | {"limit": spec.limit, "limit_by": spec.limit_by}


def _name_of(target: str, manifest: Manifest) -> str:
    """Return the name of a target given as LABEL=NAME, such as autism of 1=autism, else the target."""
    raw, equals, name = (part.strip() for part in target.partition("="))
    return name if equals and manifest.label_names.get(raw) == name else target
