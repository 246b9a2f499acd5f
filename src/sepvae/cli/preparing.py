"""Before a fit: measure and inspect the samples (`sepvae check`), or pack volumes into a store."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import typer

from sepvae.cli import printable, tell
from sepvae.codes import attribute_kinds
from sepvae.data.columns import PERSON
from sepvae.data.formats.image_folder import describe_skipped
from sepvae.data.formats.tables import VolumeTable, read_table
from sepvae.data.loading import describe_roles
from sepvae.data.manifest import Manifest
from sepvae.data.nifti import NiftiFiles
from sepvae.data.packed import open_packed, pack
from sepvae.data.spec import DataSpec, read_spec
from sepvae.data.splits import read_split
from sepvae.data.volumes import all_listed, all_there, read_mask, settled
from sepvae.errors import DataError, count
from sepvae.inspection import Finding, Inspection, inspect
from sepvae.progress import progress_bar

# Notes on how a table was read: no findings, since every table has them.
BEFORE_FINDINGS = ("rows-read", "features-taken")


def inspect_manifest(
    manifest: Manifest,
    spec: DataSpec,
    *,
    split: Path | None,
    test_size: float,
    batch_size: int | Literal["auto"],
) -> Inspection:
    """Measure every sample, and return the inspection: findings on problems that would spoil a fit."""
    if manifest.volumes is not None:
        manifest = replace(manifest, volumes=settled(manifest.volumes))
    about = manifest.about
    if split is not None:
        about = about.assign(split=read_split(split, about["id"].to_numpy(dtype=str)))
    with progress_bar("reading") as progress:
        quality_metrics, unreadable = manifest.format.measure(manifest, progress)
    problems = _problems(manifest)
    if (severity := spec.target_severity) is not None and manifest.background is not None:
        problem = manifest.severity_problem(severity)
        problems += [Finding("error", "no-severity", f"--target-severity: {problem}")] if problem else []
    if spec.mask is not None:
        problems.append(_see_mask(manifest, spec, spec.mask))
    elif spec.mask_threshold is not None:
        raise DataError("--mask-threshold has no meaning without --mask; leave it out")
    with progress_bar("looking for copies and confounds"):
        inspection = inspect(
            about,
            quality_metrics,
            features=manifest.features,
            kinds=attribute_kinds(manifest.attributes) | dict(manifest.kinds),
            background=manifest.background,
            unreadable={id_: reason for id_, reason in unreadable.items() if id_ not in manifest.missing},
            test_size=test_size,
            batch_size=batch_size,
            problems=problems,
            not_missing=spec.not_missing or (),
            grouped=manifest.grouped,
            severity=severity,
        )
    return inspection.on_one_grid() if spec.resample else inspection


def print_notes(manifest: Manifest, spec: DataSpec) -> None:
    """Print how the data were read, and the background and the target."""
    if manifest.format.note is not None:
        typer.echo(f"note: {manifest.format.note}")
    for of_table in manifest.table_notes:
        if of_table.code in BEFORE_FINDINGS:
            tell(f"note: {of_table.message}")
    if manifest.background is not None:
        typer.echo(describe_roles(manifest, spec))


def _see_mask(manifest: Manifest, spec: DataSpec, mask: Path) -> Finding:
    """Return a note with the mask's number of voxels; raise DataError if a fit would reject the mask."""
    volumes = all_listed(manifest)
    first = next(i for i, id_ in enumerate(manifest.about["id"]) if id_ not in set(manifest.missing))
    place = volumes.header(first).grid
    assume = volumes.assume if isinstance(volumes, NiftiFiles) else None
    how: dict[str, Any] = {"resample": spec.resample, "threshold": spec.mask_threshold}
    found = read_mask(mask, place, **how, assume_orientation=assume)
    n = int(found.sum())
    numbers = {"voxels": n, "of": found.size}
    return Finding("note", "mask", replace(place, mask=found).mask_words or "", numbers=numbers)


def _problems(manifest: Manifest) -> list[Finding]:
    """Return findings on the manifest: rows without file, files without row, skipped files, table notes."""
    found, what = [], manifest.format.sample
    if n := len(manifest.missing):
        remedy = f"copy the {what}s, or take those rows out"
        if n == len(manifest):
            remedy = "fix --images, or name the folder that they lie in (--root)"
        message = f"{n} of {len(manifest)} samples have no file; {remedy}; looked for {manifest.looked_for()}"
        found.append(Finding("error", "rows-without-file", message, tuple(manifest.missing)))
    if n := len(manifest.unlisted):
        message = f"{count(n, what)} beside the others, not named in the table: a fit leaves them out"
        found.append(Finding("warning", "files-without-row", message, tuple(manifest.unlisted)))
    if said := describe_skipped(manifest.passed_over):
        kinds = manifest.passed_over.values()
        numbers = {"files": sum(n for of_label in kinds for n in of_label.values())}
        found.append(Finding("warning", "passed-over", said, numbers=numbers))
    return found + [Finding(*note) for note in manifest.table_notes if note.code not in BEFORE_FINDINGS]


def pack_table(table: Path, out: Path, **fields: Any) -> list[str]:
    """Pack the volumes of a table into a store, and return the lines to print."""
    spec = read_spec(fields)
    if spec.images is None:
        raise DataError(f"{table}: name the column of volumes, such as --images path")
    cells = read_table(table, spec).table
    folder = table.parent if spec.root is None else spec.root
    # A subject may have several scans; their files distinguish them.
    person = PERSON if PERSON in cells else None
    manifest = VolumeTable().list(table, spec.model_copy(update={"subject": person}), labelled=False)
    volumes = all_there(manifest)
    files = [Path(volumes.name(i)).relative_to(folder).as_posix() for i in range(len(volumes))]
    with progress_bar("packing") as progress:
        pack(volumes, cells, out, files=files, resample=spec.resample, progress=progress)
    packed = open_packed(out).volumes
    header = packed.header(0)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    lines = [
        f"{out}: {len(files)} volumes of {header.grid}, {header.dtype}, all read back and compared; "
        f"{size / 1e6:.1f} MB for {packed.array.nbytes / 1e6:.1f} MB of voxels"
    ]
    if not header.grid.oriented:
        lines.append(
            "note: no header has an orientation; nibabel's LAS is taken (--assume-orientation names another)"
        )
    if n := len(manifest.unlisted):
        lines.append(f"note: {n} volumes have no row, such as {printable(manifest.unlisted[0])}; left out")
    return lines
