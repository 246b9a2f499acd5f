"""`write_report`: read a run folder, write its page."""

from pathlib import Path
from typing import Any

from sepvae.report.contents import Contents, Picture, read_contents
from sepvae.report.facts import command, facts, has_epochs, samples, settings_by_part, title
from sepvae.report.html import as_json, render, scatter_scripts, write_page
from sepvae.report.scatter import scatter_data
from sepvae.report.scores import SPACES, sections
from sepvae.report.summary import summary
from sepvae.report.tables import correlation_rows, removal_sections
from sepvae.report.viewer import effect_viewer, scripts_within
from sepvae.report.warnings import find_warnings


def write_report(run: Path, out: Path | None = None, *, images: bool = True) -> Path:
    """
    Write everything that a run folder tells as one HTML page that needs no other file.

    What the folder lacks is left out, and the page says so. An older page stays until the new one is whole.

    Parameters
    ----------
    run : Path
        A run folder: one with a `recipe.yaml`. All else that a fit leaves in it is read as well, but no
        model.
    out : Path or None, default=None
        The page; None writes `report.html` into the run folder.
    images : bool, default=True
        Whether the page may show single samples. False leaves out their images and thumbnails, their ids and
        groups, and attributes whose values name samples; tables, curves and points of codes stay.

    Returns
    -------
    Path
        Where the page is.

    Raises
    ------
    RunFolderError
        If the folder is no run folder, or one of its files cannot be read.
    """
    run = Path(run)
    contents = read_contents(run)
    scatter = scatter_data(contents, images=images)
    scripts = scatter_scripts() if scatter else []
    maps = _maps(contents, images=images)
    shown = _shown(contents, scatter, images=images) | {"maps": maps}
    page = render("page.html.j2", shown, scripts, scripts_within((maps or {}).get("viewer")))
    return write_page(run / "report.html" if out is None else Path(out), page)


def _shown(contents: Contents, scatter: dict[str, Any] | None, *, images: bool) -> dict[str, Any]:
    """All that the template shows; None for what is missing."""
    scores, removal, correlations = contents.scores, contents.removal, contents.correlations
    of_samples = ("reconstructions", "traversals", "swaps")
    examples = contents.examples
    return {
        "images": images,
        # Volumes and tables have none of the pictures of samples.
        "of_images": examples is None or examples["inputs"].ndim == 4,
        "title": title(contents.recipe),
        "facts": facts(contents),
        "summary": None if scores is None else summary(scores),
        "warnings": find_warnings(contents),
        "samples": samples(contents),
        "curves": contents.figure("learning_curves"),
        "epochs": has_epochs(contents.recipe),
        **{name: contents.figure(name) if images else None for name in of_samples},
        "scatter": scatter,
        "scatter_json": as_json(scatter) if scatter else None,
        "scatters": contents.scatters() if images else _without_names(contents.scatters(), scatter),
        "spaces": SPACES,
        "sections": None if scores is None else sections(scores),
        "removal": None if removal is None else removal_sections(removal),
        "correlations": None if correlations is None else correlation_rows(correlations),
        "correlation_map": contents.figure("correlations"),
        "findings": contents.findings,
        "settings": settings_by_part(contents.recipe),
        "versions": contents.versions,
        "command": command(contents.recipe),
    }


def _maps(contents: Contents, *, images: bool) -> dict[str, Any] | None:
    """Figures and the viewer of maps; None where there are none."""
    figures = {name: contents.figure(f"map_{name}") for name in ("group", "regions", "people")}
    maps = {**figures, "viewer": effect_viewer(contents.path)}
    if not any(maps.values()):
        return None
    return maps if images else maps | {"people": None}


def _without_names(pictures: list[Picture], scatter: dict[str, Any] | None) -> list[Picture]:
    """Leave out the figures whose legend may name samples: those of columns that the scatter leaves out."""
    kept = {"label", *(column["name"] for column in (scatter or {}).get("columns", []))}
    return [picture for picture in pictures if picture.about in kept]
