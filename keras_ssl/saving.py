"""Saving: a whole method as one `.keras` file, and its encoder as a file for where it will run, opened and compared."""

import importlib.util
import os
import shutil
import tempfile
import warnings
import zipfile
from pathlib import Path

import keras
import numpy as np

import keras_ssl
from keras_ssl import encoders
from keras_ssl.encoders.remat import rewritten
from keras_ssl.inputs import input_names
from keras_ssl.method import Method

FORMATS = {".keras": "keras", "": "tf_saved_model", ".tflite": "litert", ".onnx": "onnx"}
NEEDS = {"onnx": ("onnx", "tf2onnx")}
HALF = ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
SIDES = (64, 96, 128, 224)
LENGTHS = (16, 64, 256, 1024, 4096, 16384, 65536)  # of a series or a sound of any length, tried in turn
# How far the numbers of an exported encoder may be from those of the encoder, as a share of the largest.
TOLERANCE = 1e-3


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
    if not isinstance(path, (str, os.PathLike)) or not str(path).endswith(".keras"):
        raise ValueError(f"path must end in '.keras'. Received: path={str(path)!r}")
    if "://" not in str(path):  # what is elsewhere is Keras's to find
        check_whole(path)
    keras_ssl.register()
    return keras.saving.load_model(path, compile=compile)


def check_whole(path):
    """Raises where Keras would not say that a file is missing, or cut off."""
    if not os.path.exists(path):
        raise ValueError(f"There is no file {str(path)!r}.")
    if not zipfile.is_zipfile(path):
        what = "a folder" if os.path.isdir(path) else f"a file of {os.path.getsize(path)} bytes"
        raise ValueError(f"{str(path)!r} is no whole .keras file: it is {what}, cut off or of something else.")


def export(model, path):
    """Writes the encoder alone, its preprocessing inside, in float32, for where it will run; the ending says how.

    - `.keras`: one file that `keras.saving.load_model` reads with neither keras_ssl nor `custom_objects`.
    - a folder, without an ending: a SavedModel of TensorFlow, for serving.
    - `.tflite`: LiteRT (TensorFlow Lite), for devices.
    - `.onnx`: ONNX; needs the packages onnx and tf2onnx: `pip install keras_ssl[onnx]`.

    Grouped, fused and synchronized batch normalization become the plain layer of Keras, which computes the same in
    inference, and layers of half precision become those of float32. What was written is opened by its runtime and
    compared with the encoder before it takes the place of an older file; a warning says so where the runtime
    (onnxruntime, of ONNX) is not installed.

    Args:
        model: a `keras_ssl.Method`, whose `evaluated_encoder` is written, or an encoder, functional or sequential.
        path: str or path that ends in `.keras`, `.tflite` or `.onnx`, or has no ending.

    Returns:
        `keras.Model`, the encoder that was written.

    Raises:
        ImportError: the format needs a package that is not installed.
        TypeError: the encoder is neither functional nor sequential.
        ValueError: the path has another ending; the encoder holds a layer that is not Keras's own and the file is to
            be `.keras`; or what was written cannot be opened, or computes something else: nothing is left then.

    Example:
    ```python
    keras_ssl.export(model, "encoder.keras")
    keras_ssl.export(model, "encoder.onnx")
    ```
    """
    check_exported(model, path)
    form = format_of(path)
    path = Path(os.path.abspath(path))
    check_target(path, form)
    encoder = model.evaluated_encoder if isinstance(model, Method) else model
    encoder = encoders.without_remat(encoder)
    encoder = in_float32(plain(encoder) if form == "keras" else encoders.with_plain_batch_norm(encoder))
    sample = example(encoder)
    expected = keras.ops.convert_to_numpy(encoder(sample, training=False))
    with tempfile.TemporaryDirectory(prefix=".export-", dir=path.parent) as folder:
        part = Path(folder) / path.name
        try:
            encoder.save(part) if form == "keras" else convert(encoder, part, form)
        except OSError as error:
            raise OSError(f"{str(path)!r} could not be written, and nothing is left of it: {error}") from error
        compare(part, form, sample, expected, path)
        if part.is_dir() and path.is_dir():  # an older one: files of the user's own beside it stay
            shutil.copytree(part, path, dirs_exist_ok=True)
        else:
            os.replace(part, path)
    return encoder


def check_exported(model, path):
    if not isinstance(model, keras.Model) or not isinstance(path, (str, os.PathLike)):
        raise TypeError(
            "export takes a keras_ssl.Method or an encoder, which keras_ssl.load reads, and the path of a file. "
            f"Received: model={model!r:.80}, path={path!r:.80}"
        )
    output = getattr(model, "output", None) if not isinstance(model, Method) else None
    if isinstance(output, (dict, list, tuple)):
        raise ValueError(
            f"The encoder '{model.name}' must return one tensor of features. Received: {len(output)} outputs. Export "
            "keras.Model(encoder.inputs, encoder.output[...]) of one of them."
        )


