"""Fuzz: any argument may be anything. Either it works, or one error of this package names the argument.

The examples are the same in every run. `KERAS_SSL_FUZZ=1000` tries a thousand for each test instead of a few.
"""

import inspect
import math
import os
import traceback
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import METHODS, augment, data, encoders, heads, inputs, memory, optimizers
from keras_ssl.augment.image import recipes
from keras_ssl.method import arguments as arguments_of
from tests import cases
from tests.cases import BATCH

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies

EXAMPLES = int(os.environ.get("KERAS_SSL_FUZZ", 0))
WRONG = [0, -1, 1.5, -0.5, None, "x", True, math.nan, math.inf, 2**31, 10**20, 1e300, [], [1, 2], (3,), b"x", {}]
WRONG += [object(), np.float32("nan"), np.zeros(3), [math.nan, 1.0], (-1, 2), ["x"]]


def fuzz(few):
    """A test of so many examples, or of as many as the environment says."""
    return hypothesis.settings(
        max_examples=EXAMPLES or few,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def nonsense(value):
    """What no argument may be."""
    if isinstance(value, (list, tuple)):
        return any(map(nonsense, value))
    if isinstance(value, (int, float, np.floating)):
        return not math.isfinite(value) or value < 0 or value > 1e100
    return value is not None


PACKAGE = Path(keras_ssl.__file__).resolve().parent


def ours(place):
    """Whether a line of a traceback is the package's: told by its own folder, not by a name that others may have."""
    return Path(place.filename).resolve().is_relative_to(PACKAGE)


def attempt(make, known, name, value, accepts=()):
    """Makes it with one argument that may be wrong.

    Args:
        make: what is called with keywords.
        known: the other arguments.
        name, value: the argument.
        accepts: names of the arguments that may be negative, text or an object.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            make(**{**known, name: value})
    except (ValueError, TypeError, FileNotFoundError) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        assert ours(place), f"{name}={value!r}: {place.filename}: {error!r}"
        named = name in str(error) and ("Received" in str(error) or f"{name}={value}" in str(error))
        assert named or isinstance(error, FileNotFoundError), f"{name}={value!r}: {error!r}"
    else:
        assert name in accepts or not nonsense(value), f"{name}={value!r} is accepted"


def test_what_is_nonsense():
    assert [nonsense(value) for value in (0, 1.5, None, True, (1, 2))] == [False] * 5
    assert all(map(nonsense, (-1, math.nan, 10**200, "x", (1, math.inf), object())))
    with pytest.raises(AssertionError, match="is accepted"):
        attempt(lambda size: None, {}, "size", -1)
    with pytest.raises(AssertionError, match="test_fuzz"):
        attempt(lambda size: int(size), {}, "size", "x")


@pytest.mark.parametrize("folder", ["/home/me/keras_ssl/tests", "/home/me/keras_ssl/.venv/keras", "/keras_ssl other"])
def test_a_folder_of_the_same_name_is_not_the_package(folder):
    assert not ours(traceback.FrameSummary(f"{folder}/x.py", 1, "x"))
    assert ours(traceback.FrameSummary(keras_ssl.__file__, 1, "x"))


SHARED = {}


def shared(name):
    """The encoder, views and other arguments of a method, made once."""
    if name not in SHARED:
        SHARED[name] = cases.parts(name)
    return SHARED[name]


@pytest.mark.parametrize("name", [*METHODS, "DiscreteVAE", "VQTokenizer"])
@fuzz(14)
@hypothesis.given(st.data())
def test_methods(name, data):
    cls = getattr(keras_ssl, name)
    known = shared(name) if name in METHODS else {"stride": 4, "vocabulary": 8, "dim": 4, "width": 4, "blocks": 0}
    argument = data.draw(st.sampled_from([x for x in arguments_of(cls) if x != "augment"]))
    attempt(cls, known, argument, data.draw(st.sampled_from(WRONG)))


VIEW = augment.Grayscale()
# The arguments that a layer or a recipe must be given.
NEEDED = {
    "size": 8, "grid": 8, "layers": [VIEW], "views": [VIEW], "layer": VIEW, "sizes": (1, 2), "targets": 1, "count": 2,
    "tiles": 4, "orders": [(0, 1, 2, 3), (1, 0, 3, 2)], "degrees": [0, 90], "operations": ["rotate"], "step": 1,
    "length": 4, "mask_id": 1, "view": VIEW, "labeled": [VIEW], "unlabeled": [VIEW],
    "counts": [1] * 1000,
}  # fmt: skip


def parameters(made):
    """The arguments by their names, and those that have to be given."""
    found = inspect.signature(made.__init__ if inspect.isclass(made) else made).parameters.values()
    found = [x for x in found if x.kind is x.POSITIONAL_OR_KEYWORD or x.kind is x.KEYWORD_ONLY]
    found = [x for x in found if x.name not in ("self", "name", "dtype")]
    known = {x.name: NEEDED[x.name] for x in found if x.default is x.empty and x.name in NEEDED}
    if made is augment.PairedClip:
        known["view"] = augment.ReverseTime()
    if made is augment.Located:
        known["views"] = augment.Views(augment.RandomResizedCrop(4), 2)
    return [x.name for x in found], known


def layers():
    for name in augment.__all__:
        made = getattr(augment, name)
        if inspect.isclass(made) and issubclass(made, keras.layers.Layer) and parameters(made)[0]:
            yield name


@pytest.mark.parametrize("name", list(layers()))
@fuzz(12)
@hypothesis.given(st.data())
def test_augmentation_layers(name, data):
    made = getattr(augment, name)
    names, known = parameters(made)
    known |= {"count": None} if name == "Views" else {"size": 2} if name == "HoleMask" else {}
    argument = data.draw(st.sampled_from(names))
    attempt(made, known, argument, data.draw(st.sampled_from(WRONG)), accepts=("seed", "jitter", "fill", "mean", "snr"))


OF_OTHER_KINDS = [
    "simclr_video", "simclr_audio", "simclr_series", "simclr_activity", "simclr_tokens", "simclr_graph",
]  # fmt: skip


@pytest.mark.parametrize("name", [*(name for name in recipes.__all__ if name != "present"), *OF_OTHER_KINDS])
@fuzz(6)
@hypothesis.given(st.data())
def test_recipes(name, data):
    """A recipe's arguments go on to layers, which may call them otherwise (`blur_p` is `p`)."""
    made = getattr(augment, name)
    names, known = parameters(made)
    argument = data.draw(st.sampled_from(names))
    value = data.draw(st.sampled_from(WRONG))
    try:
        made(**{**known, argument: value})
    except (ValueError, TypeError) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        assert ours(place) and "Received" in str(error), f"{argument}={value!r}: {place.filename}: {error!r}"
    else:
        fine = argument in ("seed", "fill", "policy", "convert", "snr", "pad_id") or not nonsense(value)
        assert fine, f"{argument}={value!r} is accepted"


PARTS = {
    "resnet18": (encoders.resnet18, {"input_shape": (16, 16, 3), "width": 4}),
    "vit": (encoders.vit, {"input_shape": (8, 8, 3), "patch": 4, "width": 8, "depth": 1, "heads": 2}),
    "swin": (
        encoders.swin,
        {"input_shape": (8, 8, 3), "patch": 4, "width": 8, "depths": (1,), "heads": (2,), "window": 2},
    ),
    "conv_vit": (
        encoders.conv_vit,
        {"input_shape": (8, 8, 3), "patch": (1, 2, 2), "width": (4, 4, 8), "depth": (1, 1, 1), "heads": 2},
    ),
    "text_transformer": (
        encoders.text_transformer, {"vocabulary": 5, "length": 4, "width": 8, "depth": 1, "heads": 2}
    ),
    "r3d18": (encoders.r3d18, {"input_shape": (2, 8, 8, 3), "width": 1}),
    "conv1d": (encoders.conv1d, {"input_shape": (8, 2), "filters": (4,), "kernels": (3,)}),
    "sensor_cnn": (encoders.sensor_cnn, {"input_shape": (48, 3)}),
    "audio2vec": (encoders.audio2vec, {"widths": (2,)}),
    "spectrogram_decoder": (
        encoders.spectrogram_decoder, {"inputs": 4, "frames": 3, "mels": 3, "slices": 1, "widths": (2,)}
    ),
    "cpc_audio": (encoders.cpc_audio, {"filters": (2,), "kernels": (3,), "strides": (1,), "context": 2}),
    "gin": (encoders.gin, {"features": 3, "width": 4, "depth": 1}),
    "LogMel": (encoders.LogMel, {"sampling_rate": 8000, "mels": 4}),
    "token_decoder": (
        encoders.token_decoder, {"inputs": 8, "grid": 2, "width": 8, "depth": 1, "heads": 2, "outputs": 4}
    ),
    "mlp": (heads.mlp, {"inputs": 4, "hidden": 4, "dim": 4}),
    "dino_head": (heads.dino_head, {"inputs": 4, "hidden": 4, "dim": 4}),
    "Prototypes": (heads.Prototypes, {"dim": 4, "count": 4}),
    "Queue": (memory.Queue, {"size": 4, "dim": 4}),
    "Bank": (memory.Bank, {"size": 4, "dim": 4}),
    "LARS": (optimizers.LARS, {}),
    "SGD": (optimizers.SGD, {}),
    "AdamW": (optimizers.AdamW, {}),
    "warmup_cosine": (optimizers.warmup_cosine, {"peak": 0.1, "steps": 10}),
    "cosine": (optimizers.cosine, {"start": 0.1, "end": 0.0, "steps": 10}),
    "scale": (optimizers.scale, {"learning_rate": 0.1, "batch_size": 32}),
    "Checkpoint": (keras_ssl.Checkpoint, {"folder": "unused"}),
}
# What goes on to Keras, which has its own words.
OTHERS = ("activation", "initializer", "output_norm", "exclude", "folder", "best", "preprocessing", "learning_rate")


@pytest.mark.parametrize("name", PARTS)
@fuzz(14)
@hypothesis.given(st.data())
def test_encoders_heads_memory_and_optimizers(name, data):
    made, known = PARTS[name]
    argument = data.draw(st.sampled_from([x for x in parameters(made)[0] if x not in OTHERS]))
    attempt(made, known, argument, data.draw(st.sampled_from(WRONG)), accepts=("mean",))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    for number in range(4):
        pixels = np.full((10, 12, 3), 40 * number, "uint8")
        (root / "ab"[number % 2]).mkdir(exist_ok=True)
        keras.utils.save_img(root / "ab"[number % 2] / f"{number}.png", pixels, scale=False)
    return root


def pipelines(folder):
    paths = sorted(str(path) for path in folder.rglob("*.png"))
    crop = augment.Views(augment.RandomResizedCrop(8), 2)
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), "uint8")
    return {
        "arrays": (data.arrays, {"samples": images, "batch_size": 2}),
        "image_folder": (data.image_folder, {"path": folder, "size": 8, "batch_size": 2}),
        "files": (data.files, {"paths": paths, "size": 8, "batch_size": 2}),
        "image_folder_views": (data.image_folder_views, {"path": folder, "augment": crop, "batch_size": 2}),
        "files_views": (data.files_views, {"paths": paths, "augment": crop, "batch_size": 2}),
        "class_balanced": (data.class_balanced, {"labels": [0, 0, 1, 1], "count": 2}),
    }


