"""SigLIP: arXiv 2303.15343."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import losses
from keras_ssl.methods.contrastive.clip import equal_texts
from tests import cases
from tests.methods.contrastive.test_clip import images, text_encoder, texts, tokens, tower
from tests.reference import losses as loops
from tests.test_bank_methods import encoder, unit
from tests.test_distribute import on_replicas
from tests.test_losses import value_and_gradient, vectors

CASE = cases.Case(
    {"dim": 8, "text_encoder": text_encoder, "bias": -1.0}, views=cases.one_crop, columns=texts
)

NAMES = np.array([0, 1, 0, 2, 1, 0])  # which captions are equal


def make(optimizer=None, **options):
    model = keras_ssl.SigLIP(encoder(), text_encoder=tower(), dim=4, **options)
    model.compile(optimizer=optimizer or keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def pairs(first, second, scale, bias, names=None):
    total = 0.0
    for i, image in enumerate(first):
        for j, text in enumerate(second):
            if i == j or names is None or names[i] != names[j]:
                logit = scale * loops.cosine(image, text) + bias
                total += np.log1p(np.exp(-logit if i == j else logit)) / len(first)
    return total


@pytest.mark.parametrize("batch, scale, bias", [(1, 10.0, -10.0), (2, 1.0, 0.5), (5, 14.3, -2.7)])
def test_sigmoid_pairs(batch, scale, bias):
    arguments = [vectors(batch, 4), vectors(batch, 4, seed=1), np.array(scale), np.array(bias)]
    value, slopes = value_and_gradient(losses.sigmoid_pairs, *arguments)
    assert value == pytest.approx(pairs(*arguments), rel=1e-5)
    for i, slope in enumerate(slopes):
        function = lambda x: pairs(*arguments[:i], x, *arguments[i + 1 :])
        np.testing.assert_allclose(slope, loops.gradient(function, arguments[i]), atol=1e-4)
    first, second, *rest = arguments
    assert float(losses.sigmoid_pairs(second, first, *rest)) == pytest.approx(value, rel=1e-5)  # symmetric as it is


def test_one_pair_alone():
    a, b = vectors(1, 4), vectors(1, 4, seed=1)
    expected = np.log1p(np.exp(-(3.0 * loops.cosine(a[0], b[0]) - 2.0)))
    assert float(losses.sigmoid_pairs(a, b, 3.0, -2.0)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("batch", [2, 8])
def test_the_start_with_the_papers_bias(batch):
    """With orthogonal vectors: `log(1 + e^10) + (B - 1) log(1 + e^-10)`, of which the many wrong pairs are little."""
    vectors = np.eye(2 * batch, dtype="float32")
    found = float(losses.sigmoid_pairs(vectors[:batch], vectors[batch:], 10.0, -10.0))
    assert found == pytest.approx(np.log1p(np.exp(10)) + (batch - 1) * np.log1p(np.exp(-10)), rel=1e-6)
    assert found == pytest.approx(10 + 4.5e-5 * batch, abs=2e-5)


@pytest.mark.parametrize("diagonal", [False, True])
def test_masked_pairs_are_not_asked(diagonal):
    arguments = [vectors(6, 4), vectors(6, 4, seed=1), np.array(3.0), np.array(-1.0)]
    mask = (NAMES[:, None] == NAMES[None, :]) & (diagonal | ~np.eye(6, dtype=bool))
    value, slopes = value_and_gradient(lambda *x: losses.sigmoid_pairs(*x, mask), *arguments)
    assert value == pytest.approx(pairs(*arguments, NAMES), rel=1e-5)
    for i, slope in enumerate(slopes):
        function = lambda x: pairs(*arguments[:i], x, *arguments[i + 1 :], NAMES)
        np.testing.assert_allclose(slope, loops.gradient(function, arguments[i]), atol=1e-4)


@pytest.mark.parametrize("masked", [False, True])
def test_two_replicas_have_the_loss_of_the_whole_batch(two_replicas, masked):
    first, second = (vectors(6, 4, seed=seed).astype("float32") for seed in (0, 1))
    text = tokens(3)[NAMES]

    def value_and_slopes(a, b, text):
        scale, bias = tf.constant(5.0), tf.constant(-1.0)
        with tf.GradientTape() as tape:
            tape.watch((a, b, scale, bias))
            mask = equal_texts(text) if masked else None
            loss = losses.sigmoid_pairs(a, b, scale, bias, mask) / keras_ssl.distribute.replicas()
        return loss, *tape.gradient(loss, (a, b, scale, bias))

    loss, *slopes = value_and_slopes(tf.constant(first), tf.constant(second), text)
    assert float(loss) == pytest.approx(pairs(first, second, 5.0, -1.0, NAMES if masked else None), rel=1e-5)
    (one, *ones), (two, *twos) = on_replicas(two_replicas, value_and_slopes, first, second, text)
    assert one + two == pytest.approx(float(loss), rel=1e-5)
    for expected, *halves in zip(slopes[:2], ones, twos):
        np.testing.assert_allclose(np.concatenate(halves), expected, atol=1e-5)
    for expected, *halves in zip(slopes[2:], ones[2:], twos[2:]):
        assert sum(halves) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("masked", [False, True])
def test_siglip_equals_its_paper(masked):
    model = make(temperature=0.2, bias=-1.5, mask_duplicates=masked)
    text = tokens(3)[NAMES]
    a = np.asarray(model.image_head(model.encoder(images(6))))
    b = np.asarray(model.text_head(model.text_encoder(text)))
    logs = model.train_on_batch({"views": (images(6),), "text": text}, return_dict=True)
    assert float(logs["loss"]) == pytest.approx(pairs(a, b, 5.0, -1.5, NAMES if masked else None), rel=1e-5)
    assert (float(logs["scale"]), float(logs["offset"])) == pytest.approx((5.0, -1.5), rel=1e-5)
    assert float(model.offset) != -1.5 and float(model.log_scale) != pytest.approx(np.log(5.0), abs=1e-7)
    assert np.isfinite(model({"views": (images(1),), "text": text[:1]}, training=True)["loss"])  # one pair is enough


def test_it_starts_as_the_paper_does():
    """`t' = log 10`, `b = -10`, and no limit of the scale."""
    model = keras_ssl.SigLIP(encoder(), text_encoder=tower())
    assert (float(model.log_scale), float(model.offset)) == pytest.approx((np.log(10), -10))
    assert model.log_scale.constraint is None
    assert keras_ssl.SigLIP(encoder(), text_encoder=tower(), max_scale=50.0).log_scale.constraint is not None


def test_images_find_their_words():
    """Four plain colors are told apart, each with a probability of its own."""
    keras.utils.set_random_seed(0)
    model = make(keras.optimizers.Adam(0.02), bias=-2.0)
    model.compile(optimizer=model.optimizer)
    colors = np.repeat(np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]], "float32"), 64, axis=0)
    colors = colors.reshape(4, 8, 8, 3)
    words = np.array([[1, 2 + i, 19, 0, 0, 0, 0] for i in range(4)], "int32")
    data = tf.data.Dataset.from_tensors({"views": (colors,), "text": words}).repeat(100)
    model.fit(data, verbose=0)
    classifier = np.asarray(model.zero_shot(words[:, None]))
    found = np.asarray(model.classify(colors, classifier))
    logits = unit(np.asarray(model.image_head(model.encoder(colors)))) @ classifier.T
    logits = logits * np.exp(float(model.log_scale)) + float(model.offset)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), atol=1e-4)
    np.testing.assert_array_equal(found > 0.5, np.eye(4, dtype=bool))
