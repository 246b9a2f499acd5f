"""Figures of reconstructions, codes and learning curves, drawn from arrays and tables."""

from sepvae.plotting.codes import code_scatter
from sepvae.plotting.curves import learning_curves
from sepvae.plotting.images import reconstruction_grid

__all__ = ["code_scatter", "learning_curves", "reconstruction_grid"]
