"""Evaluation: what the features of an encoder are worth, measured on labelled sets and on their geometry."""

from keras_ssl.eval.callbacks import KNN, CollapseMonitor, LinearProbe
from keras_ssl.eval.extraction import features
from keras_ssl.eval.geometry import alignment, collapse
from keras_ssl.eval.nearest import knn, knn_features
from keras_ssl.eval.probe import linear, linear_features
from keras_ssl.eval.score import Score

__all__ = [
    "KNN",
    "CollapseMonitor",
    "LinearProbe",
    "Score",
    "alignment",
    "collapse",
    "features",
    "knn",
    "knn_features",
    "linear",
    "linear_features",
]
