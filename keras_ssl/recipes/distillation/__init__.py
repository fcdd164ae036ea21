"""Recipes of methods that learn from a teacher or a twin."""
