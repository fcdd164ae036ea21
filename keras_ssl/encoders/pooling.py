"""Pooling: an encoder out of any backbone."""

import re

import keras
from keras import layers, ops

from keras_ssl.checks import check_flags
from keras_ssl.encoders.resnet import LAST, _normalize
from keras_ssl.inputs import check_no_top

# The networks of keras.applications that come without preprocessing, by the form that their weights are for.
MINUS_ONE_TO_ONE = r"resnet\d+v2|mobilenet_\d.*|mobilenetv2_.*|inception_(resnet_v2|v3)|xception|NASNet|nasnet_.*"
BLUE_GREEN_RED = r"resnet\d+|vgg\d+"
BLUE_GREEN_RED_MEAN = (103.939, 116.779, 123.68)
STANDARDIZED = r"densenet\d+"


def pool(backbone, pooling="avg", preprocessing=True):
    """An encoder with features `(batch, dim)` out of a backbone with a feature map or with tokens.

    The backbone is the second layer of the encoder, with its weights, not a copy of them.

    Args:
        backbone: functional or sequential `keras.Model` whose output is a feature map `(batch, height, width,
            channels)`, tokens `(batch, tokens, dim)`, features `(batch, dim)`, which stay as they are, or a list or
            dict of such, of which the last, the deepest, is taken.
        pooling: `"avg"` or `"max"` over places or tokens, or `"first"`: the first token, which is the class token of
            most vision transformers.
        preprocessing: whether a network of `keras.applications` gets images of 0..255 as its weights need them, told by
            its name: that of its `preprocess_input`. Those that hold a preprocessing of their own (EfficientNet,
            ConvNeXt, MobileNetV3) stay as they are, and so does any other backbone, which must hold itself what it
            needs to do to images of 0..255. False: nothing is added.

    Returns:
        a functional `keras.Model` with the inputs of the backbone.

    Raises:
        ValueError: where the output has no such shape, `pooling` is unknown or does not fit it, or the network
            still has its classifier.
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
    check_flags(preprocessing=preprocessing)
    check_no_top(backbone)
    # A sequential model has no `input` before its first call.
    given = backbone.inputs[0] if isinstance(backbone, keras.Sequential) else backbone.input
    inputs = keras.tree.map_structure(lambda t: keras.Input(batch_shape=t.shape, dtype=t.dtype, name=t.name), given)
    # The backbone stays one layer: some of KerasHub can be saved and copied whole only.
    x = backbone(_preprocessed(inputs, backbone) if preprocessing else inputs)
    if isinstance(x, (list, tuple, dict)):
        x = list(x.values() if isinstance(x, dict) else x)[-1]
    rank = len(getattr(x, "shape", ()))
    if rank not in (2, 3, 4):
        raise ValueError(
            "The backbone must return (batch, height, width, channels), (batch, tokens, dim) or (batch, dim), or a "
            f"list or dict of such. Received: output={x}"
        )
    if rank == 4 and pooling == "first":
        raise ValueError(f"pooling='first' takes a token, and this is a feature map. Received: output={x}")
    if rank == 3 and pooling == "first":
        x = x[:, 0]
    elif rank == 3:
        x = {"avg": layers.GlobalAveragePooling1D, "max": layers.GlobalMaxPooling1D}[pooling](LAST, name="pool")(x)
    elif rank == 4:
        x = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}[pooling](name="pool")(x)
    return keras.Model(inputs, x, name=backbone.name)


def lacks_preprocessing(network):
    """Whether it is a network of `keras.applications` that needs other pixels than 0..255, and does not make them."""
    for layer in network._flatten_layers():  # "stem_conv" is a network of this package, built without
        if isinstance(layer, (layers.Rescaling, layers.Normalization)) or layer.name == "stem_conv":
            return False
    return any(re.fullmatch(kind, network.name) for kind in (STANDARDIZED, MINUS_ONE_TO_ONE, BLUE_GREEN_RED))


def _preprocessed(inputs, backbone):
    """Images of 0..255 as a network of `keras.applications` was trained on them."""
    other = not isinstance(inputs, keras.KerasTensor) or len(inputs.shape) != 4 or inputs.shape[-1] != 3
    if other or not lacks_preprocessing(backbone):
        return inputs
    if re.fullmatch(STANDARDIZED, backbone.name):
        return _normalize(inputs, 3)
    if re.fullmatch(MINUS_ONE_TO_ONE, backbone.name):
        return layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32", name="preprocessing")(inputs)
    if re.fullmatch(BLUE_GREEN_RED, backbone.name):
        offset = [[[-mean for mean in BLUE_GREEN_RED_MEAN]]]
        return layers.Rescaling(1.0, offset=offset, dtype="float32", name="preprocessing")(ops.flip(inputs, axis=-1))
    return inputs
