"""Heads: the small networks after the encoder that a method trains with and throws away."""

import keras

from keras_ssl import distribute


def mlp(
    inputs, hidden, dim, depth=2, batch_norm=True, hidden_bias=True, output_bias=False, output_norm=None, name=None
):
    """A multi-layer perceptron: `depth - 1` times Dense - BatchNormalization - ReLU, then Dense.

    Args:
        inputs: int, size of the features it gets.
        hidden: int, units of the hidden layers.
        dim: int, units of the last layer.
        depth: int >= 1, number of Dense layers; 1 is a linear head, which has no hidden layer.
        batch_norm: whether the hidden layers are batch-normalised.
        hidden_bias: whether the hidden Dense layers have a bias.
        output_bias: whether the last Dense layer has a bias.
        output_norm: a layer after the last Dense, for example `batch_norm(center=False)`, or None.
        name: str.

    Returns:
        `keras.Model` from `(batch, inputs)` to `(batch, dim)`.

    Example:

    >>> projector = mlp(512, hidden=2048, dim=128, name="projector")
    >>> projector.output_shape
    (None, 128)
    """
    layers = [keras.Input((inputs,))]
    for _ in range(depth - 1):
        layers.append(keras.layers.Dense(hidden, use_bias=hidden_bias))
        if batch_norm:
            layers.append(batch_normalization())
        layers.append(keras.layers.ReLU())
    layers.append(keras.layers.Dense(dim, use_bias=output_bias))
    if output_norm is not None:
        layers.append(output_norm)
    return keras.Sequential(layers, name=name)


def batch_normalization(**options):
    """Batch normalisation with the momentum and epsilon of the papers, its statistics shared by all replicas."""
    options = {"momentum": 0.9, "epsilon": 1e-5, "synchronized": distribute.replicas() > 1} | options
    return keras.layers.BatchNormalization(**options)


def attach(encoder, head, name=None):
    """One model of the encoder and the head after it, which share their weights with it.

    Args:
        encoder: built `keras.Model` from images to features `(batch, dim)`.
        head: `keras.Model` from `(batch, dim)` to `(batch, out)`.
        name: str.

    Returns:
        `keras.Model` from images to `(batch, out)`.
    """
    images = keras.Input(encoder.input_shape[1:], name="images")
    return keras.Model(images, head(encoder(images)), name=name)