def check_target(path, form):
    """Raises where the path is taken by something that a file of the format cannot replace; makes its folder."""
    if path.exists() and path.is_dir() != (form == "tf_saved_model"):
        raise ValueError(
            f"The format {form} is a {'folder' if form == 'tf_saved_model' else 'file'}, but {str(path)!r} is a "
            f"{'folder' if path.is_dir() else 'file'}: take another name."
        )
    path.parent.mkdir(parents=True, exist_ok=True)


def format_of(path, name="path"):
    """Keras's name of the format of a file, by its ending; raises for another ending or a missing package."""
    ending = Path(os.fspath(path)).suffix
    if ending not in FORMATS:
        raise ValueError(
            f"{name} must end in .keras, .tflite, .onnx, or be a folder, for a SavedModel. Received: "
            f"{name}={str(path)!r}"
        )
    form = FORMATS[ending]
    missing = [package for package in NEEDS.get(form, ()) if importlib.util.find_spec(package) is None]
    if missing:
        raise ImportError(f"The format {form} needs {' and '.join(missing)}: pip install 'keras_ssl[{form}]'")
    return form


def plain(encoder):
    """The encoder with plain batch normalization; raises where it still holds layers that are not Keras's own."""
    encoder = encoders.with_plain_batch_norm(encoder)
    foreign = sorted({type(layer).__name__ for layer in encoder._flatten_layers() if not is_of_keras(layer)})
    if foreign:
        raise ValueError(
            f"The encoder '{encoder.name}' holds layers that plain Keras cannot load: {', '.join(foreign)}. Build it "
            "of keras.layers only, or save it with `encoder.save(path)` and load it with `custom_objects`."
        )
    return encoder


def is_of_keras(layer):
    return type(layer).__module__.split(".")[0] == "keras"


# In float32, whatever the policy of the training


def in_float32(encoder):
    """The encoder itself where it computes in float32, else a copy that does."""
    if not any(layer.dtype_policy.name in HALF for layer in encoder._flatten_layers()):
        return encoder
    copy = type(encoder).from_config(rewritten(encoder.get_config(), without_half))
    copy.set_weights([np.asarray(weights).astype("float32") for weights in encoder.get_weights()])
    return copy


def without_half(part):
    """A dict of a config, whose policy of half precision is float32."""
    if part.get("class_name") == "DTypePolicy" and part.get("config", {}).get("name") in HALF:
        return {**part, "config": {**part["config"], "name": "float32"}}
    return {**part, "dtype": "float32"} if part.get("dtype") in HALF else part


# Other formats


def convert(encoder, path, form):
    """Writes the encoder by Keras's own means."""
    if form == "onnx":
        teach_erfc()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converters' own
        encoder.export(path, format=form, verbose=False)


def teach_erfc():
    """Gives tf2onnx the operation `Erfc`, which TensorFlow's exact GELU is made of and ONNX lacks: 1 - erf(x)."""
    from tf2onnx.handler import tf_op

    if any("Erfc" in handlers for versions in tf_op.get_opsets().values() for handlers in versions):
        return

    class Erfc:
        @classmethod
        def version_9(cls, graph, node, **options):
            dtype, shape = graph.get_dtype(node.output[0]), graph.get_shape(node.output[0])
            one = graph.make_const(f"{node.name}_one", np.ones((), "float32")).output[0]
            erf = graph.make_node("Erf", [node.input[0]], dtypes=[dtype], shapes=[shape]).output[0]
            graph.remove_node(node.name)
            graph.make_node("Sub", [one, erf], outputs=node.output, name=node.name, dtypes=[dtype], shapes=[shape])

    tf_op("Erfc")(Erfc)


# What was written, opened


def compare(part, form, sample, expected, path):
    """Raises unless the runtime of the format opens what was written and finds the expected features."""
    try:
        found = RUNTIMES[form](part, sample)
    except ImportError as error:
        warnings.warn(
            f"{str(path)!r} was written, but not opened: {error}. Whether it computes what the encoder does is "
            "not known."
        )
        return
    except Exception as error:
        raise ValueError(
            f"The encoder could not be exported to {str(path)!r}: the runtime of the format ({form}) cannot open or "
            f"run what was written. It says: {error}"
        ) from error
    found, most = np.asarray(found), np.abs(expected).max(initial=1.0)
    if found.shape != expected.shape or not np.abs(found - expected).max(initial=0.0) <= TOLERANCE * most:
        apart = np.abs(found - expected).max() if found.shape == expected.shape else f"shape {found.shape}"
        raise ValueError(
            f"The encoder could not be exported to {str(path)!r}: what was written computes other features than the "
            f"encoder. Received: a difference of {apart}, features up to {most:.3g}"
        )


