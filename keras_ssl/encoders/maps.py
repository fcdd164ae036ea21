"""Maps: what an encoder knows of each place before it pools, for methods that compare places."""

import keras
from keras import ops

from keras_ssl import inputs


def before_pooling(encoder):
    """The last map `(batch, rows, columns, channels)` or tokens `(batch, tokens, dim)` on the way to the features.

    Args:
        encoder: functional or built sequential `keras.Model`.

    Returns:
        a tensor of the model's graph, or None where the encoder has no such thing, as a model around another one.
    """
    return earlier(encoder.outputs[0], encoder, (3, 4))


def earlier(x, encoder, ranks):
    """The tensor of one of these ranks that is nearest before `x`, or `x` itself; not the samples themselves."""
    while x is not None and len(x.shape) not in ranks:
        history = x._keras_history
        x = next(iter(history.operation._inbound_nodes[history.node_index].input_tensors), None)
    return None if x is None or any(x is given for given in encoder.inputs) else x


def with_map(encoder):
    """A model from images to the features of an encoder and to the map that they are pooled from.

    The weights are those of the encoder, not copies. The patches of a transformer become a map; a class token and
    registers are left out.

    Args:
        encoder: functional or built sequential `keras.Model` from images to features `(batch, dim)` that ends with its
            pooling: those of this package, and `pool(backbone)`.

    Returns:
        `keras.Model` from images to `[(batch, dim), (batch, rows, columns, channels)]`.

    Raises:
        ValueError: the encoder has no map of features.

    Example:
    ```python
    features, places = keras_ssl.encoders.with_map(encoder)(images)
    ```
    """
    images = inputs.input_tensors(encoder) or encoder.inputs[0]
    x = before_pooling(encoder)
    if x is not None and len(x.shape) == 3:
        patches = earlier(x, encoder, (4,))
        x = None if patches is None else TokensAsMap(name="tokens_as_map")(x, patches)
    if x is None:
        raise ValueError(
            f"The encoder '{encoder.name}' has no map of features that it pools, nor patches: take one of "
            "keras_ssl.encoders, or keras_ssl.encoders.pool(backbone), and not a model around it."
        )
    return keras.Model(images, [encoder.outputs[0], x], name=f"{encoder.name}_with_map")


@keras.saving.register_keras_serializable("keras_ssl")
class TokensAsMap(keras.layers.Layer):
    """Tokens `(batch, tokens, dim)` as the map of their patches, which are the last ones.

    Call arguments:
        tokens: `(batch, tokens, dim)`.
        patches: `(batch, rows, columns, ...)`, a map of the same patches.
    """

    def call(self, tokens, patches):
        rows, columns = ops.shape(patches)[1:3]
        return ops.reshape(tokens[:, -rows * columns :], (-1, rows, columns, tokens.shape[-1]))

    def compute_output_shape(self, tokens, patches):
        return (tokens[0], *patches[1:3], tokens[-1])

    def compute_output_spec(self, tokens, patches):
        return keras.KerasTensor(self.compute_output_shape(tokens.shape, patches.shape), dtype=self.compute_dtype)
