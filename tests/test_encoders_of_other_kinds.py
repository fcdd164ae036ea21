"""Encoders of clips, sounds, series, texts and graphs: padding and neighbors in the batch have no part in a sample."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import encoders, inputs, teacher

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")


def moved(model, seed=1):
    """The model with weights far from their start, statistics of batch normalization too."""
    draw = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.path.endswith(("gamma", "moving_variance")):
            variable.assign(draw.uniform(0.5, 1.5, variable.shape))
        elif len(variable.shape) == 1 and "seed" not in variable.path:
            variable.assign(draw.normal(0, 0.3, variable.shape))
    return model


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def padded(column, lengths, size, *channels, seed=0, garbage=7.0):
    """A batch of samples of these lengths; what is no sample holds garbage."""
    x = random(len(lengths), size, *channels, seed=seed)
    mask = np.arange(size) < np.array(lengths)[:, None]
    return {column: np.where(mask.reshape(*mask.shape, *[1] * len(channels)), x, garbage), f"{column}_mask": mask}


def alone(batch, i):
    """Sample i of a batch without its padding: its arrays are as long as it."""
    size = {name: array[i].sum() for name, array in batch.items() if name.endswith("mask")}
    if "token_ids" in batch:
        size["token_ids"] = size["padding_mask"]
    return {name: array[i : i + 1, : size.get(name, size.get(f"{name}_mask"))] for name, array in batch.items()}


def graphs(sizes, nodes, edges, labels=4, features=None, seed=0, garbage=3):
    """Graphs of these numbers of nodes and edges, padded; edges of padding point anywhere."""
    draw = np.random.default_rng(seed)
    values = draw.integers(0, labels, (len(sizes), nodes)) if features is None else random(len(sizes), nodes, features)
    found = {
        "nodes": values.astype("int32" if features is None else "float32"),
        "nodes_mask": np.arange(nodes) < np.array([n for n, _ in sizes])[:, None],
        "edges": np.full((len(sizes), edges, 2), garbage, "int32"),
        "edges_mask": np.arange(edges) < np.array([e for _, e in sizes])[:, None],
    }
    for row, (n, e) in zip(found["edges"], sizes):
        row[:e] = draw.integers(0, n, (e, 2))
    return found


def again(model):
    """A model out of the configuration, with the same weights."""
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy


CONV1D = {
    "plain": {},
    "max": {"pooling": "max", "norm": "layer"},
    "strides": {"strides": (1, 2, 3), "kernels": (5, 4, 3)},
    "valid": {"padding": "valid", "strides": (2, 1, 2), "kernels": (4, 3, 2), "norm": None},
}


@pytest.mark.parametrize("options", CONV1D.values(), ids=CONV1D)
def test_a_series_alone_is_the_series_padded(options):
    model = moved(encoders.conv1d((None, 3), filters=(8, 12, 6), masked=True, **options))
    batch = padded("series", (30, 17, 23), 40, 3)
    found = model.predict(batch, verbose=0)
    for i in range(3):
        np.testing.assert_allclose(model(alone(batch, i))[0], found[i], atol=1e-5)
    other = padded("series", (30, 17, 23), 40, 3, garbage=np.nan)
    np.testing.assert_allclose(model(other), found, atol=1e-5)
    if options.get("norm", "batch") == "batch":  # in training the padding does not move the statistics
        longer = {name: np.concatenate([x, x[:, -9:]], axis=1) for name, x in batch.items()}
        states = []
        for data in (batch, longer):
            copy = again(model)
            result = copy(data, training=True).numpy()
            states.append([result, *(v.numpy() for v in copy.non_trainable_variables)])
        for one, two in zip(*states):
            np.testing.assert_allclose(one, two, atol=1e-5)


def test_a_map_has_as_many_places_as_the_sample_alone():
    for options in CONV1D.values():
        model = moved(encoders.conv1d((None, 3), filters=(8, 12, 6), masked=True, **{**options, "pooling": None}))
        batch = padded("series", (30, 17), 40, 3)
        for i, places in enumerate(model(batch).numpy()):
            one = model(alone(batch, i)).numpy()[0]
            np.testing.assert_allclose(places[: len(one)], one, atol=1e-5)
            assert (places[len(one) :] == 0).all() and len(one) < len(places)


def test_conv1d_without_a_mask_and_with_a_full_one_are_one():
    model = moved(encoders.conv1d((20, 3), filters=(8, 6), kernels=(5, 4), strides=(2, 1)))
    masked = encoders.conv1d((20, 3), filters=(8, 6), kernels=(5, 4), strides=(2, 1), masked=True)
    masked.set_weights(model.get_weights())
    x = random(4, 20, 3)
    full = {"series": x, "series_mask": np.ones((4, 20), bool)}
    for training in (True, False):
        np.testing.assert_allclose(masked(full, training=training), model(x, training=training), atol=1e-5)
    for one, two in zip(masked.variables, model.variables):
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_conv1d_is_the_loop():
    model = moved(encoders.conv1d((11, 2), filters=(3,), kernels=(4,), strides=(2,), norm=None, pooling="max"))
    x = random(1, 11, 2)
    kernel, bias = (v.numpy() for v in model.weights)
    ends = np.pad(x[0], ((2, 1), (0, 0)))
    places = [np.einsum("kc,kcf->f", ends[2 * j : 2 * j + 4], kernel) + bias for j in range(6)]
    np.testing.assert_allclose(model(x)[0], np.maximum(places, 0).max(axis=0), atol=1e-5)


def test_sounds():
    model = moved(encoders.conv1d((None,), filters=(8, 6), kernels=(10, 4), strides=(5, 2), padding="valid",
                                  norm="layer", masked=True))
    batch = padded("audio", (300, 180), 400)
    assert inputs.input_names(model) == ["audio", "audio_mask"] and inputs.kind_of_encoder(model) is inputs.AUDIO
    found = model(batch).numpy()
    for i in range(2):
        np.testing.assert_allclose(model(alone(batch, i))[0], found[i], atol=1e-5)
    too_short = padded("audio", (300, 4), 400)
    assert np.isfinite(model(too_short)).all() and not np.any(model(too_short)[1])


# Log-mel


def reference_log_mel(wave, rate, mels, low, high, epsilon):
    frame, step = round(0.025 * rate), round(0.01 * rate)
    size = 2 ** int(np.ceil(np.log2(frame)))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame)
    mel, hertz = (lambda f: 2595 * np.log10(1 + f / 700)), (lambda m: 700 * (10 ** (m / 2595) - 1))
    edges = [hertz(mel(low) + k * (mel(high) - mel(low)) / (mels + 1)) for k in range(mels + 2)]
    rows = []
    for start in range(0, len(wave) - frame + 1, step):
        power = np.abs(np.fft.rfft(wave[start : start + frame] * window, size)) ** 2
        row = []
        for a, b, c in zip(edges, edges[1:], edges[2:]):
            share = [max(0, min((f - a) / (b - a), (c - f) / (c - b))) for f in np.arange(len(power)) * rate / size]
            row.append(np.log(power @ share + epsilon))
        rows.append(row)
    return np.array(rows)


def test_log_mel_is_the_loop_and_knows_no_neighbor():
    layer = encoders.LogMel(8000, mels=20, low=50.0, high=3800.0)
    waves = random(3, 1700)
    waves[1] *= 1000.0  # a loud neighbor
    waves[2] = 0.0
    found = layer(waves).numpy()
    assert found.shape == (3, 19, 20) == layer.compute_output_shape((3, 1700)) and found.dtype == "float32"
    for wave, one in zip(waves.astype("float64"), found):
        np.testing.assert_allclose(one, reference_log_mel(wave, 8000, 20, 50.0, 3800.0, 1e-6), atol=2e-3)
    np.testing.assert_allclose(layer(waves[:1])[0], found[0], atol=1e-5)
    np.testing.assert_allclose(found[2], np.log(1e-6), atol=1e-5)  # silence
    copy = encoders.LogMel.from_config(layer.get_config())
    np.testing.assert_array_equal(copy(waves), found)


def test_log_mel_stays_exact_in_half_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    layer = encoders.LogMel(8000, mels=20)
    assert layer(random(1, 800)).dtype == "float32"
    model = encoders.conv1d((800,), filters=(4,), kernels=(3,), front=layer)
    assert model(random(2, 800)).dtype == "bfloat16"


def test_log_mel_refuses_what_has_no_frequencies():
    with pytest.raises(ValueError, match="bands are so narrow that they have no frequency"):
        encoders.LogMel(8000, mels=128)
    with pytest.raises(ValueError, match="high must be a finite number above 60 to 4000"):
        encoders.LogMel(8000, high=5000.0)


def test_log_mel_in_front_of_convolutions():
    layer = encoders.LogMel(8000, mels=20)
    model = moved(encoders.conv1d((None,), filters=(8, 6), kernels=(3, 3), front=layer, masked=True))
    batch = padded("audio", (900, 1500), 1700, garbage=0.1)
    found = model(batch).numpy()
    for i in range(2):
        np.testing.assert_allclose(model(alone(batch, i))[0], found[i], atol=1e-4)
    np.testing.assert_allclose(again(model)(batch), found, atol=1e-5)


# Texts


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("pooling", ["mean", "first", None])
def test_a_text_alone_is_the_text_padded(pooling, causal):
    options = {"vocabulary": 11, "width": 8, "depth": 2, "heads": 2, "pooling": pooling, "causal": causal}
    long, short = (moved(encoders.text_transformer(length=size, **options)) for size in (12, 5))
    for one, two in zip(short.variables, long.variables):  # the table of positions is as long as the text
        one.assign(two[:5] if one.path.endswith("positions") else two)
    tokens = np.random.default_rng(0).integers(0, 11, (3, 12))
    batch = {"token_ids": tokens, "padding_mask": np.arange(12) < np.array([5, 12, 8])[:, None]}
    found = long(batch).numpy()
    one = short(alone(batch, 0)).numpy()[0]
    np.testing.assert_allclose(found[0] if pooling else found[0, :5], one, atol=1e-5)
    if pooling is None:
        assert (found[0, 5:] == 0).all()
    other = {**batch, "token_ids": np.where(batch["padding_mask"], tokens, 3)}
    np.testing.assert_allclose(long(other), found, atol=1e-5)
    assert inputs.kind_of_encoder(long) is inputs.TOKENS


def test_a_causal_token_sees_nothing_behind_it():
    tokens = np.random.default_rng(0).integers(0, 11, (1, 6))
    changed = tokens.copy()
    changed[0, 5] = (changed[0, 5] + 1) % 11
    mask = np.ones((1, 6), bool)
    for causal in (True, False):
        model = moved(encoders.text_transformer(11, 6, 8, 2, 2, pooling=None, causal=causal))
        one, two = (model({"token_ids": x, "padding_mask": mask}).numpy()[0, :5] for x in (tokens, changed))
        assert np.allclose(one, two, atol=1e-6) is causal


def test_dropout_of_a_text_acts_in_training_alone():
    model = encoders.text_transformer(11, 6, 8, 2, 2, pooling="mean", causal=False, dropout=0.3)
    batch = {"token_ids": np.arange(6)[None], "padding_mask": np.ones((1, 6), bool)}
    np.testing.assert_array_equal(model(batch), model(batch))
    assert np.abs(model(batch, training=True) - model(batch, training=True)).max() > 1e-3


# Graphs


def reference_gin(model, nodes, edges, depth):
    """The sums over the nodes of one graph, layer by layer, one edge at a time."""
    w = {v.path.split("/", v.path.count("/") - 1)[-1]: v.numpy() for v in model.weights}
    sums = []
    for i in range(1, depth + 1):
        total = nodes.copy()
        for start, end in edges:
            total[end] += nodes[start]
        x = np.maximum(total @ w[f"hidden{i}/kernel"] + w[f"hidden{i}/bias"], 0)
        x = np.maximum(x @ w[f"output{i}/kernel"] + w[f"output{i}/bias"], 0)
        scale = w[f"norm{i}/gamma"] / np.sqrt(w[f"norm{i}/moving_variance"] + 1e-5)
        nodes = (x - w[f"norm{i}/moving_mean"]) * scale + w[f"norm{i}/beta"]
        sums.append(nodes.sum(axis=0))
    return np.concatenate(sums)


SIZES = [(5, 9), (3, 4), (7, 12), (1, 0), (4, 0)]  # one node, no edge


@pytest.mark.parametrize("features", [None, 3])
def test_a_graph_is_the_loop_over_its_edges(features):
    model = moved(encoders.gin(9, 14, features=features, labels=None if features else 4, width=6))
    batch = graphs(SIZES, 9, 14, features=features)
    found = model.predict(batch, verbose=0)
    assert found.shape == (5, 18)
    for i, (n, e) in enumerate(SIZES):
        nodes = batch["nodes"][i, :n]
        nodes = np.eye(4, dtype="float32")[nodes] if features is None else nodes
        np.testing.assert_allclose(found[i], reference_gin(model, nodes, batch["edges"][i, :e], 3), atol=1e-4)


@pytest.mark.parametrize("pooling", ["sum", "avg", "max"])
def test_a_graph_alone_is_the_graph_padded(pooling):
    model = moved(encoders.gin(labels=4, width=6, pooling=pooling))
    batch = graphs(SIZES, 9, 14)
    found = model(batch).numpy()
    for i in range(3):
        np.testing.assert_allclose(model(alone(batch, i))[0], found[i], atol=1e-5)
    order = [3, 1, 4, 0, 2]
    np.testing.assert_allclose(model({name: x[order] for name, x in batch.items()}), found[order], atol=1e-5)


def test_the_order_of_the_nodes_has_no_part():
    model = moved(encoders.gin(9, 14, labels=4, width=6))
    batch = graphs([(6, 14)], 9, 14)
    order = np.array([3, 1, 5, 0, 2, 4, 6, 7, 8])
    place = np.argsort(order)
    turned = {**batch, "nodes": batch["nodes"][:, order], "edges": place[batch["edges"]].astype("int32")}
    np.testing.assert_allclose(model(turned), model(batch), atol=1e-5)


def test_padding_of_graphs_moves_no_statistics():
    model = moved(encoders.gin(labels=4, width=6))
    states = []
    for nodes, edges, garbage in ((9, 14, 3), (20, 30, 0)):
        copy, batch = again(model), graphs(SIZES, 9, 14, garbage=garbage)
        for name, x in batch.items():
            size = nodes if name.startswith("nodes") else edges
            batch[name] = np.concatenate([x, np.zeros((5, size - x.shape[1], *x.shape[2:]), x.dtype)], axis=1)
        result = copy(batch, training=True).numpy()
        states.append([result, *(v.numpy() for v in copy.non_trainable_variables)])
    for one, two in zip(*states):
        np.testing.assert_allclose(one, two, atol=1e-5)
    assert np.abs(states[0][1] - model.non_trainable_variables[0].numpy()).max() > 1e-3


def test_two_replicas_normalize_graphs_as_one(two_replicas):
    strategy = two_replicas
    batch = graphs(SIZES + [(6, 3)], 9, 14)
    with strategy.scope():
        shared = encoders.gin(9, 14, labels=4, width=6, synchronized=True)
    one = encoders.gin(9, 14, labels=4, width=6)
    one.set_weights(shared.get_weights())
    expected = one(batch, training=True).numpy()
    data = tf.data.Dataset.from_tensor_slices(batch).batch(6)
    step = tf.function(lambda x: shared(x, training=True))
    parts = [strategy.run(step, (x,)) for x in strategy.experimental_distribute_dataset(data)][0]
    found = np.concatenate([x.numpy() for x in strategy.experimental_local_results(parts)])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for a, b in zip(shared.non_trainable_variables, one.non_trainable_variables):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-5)


# Clips


@pytest.mark.parametrize("factorized, count", [(False, 33_371_472), (True, 31_505_325)])
def test_has_as_many_parameters_as_the_original(factorized, count):
    model = encoders.r3d18(factorized=factorized)
    trained = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert trained == count - 512 * 400 - 400 and model.output_shape == (None, 512)  # torchvision's, without its top


@pytest.mark.parametrize("factorized", [False, True])
def test_clips(factorized):
    model = moved(encoders.r3d18((8, 16, 16, 3), width=4, factorized=factorized))
    clips = np.random.default_rng(0).integers(0, 256, (2, 8, 16, 16, 3)).astype("uint8")
    assert model(clips).shape == (2, 32) and inputs.kind_of_encoder(model) is inputs.VIDEO
    assert np.abs(model(clips) - model(clips[:, ::-1])).max() > 1e-4  # the order of the frames has a part
    np.testing.assert_allclose(again(model)(clips), model(clips), atol=1e-5)
    inside = keras.Model(model.input, model.get_layer("preprocessing").output)(clips).numpy()
    statistics = np.array([[0.43216, 0.394666, 0.37645], [0.22803, 0.22145, 0.216989]])
    np.testing.assert_allclose(inside, (clips / 255 - statistics[0]) / statistics[1], atol=1e-4)
    free = encoders.r3d18((None, None, None, 3), width=4, stem="large", pooling=None)
    assert free(np.zeros((1, 8, 32, 48, 3))).shape == (1, 1, 2, 3, 32)


def test_a_convolution_over_clips_is_the_loop():
    model = encoders.r3d18((4, 8, 8, 3), width=2, preprocessing=False, stem="large")
    x = random(1, 4, 8, 8, 3)
    kernel = model.get_layer("stem_conv").kernel.numpy()
    found = keras.Model(model.input, model.get_layer("stem_conv").output)(x).numpy()
    ends = np.pad(x[0], ((1, 1), (3, 3), (3, 3), (0, 0)))
    assert found.shape == (1, 4, 4, 4, 2)
    for t, i, j in ((0, 0, 0), (3, 3, 3), (1, 2, 0)):
        piece = ends[t : t + 3, 2 * i : 2 * i + 7, 2 * j : 2 * j + 7]
        np.testing.assert_allclose(found[0, t, i, j], np.einsum("thwc,thwcf->f", piece, kernel), atol=1e-4)


# All of them


MAKE = {
    "conv1d": lambda: encoders.conv1d((20, 3), filters=(4, 4), kernels=(3, 3), masked=True),
    "log_mel": lambda: encoders.conv1d((900,), filters=(4,), kernels=(3,), front=encoders.LogMel(8000, 9), masked=True),
    "text": lambda: encoders.text_transformer(11, 6, 8, 2, 2, pooling="mean", causal=False, dropout=0.1),
    "gin": lambda: encoders.gin(9, 14, labels=4, width=6),
    "r3d18": lambda: encoders.r3d18((4, 8, 8, 3), width=2),
}
BATCHES = {
    "conv1d": lambda: padded("series", (20, 9, 5, 13), 20, 3),
    "log_mel": lambda: padded("audio", (900, 500, 700, 800), 900, garbage=0.0),
    "text": lambda: {
        "token_ids": np.arange(24).reshape(4, 6) % 11, "padding_mask": np.arange(6) < np.array([6, 3, 4, 5])[:, None]
    },
    "gin": lambda: graphs(SIZES[:4], 9, 14),
    "r3d18": lambda: np.random.default_rng(0).integers(0, 256, (4, 4, 8, 8, 3)).astype("float32"),
}


@pytest.mark.parametrize("kind", MAKE)
def test_every_encoder_is_copied_saved_and_loaded(kind, tmp_path):
    model, batch = moved(MAKE[kind]()), BATCHES[kind]()
    expected = model(batch)
    twin = teacher.copy(model)
    np.testing.assert_allclose(twin(batch), expected, atol=1e-5)
    assert not twin.trainable_variables and inputs.input_names(twin) == inputs.input_names(model)
    model.save(tmp_path / "encoder.keras")
    loaded = keras_ssl.load(tmp_path / "encoder.keras")
    np.testing.assert_allclose(loaded(batch), expected, atol=1e-5)
    picked = inputs.for_encoder({**batch, "label": np.zeros(4)} if isinstance(batch, dict) else batch, loaded)
    np.testing.assert_allclose(loaded(picked), expected, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("kind", MAKE)
def test_every_encoder_in_half_precision(kind, policy):
    weights = moved(MAKE[kind]()).get_weights()
    exact = MAKE[kind]()
    exact.set_weights(weights)
    keras.config.set_dtype_policy(policy)
    half = MAKE[kind]()
    half.set_weights(weights)
    batch = BATCHES[kind]()
    found, expected = np.asarray(half(batch)).astype("float32"), exact(batch).numpy()
    assert keras.backend.standardize_dtype(half(batch).dtype) == policy.removeprefix("mixed_")
    assert np.abs(found - expected).max() < 0.1 * np.abs(expected).max()


@pytest.mark.parametrize("kind", MAKE)
def test_every_encoder_compiles(kind):
    model, batch = moved(MAKE[kind]()), BATCHES[kind]()
    batch = {name: tf.constant(x) for name, x in batch.items()} if isinstance(batch, dict) else tf.constant(batch)

    def step(batch):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(batch, training=False) ** 2)
        return loss, tape.gradient(loss, [v.value for v in model.trainable_variables])

    loss, gradients = step(batch)
    compiled, again = tf.function(step, jit_compile=True)(batch)
    assert all(gradient is not None for gradient in gradients)
    np.testing.assert_allclose(compiled, loss, rtol=1e-4)
    for one, two in zip(gradients, again):
        one, two = tf.convert_to_tensor(one), tf.convert_to_tensor(two)
        np.testing.assert_allclose(one, two, rtol=1e-2, atol=1e-3 * float(tf.reduce_max(tf.abs(one))) + 1e-4)


def test_jax_gives_the_same_features(tmp_path):
    expected = {}
    for kind in MAKE:
        model, batch = moved(MAKE[kind]()), BATCHES[kind]()
        model.save(tmp_path / f"{kind}.keras")
        np.save(tmp_path / f"{kind}.npy", batch if isinstance(batch, dict) else {"": batch})
        expected[kind] = model(batch).numpy()
    code = """
