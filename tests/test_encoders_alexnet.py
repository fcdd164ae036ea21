"""AlexNet in two forms and the network in network: sizes, starts and names of their authors' code."""

import keras
import numpy as np
import pytest

from keras_ssl import encoders, eval


def count(model, kinds=("conv", "bn", "fc")):
    """The weights that are trained, of layers of these kinds."""
    return sum(
        int(np.prod(w.shape))
        for layer in model.layers if any(kind in layer.name for kind in kinds) for w in layer.trainable_weights
    )  # fmt: skip


@pytest.mark.parametrize("blocks, parameters", [(3, 1_003_712), (4, 1_410_368), (5, 1_817_024)])
def test_nin_has_the_sizes_of_its_authors(blocks, parameters):
    model = encoders.nin((32, 32, 3), blocks=blocks)
    assert count(model) == parameters and model.output_shape == (None, 192)
    sides = [model.get_layer(f"block{i + 1}").output.shape[1] for i in range(blocks)]
    assert sides == [16, 8] + [8] * (blocks - 2)
    channels = [model.get_layer(f"block1_conv{i}").filters for i in (1, 2, 3)]
    assert channels == [192, 160, 96]


def test_nin_may_pool_a_third_time():
    model = encoders.nin((32, 32, 3), blocks=4, width=12, pool_third=True)
    assert model.get_layer("block3").output.shape[1:3] == (4, 4)


def test_the_mean_of_nin_counts_the_margin():
    model = encoders.nin((8, 8, 3), width=6, preprocessing=False)
    layer = keras.Model(model.get_layer("block2_conv3_relu").output, model.get_layer("block2").output)
    found = np.asarray(layer(np.ones((1, 4, 4, 6), "float32")))
    np.testing.assert_allclose(found[0, :, :, 0], [[4 / 9, 6 / 9], [6 / 9, 1]], rtol=1e-6)


def test_alexnet_has_the_sizes_of_its_authors():
    model = encoders.alexnet_bn()
    assert count(model, ("conv",)) == 2_472_000 and count(model, ("fc",)) == 54_542_336
    sides = [model.get_layer(f"conv{i + 1}_relu").output.shape[1] for i in range(5)]
    assert sides == [55, 27, 13, 13, 13] and model.get_layer("pool5").output.shape[1] == 6
    assert encoders.alexnet_bn((64, 64, 3), hidden=None, stride=2).get_layer("pool5").output.shape[1] == 2
    assert encoders.alexnet_bn((None, None, 3), hidden=None).output_shape == (None, 256)


def test_caffenet_has_the_sizes_and_the_start_of_the_reference():
    keras.utils.set_random_seed(0)
    model = encoders.caffenet()
    assert count(model, ("conv",)) == 2_334_080 and count(model, ("fc",)) == 54_534_144
    sides = [model.get_layer(f"conv{i + 1}_relu").output.shape[1] for i in range(5)]
    assert sides == [55, 27, 13, 13, 13] and model.get_layer("pool5").output.shape[1] == 6
    for name, deviation, bias in [("conv1_relu", 0.01, 0), ("conv2_relu", 0.01, 1), ("fc6", 0.005, 1)]:
        kernel, start = model.get_layer(name).get_weights()
        assert kernel.std() == pytest.approx(deviation, rel=0.02) and (start == bias).all()


def test_the_second_group_does_not_see_the_first():
    model = encoders.caffenet((67, 67, 3), hidden=None, preprocessing=False)
    layer = model.get_layer("conv2_relu")
    x = np.random.default_rng(0).normal(size=(1, 7, 7, 96)).astype("float32")
    other = np.concatenate([x[..., :48] + 1, x[..., 48:]], axis=-1)
    changed = np.abs(layer(x) - layer(other)).max(axis=(0, 1, 2))
    assert changed[:128].max() > 0 and changed[128:].max() == 0


def test_the_local_response_is_the_loop(tmp_path):
    x = 100 * np.random.default_rng(0).normal(size=(2, 3, 3, 7))
    expected = np.zeros_like(x)
    for i in range(7):
        window = x[..., max(0, i - 2) : i + 3]
        expected[..., i] = x[..., i] / (1 + 1e-4 / 5 * np.square(window).sum(axis=-1)) ** 0.75
    layer = encoders.LocalResponseNormalization()
    np.testing.assert_allclose(layer(x.astype("float32")), expected, rtol=1e-5)
    model = encoders.caffenet((67, 67, 3), hidden=None)
    model.save(tmp_path / "caffenet.keras")
    again = keras.models.load_model(tmp_path / "caffenet.keras")
    images = np.random.default_rng(0).integers(0, 256, (2, 67, 67, 3), "uint8")
    np.testing.assert_allclose(again(images), model(images), rtol=1e-5)


def test_they_start_as_pytorch_does():
    keras.utils.set_random_seed(0)
    layers = encoders.nin((32, 32, 3)).get_layer("block2_conv1"), encoders.alexnet_bn(hidden=None).get_layer("conv2")
    for layer, fan_in in zip(layers, (25 * 96, 25 * 64)):
        kernel = np.asarray(layer.kernel)
        assert np.abs(kernel).max() <= fan_in**-0.5 and kernel.std() == pytest.approx((3 * fan_in) ** -0.5, rel=0.02)
    bias = np.asarray(layers[1].bias)
    assert np.abs(bias).max() <= 1600**-0.5 and bias.std() == pytest.approx((3 * 1600) ** -0.5, rel=0.2)


def test_they_are_probed_by_layer_and_saved(tmp_path):
    model = encoders.nin((16, 16, 3), width=6)
    x, labels = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), "uint8"), np.arange(12) % 2
    found = eval.layer_probes(model, (x, labels), (x, labels), ["block1", "block2"], epochs=1)
    assert len(found.measures if hasattr(found, "measures") else found) == 2
    model.save(tmp_path / "nin.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "nin.keras")(x), model(x), rtol=1e-5)


@pytest.mark.parametrize(
    "make, options, message",
    [
        (encoders.nin, {"blocks": 2}, "blocks must"),
        (encoders.nin, {"width": 1}, "width must"),
        (encoders.nin, {"pool_third": 1}, "pool_third must"),
        (encoders.alexnet_bn, {"hidden": 0}, "hidden must"),
        (encoders.caffenet, {"dropout": 1.0}, "dropout must"),
        (encoders.caffenet, {"input_shape": (48, 48, 3)}, "large enough for three poolings"),
        (encoders.LocalResponseNormalization, {"size": 4}, "size must"),
        (encoders.alexnet_bn, {"stride": 0}, "stride must"),
        (encoders.alexnet_bn, {"input_shape": (32, 32, 3)}, "large enough for three poolings"),
        (encoders.alexnet_bn, {"input_shape": (None, None, 3)}, "known where there are dense layers"),
    ],
)
def test_other_arguments_are_refused(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
