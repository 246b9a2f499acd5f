"""Recipes: YAML files that describe one experiment each, packaged or written by the user."""

from sepvae.recipes.recipe import Recipe, load_recipe

__all__ = ["Recipe", "load_recipe"]
