"""Positions: a ViT trained without them gets them, to be fine-tuned (MP3, https://arxiv.org/abs/2207.07611)."""

import keras
from keras import initializers

from keras_ssl.encoders.vit import _grid, _positions, vit_stages


def with_positions(encoder, positions="learned", grid=None):
    """A copy of a vision transformer with new positions, for instance of one that was trained without.

    All else has the weights of the encoder. Learned positions start from N(0, 0.02^2) and train with the rest.

    Args:
        encoder: `keras.Model` from `vit`.
        positions: `"learned"`, `"sincos"` or None, as in `vit`.
        grid: int or ints `(rows, columns)` of patches for which the positions are; None for those of the encoder's
            `input_shape`. See `vit`.

    Returns:
        a functional `keras.Model` as `vit` makes it, with the class token and the pooling of the encoder.

    Raises:
        ValueError: the model is no `vit`, the positions are unknown, or the grid is invalid.

    Example:
    ```python
    encoder = keras_ssl.encoders.vit_tiny((32, 32, 3), patch=4, positions=None, class_token=False, pooling="mean")
    model = keras_ssl.MP3(encoder, keras_ssl.augment.mae(32))  # compile and fit it, and then:
    classifier = keras.Sequential([keras_ssl.encoders.with_positions(encoder), keras.layers.Dense(10)])
    ```
    """
    if positions not in (None, "sincos", "learned"):
        raise ValueError(f"positions must be 'sincos', 'learned' or None. Received: positions={positions!r}")
    old = vit_stages(encoder).positions
    width = old.output_shape[-1]
    draw = lambda: initializers.RandomNormal(stddev=0.02)
    token = [layer for layer in old.layers if layer.name == "class_token"]
    grid = _grid(grid, encoder.get_layer("patches").output.shape[1:3], positions)
    new = _positions(width, positions, grid, draw() if token else None, draw)

    def call(layer, *inputs, **options):
        return new(*inputs) if layer.name == "positions" else layer(*inputs, **options)

    copy = keras.models.clone_model(encoder, call_function=call)
    for stage in ("patches", "blocks"):
        copy.get_layer(stage).set_weights(encoder.get_layer(stage).get_weights())
    if token:
        new.get_layer("class_token").set_weights(token[0].get_weights())
    return copy
