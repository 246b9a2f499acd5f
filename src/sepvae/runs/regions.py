"""`write_regions`: tables and figures of maps by region, into the folder of the maps."""

from pathlib import Path

from sepvae.data.atlas import KNOWN
from sepvae.errors import RunFolderError
from sepvae.interpretation.regions import maps_of, region_effects
from sepvae.plotting.regions import glass_brain, region_bars
from sepvae.progress import Say, stage
from sepvae.report.regions import compared, region_words
from sepvae.run_folder import RunFolder
from sepvae.runs.figures import save_figure


def write_regions(
    folder: Path,
    atlas: str,
    labels: Path | None = None,
    *,
    download: bool = False,
    overwrite: bool = False,
    say: Say = print,
) -> Path:
    """Write maps by region beside the maps of a run, or of `sepvae maps`; of another atlas if `overwrite`."""
    maps, run = maps_of(folder), RunFolder(folder)
    was, is_atlas = (maps.atlas.read() or {}).get("atlas"), atlas in KNOWN or Path(atlas).exists()
    if is_atlas and not overwrite and was not in (None, Path(atlas).name):
        raise RunFolderError(
            f"{maps.path}: holds regions of atlas {was}; copy regions-*.csv, and replace them by --overwrite"
        )
    with stage("averaging maps by region", say) as progress:
        found = region_effects(folder, atlas, labels, download=download, progress=progress)
    figures = run.figures if maps.path == run.maps.path else maps.figures
    with stage("writing and drawing regions", say):
        maps.atlas.path.unlink(missing_ok=True)
        maps.region_people.write(found.people)
        maps.region_groups.write(found.groups)
        for old in figures.glob("regions*.???"):
            old.unlink()
        if len(targets := compared(found.groups)):
            save_figure(figures, "regions", region_bars(targets))
            save_figure(figures, "regions_brain", glass_brain(targets, found.placed, found.grid))
        maps.atlas.write(found.record)
    for line in region_words(found.record, found.groups):
        say(line)
    return maps.path
