"""A method for each kind of data: samples, encoders and cases of SimCLR, and of BYOL for a teacher of several inputs.

They are no methods of the package: they show that its base, its augmentation and its pipelines know no kind of data.
"""

import keras
import numpy as np
from keras import layers, ops

import keras_ssl
from keras_ssl import inputs
from tests.cases import Case

FRAMES, SIDE, WAVE, TIME, LENGTH, NODES, EDGES, VOCABULARY = 4, 8, 32, 24, 10, 6, 8, 20


def smooth(rng, *shape):
    """Values that follow one another along the second axis, so that parts of a sample are alike."""
    steps = rng.normal(size=shape) + 2 * rng.normal(size=(shape[0], 1, *shape[2:]))
    return (np.cumsum(steps, axis=1) / 4).astype("float32")


def videos(count):
    pixels = np.random.default_rng(0).integers(0, 256, (count, 1, 4, 4, 3), "uint8")
    pixels = pixels.repeat(3, axis=2).repeat(3, axis=3).repeat(FRAMES + 2, axis=1)
    return {"video": pixels // 2 + np.arange(FRAMES + 2, dtype="uint8")[None, :, None, None, None] * 10}


def video_encoder():
    clips = keras.Input((None, None, None, 3))
    x = layers.Conv3D(8, (2, 3, 3), strides=(1, 2, 2))(layers.Rescaling(1 / 127.5, offset=-1)(clips))
    x = layers.ReLU()(layers.BatchNormalization(synchronized=keras_ssl.distribute.replicas() > 1)(x))
    return keras.Model(clips, layers.GlobalAveragePooling3D()(x))


def video_views():
    return keras_ssl.augment.simclr_video(SIDE, frames=FRAMES, stride=1)


def sounds(count):
    return {"audio": smooth(np.random.default_rng(0), count, WAVE + 8)}


def audio_encoder():
    waves = keras.Input((None,))
    x = layers.Conv1D(8, 5, strides=2, activation="relu")(layers.Reshape((-1, 1))(waves))
    return keras.Model(waves, layers.GlobalAveragePooling1D()(layers.Conv1D(8, 3, activation="relu")(x)))


def audio_views():
    return keras_ssl.augment.simclr_audio(WAVE)


def series(count):
    return {"series": smooth(np.random.default_rng(0), count, TIME + 6, 3)}


def series_encoder():
    signals = keras.Input((None, 3))
    x = layers.Conv1D(8, 3, strides=2, activation="relu")(signals)
    return keras.Model(signals, layers.GlobalAveragePooling1D()(layers.Conv1D(8, 3, activation="relu")(x)))


def series_views():
    return keras_ssl.augment.simclr_series(TIME)


def tokens(count, length=LENGTH):
    """Texts of unequal lengths: token 0 is the padding."""
    rng = np.random.default_rng(0)
    real = np.arange(length) < rng.integers(5, length, (count, 1))
    return {"token_ids": np.where(real, rng.integers(1, VOCABULARY, (count, length)), 0), "padding_mask": real}


def token_encoder():
    """Attention and a mean over what is real."""
    ids = keras.Input((None,), dtype="int32", name="token_ids")
    real = keras.Input((None,), dtype="bool", name="padding_mask")
    x = layers.Embedding(VOCABULARY, 8)(ids)
    y = layers.MultiHeadAttention(2, 4, use_bias=False)(x, x, attention_mask=real[:, None, :])
    x = layers.Dense(16, activation="relu")(x + y)
    return keras.Model({"token_ids": ids, "padding_mask": real}, MaskedMean()(x, real))


def token_views():
    return keras_ssl.augment.simclr_tokens()


def graphs(count):
    """Graphs of unequal sizes."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(3, NODES + 1, (count, 1))
    real, kept = np.arange(NODES) < sizes, np.arange(EDGES) < rng.integers(4, EDGES + 1, (count, 1))
    nodes = rng.normal(size=(count, NODES, 3)).astype("float32") * real[..., None]
    edges = rng.integers(0, sizes[..., None], (count, EDGES, 2)).astype("int32") * kept[..., None]
    return {"nodes": nodes, "edges": edges, "nodes_mask": real, "edges_mask": kept}


def graph_encoder():
    """Two sums over neighbors and a mean over what is real."""
    taken = {
        "nodes": keras.Input((None, 3), name="nodes"),
        "edges": keras.Input((None, 2), dtype="int32", name="edges"),
        "nodes_mask": keras.Input((None,), dtype="bool", name="nodes_mask"),
        "edges_mask": keras.Input((None,), dtype="bool", name="edges_mask"),
    }
    x = taken["nodes"]
    for _ in range(2):
        x = layers.Dense(8, activation="relu")(Neighbors()(x, taken["edges"], taken["edges_mask"]))
    return keras.Model(taken, MaskedMean()(x, taken["nodes_mask"]))


def graph_views():
    return keras_ssl.augment.simclr_graph()


@keras.saving.register_keras_serializable("tests")
class MaskedMean(layers.Layer):
    def call(self, x, mask):
        weights = ops.cast(mask, x.dtype)[..., None]
        return ops.sum(x * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1)

    def compute_output_shape(self, shape, *args):
        return (shape[0], shape[-1])


@keras.saving.register_keras_serializable("tests")
class Neighbors(layers.Layer):
    """The nodes, and the sums of those that edges lead from."""

    def call(self, nodes, edges, mask):
        places = ops.arange(ops.shape(nodes)[1], dtype="int32")
        start, end = (ops.cast(edges[..., i, None] == places, nodes.dtype) for i in range(2))
        start = start * ops.cast(mask, nodes.dtype)[..., None]
        return nodes + ops.matmul(ops.transpose(end, (0, 2, 1)), ops.matmul(start, nodes))

    def compute_output_shape(self, shape, *args):
        return shape


SIMCLR = {"hidden": 16, "dim": 8, "temperature": 0.5}
BYOL = {"hidden": 16, "dim": 8, "momentum": 0.9, "steps": 20}
OF_TOKENS = {"encoder": token_encoder, "views": token_views, "kind": inputs.TOKENS, "samples": tokens}
OF_KINDS = {
    "SimCLR of videos": {
        "encoder": video_encoder, "views": video_views, "kind": inputs.VIDEO, "samples": videos,
    },
    "SimCLR of sounds": {
        "encoder": audio_encoder, "views": audio_views, "kind": inputs.AUDIO, "samples": sounds,
    },
    "SimCLR of series": {
        "encoder": series_encoder, "views": series_views, "kind": inputs.SERIES, "samples": series,
    },
    "SimCLR of tokens": OF_TOKENS,
    "SimCLR of graphs": {
        "encoder": graph_encoder, "views": graph_views, "kind": inputs.GRAPH, "samples": graphs,
    },
}  # fmt: skip
CASES = {name: Case(SIMCLR, method=keras_ssl.SimCLR, base=True, **rest) for name, rest in OF_KINDS.items()}
CASES["BYOL of tokens"] = Case(BYOL, method=keras_ssl.BYOL, base=True, **OF_TOKENS)
