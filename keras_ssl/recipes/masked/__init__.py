"""Recipes of methods that hide a part of the image."""
