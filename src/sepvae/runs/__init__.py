"""Run folders: fit, score, draw, read, compare and repeat."""

from sepvae.runs.figures import draw, map_run
from sepvae.runs.finishing import complete_run, finish_run, left_out_of
from sepvae.runs.fitting import fit_run
from sepvae.runs.from_data import fit_folder
from sepvae.runs.rerunning import compare_conditions, compare_runs, model_of, rerun
from sepvae.runs.resume import check_new_run
from sepvae.runs.scoring import (
    encode_run,
    evaluate_run,
    keep_scores,
    read_codes,
    read_recipe,
    recorded_permutations,
)

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
