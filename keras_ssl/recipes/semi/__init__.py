"""Recipes of methods that learn from a few labels and many images without one."""
