"""`write_report`: read a run folder, write its page."""

from pathlib import Path
from typing import Any

from sepvae.report.contents import Contents, Picture
from sepvae.report.facts import command, facts, has_epochs, samples, settings_by_part, title, words
from sepvae.report.html import as_json, packed, render, scatter_scripts, write_page
from sepvae.report.scatter import scatter_data
from sepvae.report.scores import SPACES, flags, main_scores, p_values, sections
from sepvae.report.summary import summary
from sepvae.report.tables import correlation_rows, removal_sections
from sepvae.report.viewer import effect_viewer, scripts_within
from sepvae.report.warnings import find_warnings


def write_report(run: Path, out: Path | None = None, *, images: bool = True) -> Path:
    """
    Write a run folder as one self-contained HTML page.

    Parts that the folder lacks are left out, and the page says so. The page is replaced atomically.

    Parameters
    ----------
    run : Path
        A run folder, which has a `recipe.yaml`. All other files of a fit are read as well, except the model.
    out : Path or None, default=None
        The page; None writes `report.html` into the run folder.
    images : bool, default=True
        Whether the page may show single samples. False leaves out images, thumbnails, ids, groups, and
        attributes whose values name samples; tables, curves and points of codes stay.

    Returns
    -------
    Path
        Path of the page.

    Raises
    ------
    RunFolderError
        If the folder is no run folder, or one of its files cannot be read.
    """
    contents = Contents(Path(run))
    scatter = scatter_data(contents, images=images)
    library, own = scatter_scripts() if scatter else ("", "")
    maps, picture = _maps(contents, images=images)
    shown = _page_context(contents, scatter, images=images) | {"maps": maps, "picture": picture}
    inner = [*([library] if scatter else []), *scripts_within((maps or {}).get("viewer"))]
    page = render("page.html.j2", shown | {"plotly": packed(library)}, [own] if scatter else [], inner)
    return write_page(contents.folder.report if out is None else Path(out), page)


def _page_context(contents: Contents, scatter: dict[str, Any] | None, *, images: bool) -> dict[str, Any]:
    """Return the context of the template; None for missing parts."""
    scores, removal, correlations = contents.scores, contents.removal, contents.correlations
    of_samples = ("reconstructions", "traversals", "swaps")
    called = words(contents)
    found = None if scores is None else sections(scores, called["value"])
    return {
        "images": images,
        "words": called,
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
        "sections": found,
        "main_scores": main_scores(found or []),
        "flags": flags(found or []),
        "p_values": "" if scores is None else p_values(scores),
        "removal": None if removal is None else removal_sections(removal, called["many"]),
        "correlations": None if correlations is None else correlation_rows(correlations),
        "correlation_map": contents.figure("correlations"),
        "findings": contents.findings,
        "settings": settings_by_part(contents.recipe),
        "versions": contents.versions,
        "command": command(contents.recipe),
    }


def _maps(contents: Contents, *, images: bool) -> tuple[dict[str, Any] | None, tuple[Picture, str] | None]:
    """Return figures and viewer of maps, None without maps, and the picture below the verdict."""
    maps = contents.folder.maps
    figures = {name: contents.figure(f"map_{name}") for name in ("people", "regions", "group")}
    if not images:
        figures["people"] = None
    viewer = effect_viewer(maps)
    first, shown = next(((name, one) for name, one in figures.items() if one), (None, None))
    picture = None
    if first is not None and shown is not None:
        picture = shown, first
    elif images and (reconstructions := contents.figure("reconstructions")):
        picture = reconstructions, "reconstructions"
    if viewer is None and first is None:
        return None, picture
    files = [file.path.name for file in (maps.samples, maps.regions) if file.exists()]
    return {**figures, "viewer": viewer, "first": first, "files": files}, picture


def _without_names(pictures: list[Picture], scatter: dict[str, Any] | None) -> list[Picture]:
    """Drop figures whose legend may name samples: those of columns that the scatter leaves out."""
    kept = {"label", *(column["name"] for column in (scatter or {}).get("columns", []))}
    return [picture for picture in pictures if picture.about in kept]
