"""Encoders: `keras.Model`s from images, clips, sounds, series, texts or graphs to features."""

from keras_ssl.encoders.alexnet import LocalResponseNormalization, alexnet_bn, caffenet
from keras_ssl.encoders.amdim_net import amdim_net
from keras_ssl.encoders.audio2vec import audio2vec, spectrogram_decoder
from keras_ssl.encoders.batch_norm import (
    FusedBatchNormalization,
    GroupedBatchNormalization,
    keeping_state,
    with_fused_batch_norm,
    with_grouped_batch_norm,
    with_layer_norm,
    with_plain_batch_norm,
    with_synchronized_batch_norm,
)
from keras_ssl.encoders.channelwise import ChannelwiseDense
from keras_ssl.encoders.conv1d import conv1d, sensor_cnn
from keras_ssl.encoders.conv_decoder import conv_decoder, conv_tower, feature_map, image_shape
from keras_ssl.encoders.conv_vit import conv_vit, conv_vit_stages
from keras_ssl.encoders.cpc_audio import cpc_audio
from keras_ssl.encoders.decoder import MaskToken, patch_grid, token_decoder
from keras_ssl.encoders.dim_net import dim_net
from keras_ssl.encoders.drop_path import with_drop_path
from keras_ssl.encoders.gin import NeighborSum, gin, gin_nodes
from keras_ssl.encoders.layout import layout
from keras_ssl.encoders.log_mel import LogMel
from keras_ssl.encoders.maps import TokensAsMap, before_pooling, with_map
from keras_ssl.encoders.masked import MaskedBatchNormalization, masked_pool
from keras_ssl.encoders.multi_crop import multi_crop
from keras_ssl.encoders.nin import nin
from keras_ssl.encoders.over_time import MeanOverTime, ToFrames, over_time
from keras_ssl.encoders.patch_mean import patch_mean
from keras_ssl.encoders.pooling import lacks_preprocessing, pool
from keras_ssl.encoders.positions import with_positions
from keras_ssl.encoders.predictor import TokenPredictor
from keras_ssl.encoders.r3d import r3d18
from keras_ssl.encoders.remat import RematBlocks, without_remat
from keras_ssl.encoders.resnet import resnet18, resnet34, resnet50, resnet101, resnet152
from keras_ssl.encoders.swin import swin
from keras_ssl.encoders.tcn import MeanPlace, tcn
from keras_ssl.encoders.text import SegmentEmbedding, TokenEmbedding, byte_tokens, text_tokens, text_transformer
from keras_ssl.encoders.vit import (
    attention_maps,
    class_token_stages,
    freeze_patches,
    vit,
    vit_base,
    vit_small,
    vit_stages,
    vit_tiny,
)
from keras_ssl.encoders.wide_resnet import wide_resnet
from keras_ssl.encoders.words import WordEmbedding, parts_of_word, vectors_of_words, word_vectors

__all__ = [
    "ChannelwiseDense",
    "FusedBatchNormalization",
    "GroupedBatchNormalization",
    "LocalResponseNormalization",
    "LogMel",
    "MaskToken",
    "MaskedBatchNormalization",
    "MeanOverTime",
    "MeanPlace",
    "NeighborSum",
    "RematBlocks",
    "SegmentEmbedding",
    "ToFrames",
    "TokenEmbedding",
    "TokenPredictor",
    "TokensAsMap",
    "WordEmbedding",
    "alexnet_bn",
    "amdim_net",
    "attention_maps",
    "audio2vec",
    "before_pooling",
    "byte_tokens",
    "caffenet",
    "class_token_stages",
    "conv1d",
    "conv_decoder",
    "conv_tower",
    "conv_vit",
    "conv_vit_stages",
    "cpc_audio",
    "dim_net",
    "feature_map",
    "freeze_patches",
    "gin",
    "gin_nodes",
    "image_shape",
    "keeping_state",
    "lacks_preprocessing",
    "layout",
    "masked_pool",
    "multi_crop",
    "nin",
    "parts_of_word",
    "over_time",
    "patch_grid",
    "patch_mean",
    "pool",
    "r3d18",
    "resnet101",
    "resnet152",
    "resnet18",
    "resnet34",
    "resnet50",
    "sensor_cnn",
    "spectrogram_decoder",
    "swin",
    "text_tokens",
    "tcn",
    "text_transformer",
    "token_decoder",
    "vectors_of_words",
    "vit",
    "vit_base",
    "vit_small",
    "vit_stages",
    "vit_tiny",
    "wide_resnet",
    "with_drop_path",
    "with_fused_batch_norm",
    "with_grouped_batch_norm",
    "with_layer_norm",
    "with_map",
    "with_plain_batch_norm",
    "with_positions",
    "with_synchronized_batch_norm",
    "without_remat",
    "word_vectors",
]