PIPELINES = ["arrays", "image_folder", "files", "image_folder_views", "files_views", "class_balanced"]


@pytest.mark.parametrize("name", PIPELINES)
@fuzz(12)
@hypothesis.given(st.data())
def test_pipelines(folder, name, draws):
    made, known = pipelines(folder)[name]
    argument = draws.draw(st.sampled_from([x for x in parameters(made)[0] if x != "jit_compile"]))
    value = draws.draw(st.sampled_from(WRONG))
    negative = ("seed", "labels", "parallel_calls")
    attempt(made, known, argument, value, accepts=negative if not isinstance(value, (str, bytes, float)) else ())


# What a batch may be: functions of a batch and of the name of its samples' column. A method is called on it in eager
# mode, so that nothing is traced.
CHANGES = {
    "nothing": lambda batch, x: batch,
    "no samples": lambda batch, x: {k: v for k, v in batch.items() if k != x},
    "no index": lambda batch, x: {k: v for k, v in batch.items() if k != "index"},
    "no label": lambda batch, x: {k: v for k, v in batch.items() if k != "label"},
    "no text": lambda batch, x: {k: v for k, v in batch.items() if k != "text"},
    "one sample": lambda batch, x: {**batch, x: batch[x][0]},
    "an axis more": lambda batch, x: {**batch, x: batch[x][None]},
    "no rows": lambda batch, x: {k: v[:0] for k, v in batch.items()},
    "words for samples": lambda batch, x: {**batch, x: np.array(["a", "b"])},
    "complex samples": lambda batch, x: {**batch, x: batch[x].astype("complex64")},
    "objects": lambda batch, x: {**batch, x: None},
    "labels in one-hot": lambda batch, x: {**batch, "label": np.eye(3)[batch["label"]]},
    "floats for numbers": lambda batch, x: {**batch, **{k: v * 1.0 for k, v in batch.items() if k in NUMBERS}},
    "pairs": lambda batch, x: (batch[x], batch[x]),
}
NUMBERS = ("label", "index", "text")
OF_IMAGES = {
    "one channel": lambda batch, x: {**batch, x: batch[x][..., :1]},
    "five channels": lambda batch, x: {**batch, x: batch[x][..., [0, 1, 2, 0, 1]]},
    "channels first": lambda batch, x: {**batch, x: np.moveaxis(batch[x], -1, 1)},
    "an array": lambda batch, x: batch[x],
}


