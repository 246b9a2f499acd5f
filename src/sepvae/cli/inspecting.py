"""`sepvae check`: measure the samples, files or rows, and inspect them before a fit."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from sepvae.codes import attribute_kind
from sepvae.data.folders import told_passed_over
from sepvae.data.manifest import Manifest
from sepvae.data.nifti import NiftiFiles
from sepvae.data.quality_metrics import measure_source, measure_volumes
from sepvae.data.reading import measure_manifest, read_manifest
from sepvae.data.splits import read_split
from sepvae.data.volumes import read_mask, settled
from sepvae.errors import DataError
from sepvae.inspection import Finding, Inspection, inspect
from sepvae.inspection.samples import count
from sepvae.progress import progress_bar

# Notes on how a table was read: no findings, since every table has them.
BEFORE_FINDINGS = ("rows-read", "features-taken")


def inspect_manifest(
    manifest: Manifest,
    *,
    split: Path | None,
    test_size: float,
    batch_size: int | Literal["auto"],
    mask: Path | None = None,
    mask_threshold: float | None = None,
    resample: bool = False,
    not_missing: Sequence[str] = (),
) -> Inspection:
    """Measure every sample, and return the inspection: findings on problems that would spoil a fit."""
    if manifest.volumes is not None:
        manifest = replace(manifest, volumes=settled(manifest.volumes))
    about, unreadable = manifest.about, dict[str, str]()
    if split is not None:
        about = about.assign(split=read_split(split, about["id"].to_numpy(dtype=str)))
    with progress_bar("reading") as progress:
        if manifest.array is not None or manifest.features is not None:
            quality_metrics = measure_source(read_manifest(manifest)[0])
        elif manifest.volumes is not None:
            quality_metrics, unreadable = measure_volumes(manifest, progress=progress)
        else:
            quality_metrics, unreadable = measure_manifest(manifest, progress=progress)
    problems = _problems(manifest)
    if mask is not None:
        problems.append(_see_mask(manifest, mask, resample, mask_threshold))
    elif mask_threshold is not None:
        raise DataError("--mask-threshold has no meaning without --mask; leave it out")
    kinds = {str(name): attribute_kind(values) for name, values in manifest.attributes.items()}
    with progress_bar("looking for copies and confounds"):
        inspection = inspect(
            about,
            quality_metrics,
            features=manifest.features,
            kinds=kinds | dict(manifest.kinds),
            background=manifest.background,
            unreadable={id_: reason for id_, reason in unreadable.items() if id_ not in manifest.missing},
            test_size=test_size,
            batch_size=batch_size,
            problems=problems,
            not_missing=not_missing,
        )
    return inspection.on_one_grid() if resample else inspection


def _see_mask(manifest: Manifest, mask: Path, resample: bool, threshold: float | None) -> Finding:
    """Return a note with the mask's number of voxels; raise DataError if a fit would reject the mask."""
    if manifest.volumes is None:
        raise DataError("--mask has no meaning for what is no volume; leave it out")
    first = next(i for i, id_ in enumerate(manifest.about["id"]) if id_ not in set(manifest.missing))
    place = manifest.volumes.header(first).grid
    assume = manifest.volumes.assume if isinstance(manifest.volumes, NiftiFiles) else None
    found = read_mask(mask, place, resample=resample, threshold=threshold, assume_orientation=assume)
    n = int(found.sum())
    numbers = {"voxels": n, "of": found.size}
    return Finding("note", "mask", replace(place, mask=found).mask_words or "", numbers=numbers)


def _problems(manifest: Manifest) -> list[Finding]:
    """Return findings on the manifest: rows without file, files without row, skipped files, table notes."""
    found, what = [], "image" if manifest.volumes is None else "volume"
    if n := len(manifest.missing):
        remedy = f"copy the {what}s, or take those rows out"
        if n == len(manifest):
            remedy = "fix --images, or name the folder that they lie in (--root)"
        message = f"{n} of {len(manifest)} samples have no file; {remedy}; looked for {manifest.looked_for()}"
        found.append(Finding("error", "rows-without-file", message, tuple(manifest.missing)))
    if n := len(manifest.unlisted):
        message = f"{count(n, what)} beside the others, not named in the table: a fit leaves them out"
        found.append(Finding("warning", "files-without-row", message, tuple(manifest.unlisted)))
    if said := told_passed_over(manifest.passed_over):
        kinds = manifest.passed_over.values()
        numbers = {"files": sum(n for of_label in kinds for n in of_label.values())}
        found.append(Finding("warning", "passed-over", said, numbers=numbers))
    told = [note for note in manifest.table_notes if note.code not in BEFORE_FINDINGS]
    return found + [Finding(*note) for note in told]
