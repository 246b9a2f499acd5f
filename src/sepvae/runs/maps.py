"""`map_run`: maps of new samples with the model of a run."""

from pathlib import Path

from sepvae.batch import Source
from sepvae.files import check_new
from sepvae.interpretation.map_folder import write_maps
from sepvae.methods import load
from sepvae.progress import Say, stage
from sepvae.run_folder import MapFolder
from sepvae.runs.figures import draw_maps


def map_run(run: str | Path, source: Source, out: str | Path, *, say: Say | None = None) -> Path:
    """
    Write maps of new samples with the model of a run folder.

    Parameters
    ----------
    run : str or Path
        The run folder.
    source : Source
        New samples, read in the same way as those of the fit. They need no labels; groups are compared if
        they have those of the fit.
    out : str or Path
        The folder to create, with the files of `write_maps` and its figures in `figures/`.
    say : callable, default=None
        Called with the name of each stage and its seconds.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    RunFolderError
        If `out` exists.
    """
    check_new(Path(out), "folder for maps")
    with stage("mapping what the salient part adds", say) as progress:
        folder = write_maps(load(run), source, Path(out), progress=progress)
    with stage("drawing", say):
        draw_maps(maps := MapFolder(folder), maps.figures)
    return folder
