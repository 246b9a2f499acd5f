"""Figures of images, codes, learning curves and correlations, drawn from arrays and tables."""

from sepvae.plotting.codes import code_scatter
from sepvae.plotting.images import reconstruction_grid, swap_grid, traversal_grid
from sepvae.plotting.tables import correlation_map, learning_curves

__all__ = [
    "code_scatter",
    "correlation_map",
    "learning_curves",
    "reconstruction_grid",
    "swap_grid",
    "traversal_grid",
]
