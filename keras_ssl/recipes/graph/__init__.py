"""Recipes of graph methods."""
