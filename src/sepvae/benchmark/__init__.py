"""Benchmarks: methods compared over seeds or folds, in cells that run in parallel."""

from sepvae.benchmark.cells import Contender, parse_contender
from sepvae.benchmark.outputs import write_outputs
from sepvae.benchmark.running import make_cells, run_benchmark

__all__ = ["Contender", "make_cells", "parse_contender", "run_benchmark", "write_outputs"]
