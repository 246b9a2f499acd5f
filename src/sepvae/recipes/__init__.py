"""Recipes: one experiment each, in YAML, packaged with the library."""

from sepvae.recipes.loading import load_recipe, recipe_names, recipe_text
from sepvae.recipes.recipe import Column, Data, Protocol, Recipe

__all__ = ["Column", "Data", "Protocol", "Recipe", "load_recipe", "recipe_names", "recipe_text"]
