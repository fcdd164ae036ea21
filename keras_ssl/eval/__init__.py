"""Evaluation: what the features of an encoder are worth, measured on labeled sets and on their geometry."""

from keras_ssl.eval.callbacks import KNN, Accuracy, CollapseMonitor, LinearProbe, Monitor
from keras_ssl.eval.classes import accuracy
from keras_ssl.eval.clusters import clustering, clustering_features
from keras_ssl.eval.detection import average_precision, detect, detections
from keras_ssl.eval.episodes import few_shot, few_shot_features
from keras_ssl.eval.extraction import features, pooled
from keras_ssl.eval.few_labels import labeled_part, semi_supervised
from keras_ssl.eval.fine_tuning import fine_tune
from keras_ssl.eval.geometry import alignment, collapse, uniformity
from keras_ssl.eval.label_free import align_uniform, lidar, lidar_features, rank_me
from keras_ssl.eval.layers import layer_encoder, layer_probes
from keras_ssl.eval.mlp import mlp_probe, mlp_probe_features
from keras_ssl.eval.nearest import knn, knn_features
from keras_ssl.eval.probe import linear, linear_features
from keras_ssl.eval.ranking import retrieval, retrieval_features
from keras_ssl.eval.result import Measure, Result
from keras_ssl.eval.score import Score
from keras_ssl.eval.segmentation import segment

__all__ = [
    "Accuracy",
    "KNN",
    "CollapseMonitor",
    "LinearProbe",
    "Measure",
    "Monitor",
    "Result",
    "Score",
    "accuracy",
    "align_uniform",
    "alignment",
    "average_precision",
    "clustering",
    "clustering_features",
    "collapse",
    "detect",
    "detections",
    "features",
    "few_shot",
    "few_shot_features",
    "fine_tune",
    "knn",
    "knn_features",
    "labeled_part",
    "layer_encoder",
    "layer_probes",
    "lidar",
    "lidar_features",
    "linear",
    "linear_features",
    "mlp_probe",
    "mlp_probe_features",
    "pooled",
    "rank_me",
    "retrieval",
    "retrieval_features",
    "segment",
    "semi_supervised",
    "uniformity",
]
