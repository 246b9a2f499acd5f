"""Interpretation of fitted models: maps, examples, traversals, swaps and removal."""
