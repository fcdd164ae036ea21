"""Losses: pure functions of embeddings, float32 inside, the mean over the local batch."""

from keras_ssl.losses.contrastive import info_nce, nt_xent
from keras_ssl.losses.distillation import cosine_regression

__all__ = ["cosine_regression", "info_nce", "nt_xent"]
