"""Recipes of methods that answer a question about a changed image."""
