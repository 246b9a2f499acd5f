"""Recipes: YAML files that describe one experiment each, packaged or written by the user."""

from sepvae.recipes.loading import load_recipe
from sepvae.recipes.recipe import Recipe

__all__ = ["Recipe", "load_recipe"]
