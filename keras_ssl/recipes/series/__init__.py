"""Recipes of methods for sensor series."""
