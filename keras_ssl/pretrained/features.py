"""Features: an encoder that returns maps of several of its levels, for detection and segmentation."""

import re

import keras
from keras import layers


def feature_maps(encoder, levels):
    """A model from images to a list of maps `(batch, rows, columns, channels)`; it shares the weights of the encoder.

    Args:
        encoder: `keras.Model` of `encoders.vit` or of a resnet.
        levels: list of ints: blocks of a ViT from 1, or stages of a ResNet, 1 to 4.
    """
    names = {layer.name for layer in encoder.layers}
    if {"patches", "positions", "blocks"} <= names:
        return _of_vit(encoder, levels)
    stages = {}
    for layer in encoder.layers:  # the last one of a stage stays
        found = re.fullmatch(r"stage(\d+)_block\d+_relu", layer.name)
        if found:
            stages[int(found[1])] = layer.output
    if not stages:
        raise ValueError(f"features are known of a vit and a resnet of keras_ssl.encoders. Received: {encoder.name}")
    _check(levels, len(stages), "stages")
    return keras.Model(encoder.input, [stages[level] for level in levels], name=encoder.name)


def _of_vit(encoder, levels):
    rows, columns, width = encoder.get_layer("patches").output.shape[1:]
    if None in (rows, columns):
        raise ValueError("features of a ViT need an input_shape with height and width. Received: None")
    positions, blocks = encoder.get_layer("positions"), encoder.get_layer("blocks")
    depth = sum(layer.name.endswith("_attention") for layer in blocks.layers)
    _check(levels, depth, "blocks")
    first = int(any(layer.name == "class_token" for layer in positions.layers))
    norm, maps = blocks.get_layer("norm"), []
    for level in levels:
        after = norm if level == depth else blocks.get_layer(f"block{level + 1}_norm1")
        patches = norm(after.input)[:, first : first + rows * columns]  # neither class token nor registers
        maps.append(layers.Reshape((rows, columns, width), name=f"map{level}")(patches))
    several = keras.Model(blocks.input, maps, name="blocks")
    return keras.Model(encoder.input, several(positions(encoder.get_layer("patches").output)), name=encoder.name)


def _check(levels, count, word):
    if not isinstance(levels, (list, tuple)) or not levels or any(
        not isinstance(level, int) or not 1 <= level <= count for level in levels
    ):
        raise ValueError(f"features must be a list of {word}, ints from 1 to {count}. Received: features={levels!r}")
    if len(set(levels)) < len(levels):
        raise ValueError(f"features must be different {word}. Received: features={levels!r}")
