"""Encoders: shapes and counts of the papers, plain Keras files, batch norm in groups."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import encoders

# Keras's own saving meets NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

RESNETS = [encoders.resnet18, encoders.resnet34, encoders.resnet50]
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def pixels(*shape, dtype="uint8", seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(dtype)


def small(**options):
    return encoders.resnet18(**{"input_shape": (16, 16, 3), "width": 4, **options})


def batch_norms(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def equal_weights(a, b):
    for v, w in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(v, w)


@pytest.mark.parametrize("build,count,dim", [
    (encoders.resnet18, 11_176_512, 512), (encoders.resnet34, 21_284_672, 512), (encoders.resnet50, 23_508_032, 2048),
])
def test_has_as_many_parameters_as_the_original(build, count, dim):
    model = build((224, 224, 3))
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == count
    assert model.output_shape == (None, dim)
    assert model.get_layer("stem_conv").kernel.shape == (7, 7, 3, 64)
    assert model.get_layer("stage4_block2_add").output.shape[1:3] == (7, 7)


@pytest.mark.parametrize("build,factor", list(zip(RESNETS, (8, 8, 32))))
def test_shapes(build, factor):
    assert build((None, None, 4), width=4, stem="cifar").output_shape == (None, 4 * factor)
    assert build((32, 32, 3), width=8, pooling=None).output_shape == (None, 4, 4, 8 * factor)
    assert build((65, 96, 1), width=4, pooling=None).output_shape == (None, 3, 3, 4 * factor)


def test_strides_and_shortcuts_of_version_one_and_a_half():
    model = encoders.resnet50((64, 64, 3), width=4)
    assert model.get_layer("stage2_block1_conv1").strides == (1, 1)
    assert model.get_layer("stage2_block1_conv2").strides == (2, 2)
    shortcuts = [layer.name for layer in model.layers if layer.name.endswith("shortcut_conv")]
    assert shortcuts == [f"stage{i}_block1_shortcut_conv" for i in (1, 2, 3, 4)]
    assert not any(layer.name.startswith("stage1") and "shortcut" in layer.name for layer in small().layers)


def test_strided_convolutions_pad_both_sides():
    """On an even side "same" would pad the right only: the first output would not see a pixel outside of the image."""
    model = small(stem="imagenet", input_shape=(64, 64, 3), preprocessing=False)
    x = pixels(1, 64, 64, 3, dtype="float32")
    kernel = model.get_layer("stem_conv").kernel.numpy()
    found = keras.Model(model.input, model.get_layer("stem_conv").output)(x).numpy()
    padded = np.pad(x[0], ((3, 3), (3, 3), (0, 0)))
    for i, j in ((0, 0), (5, 17), (31, 31)):
        expected = np.einsum("hwc,hwcf->f", padded[2 * i:2 * i + 7, 2 * j:2 * j + 7], kernel)
        np.testing.assert_allclose(found[0, i, j], expected, rtol=1e-3, atol=1e-3)


def test_every_block_starts_as_the_identity():
    x = pixels(2, 16, 16, 3)
    for zero, same in ((True, True), (False, False)):
        model = small(zero_init_residual=zero)
        block = keras.Model(model.input, [model.get_layer(n).output for n in ("stem_relu", "stage1_block2_relu")])
        before, after = block(x)
        assert np.allclose(before, after) == same


def test_initial_kernels_are_he_normal_of_fan_out():
    model = encoders.resnet18((32, 32, 3), width=64)
    a, b = (model.get_layer(f"stage4_block2_conv{k}").kernel.numpy() for k in (1, 2))
    assert a.std() == pytest.approx(np.sqrt(2 / (9 * 512)), rel=0.01)
    assert np.abs(a).max() > 3 * a.std() and (a != b).all()  # not truncated; every layer has numbers of its own
    assert all(not layer.use_bias for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    assert {(layer.epsilon, layer.momentum) for layer in batch_norms(model)} == {(1e-5, 0.9)}


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_takes_raw_pixels_of_any_dtype(policy):
    keras.config.set_dtype_policy(policy)
    model = small()
    x = pixels(4, 16, 16, 3)
    inside = keras.Model(model.input, model.get_layer("preprocessing").output)
    for dtype in ("uint8", "int32", "float32"):
        found = inside(x.astype(dtype))
        assert found.dtype == "float32"
        np.testing.assert_allclose(found, (x / 255 - MEAN) / STD, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(model(x.astype(dtype)), model(x))
    np.testing.assert_array_equal(model.predict(x, verbose=0), model(x))
    assert model(x).dtype == keras.config.dtype_policy().compute_dtype


def test_preprocessing_of_other_channels_and_none():
    x = pixels(2, 16, 16, 1)
    gray = small(input_shape=(16, 16, 1))
    found = keras.Model(gray.input, gray.get_layer("preprocessing").output)(x)
    np.testing.assert_allclose(found, (x / 255 - 0.5) / 0.25, rtol=1e-5, atol=1e-5)
    assert "preprocessing" not in [layer.name for layer in small(preprocessing=False).layers]


def test_file_loads_with_keras_alone(tmp_path):
    x = pixels(2, 16, 16, 3)
    models = [small(), encoders.with_plain_batch_norm(small(batch_norm_groups=2))]
    for i, model in enumerate(models):
        model.save(tmp_path / f"{i}.keras")
        np.save(tmp_path / f"{i}.npy", model(x))
    np.save(tmp_path / "x.npy", x)
    script = (
        "import sys, keras, numpy as np\n"
        "for i in range(2):\n"
        "    features = keras.models.load_model(f'{i}.keras')(np.load('x.npy'))\n"
        "    np.testing.assert_allclose(features, np.load(f'{i}.npy'), rtol=1e-4, atol=1e-5)\n"
        "assert 'keras_ssl' not in sys.modules\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]


def test_every_weight_gets_a_gradient_once_the_blocks_are_open():
    for build in RESNETS:
        model = build((16, 16, 3), width=2, zero_init_residual=False)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(pixels(8, 16, 16, 3), training=True) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        assert all(g is not None and np.abs(g).max() > 0 for g in gradients)


@pytest.mark.parametrize("options,message", [
    ({"input_shape": (32, 32)}, "input_shape"),
    ({"input_shape": (None, None, 3)}, "stem"),
    ({"width": 0}, "width=0"),
    ({"stem": "tiny"}, "stem='tiny'"),
    ({"pooling": "sum"}, "pooling='sum'"),
    ({"batch_norm_momentum": 1.5}, "batch_norm_momentum=1.5"),
    ({"batch_norm_groups": 0}, "batch_norm_groups=0"),
    ({"batch_norm_groups": 2, "synchronized": True}, "synchronized=True"),
])
def test_errors_say_what_came(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


# Batch normalization in groups


def grouped_reference(x, groups, gamma, beta, epsilon):
    y, means, variances = np.zeros_like(x), [], []
    size = len(x) // groups
    for g in range(groups):
        rows = slice(g * size, (g + 1) * size)
        axes = tuple(range(x.ndim - 1))
        mean, variance = x[rows].mean(axes), x[rows].var(axes)
        y[rows] = (x[rows] - mean) / np.sqrt(variance + epsilon) * gamma + beta
        means.append(mean), variances.append(variance)
    return y, np.mean(means, 0), np.mean(variances, 0)


@pytest.mark.parametrize("mode", ["eager", "graph", "unknown batch", "xla"])
@pytest.mark.parametrize("shape", [(12, 5), (12, 3, 4, 5)])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_grouped_batch_norm_equals_the_loop(groups, shape, mode):
    rng = np.random.default_rng(0)
    x = rng.normal(2, 3, size=shape) * np.arange(1, 13).reshape(12, *[1] * (len(shape) - 1))
    layer = encoders.GroupedBatchNormalization(groups, momentum=0.7, epsilon=1e-3, dtype="float64")
    layer.build((None, *shape[1:]))
    gamma, beta = rng.normal(size=(2, 5))
    layer.set_weights([gamma, beta, np.full(5, 0.5), np.full(5, 2.0)])
    call = {
        "eager": lambda f: f,
        "graph": tf.function,
        "unknown batch": lambda f: tf.function(f, input_signature=[tf.TensorSpec((None, *shape[1:]), "float64")]),
        "xla": lambda f: tf.function(f, jit_compile=True),
    }[mode](lambda x: layer(x, training=True))
    expected, mean, variance = grouped_reference(x, groups, gamma, beta, 1e-3)
    np.testing.assert_allclose(call(tf.constant(x)), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.7 * 0.5 + 0.3 * mean, rtol=1e-6)
    np.testing.assert_allclose(layer.moving_variance.numpy(), 0.7 * 2.0 + 0.3 * variance, rtol=1e-6)


def test_one_group_and_inference_are_plain_batch_norm():
    x = np.random.default_rng(0).normal(size=(8, 3, 3, 4)).astype("float32")
    plain, one, four = (
        keras.layers.BatchNormalization(), encoders.GroupedBatchNormalization(1), encoders.GroupedBatchNormalization(4)
    )
    np.testing.assert_allclose(plain(x, training=True), one(x, training=True), atol=1e-5)
    four.build(x.shape)
    four.set_weights(plain.get_weights())
    np.testing.assert_allclose(plain(x), four(x), atol=1e-6)
    four.trainable = False
    np.testing.assert_allclose(plain(x), four(x, training=True), atol=1e-6)  # frozen is inference, as in Keras


def test_grouped_gradients_stay_in_their_group():
    layer, x = encoders.GroupedBatchNormalization(2), tf.random.stateless_normal((8, 3), (0, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(layer(x, training=True)[:4] ** 3)
    gradient = tape.gradient(loss, x).numpy()
    assert (gradient[:4] != 0).all() and (gradient[4:] == 0).all()


def test_grouped_batch_norm_in_half_precision_and_its_round_trip():
    x = (1000 + np.random.default_rng(0).normal(size=(8, 4, 4, 3))).astype("float16")
    layer = encoders.GroupedBatchNormalization(2, scale=False, center=False, dtype="mixed_float16", name="norm")
    y = layer(x, training=True)
    assert y.dtype == "float16" and np.isfinite(y).all() and np.std(y) == pytest.approx(1, abs=0.05)
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(again) is encoders.GroupedBatchNormalization and again.get_config() == layer.get_config()


def test_batch_that_groups_do_not_divide():
    layer = encoders.GroupedBatchNormalization(4)
    with pytest.raises(ValueError, match="batch=6, groups=4"):
        layer(np.zeros((6, 4, 4, 2), "float32"), training=True)
    call = tf.function(lambda x: layer(x, training=True), input_signature=[tf.TensorSpec((None, 4, 4, 2))])
    with pytest.raises(tf.errors.InvalidArgumentError):
        call(tf.zeros((6, 4, 4, 2)))
    for wrong in (0, 2.0, True):
        with pytest.raises(ValueError, match="groups must be a positive int"):
            encoders.GroupedBatchNormalization(wrong)
    with pytest.raises(ValueError, match="axis=1"):
        encoders.GroupedBatchNormalization(2, axis=1).build((None, 3, 4, 4))


def test_conversions_keep_weights_outputs_and_the_rest():
    encoder = small(zero_init_residual=False)
    x = pixels(8, 16, 16, 3)
    encoder(x, training=True)  # moves the statistics
    grouped = encoders.with_grouped_batch_norm(encoder, 4)
    assert {layer.groups for layer in batch_norms(grouped)} == {4}
    synchronized = encoders.with_synchronized_batch_norm(grouped)
    assert all(layer.synchronized for layer in batch_norms(synchronized))
    plain = encoders.with_plain_batch_norm(synchronized)
    assert all(type(layer) is keras.layers.BatchNormalization for layer in batch_norms(plain))
    assert plain.get_config() == encoder.get_config()
    for copy in (grouped, synchronized, plain):
        equal_weights(copy, encoder)
        np.testing.assert_allclose(copy(x), encoder(x), atol=1e-5)
        assert not {id(v) for v in copy.variables} & {id(v) for v in encoder.variables}
    assert np.abs(grouped(x, training=True) - encoder(x, training=True)).max() > 1e-3


def test_conversion_reaches_nested_models_and_refuses_subclasses():
    inner = small()
    outer = keras.Sequential([keras.Input((16, 16, 3)), inner, keras.layers.Dense(2)])
    grouped = encoders.with_grouped_batch_norm(outer, 2)
    assert all(layer.groups == 2 for layer in batch_norms(grouped.layers[0]))
    equal_weights(grouped, outer)

    class Own(keras.Model):
        pass

    with pytest.raises(TypeError, match="functional"):
        encoders.with_plain_batch_norm(Own())


# Pooling


@pytest.mark.parametrize("build,options", [
    (keras.applications.MobileNetV2, {"alpha": 0.35}), (keras.applications.EfficientNetV2B0, {}),
])
def test_pool_makes_encoders_of_keras_applications(build, options):
    backbone = build(input_shape=(32, 32, 3), include_top=False, weights=None, **options)
    x = pixels(4, 32, 32, 3, dtype="float32")
    encoder = encoders.pool(backbone)
    assert encoder.output_shape == (None, 1280)
    module = keras.applications.mobilenet_v2 if options else keras.applications.efficientnet_v2
    expected = backbone(module.preprocess_input(x.copy())).numpy().mean((1, 2))
    np.testing.assert_allclose(encoder(x), expected, rtol=1e-4, atol=1e-4)
    raw = encoders.pool(backbone, preprocessing=False)
    np.testing.assert_allclose(raw(x), backbone(x).numpy().mean((1, 2)), rtol=1e-4, atol=1e-4)
    assert encoder.weights[0] is backbone.weights[0]
    if options:
        assert encoders.with_grouped_batch_norm(encoder, 2)(x, training=True).shape == (4, 1280)


APPLICATIONS = {
    "resnet": ["resnet50", "resnet101", "resnet152"], "resnet_v2": ["resnet50v2", "resnet152v2"],
    "vgg16": ["vgg16"], "vgg19": ["vgg19"], "densenet": ["densenet121", "densenet201"],
    "mobilenet": ["mobilenet_1.00_224", "mobilenet_0.25_96"], "mobilenet_v2": ["mobilenetv2_0.35_32"],
    "inception_v3": ["inception_v3"], "inception_resnet_v2": ["inception_resnet_v2"], "xception": ["xception"],
    "nasnet": ["nasnet_mobile", "nasnet_large", "NASNet"],
}


@pytest.mark.parametrize("module, name", [(module, name) for module, names in APPLICATIONS.items() for name in names])
def test_pool_prepares_images_as_keras_applications_do(module, name, tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")  # pixels stay exact
    images = keras.Input((4, 4, 3))
    backbone = keras.Model(images, keras.layers.Activation("linear", dtype="float32")(images), name=name)
    x = pixels(2, 4, 4, 3)
    expected = getattr(keras.applications, module).preprocess_input(x.astype("float32")).max((1, 2))
    encoder = encoders.pool(backbone, "max")
    np.testing.assert_allclose(encoder(x), expected, atol=2e-2 * np.abs(expected).max())
    assert encoder.get_layer("preprocessing").compute_dtype == "float32"
    encoder.save(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "encoder.keras")(x), encoder(x))


def test_pool_leaves_other_backbones_as_they_are():
    ours = {"input_shape": (32, 32, 3), "width": 2, "pooling": None}
    for backbone in (
        encoders.resnet50(**ours), encoders.resnet50(preprocessing=False, **ours),
        keras.Model(images := keras.Input((4, 4, 3)), keras.layers.Conv2D(5, 1)(images), name="mine"),
        keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(5, 1)]),  # not called yet
    ):
        x = pixels(2, *backbone.input_shape[1:], dtype="float32")
        np.testing.assert_allclose(encoders.pool(backbone)(x), backbone(x).numpy().mean((1, 2)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("activation", ["softmax", None])
def test_pool_refuses_a_classifier(activation):
    options = {"weights": None, "classes": 7, "classifier_activation": activation}
    backbone = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, **options)
    with pytest.raises(ValueError, match="ends with a classifier, 'predictions'.*include_top=False"):
        encoders.pool(backbone)


def test_encoders_are_channels_last_whatever_the_configuration_says():
    data_format, x = keras.config.image_data_format(), pixels(2, 32, 32, 3)
    make = {
        "resnet": lambda: encoders.resnet18((32, 32, 3), width=2),
        "selective": lambda: encoders.resnet50((32, 32, 3), width=2, stem="imagenet", selective_kernel=True),
        "vit": lambda: encoders.vit((32, 32, 3), patch=8, width=16, depth=1, heads=2),
        "swin": lambda: encoders.swin((32, 32, 3), patch=2, width=8, depths=(1, 1), heads=(1, 2), window=4),
        "conv_vit": lambda: encoders.conv_vit((32, 32, 3), (2, 2, 2), width=(4, 4, 8), depth=(1, 1, 1), heads=2),
        "r3d18": lambda: encoders.r3d18((4, 32, 32, 3), width=2),
        "conv1d": lambda: encoders.conv1d((32, 3), filters=(4,), kernels=(3,)),
    }
    inputs = {"r3d18": np.stack([x] * 4, axis=1), "conv1d": x[:, 0].astype("float32")}
    plain = {name: build() for name, build in make.items()}
    expected = {name: model(inputs.get(name, x)) for name, model in plain.items()}
    try:
        keras.config.set_image_data_format("channels_first")
        for name, build in make.items():
            model = build()
            model.set_weights(plain[name].get_weights())
            np.testing.assert_allclose(model(inputs.get(name, x)), expected[name], atol=1e-4, err_msg=name)
    finally:
        keras.config.set_image_data_format(data_format)


def test_pool_of_tokens_vectors_lists_and_dicts(tmp_path):
    inputs = keras.Input((6, 3))
    tokens, vectors = keras.layers.Dense(4)(inputs), keras.layers.Flatten()(inputs)
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
    backbone = keras.Model(inputs, tokens, name="backbone")
    pooled = {"avg": lambda t: t.mean(1), "max": lambda t: t.max(1), "first": lambda t: t[:, 0]}
    for pooling, expected in pooled.items():
        encoder = encoders.pool(backbone, pooling)
        assert encoder.name == "backbone"
        np.testing.assert_allclose(encoder(x), expected(backbone(x).numpy()), rtol=1e-5)
        encoder.save(tmp_path / "encoder.keras")
        np.testing.assert_allclose(keras.models.load_model(tmp_path / "encoder.keras")(x), encoder(x), rtol=1e-5)
    for structure in ([tokens, vectors], {"a": tokens, "b": vectors}, vectors):
        np.testing.assert_array_equal(encoders.pool(keras.Model(inputs, structure))(x), x.reshape(2, -1))
    feature_map = keras.Model(images := keras.Input((4, 4, 3)), keras.layers.Conv2D(5, 1)(images))
    image = pixels(2, 4, 4, 3, dtype="float32")
    encoder = encoders.pool(feature_map, "max")
    np.testing.assert_allclose(encoder(image), feature_map(image).numpy().max((1, 2)), rtol=1e-5)


def test_pool_refuses_what_it_cannot_pool():
    class Own(keras.Model):
        pass

    scalar = keras.Model(inputs := keras.Input((3,)), keras.ops.sum(inputs, axis=-1))
    feature_map = keras.Model(images := keras.Input((4, 4, 3)), keras.layers.Conv2D(5, 1)(images))
    with pytest.raises(TypeError, match="functional"):
        encoders.pool(Own())
    with pytest.raises(ValueError, match="output="):
        encoders.pool(scalar)
    with pytest.raises(ValueError, match="feature map"):
        encoders.pool(feature_map, "first")
    with pytest.raises(ValueError, match="pooling='sum'"):
        encoders.pool(feature_map, "sum")


@pytest.mark.parametrize("kind", ["resnet", "vit"])
def test_pool_of_keras_hub(kind):
    hub = pytest.importorskip("keras_hub")
    if kind == "resnet":
        backbone = hub.models.ResNetBackbone(
            input_conv_filters=[64], input_conv_kernel_sizes=[7], stackwise_num_filters=[64, 64],
            stackwise_num_blocks=[1, 1], stackwise_num_strides=[1, 2], block_type="basic_block",
            image_shape=(32, 32, 3),
        )
    else:
        backbone = hub.models.ViTBackbone(
            image_shape=(32, 32, 3), patch_size=8, num_layers=1, num_heads=2, hidden_dim=64, mlp_dim=64,
        )
    encoder = encoders.pool(backbone)
    assert encoder(pixels(2, 32, 32, 3, dtype="float32")).shape == (2, 64)
    again = type(encoder).from_config(encoder.get_config())
    again.set_weights(encoder.get_weights())
