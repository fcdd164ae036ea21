"""Recipes of contrastive methods."""
