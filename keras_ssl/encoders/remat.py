"""Rematerialization: what a block of a transformer computed is computed again in the backward pass, not kept.

Training Deep Nets with Sublinear Memory Cost (Chen et al., 2016), https://arxiv.org/abs/1604.06174.
"""

import re

import keras


@keras.saving.register_keras_serializable("keras_ssl")
class RematBlocks(keras.Model):
    """A functional model of blocks that keeps what enters each block, and no more, for the gradient.

    Its graph is that of the plain model, so that single layers of it are found as usual, and without training it is
    that model. `keras_ssl.export` writes the plain model.
    """

    def call(self, tokens, training=None, mask=None):
        if not training:
            return super().call(tokens, training=training, mask=mask)
        for part in self.parts():
            tokens = keras.remat(lambda x, part=part: part(x, training=True))(tokens)
        return tokens

    def parts(self):
        """A model for each block; the first and the last also hold what comes before and after the blocks."""
        if "_parts" not in self.__dict__:
            starts = [layer.input for layer in self.layers if re.fullmatch(r"block\d+_norm1", layer.name)]
            ends = [*starts[1:], self.output]
            found = [keras.Model(x, y) for x, y in zip([self.input, *starts[1:]], ends)]
            self.__dict__["_parts"] = found  # past Keras, which would count the layers twice
        return self.__dict__["_parts"]


def without_remat(encoder):
    """The encoder itself, or where it holds `RematBlocks` a copy in which they are plain models.

    Args:
        encoder: `keras.Model`.

    Returns:
        `keras.Model` with equal weights and outputs, of plain Keras if the rest of it is.

    Example:
    ```python
    encoder = keras_ssl.encoders.vit_tiny((32, 32, 3), patch=4, remat=True)
    keras_ssl.encoders.without_remat(encoder).save("encoder.keras")
    ```
    """
    layers = encoder._flatten_layers() if isinstance(encoder, keras.Model) else ()
    if not any(isinstance(layer, RematBlocks) for layer in layers):
        return encoder
    functional = keras.saving.serialize_keras_object(keras.Model(*[keras.Input((1,))] * 2))
    plain = {"registered_name": None} | {key: functional[key] for key in ("module", "class_name")}

    def without(part):
        return part | plain if part.get("registered_name") == "keras_ssl>RematBlocks" else part

    copy = type(encoder).from_config(rewritten(encoder.get_config(), without))
    copy.set_weights(encoder.get_weights())
    return copy


def rewritten(config, change):
    """A config whose dicts are what `change` makes of each, from the innermost out."""
    if isinstance(config, (list, tuple)):
        return type(config)(rewritten(part, change) for part in config)
    if not isinstance(config, dict):
        return config
    return change({key: rewritten(value, change) for key, value in config.items()})
