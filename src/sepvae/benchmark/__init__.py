"""Benchmarks: methods compared over seeds or folds, in cells that run in parallel."""

from sepvae.benchmark.cells import parse_contender
from sepvae.benchmark.running import make_cells, run_benchmark

__all__ = ["make_cells", "parse_contender", "run_benchmark"]
