"""Interpretation of fitted models: maps and their regions, examples, traversals, swaps and removal."""

from sepvae.interpretation.regions import region_effects

__all__ = ["region_effects"]
