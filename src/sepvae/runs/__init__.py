"""Run folders: fit, score, draw, read, compare and repeat."""

from sepvae.runs.bids import export_bids
from sepvae.runs.figures import map_run
from sepvae.runs.fitting import fit_run
from sepvae.runs.from_data import fit_folder
from sepvae.runs.rerunning import compare_runs, rerun
from sepvae.runs.scoring import encoded, evaluate_run

__all__ = [
    "compare_runs",
    "encoded",
    "evaluate_run",
    "export_bids",
    "fit_folder",
    "fit_run",
    "map_run",
    "rerun",
]
