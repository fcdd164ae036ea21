"""Recipes of methods for videos."""
