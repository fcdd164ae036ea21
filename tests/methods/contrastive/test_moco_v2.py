"""MoCo v2: arXiv 2003.04297."""

import keras
import numpy as np

import keras_ssl
from tests import cases
from tests.methods.contrastive.test_moco_v1 import BATCH, encoder

CASE = cases.Case({"hidden": 16, "dim": 8, "queue_size": 20, "momentum": 0.9, "symmetric": True}, base=True)


def test_version_two_with_the_settings_of_one_is_version_one():
    images = np.random.default_rng(0).integers(0, 256, (BATCH, 8, 8, 3), "uint8")
    found = []
    for method, options in (("MoCoV1", {}), ("MoCoV2", {"hidden": 0, "temperature": 0.07})):
        keras.utils.set_random_seed(3)
        model = getattr(keras_ssl, method)(encoder(2), keras_ssl.augment.moco_v1(8), dim=5, queue_size=10, **options)
        model.compile(optimizer=keras.optimizers.SGD(0.1), run_eagerly=True)
        losses = [float(model.train_on_batch(images)) for _ in range(2)]
        found.append([losses, *model.get_weights()])
    assert len(found[0]) == len(found[1])
    for first, second in zip(*found):
        np.testing.assert_array_equal(first, second)


def test_heads_are_those_of_the_papers():
    features = 3 * 3 * 6
    one, two = keras_ssl.MoCoV1(encoder(), queue_size=8), keras_ssl.MoCoV2(encoder(), queue_size=8)
    assert sum(v.numpy().size for v in one.query_encoder.layers[-1].weights) == features * 128 + 128
    head = two.query_encoder.layers[-1]
    assert [type(layer).__name__ for layer in head.layers] == ["Dense", "ReLU", "Dense"]
    assert sum(v.numpy().size for v in head.weights) == features * 2048 + 2048 + 2048 * 128 + 128
