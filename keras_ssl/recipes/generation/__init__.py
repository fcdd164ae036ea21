"""Recipes of methods that reconstruct or generate images."""
