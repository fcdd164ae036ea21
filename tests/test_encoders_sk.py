"""ResNets with selective kernels: the networks of SimCLR v2."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import encoders
from keras_ssl.encoders.resnet import _select

# Keras's own saving meets NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype("uint8")


def small(**options):
    defaults = {"input_shape": (16, 16, 3), "width": 4, "selective_kernel": True, "zero_init_residual": False}
    return encoders.resnet50(**{**defaults, **options})


def parameters(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def test_has_as_many_parameters_as_in_the_paper():
    model = encoders.resnet50((32, 32, 3), stem="imagenet", selective_kernel=True)
    assert round(parameters(model) / 1e6) == 35 and model.output_shape == (None, 2048)
    # A pair of maps: 9 * inner^2 more; the squeeze: inner * 32 and 32 * 2 inner; four vectors: 2 inner and 2 * 32.
    stages = zip((3, 4, 6, 3), (64, 128, 256, 512))
    more = sum(depth * (9 * inner**2 + 3 * 32 * inner + 2 * inner + 64) for depth, inner in stages)
    stem = 9 * (3 * 32 + 32 * 32 + 32 * 64) + 2 * (32 + 32)
    assert parameters(model) == 23_508_032 + more + stem - 49 * 3 * 64


@pytest.mark.parametrize("build,blocks,plain", [(encoders.resnet101, 33, 42.5), (encoders.resnet152, 50, 58.1)])
def test_deeper_networks(build, blocks, plain):
    model = build((8, 8, 3), width=2)
    assert sum(layer.name.endswith("_add") for layer in model.layers) == blocks
    squares = sum(int(np.prod(v.shape)) for v in model.trainable_variables if len(v.shape) == 4)
    assert squares * 32**2 / 1e6 == pytest.approx(plain, abs=0.3)  # but for vectors and stem it goes with the square


def test_the_maps_are_mixed_channel_by_channel():
    model = small(input_shape=(8, 8, 3))
    rng = np.random.default_rng(1)
    for layer in model.layers:  # moving statistics, scales and offsets unlike those of the start
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    name = "stage2_block1"
    layers = [model.get_layer(f"{name}_{part}") for part in ("relu2", "select_conv1", "select_bn", "select_conv2")]
    taken = [layers[0].output, layers[3].output, model.get_layer(f"{name}_conv3").input]
    maps, logits, mixed = (t.numpy().astype("float64") for t in keras.Model(model.input, taken)(pixels(2, 8, 8, 3)))
    channels = 8
    assert maps.shape == (2, 4, 4, 2 * channels) and mixed.shape == (2, 4, 4, channels)

    squeeze, norm, excite = (layer.get_weights() for layer in layers[1:])
    assert squeeze[0].shape == (1, 1, channels, 32) and excite[0].shape == (1, 1, 32, 2 * channels)
    gamma, beta, mean, variance = norm
    for image in range(2):
        first, second = maps[image, ..., :channels], maps[image, ..., channels:]
        context = (first + second).mean(axis=(0, 1)) @ squeeze[0][0, 0]
        context = np.maximum(0, (context - mean) / np.sqrt(variance + 1e-5) * gamma + beta)
        expected = context @ excite[0][0, 0]
        np.testing.assert_allclose(logits[image, 0, 0], expected, rtol=1e-4, atol=1e-4)
        for c in range(channels):
            weights = np.exp([expected[c], expected[c + channels]])
            weights /= weights.sum()
            assert 0.01 < weights[0] < 0.99
            value = weights[0] * first[..., c] + weights[1] * second[..., c]
            np.testing.assert_allclose(mixed[image, ..., c], value, rtol=1e-4, atol=1e-4)


def test_a_wide_bottleneck_squeezes_to_a_sixteenth():
    for channels, squeezed in ((64, 32), (512, 32), (1024, 64)):
        x = keras.Input((2, 2, 2 * channels))
        model = keras.Model(x, _select(x, channels, lambda x, name: x, "block"))
        assert model.get_layer("block_select_conv1").filters == squeezed
        assert model.output_shape == (None, 2, 2, channels)


def test_stem_and_shortcuts_are_those_of_resnet_d():
    model = small(input_shape=(64, 64, 3), stem="imagenet", width=8)
    stem = [model.get_layer(f"stem_conv{i}") for i in (1, 2, 3)]
    assert [(c.filters, c.kernel_size, c.strides) for c in stem] == [
        (4, (3, 3), (2, 2)), (4, (3, 3), (1, 1)), (8, (3, 3), (1, 1)),
    ]
    assert model.get_layer("stem_pool").output.shape == (None, 16, 16, 8)
    shortcuts = [layer.name for layer in model.layers if layer.name.endswith("shortcut_conv")]
    assert shortcuts == [f"stage{i}_block1_shortcut_conv" for i in (1, 2, 3, 4)]
    for i, stride in enumerate((1, 2, 2, 2), start=1):
        pool = model.get_layer(f"stage{i}_block1_shortcut_pool")
        assert pool.pool_size == (2, 2) and pool.strides == (stride, stride)
        assert model.get_layer(f"stage{i}_block1_shortcut_conv").strides == (1, 1)
    assert small(stem="cifar").get_layer("stem_conv").strides == (1, 1)
    plain = [layer.name for layer in small(selective_kernel=False).layers]
    assert not any("select" in name or "shortcut_pool" in name for name in plain)


@pytest.mark.parametrize("shape,stem", [((None, None, 4), "cifar"), ((33, 47, 1), "imagenet"), ((7, 7, 3), None)])
def test_any_size(shape, stem):
    model = small(input_shape=shape, stem=stem, width=2, pooling=None)
    size = [side or 9 for side in shape[:2]]
    found = model(np.zeros((1, *size, shape[-1]), "uint8"))
    factor = 32 if stem == "imagenet" else 8
    assert found.shape == (1, *(-(-side // factor) for side in size), 64)


def test_a_block_starts_as_the_identity():
    for zero in (True, False):
        model = small(zero_init_residual=zero, width=2)
        names = ("stage1_block1_relu", "stage1_block2_relu")
        before, after = keras.Model(model.input, [model.get_layer(n).output for n in names])(pixels(2, 16, 16, 3))
        assert np.allclose(before, after) == zero


def test_every_weight_gets_a_gradient():
    model = small(width=2, stem="imagenet")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(pixels(8, 16, 16, 3), training=True) ** 2)
    for weight, gradient in zip(model.trainable_variables, tape.gradient(loss, model.trainable_variables)):
        assert gradient is not None and np.abs(gradient).max() > 0, weight.path


def test_half_precision():
    x = pixels(4, 16, 16, 3)
    full = small(width=2)
    keras.config.set_dtype_policy("mixed_bfloat16")
    half = small(width=2)
    half.set_weights(full.get_weights())
    assert half(x).dtype == "bfloat16"
    np.testing.assert_allclose(half(x), full(x), rtol=0.1, atol=0.1)


def test_the_file_holds_plain_keras(tmp_path):
    x = pixels(4, 16, 16, 3)
    model = small(width=2, batch_norm_groups=2)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {type(layer) for layer in norms} == {encoders.GroupedBatchNormalization}
    exported = keras_ssl.export(model, tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    np.testing.assert_allclose(loaded(x), exported(x), atol=1e-5)
    np.testing.assert_allclose(loaded(x), model(x), rtol=1e-4, atol=1e-4)
