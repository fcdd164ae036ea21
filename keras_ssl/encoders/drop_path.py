"""Drop path: Deep Networks with Stochastic Depth (Huang et al., 2016), https://arxiv.org/abs/1603.09382."""

import re

import keras
from keras import layers

from keras_ssl.encoders.remat import without_remat

FIRST = re.compile(r"(stage\d+_)?block\d+_norm1")  # the first layer of a block
BRANCHES = {"projection": 1, "output": 2}  # the last layers of its two branches


def with_drop_path(encoder, drop_path):
    """A copy of a vision transformer with another drop path, for instance of one that was trained without.

    Papers train without drop path, or with little, and fine-tune with it: 0.1 for the ViT-B of MAE. The weights are
    those of the encoder.

    Args:
        encoder: `keras.Model` from `vit`, `swin` or `conv_vit`, or a copy of one, or one loaded from a file.
        drop_path: float in [0, 1), share of the samples for which the last block is left out in training. It rises
            linearly from 0 in the first block.

    Returns:
        a functional `keras.Model` of plain Keras layers.

    Raises:
        ValueError: the model is of another kind, or the share is out of its range.

    Example:
    ```python
    encoder = keras_ssl.encoders.vit_tiny((32, 32, 3), patch=4)
    classifier = keras.Sequential([keras_ssl.encoders.with_drop_path(encoder, 0.1), keras.layers.Dense(10)])
    ```
    """
    if not isinstance(drop_path, (int, float)) or not 0 <= drop_path < 1:
        raise ValueError(f"drop_path must be in [0, 1). Received: drop_path={drop_path!r}")
    encoder = without_remat(encoder)  # a block that draws cannot be computed twice
    blocks = next((x for x in getattr(encoder, "layers", ()) if x.name in ("blocks", "fused_blocks")), None)
    old = [layer.name for layer in getattr(blocks, "layers", ())]
    names = [name.removesuffix("_norm1") for name in old if FIRST.fullmatch(name)]
    if not names:
        raise ValueError(
            "Drop path leaves out the blocks of a vit, swin or conv_vit of keras_ssl.encoders, and this model has "
            f"none. Received: encoder={encoder}"
        )
    rates = {name: drop_path * i / max(len(names) - 1, 1) for i, name in enumerate(names)}

    def clone(layer):
        config = layer.get_config()
        name, found, _ = layer.name.partition("_drop_path")
        return type(layer).from_config({**config, "rate": rates[name]} if found else config)

    def call(layer, *inputs, **options):
        x = layer(*inputs, **options)
        name, _, part = layer.name.rpartition("_")
        new = f"{name}_drop_path{BRANCHES.get(part)}"
        if part in BRANCHES and rates.get(name) and new not in old:
            noise = (None, *[1] * (len(x.shape) - 1))
            x = layers.Dropout(rates[name], noise, name=new, dtype=layer.dtype_policy)(x)
        return x

    copy = keras.models.clone_model(encoder, clone_function=clone, call_function=call, recursive=True)
    copy.set_weights(encoder.get_weights())
    return copy
