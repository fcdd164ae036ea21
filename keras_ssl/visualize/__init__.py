"""Visualisation: what the network sees, and what its features say, as Matplotlib figures."""

from keras_ssl.visualize.grids import neighbours, views
from keras_ssl.visualize.map import projection
from keras_ssl.visualize.page import report

__all__ = ["neighbours", "projection", "report", "views"]
