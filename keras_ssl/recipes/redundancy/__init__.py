"""Recipes of methods that reduce redundancy."""
