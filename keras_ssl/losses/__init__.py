"""Losses: pure functions of embeddings, float32 inside, the mean over the local batch."""

from keras_ssl.losses.adversarial import adversarial_direction
from keras_ssl.losses.bounds import (
    barber_agakov,
    donsker_varadhan,
    gaussian_information,
    info_nce_bound,
    interpolated,
    jensen_shannon,
    nwj,
    tuba,
)
from keras_ssl.losses.classes import classification
from keras_ssl.losses.clustering import mean_entropy_gap, sinkhorn, soft_cross_entropy, swapped_prediction
from keras_ssl.losses.colors import color_cross_entropy, soft_bins
from keras_ssl.losses.confident import (
    annealed_threshold,
    confident_cross_entropy,
    confident_divergence,
    divergence,
    entropy,
)
from keras_ssl.losses.contrastive import info_nce, info_nce_in_batch, nt_xent
from keras_ssl.losses.dense import (
    most_similar,
    nearest_matches,
    place_consistency,
    place_contrast,
    region_contrast,
)
from keras_ssl.losses.distillation import (
    batch_std,
    cosine_regression,
    kl_divergence,
    negative_cosine,
    smooth_l1,
    softmax_cross_entropy,
)
from keras_ssl.losses.frames import info_nce_frames
from keras_ssl.losses.gaussian import center_scale_shape, invariance_to_mean, kl_from_normal, sig_reg
from keras_ssl.losses.graphs import cross_view, part_information
from keras_ssl.losses.information import (
    information_dv,
    information_jsd,
    information_nce,
    invariant_information,
    invariant_information_of_maps,
)
from keras_ssl.losses.instances import info_nce_synthetic, mixed_cosine_regression, n_pair, proto_nce
from keras_ssl.losses.nce import log_normalizer, nce, sigmoid_pairs, similarities, symmetric_info_nce
from keras_ssl.losses.negatives import debiased, decoupled, flat_nce, hard_negative, invariant_spread, sup_con
from keras_ssl.losses.patches import gram_anchoring, masked_cross_entropy
from keras_ssl.losses.predictive import info_nce_ahead, info_nce_drawn
from keras_ssl.losses.reconstruction import (
    histograms_of_gradients,
    masked_cosine,
    masked_error,
    masked_mean,
    patch_pixels,
    plain_pixels,
    standard_pixels,
)
from keras_ssl.losses.redundancy import (
    barlow_twins,
    cross_correlation,
    invariance,
    variance_correlation,
    variance_covariance,
    w_mse,
    whiten,
)
from keras_ssl.losses.tokens import kl_from_uniform, perplexity, token_cross_entropy, token_share
from keras_ssl.losses.triplets import batch_hard_triplets, semi_hard_in_time, semi_hard_triplets
from keras_ssl.losses.uniformity import alignment, koleo, uniformity
from keras_ssl.losses.volume import coding_rate, frossl, manifold_capacity, nuclear_norm
from keras_ssl.losses.words import negative_sampling

__all__ = [
    "adversarial_direction",
    "alignment",
    "annealed_threshold",
    "barber_agakov",
    "barlow_twins",
    "batch_hard_triplets",
    "batch_std",
    "center_scale_shape",
    "classification",
    "coding_rate",
    "color_cross_entropy",
    "confident_cross_entropy",
    "confident_divergence",
    "cosine_regression",
    "cross_correlation",
    "cross_view",
    "debiased",
    "decoupled",
    "divergence",
    "donsker_varadhan",
    "entropy",
    "flat_nce",
    "frossl",
    "gaussian_information",
    "gram_anchoring",
    "hard_negative",
    "histograms_of_gradients",
    "info_nce",
    "info_nce_ahead",
    "info_nce_bound",
    "info_nce_drawn",
    "info_nce_frames",
    "info_nce_in_batch",
    "info_nce_synthetic",
    "information_dv",
    "information_jsd",
    "information_nce",
    "interpolated",
    "invariance",
    "invariance_to_mean",
    "invariant_information",
    "invariant_information_of_maps",
    "invariant_spread",
    "jensen_shannon",
    "kl_divergence",
    "kl_from_normal",
    "kl_from_uniform",
    "koleo",
    "log_normalizer",
    "manifold_capacity",
    "masked_cosine",
    "masked_cross_entropy",
    "masked_error",
    "masked_mean",
    "mean_entropy_gap",
    "mixed_cosine_regression",
    "most_similar",
    "n_pair",
    "nce",
    "nearest_matches",
    "negative_cosine",
    "negative_sampling",
    "nt_xent",
    "nuclear_norm",
    "nwj",
    "part_information",
    "patch_pixels",
    "perplexity",
    "place_consistency",
    "place_contrast",
    "plain_pixels",
    "proto_nce",
    "region_contrast",
    "semi_hard_in_time",
    "semi_hard_triplets",
    "sig_reg",
    "sigmoid_pairs",
    "similarities",
    "sinkhorn",
    "smooth_l1",
    "soft_bins",
    "soft_cross_entropy",
    "softmax_cross_entropy",
    "standard_pixels",
    "sup_con",
    "swapped_prediction",
    "symmetric_info_nce",
    "token_cross_entropy",
    "token_share",
    "tuba",
    "uniformity",
    "variance_correlation",
    "variance_covariance",
    "w_mse",
    "whiten",
]