# What a batch of a kind may be, beside what all may be.
OF_MASKS = {
    "a mask of another length": lambda batch, m: {**batch, m: batch[m][:, :-1]},
    "a mask of another rank": lambda batch, m: {**batch, m: batch[m][..., None]},
    "nothing is real": lambda batch, m: {**batch, m: batch[m] & False},
    "no mask": lambda batch, m: {k: v for k, v in batch.items() if k != m},
}


def of_mask(mask):
    return {f"{change} ({mask})": lambda batch, x, f=f: f(batch, mask) for change, f in OF_MASKS.items()}


OF_KINDS = {
    inputs.IMAGE: OF_IMAGES,
    inputs.VIDEO: {
        "one channel": OF_IMAGES["one channel"],
        "channels first": OF_IMAGES["channels first"],
        "one frame": lambda batch, x: {**batch, x: batch[x][:, :1]},
        "no frame": lambda batch, x: {**batch, x: batch[x][:, :0]},
        "images": lambda batch, x: {**batch, x: batch[x][:, 0]},
    },
    inputs.AUDIO: {
        "whole numbers": lambda batch, x: {**batch, x: (batch[x] * 1000).astype("int16")},
        "a channel": lambda batch, x: {**batch, x: batch[x][..., None]},
        "two channels": lambda batch, x: {**batch, x: np.stack([batch[x]] * 2, axis=-1)},
        "short": lambda batch, x: {**batch, x: batch[x][:, :3]},
    },
    inputs.SERIES: {
        "no channel": lambda batch, x: {**batch, x: batch[x][..., 0]},
        "channels first": lambda batch, x: {**batch, x: np.moveaxis(batch[x], -1, 1)},
        "short": lambda batch, x: {**batch, x: batch[x][:, :3]},
        "no steps": lambda batch, x: {**batch, x: batch[x][:, :0]},
    },
    inputs.TOKENS: {
        **of_mask("padding_mask"),
        "vectors": lambda batch, x: {**batch, x: np.stack([batch[x]] * 3, axis=-1)},
        "floats": lambda batch, x: {**batch, x: batch[x] * 1.0},
        "no tokens": lambda batch, x: {**batch, x: batch[x][:, :0]},
    },
    inputs.GRAPH: {
        **of_mask("nodes_mask"),
        **of_mask("edges_mask"),
        "no edges": lambda batch, x: {k: v for k, v in batch.items() if k != "edges"},
        "edges of three": lambda batch, x: {**batch, "edges": np.concatenate([batch["edges"]] * 2, -1)[..., :3]},
        "edges as one list": lambda batch, x: {**batch, "edges": batch["edges"][..., 0]},
        "edges to no node": lambda batch, x: {**batch, "edges": batch["edges"] + 1000},
        "floats for edges": lambda batch, x: {**batch, "edges": batch["edges"] * 1.0},
        "labels for features": lambda batch, x: {**batch, x: batch[x][..., 0].astype("int32")},
        "a feature too few": lambda batch, x: {**batch, x: batch[x][..., 1:]},
    },
}


