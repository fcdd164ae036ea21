"""Visualisation: what the network sees, and what its features say, as Matplotlib figures."""

from keras_ssl.visualize.curves import curves
from keras_ssl.visualize.filters import filters
from keras_ssl.visualize.grids import neighbors, pictures, views
from keras_ssl.visualize.map import projection
from keras_ssl.visualize.page import html_page
from keras_ssl.visualize.patches import attention, reconstruction
from keras_ssl.visualize.projector import projector
from keras_ssl.visualize.run import report
from keras_ssl.visualize.spectrum import similarities, spectrum

__all__ = [
    "attention",
    "curves",
    "filters",
    "html_page",
    "neighbors",
    "pictures",
    "projection",
    "projector",
    "reconstruction",
    "report",
    "similarities",
    "spectrum",
    "views",
]
