"""Recipes of methods with clusters and prototypes."""
