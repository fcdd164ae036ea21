"""Recipes of methods whose loss is an estimate of mutual information."""
