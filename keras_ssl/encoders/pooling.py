"""Pooling: an encoder out of any backbone."""

import keras
from keras import layers


def pool(backbone, pooling="avg"):
    """An encoder with features `(batch, dim)` out of a backbone with a feature map or with tokens.

    The backbone is the second layer of the encoder, with its weights, not a copy of them.

    Args:
        backbone: functional or sequential `keras.Model` whose output is a feature map `(batch, height, width,
            channels)`, tokens `(batch, tokens, dim)`, features `(batch, dim)`, which stay as they are, or a list or
            dict of such, of which the last, the deepest, is taken.
        pooling: `"avg"` or `"max"` over places or tokens, or `"first"`: the first token, which is the class token of
            most vision transformers.

    Returns:
        a functional `keras.Model` with the inputs of the backbone.

    Raises:
        ValueError: where the output has no such shape, or `pooling` is unknown or does not fit it.
        TypeError: where the model is not functional.

    Example:
    ```python
    backbone = keras.applications.MobileNetV2((96, 96, 3), include_top=False, weights=None)
    encoder = keras_ssl.encoders.pool(backbone)  # images to (batch, 1280)
    ```
    """
    if pooling not in ("avg", "max", "first"):
        raise ValueError(f"pooling must be 'avg', 'max' or 'first'. Received: pooling={pooling!r}")
    if not getattr(backbone, "inputs", None):
        raise TypeError(
            "pool needs a functional or a built sequential model. Wrap another one: inputs = keras.Input(shape); "
            f"keras.Model(inputs, backbone(inputs)). Received: backbone={backbone}"
        )
    inputs = keras.tree.map_structure(
        lambda t: keras.Input(batch_shape=t.shape, dtype=t.dtype, name=t.name), backbone.input
    )
    # The backbone stays one layer: some of KerasHub can be saved and copied whole only.
    x = backbone(inputs)
    if isinstance(x, (list, tuple, dict)):
        x = list(x.values() if isinstance(x, dict) else x)[-1]
    rank = len(getattr(x, "shape", ()))
    if rank not in (2, 3, 4):
        raise ValueError(
            "The backbone must return (batch, height, width, channels), (batch, tokens, dim) or (batch, dim), or a "
            f"list or dict of such. Received: output={backbone.output}"
        )
    if rank == 4 and pooling == "first":
        raise ValueError(f"pooling='first' takes a token, and this is a feature map. Received: output={x}")
    if rank == 3 and pooling == "first":
        x = x[:, 0]
    elif rank == 3:
        x = {"avg": layers.GlobalAveragePooling1D, "max": layers.GlobalMaxPooling1D}[pooling](name="pool")(x)
    elif rank == 4:
        x = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}[pooling](name="pool")(x)
    return keras.Model(inputs, x, name=backbone.name)