# What a layer or a model alone does not see: values, which `fit` looks at; and another form that a layer needs.
BEYOND = {(name, "edges to no node") for name in ("DropNodes", "Subgraph", "SimCLR")} | {("SpectrumMask", "nothing")}


def changed(draws, kind, batch):
    """The name of a change of a batch of the kind, and the changed batch."""
    changes = CHANGES | OF_KINDS[kind]
    change = draws.draw(st.sampled_from(sorted(changes)))
    try:
        return change, changes[change](batch, kind.column)
    except KeyError:  # what is changed is not there
        hypothesis.reject()


def check_error(change, error):
    place = traceback.extract_tb(error.__traceback__)[-1]
    assert ours(place), f"{change}: {place.filename}: {error!r}"
    assert change != "nothing" and "Received" in str(error), f"{change}: {error!r}"


@pytest.mark.parametrize("name", cases.names())
@fuzz(4)
@hypothesis.given(st.data())
def test_inputs(name, data):
    kind = cases.case_of(name).kind
    if name not in MODELS:
        MODELS.clear()
        MODELS[name] = cases.method_of(name)(**shared(name))
    change, batch = changed(data, kind, cases.columns(name, BATCH))
    hypothesis.assume((type(MODELS[name]).__name__, change) not in BEYOND)
    try:
        outputs = MODELS[name](batch, training=True)
    except (ValueError, TypeError) as error:
        check_error(change, error)
    else:
        assert np.isfinite(keras.tree.flatten(outputs["loss"])).all(), change


