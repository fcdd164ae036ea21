"""Saving: a whole method as one `.keras` file, and its encoder as a file that needs nothing but Keras."""

import keras

import keras_ssl
from keras_ssl import encoders


def load(path, compile=True):
    """A whole method, as `model.save("name.keras")` wrote it: weights, teacher, queue, optimizer, random state.

    It is `keras.saving.load_model`, in safe mode (nothing in the file is executed), and it works also where Keras was
    imported after keras_ssl and does not know its classes.

    Args:
        path: str or path of a `.keras` file.
        compile: whether the optimizer comes back too, so that `fit` goes on where it stopped.

    Returns:
        `keras_ssl.Method`; or an encoder, where the file holds one.

    Raises:
        ValueError: the path does not end in `.keras`, or there is no such file. Older formats of Keras are not read:
            they can hold code.
    """
    check_path(path)
    keras_ssl.register()
    return keras.saving.load_model(path, compile=compile)


def export(model, path):
    """Writes the encoder alone, its preprocessing inside, as one `.keras` file that plain Keras loads.

    `keras.saving.load_model(path)` needs neither keras_ssl nor `custom_objects`. Grouped, fused and synchronised
    batch normalisation become the plain layer of Keras, which computes the same in inference.

    Args:
        model: a `keras_ssl.Method`, whose `evaluated_encoder` is written, or an encoder.
        path: str or path that ends in `.keras`.

    Returns:
        `keras.Model`, the encoder that was written.

    Raises:
        ValueError: the encoder holds a layer that is not Keras's own, or the path does not end in `.keras`.
    """
    check_path(path)
    encoder = plain(model.evaluated_encoder if isinstance(model, keras_ssl.Method) else model)
    encoder.save(path)
    return encoder


def plain(encoder):
    """The encoder with plain batch normalisation; raises where it still holds layers that are not Keras's own."""
    encoder = encoders.with_plain_batch_norm(encoder)
    foreign = sorted({type(layer).__name__ for layer in encoder._flatten_layers() if not is_of_keras(layer)})
    if foreign:
        raise ValueError(
            f"The encoder '{encoder.name}' holds layers that plain Keras cannot load: {', '.join(foreign)}. Build it "
            "of keras.layers only, or save it with `encoder.save(path)` and load it with `custom_objects`."
        )
    return encoder


def check_path(path):
    if not str(path).endswith(".keras"):
        raise ValueError(f"path must end in '.keras'. Received: path={str(path)!r}")


def is_of_keras(layer):
    return type(layer).__module__.split(".")[0] == "keras"
