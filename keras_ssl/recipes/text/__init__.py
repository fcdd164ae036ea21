"""Recipes of text methods."""
