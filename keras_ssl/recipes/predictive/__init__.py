"""Recipes of methods that predict the features of one part of a sample from another."""