import sys, numpy as np, keras_ssl
for kind in sys.argv[2:]:
    model = keras_ssl.load(f"{sys.argv[1]}/{kind}.keras")
    batch = np.load(f"{sys.argv[1]}/{kind}.npy", allow_pickle=True).item()
    np.save(f"{sys.argv[1]}/{kind}_jax.npy", model.predict(batch.get("", batch), verbose=0))
"""
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path), *MAKE], env=environment, check=True)
    for kind, features in expected.items():
        np.testing.assert_allclose(np.load(tmp_path / f"{kind}_jax.npy"), features, rtol=1e-3, atol=1e-3, err_msg=kind)


@pytest.mark.parametrize("make, words", [
    (lambda: encoders.conv1d((20, 3, 1)), "input_shape must be"),
    (lambda: encoders.conv1d((20, 3), kernels=(3, 3)), "kernels must be positive ints, one for each"),
    (lambda: encoders.conv1d((20, 3), norm="group"), "norm must be one of"),
    (lambda: encoders.conv1d((20, 3), dropout=1.0), "dropout must be in"),
    (lambda: encoders.gin(9, 14), "needs features, the numbers of a node, or labels"),
    (lambda: encoders.gin(9, 14, labels=3, pooling="mean"), "pooling must be one of"),
    (lambda: encoders.r3d18((8, 16, 16)), "input_shape must be"),
    (lambda: encoders.r3d18((8, None, 16, 3)), "stem=None chooses by the size"),
    (lambda: encoders.text_transformer(pooling="cls"), "pooling must be one of"),
])
def test_wrong_arguments_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
