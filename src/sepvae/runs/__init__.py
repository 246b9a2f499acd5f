"""Run folders: fit, score, draw, read, compare and repeat."""

from sepvae.runs.additions import complete_run, left_out_of
from sepvae.runs.comparing import compare_conditions, compare_runs
from sepvae.runs.figures import draw
from sepvae.runs.finishing import finish_run
from sepvae.runs.fitting import fit_run
from sepvae.runs.folder import check_new_run, read_codes, read_recipe
from sepvae.runs.from_data import fit_folder
from sepvae.runs.maps import map_run
from sepvae.runs.rerunning import model_of, rerun
from sepvae.runs.scoring import encode_run, evaluate_run, keep_scores, recorded_permutations

__all__ = [
    "check_new_run",
    "compare_conditions",
    "compare_runs",
    "complete_run",
    "draw",
    "encode_run",
    "evaluate_run",
    "finish_run",
    "fit_folder",
    "fit_run",
    "keep_scores",
    "left_out_of",
    "map_run",
    "model_of",
    "read_codes",
    "read_recipe",
    "recorded_permutations",
    "rerun",
]
