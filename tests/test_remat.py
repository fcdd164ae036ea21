"""remat=True of a ViT: the same gradients, the inside of a block computed twice, and a plain encoder at the end."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import encoders


def pair(**options):
    options = {"width": 16, "depth": 3, "heads": 2, "registers": 2, "first_norm": True, "layer_scale": 0.5} | options
    plain = encoders.vit((16, 16, 3), 4, **options)
    remat = encoders.vit((16, 16, 3), 4, remat=True, **options)
    remat.set_weights(plain.get_weights())
    return plain, remat


def images(count=4):
    return np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3)).astype("float32")


def gradients(encoder, x):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(encoder(x, training=True)) * tf.range(1.0, 17.0))
    return [loss, *tape.gradient(loss, encoder.trainable_variables)]


@pytest.mark.parametrize("way", ["eager", "graph"])
def test_the_gradients_are_those_of_the_plain_encoder(way):
    plain, remat = pair()
    compute = gradients if way == "eager" else tf.function(gradients)
    for one, other in zip(compute(plain, images()), compute(remat, images()), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_block_is_computed_twice_and_stays_whole():
    plain, remat = pair()
    blocks = encoders.vit_stages(remat).blocks
    hidden, calls = blocks.get_layer("block2_hidden"), []
    original = hidden.call
    hidden.call = lambda *values, **options: calls.append(1) or original(*values, **options)
    remat(images())
    assert len(calls) == 1
    gradients(remat, images())
    assert len(calls) == 3
    assert [v.path for v in remat.weights] == [v.path for v in plain.weights]
    np.testing.assert_allclose(remat(images()), plain(images()), atol=1e-6)
    for one, other in zip(*(encoders.attention_maps(encoder, 1)(images()) for encoder in (plain, remat))):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_method_trains_and_exports_as_with_the_plain_encoder(tmp_path):
    found = []
    for encoder in pair(registers=0, first_norm=False, layer_scale=None):
        keras.utils.set_random_seed(0)
        model = keras_ssl.MoCoV3(encoder, hidden=16, dim=8)
        model.compile(keras.optimizers.SGD(0.1), jit_compile=False)
        model.train_on_batch({"views": [images(), images()[::-1]]})
        found.append(model)
    for one, other in zip(found[0].weights, found[1].weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    found[1].save(tmp_path / "model.keras")
    again = keras_ssl.load(tmp_path / "model.keras").encoder
    assert isinstance(encoders.vit_stages(again).blocks, encoders.RematBlocks)
    keras_ssl.export(found[1], tmp_path / "encoder.keras")
    plain = keras.saving.load_model(tmp_path / "encoder.keras", custom_objects={})
    assert all(type(layer).__module__.startswith("keras.") for layer in plain._flatten_layers())
    np.testing.assert_allclose(plain(images()), found[1].encoder(images()), atol=1e-5)


def test_what_draws_is_refused():
    for options in ({"drop_path": 0.1}, {"dropout": 0.1}):
        with pytest.raises(ValueError, match="remat=True computes the blocks twice"):
            encoders.vit((16, 16, 3), 4, width=16, depth=1, heads=2, remat=True, **options)
    blocks = encoders.vit_stages(encoders.with_drop_path(pair()[1], 0.1)).blocks
    assert not isinstance(blocks, encoders.RematBlocks) and any("drop_path" in layer.name for layer in blocks.layers)
