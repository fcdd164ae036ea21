"""Recipes of methods that compare places or regions of two views."""
