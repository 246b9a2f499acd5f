"""What `sepvae check` looks at: files as they are, or the rows of an array."""

from pathlib import Path

from sepvae.cli.reading import progress_bar
from sepvae.data.listing import Listing
from sepvae.data.measures import measure_source
from sepvae.data.reading import measure_listing, read_listing
from sepvae.data.splits import read_split
from sepvae.evaluation.probes import attribute_kind
from sepvae.inspection import Finding, Inspection, inspect


def inspect_listing(listing: Listing, *, split: Path | None, test_size: float, batch_size: int) -> Inspection:
    """Measure every sample, and look for what would spoil a fit."""
    about, unreadable = listing.about, dict[str, str]()
    if split is not None:
        about = about.assign(split=read_split(split, about["id"].to_numpy(dtype=str)))
    with progress_bar("reading") as progress:
        if listing.array is None:
            measures, unreadable = measure_listing(listing, progress=progress)
        else:
            measures = measure_source(read_listing(listing)[0])
    kinds = {str(name): attribute_kind(values) for name, values in listing.attributes.items()}
    return inspect(
        about,
        measures,
        kinds=kinds | dict(listing.kinds),
        background=listing.background,
        unreadable={id_: reason for id_, reason in unreadable.items() if id_ not in listing.missing},
        test_size=test_size,
        batch_size=batch_size,
        problems=_problems(listing),
    )


def _problems(listing: Listing) -> list[Finding]:
    """What the listing itself shows: rows without a file, files without a row."""
    found = []
    if n := len(listing.missing):
        message = f"{n} of {len(listing)} samples have no file; copy the images, or take those rows out"
        found.append(Finding("error", "rows-without-file", message, tuple(listing.missing)))
    if n := len(listing.unlisted):
        message = f"{n} images beside the others are not named in the table; they would be left out"
        found.append(Finding("warning", "files-without-row", message, tuple(listing.unlisted)))
    return found
