"""Visualisation: what the network sees, and what its features say, as Matplotlib figures."""

from keras_ssl.visualize.grids import neighbours, views
from keras_ssl.visualize.map import projection
from keras_ssl.visualize.page import report
from keras_ssl.visualize.patches import attention, reconstruction

__all__ = ["attention", "neighbours", "projection", "reconstruction", "report", "views"]
