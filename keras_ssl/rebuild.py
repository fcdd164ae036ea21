"""Rebuild: whether an encoder can be made again from its config, as copies, saved models and exports are."""

import random

import keras

KNOWN = ("keras_hub", "keras_cv", "keras_nlp")  # whose classes Keras finds without their registration


def check_rebuildable(encoder):
    """Raises unless each layer of an encoder can be made again from its config, by Keras in safe mode.

    A teacher is a copy, `keras_ssl.load` makes the whole model again, and so does `keras_ssl.export`: what cannot be
    made again is said before the training, not after it. No weights are made, and no random state moves.

    Args:
        encoder: built `keras.Model`.

    Raises:
        ValueError: a layer, or the encoder itself, is a `Lambda` with code of its own, is of a class that is not
            registered, or has no config. The error names it and says what to do.
    """
    state = random.getstate()  # new layers draw their seeds from it
    try:
        for layer in encoder._flatten_layers():
            try:
                rebuild(layer)
            except Exception as error:
                raise ValueError(
                    f"The encoder '{encoder.name}' holds {describe(layer, encoder)}, which cannot be made again from "
                    "its config, so the model could neither be loaded nor exported after its training. "
                    f"{advice(layer)} Keras says: {first_sentence(error)}"
                ) from error
    finally:
        random.setstate(state)


def rebuild(layer):
    """Makes what is not plain in a layer again: the layer itself where it is not Keras's own, or its functions."""
    if is_of_keras(layer) and not isinstance(layer, keras.layers.Lambda):
        if not isinstance(layer, keras.Model):  # the layers of a model come one by one
            for function in functions(layer.get_config()):
                keras.saving.deserialize_keras_object(function, safe_mode=True)
        return
    config = keras.saving.serialize_keras_object(layer)
    if isinstance(layer, keras.Model):  # large, so it is not made again; its layers are looked at one by one
        name, package = keras.saving.get_registered_name(type(layer)), type(layer).__module__.split(".")[0]
        if keras.saving.get_registered_object(name) is None and package not in KNOWN:
            raise TypeError(f"Could not locate class '{type(layer).__name__}'.")
    else:
        keras.saving.deserialize_keras_object(config, safe_mode=True)


def functions(config):
    """The functions in a config, such as an activation of one's own."""
    if isinstance(config, dict):
        if config.get("class_name") in ("__lambda__", "function"):
            yield config
        else:
            for part in config.values():
                yield from functions(part)
    elif isinstance(config, (list, tuple)):
        for part in config:
            yield from functions(part)


def is_of_keras(layer):
    return type(layer).__module__.split(".")[0] == "keras"


def describe(layer, encoder):
    kind = type(layer).__name__
    return f"itself, a {kind}" if layer is encoder else f"the layer '{layer.name}' of class {kind}"


def advice(layer):
    if isinstance(layer, keras.layers.Lambda):
        return "Take a layer of Keras for it, such as Rescaling, or a registered class of your own."
    if is_of_keras(layer):
        return "Register its function: @keras.saving.register_keras_serializable()."
    return (
        "Register its class, @keras.saving.register_keras_serializable(), and write its `get_config` where `__init__` "
        "takes arguments."
    )


def first_sentence(error):
    return str(error).strip().split("\n")[0].split(". ")[0][:200]
