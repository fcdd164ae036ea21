"""DeepMIM, arXiv 2303.08817: decoders at several depths, for pixels or for the features of a frozen model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import distribute, encoders, losses
from keras_ssl.methods.masked.deep_mim import usual_taps
from tests import cases
from tests.methods.masked.test_mae import images, randomize, some_masks, vit
from tests.reference import reconstruction as reference
from tests.reference.losses import gradient
from tests.test_distribute import on_replicas

CASE = cases.Case({"width": 16, "depth": 1, "heads": 2}, encoder=cases.vit_of_one_size, views=cases.masked_patches)


def deep(**options):
    return vit(**({"depth": 6} | options))


def make(encoder=None, **options):
    model = keras_ssl.DeepMIM(encoder or deep(), **({"width": 8, "depth": 1, "heads": 2} | options))
    randomize(model)
    model.compile(optimizer=keras.optimizers.Adam(5e-3), run_eagerly=True)
    return model


def fix_masks(model, batch=3):
    masks = some_masks(model, batch)
    model.mask.call = lambda images, seeds, **options: masks
    return masks.numpy().reshape(batch, -1)


def outputs_of(model, pixels):
    return {name: float(value) for name, value in model({"views": [pixels]}, training=True).items()}


def tokens_of(width=8, **options):
    """A model of the features of 4 x 4 patches."""
    return encoders.vit((12, 12, 3), patch=3, width=width, depth=1, heads=2, **({"pooling": None} | options))


# The loss of features


def test_value_and_gradient_are_the_loops():
    draw = np.random.default_rng(0)
    prediction, target = draw.normal(size=(2, 3, 5, 4))
    mask = draw.uniform(size=(3, 5)) < 0.5
    p, t = tf.constant(prediction), tf.constant(target)
    with tf.GradientTape() as tape:
        tape.watch([p, t])
        loss = losses.masked_cosine(p, t, mask)
    slope, of_target = tape.gradient(loss, [p, t])
    assert float(loss) == pytest.approx(reference.masked_cosine(prediction, target, mask), rel=1e-9)
    expected = gradient(lambda x: reference.masked_cosine(x, target, mask), prediction)
    np.testing.assert_allclose(slope, expected, atol=1e-6)
    assert (slope.numpy()[~mask] == 0).all() and of_target is None


def test_two_replicas_are_one_with_the_whole_batch(two_replicas):
    draw = np.random.default_rng(0)
    prediction, target = draw.normal(size=(2, 4, 5, 3))
    mask = np.arange(5) < np.array([[1], [2], [4], [5]])

    def value(prediction, target, mask):
        return losses.masked_cosine(prediction, target, mask) / distribute.replicas()

    whole = value(*map(tf.constant, (prediction, target, mask)))
    one, two = on_replicas(two_replicas, value, prediction, target, mask)
    assert one + two == pytest.approx(float(whole), rel=1e-12)


# The method


def test_the_papers_taps():
    blocks = {12: [6, 8, 10, 12], 24: [12, 16, 20, 24], 6: [3, 4, 5, 6], 2: [1, 2], 1: [1]}
    assert {depth: usual_taps(depth) for depth in blocks} == blocks


@pytest.mark.parametrize("normalize", [False, True])
def test_the_loss_is_the_sum_of_its_taps(normalize):
    model = make(normalize=normalize)
    mask, pixels = fix_masks(model), images()
    found = outputs_of(model, pixels)
    target = reference.patches(np.asarray(losses.standard_pixels(pixels)), 3, normalize)
    predictions = model.predictions(tf.constant(pixels), tf.constant(mask.reshape(3, 4, 4)))
    expected = [reference.masked_error(p.numpy(), target, mask) for p in predictions]
    assert [found[f"block{tap}"] for tap in (3, 4, 5, 6)] == pytest.approx(expected, rel=1e-4)
    assert found["loss"] == pytest.approx(sum(expected), rel=1e-4)


@pytest.mark.parametrize("normalize", [False, True])
def test_the_last_tap_alone_is_mae(normalize):
    options = {"width": 8, "depth": 2, "heads": 2, "normalize": normalize}
    encoder = deep()
    model, mae = keras_ssl.DeepMIM(encoder, taps=(6,), **options), keras_ssl.MAE(encoder, **options)
    randomize(mae)
    model.decoders[0].set_weights(mae.decoder.get_weights())
    for method in (model, mae):
        fix_masks(method)
    expected = float(mae({"views": [images()]}, training=True)["loss"])
    assert outputs_of(model, images()) == pytest.approx({"loss": expected, "block6": expected}, rel=1e-6)


def test_a_decoder_teaches_the_blocks_below_it():
    model = make()
    blocks = model.stages.blocks
    with tf.GradientTape(persistent=True) as tape:
        outputs = model({"views": [images()]}, training=True)
    for tap in (3, 4, 5, 6):
        for i in range(1, 7):
            slope = tape.gradient(outputs[f"block{tap}"], blocks.get_layer(f"block{i}_output").kernel)
            assert (slope is not None and np.abs(slope).max() > 0) == (i <= tap)
    own = [set(map(id, decoder.trainable_variables)) for decoder in model.decoders]
    assert len(set.union(*own)) == sum(map(len, own))


def test_all_taps_but_the_last_are_raw():
    model = make()
    tokens = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
    found = model.blocks(tokens)
    blocks = model.stages.blocks
    np.testing.assert_allclose(found[-1], blocks(tokens), atol=1e-6)
    third = keras.Model(blocks.input, blocks.get_layer("block4_norm1").output)(tokens)
    np.testing.assert_allclose(blocks.get_layer("block4_norm1")(found[0]), third, atol=1e-6)
    assert np.abs(np.std(found[0], axis=-1) - 1).max() > 0.1


@pytest.mark.parametrize("target", ["tokens", "patches", "map"])
def test_features_as_targets(target):
    model = tokens_of(**({} if target == "tokens" else {"class_token": False}))
    if target == "map":
        model = keras.Model(model.input, keras.layers.Reshape((4, 4, 8))(model.output))
    before = model.get_weights()
    method = make(deep(depth=2), target=model)
    mask, pixels = fix_masks(method), images()
    features = np.reshape(model(pixels), (3, -1, 8))[:, -16:]  # the class token comes first
    predictions = method.predictions(tf.constant(pixels), tf.constant(mask.reshape(3, 4, 4)))
    expected = sum(reference.masked_cosine(p.numpy(), features, mask) for p in predictions)
    assert outputs_of(method, pixels)["loss"] == pytest.approx(expected, rel=1e-4)
    method.train_on_batch({"views": [pixels]})
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(old, new)
    assert {id(v) for v in model.weights}.isdisjoint({id(v) for v in method.trainable_variables})
    with pytest.raises(ValueError, match="make no image"):
        method.reconstruct(pixels)


def test_a_model_with_a_target_is_saved(tmp_path):
    model = make(deep(depth=2), target=tokens_of())
    model.save(tmp_path / "model.keras")
    loaded = keras_ssl.load(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(loaded.target(images()), model.target(images()))
    assert outputs_of(loaded, images()) == outputs_of(model, images())


def test_reconstructions():
    model = make()
    pixels = images()
    masks, found = model.reconstruct(pixels)
    hidden = masks.repeat(3, axis=1).repeat(3, axis=2)
    np.testing.assert_array_equal(found[~hidden], pixels[~hidden])
    assert (found[hidden] != pixels[hidden]).mean() > 0.9


def test_wrong_arguments_are_refused():
    encoder = deep()
    for options, message in (
        ({"taps": (3, 5)}, "taps must be"),
        ({"taps": ()}, "taps must be"),
        ({"target": "clip"}, "target must be a built"),
        ({"target": tokens_of(pooling="token")}, "target must give features of 4 x 4"),
        ({"target": encoders.vit((12, 12, 3), patch=4, width=8, depth=1, heads=2, pooling=None)}, "of 4 x 4 patches"),
        ({"ratio": 1.0}, "ratio must be"),
    ):
        with pytest.raises(ValueError, match=message):
            make(encoder, **options)
