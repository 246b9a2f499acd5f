"""Training and test samples of a fit: data are listed and split as a spec says, then read once."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sepvae.batch import AnyArray, IntArray, Source
from sepvae.codes import Kind, attribute_kind, attribute_kinds
from sepvae.data import bundled
from sepvae.data.bundled import DIGITS
from sepvae.data.formats import TABLE
from sepvae.data.formats.image_folder import describe_skipped
from sepvae.data.joining import located
from sepvae.data.loading import describe_roles, list_data, read_manifest
from sepvae.data.manifest import Manifest
from sepvae.data.spec import DataSpec
from sepvae.data.splits import choose_split, leave_out_folds, make_folds
from sepvae.errors import DataError
from sepvae.inspection.images import describe_orientations, describe_pages
from sepvae.mesh import Mesh
from sepvae.progress import progress_bar
from sepvae.recipes import Recipe

# Fields that recipe.yaml of a run records, besides those by which the format brings samples to one shape.
RECORDED = (
    *("label", "subject", "id", "images", "features", "pattern", "attributes"),
    *("target_severity", "missing", "not_missing", "encoding", "modality", "assume_orientation"),
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


def read_dataset(
    data: Path,
    spec: DataSpec,
    recipe: Recipe | None = None,
    *,
    split: Path | None = None,
    test_size: float | None = None,
    seed: int | None = None,
    in_folds: bool = False,
) -> Dataset:
    """Read data, and split them: by a file, else as the data say, else at random; or in folds of a recipe."""
    if seed is None:
        seed = 0 if recipe is None else recipe.protocol.split_seed
    if recipe is not None and recipe.reader == DIGITS:
        train, test = bundled.load_digits_on_photos(seed)
        kinds = attribute_kinds(train.attributes)
        return Dataset([(train, test)], {"reader": DIGITS, "split_seed": seed}, kinds)
    manifest = list_data(data, spec)
    if (name := spec.target_severity) is not None and (problem := manifest.severity_problem(name)):
        raise DataError(f"{data}: --target-severity: {problem}")
    if in_folds and recipe is not None and recipe.protocol.test_size is None:
        positions, how = _folds(manifest, recipe, seed, split)
    else:
        positions, how = _two_parts(manifest, recipe, seed, split, test_size)
    notes = [describe_roles(manifest, spec), *_notes_on_listing(manifest), f"split {how}"]
    if spec.limit is not None and how.startswith("as the folders say"):
        notes.append(f"limit {spec.limit}: at most so many of each label for training and in the test")
    with progress_bar("reading") as progress:
        source, metrics = read_manifest(manifest, spec, progress)
    return Dataset(
        # Copies, so that the memory of all samples is free for the fit.
        [(source.select(train), source.select(test)) for train, test in positions],
        _recorded(data, spec, manifest) | {"split": how},
        {**attribute_kinds(source.attributes), **manifest.kinds},
        notes + notes_on_samples(source, metrics),
        background=manifest.background,
        quality_metrics=None if metrics is None else metrics.iloc[np.concatenate(positions[0])],
    )


def _two_parts(
    manifest: Manifest, recipe: Recipe | None, seed: int, split: Path | None, test_size: float | None
) -> tuple[list[tuple[IntArray, IntArray]], str]:
    """Return positions of training and test as one pair, and the split in words."""
    if test_size is None:
        test_size = 0.2 if recipe is None else recipe.protocol.test_share
    stratify, alike = _stratify(manifest, recipe)
    how: dict[str, Any] = {"test_size": test_size, "stratify": stratify, "random_state": seed}
    train, test, words = choose_split(manifest.about, file=split, **how)
    return [(train, test)], words + alike * words.startswith("drawn")


def _folds(
    manifest: Manifest, recipe: Recipe, seed: int, split: Path | None
) -> tuple[list[tuple[IntArray, IntArray]], str]:
    """Return positions of training and test of each fold, and the folds in words."""
    left_out, n_folds = recipe.protocol.leave_out, recipe.protocol.folds or 0
    if split is not None:
        ways = f"with folds ({n_folds})" if left_out is None else f"that leaves out {left_out}"
        raise DataError(f"--split has no meaning for a recipe {ways}; take one with test_size")
    labels, groups = (manifest.about[name].to_numpy(dtype=str) for name in ("label", "group"))
    if left_out is not None:
        values = _attribute(manifest, recipe, "leave_out", left_out)
        folds, never = leave_out_folds(labels, groups, values)
        names = ", ".join(str(values[test[0]]) for _, test in folds)
        return folds, f"leaves out {left_out} by {left_out}: {names}" + f"; {never}" * bool(never)
    stratify, alike = _stratify(manifest, recipe)
    folds = make_folds(labels, groups, n_folds, stratify=stratify, random_state=seed)
    return folds, f"in {n_folds} folds, seed {seed}{alike}"


def _stratify(manifest: Manifest, recipe: Recipe | None) -> tuple[AnyArray | None, str]:
    """Return the values that a recipe stratifies by, and that in words; None if it names no attribute."""
    if recipe is None or (by := recipe.protocol.stratify_by) is None:
        return None, ""
    return _attribute(manifest, recipe, "stratify_by", by), f", stratified by {by}"


def _attribute(manifest: Manifest, recipe: Recipe, key: str, name: str) -> AnyArray:
    """Return the values of an attribute that a recipe names; raise DataError unless it is categorical."""
    table = manifest.attributes
    check_attributes(recipe, key, [name], table.columns)
    if attribute_kind(table[name], manifest.kinds) == "continuous":
        place = f"{recipe.file}: protocol.{key}"
        raise DataError(f"{place}: wanted a choice among classes, but {name!r} is an amount")
    values: AnyArray = table[name].to_numpy(dtype=object)
    return values


def check_attributes(recipe: Recipe, key: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raise DataError if the protocol names an attribute that the data lack."""
    known = list(known)
    if missing := [name for name in names if name not in known]:
        raise DataError(
            f"{recipe.file}: protocol.{key}: the data have no attribute {missing[0]!r}; they have "
            f"{', '.join(known) or 'none'}"
        )


def notes_on_skipped(manifest: Manifest) -> list[str]:
    """Return a note on the files that were skipped, if any."""
    return [describe_skipped(manifest.passed_over)] if manifest.passed_over else []


def notes_on_samples(source: Source, quality_metrics: pd.DataFrame | None) -> list[str]:
    """Return notes known after reading: files of several pages, orientations, the mask."""
    notes = []
    if quality_metrics is not None:
        notes += [message for message, _ in describe_pages(quality_metrics)]
        notes += [message for _, message, _ in describe_orientations(quality_metrics)]
    if source.grid is not None and source.grid.mask_words:
        notes.append(source.grid.mask_words)
    if (mesh := Mesh.of_features(source.feature_names)) is not None:
        notes.append(mesh.words)
    return notes


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
    if manifest.format.kind is TABLE:
        folder = data.parent.resolve()
        where = (Path(os.path.abspath(located(table, data))) for table in spec.tables)  # noqa: PTH100
        about["tables"] = [Path(os.path.relpath(table, folder)).as_posix() for table in where]
    about["targets"] = [_name_of(target, manifest) for target in spec.targets]
    about |= {"labels": dict(manifest.label_names)} if manifest.label_names else {}
    return about | {"limit": spec.limit, "limit_by": spec.limit_by}


def _name_of(target: str, manifest: Manifest) -> str:
    """Return the name of a target given as LABEL=NAME, such as autism of 1=autism, else the target."""
    raw, equals, name = (part.strip() for part in target.partition("="))
    return name if equals and manifest.label_names.get(raw) == name else target
