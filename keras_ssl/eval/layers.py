"""Layers: the features inside an encoder, at the size at which the studies of AlexNet compare them.

Colorful Image Colorization (Zhang et al., 2016), arXiv 1603.08511: a linear probe on every layer, whose maps are
resized to about 9,000 numbers, so that no layer wins by its size.
"""

import math

import keras

from keras_ssl.checks import check_ints
from keras_ssl.eval.extraction import mask_of
from keras_ssl.eval.probe import linear
from keras_ssl.eval.result import Result


def layer_probes(encoder, train, test, layers, dimensions=9000, **options):
    """Accuracy of a linear probe on each of several layers, see `layer_encoder` and `linear`.

    Args:
        encoder: functional or sequential `keras.Model` from images.
        train: labeled images to fit, see `linear`.
        test: labeled images to score.
        layers: strings, names of layers.
        dimensions: positive int, see `layer_encoder`.
        **options: of `linear`.

    Returns:
        `Result` with one measure a layer.

    Raises:
        ValueError: no such layer, or a bad number.

    Example:
    ```python
    names = [f"stage{i}_block2_relu" for i in range(1, 5)]
    print(keras_ssl.eval.layer_probes(encoder, train, test, names))
    ```
    """
    layers = [layers] if isinstance(layers, str) else list(layers)
    inner = {name: layer_encoder(encoder, name, dimensions) for name in layers}
    found = {name: linear(model, train, test, **options) for name, model in inner.items()}
    return Result("linear probe of layers", found, settings={"dimensions": dimensions, "seed": options.get("seed", 0)})


def layer_encoder(encoder, layer, dimensions=9000):
    """An encoder whose features are the outputs of an inner layer, for any of the evaluations.

    A map `(batch, height, width, channels)` with more than about `dimensions` numbers is averaged to fewer, equal
    places, and flattened: 12 x 12 places of 64 channels, 7 x 7 of 192, 5 x 5 of 384, 6 x 6 of 256, as for AlexNet.
    Tokens `(batch, tokens, dim)` and steps of a series are averaged to one, those that are real where the encoder has
    an input for their mask, and maps of videos too. The weights are those of the encoder, not copies.

    Args:
        encoder: functional or sequential `keras.Model` from images of a fixed size, or samples of another kind.
        layer: string, the name of a layer, also of one inside a model that is a layer; `"model/layer"` where the
            name alone is not unique. Of a layer that is called several times, the first call.
        dimensions: positive int, about how many numbers the features of a map have at most.

    Returns:
        `keras.Model` from images to features `(batch, dim)`.

    Raises:
        TypeError: the encoder is not functional.
        ValueError: no layer of this name or several, a map of unknown size, or a bad number.

    Example:
    ```python
    middle = keras_ssl.eval.layer_encoder(keras_ssl.encoders.resnet18((96, 96, 3)), "stage2_block2_relu")
    score = keras_ssl.eval.linear(middle, train, test)
    ```
    """
    if not isinstance(encoder, keras.Model) or not getattr(encoder, "inputs", None):
        raise TypeError(f"encoder must be a functional or a built sequential keras.Model. Received: {encoder!r}")
    check_ints(dimensions=dimensions)
    model = until(encoder, find(encoder, layer))
    x = model.output
    if isinstance(x, (list, tuple, dict)) or len(x.shape) not in (2, 3, 4, 5) or None in x.shape[2:]:
        raise ValueError(
            "The layer must have one output (batch, height, width, channels), (batch, tokens, dim) or (batch, dim), of "
            f"known size: give the encoder images of a fixed size. Received: layer={layer!r}, output={x}"
        )
    if len(x.shape) == 3:
        mask = mask_of(inputs_of(model), x)
        x = keras.layers.GlobalAveragePooling1D(name="tokens")(x, **({} if mask is None else {"mask": mask}))
    elif len(x.shape) == 4:
        x = resized(x, dimensions)
    elif len(x.shape) == 5:
        x = keras.layers.GlobalAveragePooling3D(name="places", data_format="channels_last")(x)
    return keras.Model(inputs_of(model), x, name=f"{encoder.name}_{layer}".replace("/", "_"))


def resized(x, dimensions):
    height, width, channels = x.shape[1:]
    if height is None:
        raise ValueError(f"The map of the layer must have a known size: give images of a fixed size. Received: {x}")
    share = math.sqrt(dimensions / (height * width * channels))
    size = tuple(min(side, max(1, round(side * share))) for side in (height, width))
    if size != (height, width):
        x = keras.layers.AdaptiveAveragePooling2D(size, data_format="channels_last", name="places")(x)
    return keras.layers.Flatten(name="flat")(x)


def find(model, name):
    """The way to a layer: the models around it, from outside, and itself."""
    ways = [way for way in every(model) if "/".join(layer.name for layer in way) == name] or [
        way for way in every(model) if way[-1].name == name
    ]
    if len(ways) == 1:
        return ways[0]
    names = ["/".join(layer.name for layer in way) for way in (ways or every(model))]
    raise ValueError(
        f"{'Several layers are' if ways else 'No layer is'} named {name!r}. Received: layer={name!r}; the encoder has: "
        f"{', '.join(names)}"
    )


def inputs_of(model):
    """The symbolic inputs as the model takes them: a dict, where it takes one."""
    return model.input if isinstance(getattr(model, "input", None), dict) else model.inputs


def every(model):
    for layer in model.layers:
        yield [layer]
        if isinstance(layer, keras.Model):
            yield from ([layer, *way] for way in every(layer))


def until(model, way):
    """A model from the inputs of `model` to the outputs of the last layer of the way."""
    layer, *inner = way
    if not isinstance(layer, keras.Model):
        return keras.Model(inputs_of(model), layer.output)
    if isinstance(model, keras.Sequential):
        before = model.layers[:model.layers.index(layer)]
        inputs = x = keras.Input(batch_shape=model.inputs[0].shape, dtype=model.inputs[0].dtype)
        for part in before:
            x = part(x)
        return keras.Model(inputs, until(layer, inner)(x) if inner else layer(x))
    # A model that is a layer has inputs of its own: call it once more to see what it is given here.
    given = []

    def call(part, *arguments, **keywords):
        if part is layer and not given:
            given.append(arguments[0])
        return part(*arguments, **keywords)

    copy = keras.models.clone_model(model, clone_function=lambda part: part, call_function=call)
    if not given or not getattr(layer, "inputs", None):
        raise ValueError(f"{layer.name!r} must be a functional model that is called on one tensor. Received: {layer}")
    return keras.Model(inputs_of(copy), until(layer, inner)(given[0]) if inner else layer(given[0]))