def by_keras(path, sample):
    keras_ssl.register()
    return keras.ops.convert_to_numpy(keras.saving.load_model(path, compile=False)(sample, training=False))


def by_tensorflow(path, sample):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))  # which must live as long as its functions
    return loaded.serve(keras.tree.map_structure(tf.convert_to_tensor, sample)).numpy()


def by_litert(path, sample):
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        import tensorflow as tf

        Interpreter = tf.lite.Interpreter
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's tells of its successor
        interpreter = Interpreter(str(path))
    details = interpreter.get_input_details()
    places = paired({place["name"]: place for place in details}, sample)
    for place, values in places:
        interpreter.resize_tensor_input(place["index"], values.shape)
    interpreter.allocate_tensors()
    for place, values in places:
        interpreter.set_tensor(place["index"], values.astype(place["dtype"]))
    interpreter.invoke()
    flex = sorted({op["op_name"] for op in interpreter._get_ops_details() if op["op_name"].startswith("Flex")})
    if flex:
        warnings.warn(
            f"The file needs operations of TensorFlow ({', '.join(flex)}) that LiteRT has in its Flex delegate only."
        )
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def by_onnxruntime(path, sample):
    try:
        import onnxruntime
    except ImportError:
        raise ImportError("its runtime is not installed (pip install onnxruntime)") from None
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    places = paired({place.name: place.name for place in session.get_inputs()}, sample)
    return session.run(None, dict(places))[0]


RUNTIMES = {"keras": by_keras, "tf_saved_model": by_tensorflow, "litert": by_litert, "onnx": by_onnxruntime}


def paired(places, sample):
    """Pairs of the inputs of a file, known by their names, and of the arrays that go there."""
    if not isinstance(sample, dict):
        (place,) = places.values()
        return [(place, sample)]
    left, pairs = dict(places), []
    for name in sorted(sample, key=len, reverse=True):  # "series_mask" before "series"
        found = next(found for found in left if name in found)
        pairs.append((left.pop(found), sample[name]))
    return pairs


def example(encoder, rows=2):
    """Some samples that an encoder takes, float32 pixels from 0 to 255 and small ints: an array or a dict of them."""
    return samples(encoder, rows, smallest_side(encoder), smallest_length(encoder))


def samples(encoder, rows, side, length):
    generator, names = np.random.default_rng(0), input_names(encoder)
    made = [drawn(tensor, rows, generator, side if len(tensor.shape) == 4 else length) for tensor in encoder.inputs]
    return dict(zip(names, made, strict=True)) if names else made[0]


def smallest_length(encoder):
    """Steps or samples that an encoder of series or sounds of any length takes."""
    if not any(len(x.shape) in (2, 3) and x.shape[1] is None for x in encoder.inputs):
        return LENGTHS[0]
    for length in LENGTHS:
        sample = samples(encoder, 1, None, length)
        try:  # convolutions of a backend that get too little raise errors of several classes, or make nothing of it
            encoder.compute_output_spec(keras.tree.map_structure(spec, sample))
            found = keras.ops.convert_to_numpy(encoder(sample, training=False))
        except Exception:
            continue
        if np.isfinite(found).all() and found.any():  # the maximum of no frames is not
            return length
    return LENGTHS[-1]


def spec(x):
    return keras.KerasTensor(x.shape, str(x.dtype))


def smallest_side(encoder):
    """Pixels to a side that an encoder of images of any size takes.

    The memory of attention grows with the fourth power of the side: 5 GB a block at 224 pixels with patches of 2.
    """
    if not any(len(x.shape) == 4 and None in x.shape[1:3] for x in encoder.inputs):
        return None
    names = input_names(encoder)
    for side in SIDES:
        shapes = [[side if size is None else size for size in x.shape[1:]] for x in encoder.inputs]
        inputs = [keras.KerasTensor((1, *shape), x.dtype) for shape, x in zip(shapes, encoder.inputs)]
        try:
            encoder.compute_output_spec(dict(zip(names, inputs, strict=True)) if names else inputs[0])
        except Exception:  # Keras's layers raise errors of several classes where an image is too small
            continue
        return side
    return SIDES[-1]


def drawn(tensor, rows, generator, unknown):
    rank, dtype = len(tensor.shape), keras.backend.standardize_dtype(tensor.dtype)
    shape = (rows, *(unknown if size is None else size for size in tensor.shape[1:]))
    if dtype == "bool":
        return np.ones(shape, "bool")
    if "int" in dtype:
        return generator.integers(0, 2, shape).astype(dtype)
    pixels = rank >= 4
    return (generator.uniform(0, 255, shape) if pixels else generator.normal(size=shape)).astype("float32")