MODELS = {}
KINDS = [name for name in cases.further() if name.startswith("SimCLR of ")]


@pytest.mark.parametrize("name", KINDS)
@fuzz(12)
@hypothesis.given(st.data())
def test_arrays_of_other_kinds(name, data):
    """What `data.arrays` takes, each pass of it gives."""
    change, batch = changed(data, cases.case_of(name).kind, cases.columns(name, BATCH))
    if isinstance(batch, dict):
        batch = {k: v for k, v in batch.items() if k not in ("label", "index")}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = keras_ssl.data.arrays(batch, 1)
    except (ValueError, TypeError) as error:
        check_error(change, error)
    else:
        assert next(iter(made))["seed"].shape == (1, 2)


def layers_of(kind):
    """The augmentation layers of a kind, each with the arguments that it must have."""
    for name in layers():
        made = getattr(augment, name)
        if made.kind is kind:
            yield made(**parameters(made)[1])


@pytest.mark.parametrize("name", KINDS)
@fuzz(30)
@hypothesis.given(st.data())
def test_layers_of_other_kinds(name, data):
    """A layer changes a batch, or says what is wrong with it."""
    kind = cases.case_of(name).kind
    change, batch = changed(data, kind, cases.columns(name, BATCH))
    layer = data.draw(st.sampled_from(list(layers_of(kind))))
    hypothesis.assume((type(layer).__name__, change) not in BEYOND)
    try:
        outputs = layer(batch)
    except (ValueError, TypeError) as error:
        check_error(f"{change} of {type(layer).__name__}", error)
    else:
        assert all(np.isfinite(np.asarray(x)).all() for x in keras.tree.flatten(outputs)), change
