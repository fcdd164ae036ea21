"""Recipes of methods for sounds."""
