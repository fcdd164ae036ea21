"""BEiT's tokenizers: the dVAE of arXiv 2102.12092, the vector quantization of arXiv 2208.06366."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from keras_ssl import clustering, losses
from tests import cases
from tests.reference import masked as reference

STRIDE, VOCABULARY, DIM = 4, 12, 6
NAMES = ("DiscreteVAE", "VQTokenizer")
every_tokenizer = pytest.mark.parametrize("name", NAMES)


def make(name, optimizer=None, seed=0, run_eagerly=False, jit_compile=False, augment=None, **options):
    keras.utils.set_random_seed(seed)
    options = {"stride": STRIDE, "vocabulary": VOCABULARY, "dim": DIM, "width": 8} | options
    model = getattr(keras_ssl, name)(augment, **options)
    optimizer = optimizer or keras.optimizers.SGD(0.05, momentum=0.9)
    model.compile(optimizer, run_eagerly=run_eagerly, jit_compile=jit_compile)
    return model


def pixels(count=4, size=12, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (count, size // 4, size // 4, 3))
    return coarse.repeat(4, axis=1).repeat(4, axis=2).astype("float32")


def step(model, x):
    return {key: np.asarray(value) for key, value in model({"views": [x]}, training=True).items()}


# Losses


def test_losses_are_the_references():
    draw = np.random.default_rng(0)
    logits = tf.Variable(draw.normal(size=(3, 5, 7)) * 3)
    tokens, mask = draw.integers(0, 7, (3, 5)), draw.random((3, 5)) < 0.5
    with tf.GradientTape(persistent=True) as tape:
        guess = losses.token_cross_entropy(logits, tokens, mask)
        divergence = losses.kl_from_uniform(logits)
    for found, (value, gradient) in (
        (guess, reference.token_cross_entropy(logits.numpy(), tokens, mask)),
        (divergence, reference.kl_from_uniform(logits.numpy().reshape(-1, 7))),
    ):
        np.testing.assert_allclose(found, value, rtol=1e-6)
        np.testing.assert_allclose(
            tape.gradient(found, logits), gradient.reshape(3, 5, 7), rtol=1e-5, atol=1e-8
        )
    share = losses.token_share(tokens, 7)
    np.testing.assert_allclose(share, np.bincount(tokens.ravel(), minlength=7) / 15, rtol=1e-6)
    assert float(losses.perplexity(share)) == pytest.approx(reference.perplexity(tokens), rel=1e-5)
    assert losses.kl_from_uniform(np.float16(np.eye(4) * 100)).dtype == "float32"
    assert float(losses.kl_from_uniform(np.eye(4) * 100)) == pytest.approx(np.log(4), rel=1e-5)


# Both


@every_tokenizer
def test_tokens_and_back(name):
    model = make(name)
    x = pixels().astype("uint8")
    tokens = model.tokens(x)
    assert tokens.shape == (4, 3, 3) and tokens.dtype == "int32"
    assert 0 <= tokens.numpy().min() and tokens.numpy().max() < VOCABULARY
    found = model.reconstruct(x)
    assert found.shape == x.shape and found.dtype == "float32" and 0 <= found.min() <= found.max() <= 255
    np.testing.assert_allclose(found, model.decode(tokens), atol=1e-4)
    assert model.tokens(pixels(1, 24)).shape == (1, 6, 6)  # any size


@every_tokenizer
@pytest.mark.parametrize("smooth", [False, True])
def test_the_error_is_that_of_pixels_between_minus_1_and_1(name, smooth):
    model = make(name, smooth=smooth)
    x, guess = pixels(2), np.random.default_rng(0).normal(size=(2, 12, 12, 3)).astype("float32") * 2
    d = np.abs(guess - (x / 127.5 - 1))
    expected = np.where(d < 1, d**2 / 2, d - 0.5) if smooth else d**2
    assert float(model.error(guess, x)) == pytest.approx(expected.mean(), rel=1e-5)
    black = make(name, smooth=smooth)
    black.decoder.get_layer("pixels").kernel.assign(np.zeros((1, 1, 8, 3)))
    black.decoder.get_layer("pixels").bias.assign([-1.0, 0.0, 1.0])
    np.testing.assert_allclose(black.reconstruct(x)[0, 0, 0], [0, 127.5, 255])


@every_tokenizer
def test_perplexity_counts_the_tokens_in_use(name):
    model = make(name, decay=1.0, iterations=0) if name == "VQTokenizer" else make(name)
    x = pixels(8)
    tokens = model.tokens(x).numpy()
    assert len(np.unique(tokens)) > 1
    found = step(model, x)
    assert found["perplexity"] == pytest.approx(reference.perplexity(tokens), rel=1e-4)
    model.train_on_batch({"views": [x]})
    usage = np.bincount(tokens.ravel(), minlength=VOCABULARY) / tokens.size
    np.testing.assert_allclose(model.usage, 0.01 * usage, rtol=1e-4)
    same = step(make(name), np.repeat(np.repeat(pixels(1)[:, :1, :1], 12, 1), 12, 2))
    assert same["perplexity"] < 9.01  # 9 places, and the border makes some of them differ


@every_tokenizer
def test_it_learns_the_images(name):
    model = make(name, keras.optimizers.Adam(3e-3), vocabulary=32, width=24)
    x = pixels(16, 8)
    losses = [model.train_on_batch({"views": [x]}, return_dict=True) for _ in range(120)]
    # A 4x-downsampled image keeps these images; the mean color of an image does not.
    mean = ((x - x.mean((1, 2), keepdims=True)) / 127.5) ** 2
    assert losses[-1]["error"] < 0.7 * mean.mean() < losses[0]["error"]
    assert losses[-1]["perplexity"] > 0.3 * 32
    assert ((model.reconstruct(x) - x) ** 2).mean() / 127.5**2 < 0.8 * mean.mean()


@every_tokenizer
@pytest.mark.parametrize("options,message", [
    ({"stride": 3}, "power of 2"), ({"stride": 1}, "power of 2"), ({"vocabulary": 0}, "vocabulary must be"),
    ({"width": 0.5}, "width must be"), ({"blocks": -1}, "blocks must be"),
])
def test_wrong_arguments_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        make(name, **options)


# What holds for every method


def data(**options):
    return cases.pipeline("SimCLR", **options).map(lambda batch: {"views": (batch["image"],)})


@every_tokenizer
def test_every_trainable_weight_gets_a_gradient_and_no_other(name):
    model = make(name)
    frozen = [v.value for v in cases.moving(model) if "float" in v.dtype]
    with tf.GradientTape() as tape:
        tape.watch(frozen)
        loss = model(next(iter(data())), training=True)["loss"]
    weights = [v.value for v in model.trainable_variables]
    gradients = tape.gradient(loss, weights + frozen)
    for variable, gradient in zip(model.trainable_variables, gradients):
        assert gradient is not None and np.abs(gradient).max() > 0, variable.path
    assert frozen and gradients[len(weights) :] == [None] * len(frozen)


@every_tokenizer
def test_a_skipped_step_moves_nothing(name):
    model = make(name, keras.optimizers.SGD(0.05, gradient_accumulation_steps=2), run_eagerly=True)
    batches = iter(data())
    before = [v.numpy() for v in cases.moving(model)]
    model.train_on_batch(next(batches))
    for variable, value in zip(cases.moving(model), before):
        np.testing.assert_array_equal(variable, value)
    model.train_on_batch(next(batches))
    for variable, value in zip(cases.moving(model), before):
        assert not np.array_equal(variable, value), variable.path


@every_tokenizer
def test_eager_equals_graph_equals_xla(name):
    found = []
    for mode in ({"run_eagerly": True}, {"jit_compile": False}, {"jit_compile": True}):
        model = make(name, **mode)
        losses = [model.train_on_batch(batch) for batch in data()]
        kept = {key: value for key, value in cases.state(model).items() if "seed_generator" not in key}
        found.append(kept | {"losses": np.array(losses)})
    cases.assert_same(found[0], found[1], rtol=2e-3, atol=2e-4)
    cases.assert_same(found[0], found[2], rtol=2e-3, atol=2e-4)


@every_tokenizer
def test_a_resumed_run_equals_the_uninterrupted(name, tmp_path):
    straight, first = make(name), make(name)
    straight.fit(data(), epochs=2, verbose=0)
    first.fit(data(), epochs=1, verbose=0)
    first.save(tmp_path / "run.keras")
    second = keras_ssl.load(tmp_path / "run.keras")
    assert second.get_config() == first.get_config()
    second.fit(data(epoch=1), epochs=1, verbose=0)
    cases.assert_same(cases.state(straight), cases.state(second))


@every_tokenizer
def test_one_replica_equals_two(name, two_replicas):
    found = []
    for scope in (contextlib.nullcontext(), two_replicas.scope()):
        with scope:
            model = make(name)
        history = model.fit(data(), epochs=2, verbose=0).history
        found.append(cases.state(model) | {key: np.array(values) for key, values in history.items()})
    cases.assert_same(*found, rtol=1e-3, atol=1e-4)


@every_tokenizer
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision(name, policy):
    batch = next(iter(data()))
    expected = step(make(name), batch["views"][0])["loss"]
    keras.config.set_dtype_policy(policy)
    model = make(name)
    assert step(model, batch["views"][0])["loss"] == pytest.approx(expected, rel=0.05)
    assert np.isfinite(model.fit(data(), verbose=0).history["loss"]).all()
    assert {v.dtype for v in model.variables if "float" in v.dtype} == {"float32"}


# The dVAE


def test_noise_is_gumbels_and_another_for_each_place():
    noise = make("DiscreteVAE", vocabulary=50).noise(np.zeros((20, 4, 4, 50), "float32")).numpy()
    assert noise.mean() == pytest.approx(0.5772, abs=0.03) and noise.std() == pytest.approx(np.pi / 6**0.5, abs=0.03)
    assert len(np.unique(noise)) > 0.99 * noise.size


def test_the_dvaes_loss_is_the_papers():
    model = make("DiscreteVAE", beta=0.1, temperature=0.7)
    x = pixels()
    noise = np.asarray(model.noise(np.zeros((4, 3, 3, VOCABULARY), "float32")))
    model.noise = lambda logits: noise
    logits = model.logits(model.trunk(x)).numpy().astype("float64")
    choice = np.exp((logits + noise) / 0.7)
    choice /= choice.sum(-1, keepdims=True)
    guess = model.decoder((choice @ model.codebook.kernel.numpy()).astype("float32")).numpy()
    error = ((guess - (x / 127.5 - 1)) ** 2).mean()
    divergence = reference.kl_from_uniform(logits.reshape(-1, VOCABULARY))[0]
    found = step(model, x)
    assert found["error"] == pytest.approx(error, rel=1e-4)
    assert found["divergence"] == pytest.approx(divergence, rel=1e-3)
    assert found["loss"] == pytest.approx(error + 0.1 * divergence, rel=1e-4)
    np.testing.assert_array_equal(model.tokens(x), logits.argmax(-1))


def test_a_hard_choice_is_one_token_with_the_gradient_of_the_soft():
    model = make("DiscreteVAE", hard=True)
    x = pixels()
    noise = np.zeros((4, 3, 3, VOCABULARY), "float32")
    model.noise = lambda logits: noise
    expected = float(model.error(model.decoder(model.vectors(model.tokens(x))), x))
    with tf.GradientTape() as tape:
        found = model({"views": [x]}, training=True)
    assert float(found["error"]) == pytest.approx(expected, rel=1e-4)
    assert np.abs(tape.gradient(found["error"], model.logits.kernel.value)).max() > 0


def test_the_temperature_falls_along_a_cosine():
    model = make("DiscreteVAE", temperature=1.0, end_temperature=0.1, steps=100)
    for at, expected in ((0, 1.0), (50, 0.55), (100, 0.1), (200, 0.1)):
        model.step.assign(at)
        assert float(model.current_temperature()) == pytest.approx(expected, rel=1e-5)
    model.step.assign(0)
    model.train_on_batch({"views": [pixels()]})
    assert int(model.step) == 1
    assert make("DiscreteVAE").current_temperature() == 0.9


@pytest.mark.parametrize("options", [{"temperature": 0}, {"end_temperature": -1.0}, {"beta": -1}])
def test_wrong_arguments_of_the_dvae_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        make("DiscreteVAE", **options)


# Vector quantization


def test_the_vq_step_is_the_papers():
    model = make("VQTokenizer", iterations=0, commitment=0.3, decay=0.8, optimizer=keras.optimizers.SGD(0.0))
    x = pixels()
    codes = model.codes.numpy().astype("float64")
    np.testing.assert_allclose(np.linalg.norm(codes, axis=1), 1, rtol=1e-5)
    z = np.asarray(model.embedded(model.trunk(x))).astype("float64")
    tokens, distance, moved = reference.vq_step(z.reshape(-1, DIM), codes, 0.8)
    dead = np.setdiff1d(np.arange(VOCABULARY), tokens)
    assert len(dead) and len(np.unique(tokens)) > 1
    np.testing.assert_array_equal(model.tokens(x).numpy().ravel(), tokens)
    error = float(model.error(model.decoder(codes[tokens].reshape(z.shape).astype("float32")), x))
    logs = model.train_on_batch({"views": [x]}, return_dict=True)
    assert logs["error"] == pytest.approx(error, rel=1e-4)
    assert logs["loss"] == pytest.approx(error + 0.3 * distance, rel=1e-4)
    np.testing.assert_allclose(model.codes, moved, atol=1e-5)
    np.testing.assert_allclose(model.codes.numpy()[dead], codes[dead], atol=1e-6)


def test_the_gradient_goes_through_the_choice():
    model = make("VQTokenizer", iterations=0, commitment=0.0)
    x, z = pixels(), tf.Variable(np.random.default_rng(0).normal(size=(4, 3, 3, DIM)).astype("float32"))
    z.assign(z / tf.norm(z, axis=-1, keepdims=True))
    model.embedded = lambda features: tf.identity(z)
    with tf.GradientTape() as tape:
        loss = model({"views": [x]}, training=True)["loss"]
    found = tape.gradient(loss, z)
    chosen = tf.Variable(ops.take(model.codes.value, clustering.nearest(z, model.codes), axis=0))
    with tf.GradientTape() as tape:
        loss = model.error(model.decoder(chosen), x)
    np.testing.assert_allclose(found, tape.gradient(loss, chosen), atol=1e-7)
    assert np.abs(found).max() > 0


def test_the_first_batch_places_the_codes():
    centers = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    rows = np.random.default_rng(1).permutation(np.arange(300) % 6)
    embeddings = centers[rows] + np.random.default_rng(2).normal(size=(300, 6)) * 0.05
    embeddings = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype("float32")
    start = np.eye(6, dtype="float32")[:4]
    found = np.asarray(clustering.kmeans_in_step(embeddings, start, 10))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    mean_cosine = (embeddings @ found.T).max(1).mean()
    assert mean_cosine > (embeddings @ start.T).max(1).mean()
    few = np.asarray(clustering.kmeans_in_step(embeddings[:3], np.eye(6, dtype="float32"), 1))
    assert np.isfinite(few).all() and len(np.unique(few.round(5), axis=0)) == 6  # no code is there twice

    model = make("VQTokenizer", keras.optimizers.SGD(0.0), decay=1.0)
    before = model.codes.numpy()
    model.train_on_batch({"views": [pixels(16)]})
    after = model.codes.numpy()
    assert np.abs(after - before).max() > 0.1
    model.train_on_batch({"views": [pixels(16, seed=1)]})
    np.testing.assert_allclose(model.codes, after, atol=1e-6)  # only the first one


@pytest.mark.parametrize("options", [{"commitment": -1}, {"decay": 1.5}, {"iterations": -1}])
def test_wrong_arguments_of_the_vq_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        make("VQTokenizer", **options)
