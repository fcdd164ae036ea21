"""Vision transformer: the forward pass is the papers', at any size of the images, and its stages can run alone."""

import math
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from keras_ssl import encoders
from tests.reference import vit as reference

# Keras's own saving meets NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
PATCH, WIDTH, DEPTH, HEADS, GRID = 4, 12, 2, 3, (3, 4)


def pixels(*shape, dtype="uint8", seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(dtype)


def small(input_shape=(12, 16, 3), **options):
    """A tiny model whose weights are far from their start, biases and scales as well."""
    options = {"width": WIDTH, "depth": DEPTH, "heads": HEADS} | options
    model = encoders.vit(input_shape, PATCH, **options)
    draw = np.random.default_rng(1)
    for variable in model.trainable_variables:
        start = 1.0 if variable.path.endswith("gamma") else 0.0
        variable.assign(start + draw.normal(0, 0.3, variable.shape))
    return model


def weights_of(model):
    return {v.path.split("/", v.path.count("/") - 1)[-1]: v.numpy().astype("float64") for v in model.weights}


def expected(model, images, positions):
    """Normalized tokens `(batch, tokens, width)` and maps `(batch, depth, heads, tokens, tokens)` of the reference."""
    weights = weights_of(model)
    tokens = [reference.tokens((image / 255 - MEAN) / STD, weights, PATCH, positions) for image in images]
    found = [reference.blocks(x, weights, DEPTH, HEADS) for x in tokens]
    return [np.array(part) for part in zip(*found)]


def dropped(model):
    return [layer for layer in model.get_layer("blocks").layers if isinstance(layer, keras.layers.Dropout)]


# The forward pass


@pytest.mark.parametrize("input_shape", [(12, 16, 3), (None, None, 3)])
def test_the_forward_pass_is_the_papers(input_shape):
    x = pixels(2, 12, 16, 3)
    model = small(input_shape)
    tokens, maps = expected(model, x, reference.sines(*GRID, WIDTH))
    np.testing.assert_allclose(model(x), tokens[:, 0], atol=2e-4)
    for block in (0, 1, -1):
        found = encoders.attention_maps(model, block).predict(x, verbose=0)
        np.testing.assert_allclose(found, maps[:, block], atol=1e-4)
    for pooling, pooled in (("mean", tokens[:, 1:].mean(1)), (None, tokens)):
        other = small(input_shape, pooling=pooling)
        np.testing.assert_allclose(other(x), pooled, atol=2e-4)  # the same weights, drawn by the same seed


def test_without_a_class_token_all_tokens_are_pooled():
    x = pixels(2, 12, 16, 3)
    model = small(pooling="mean", class_token=False)
    weights, places = weights_of(model), reference.sines(*GRID, WIDTH)
    assert not any("class_token" in name for name in weights)
    weights["class_token/kernel"] = np.zeros((1, WIDTH))  # the reference puts it first: taken out again
    patches = [reference.tokens((image / 255 - MEAN) / STD, weights, PATCH, places)[1:] for image in x]
    tokens = np.array([reference.blocks(one, weights, DEPTH, HEADS)[0] for one in patches])
    np.testing.assert_allclose(model(x), tokens.mean(axis=1), atol=2e-4)
    assert np.abs(tokens.mean(axis=1) - tokens[:, 1:].mean(axis=1)).max() > 0.01
    np.testing.assert_allclose(small(pooling=None, class_token=False)(x), tokens, atol=2e-4)


def test_registers_are_the_last_tokens_of_the_attention():
    x = pixels(2, 12, 16, 3)
    model = small(registers=2, pooling=None)
    weights = weights_of(model)
    registers = weights["registers/kernel"].reshape(2, WIDTH)
    for image, tokens, maps in zip(x, model(x).numpy(), encoders.attention_maps(model, 1)(x).numpy()):
        first = reference.tokens((image / 255 - MEAN) / STD, weights, PATCH, reference.sines(*GRID, WIDTH))
        expected, found = reference.blocks(np.concatenate([first, registers]), weights, DEPTH, HEADS)
        np.testing.assert_allclose(tokens, expected[:-2], atol=2e-4)
        np.testing.assert_allclose(maps, found[1], atol=1e-4)
        np.testing.assert_allclose(maps.sum(axis=-1), 1, atol=1e-5)


def test_gated_units_and_factors_are_those_of_the_reference():
    x = pixels(2, 12, 16, 3)
    model = small(activation="swiglu", layer_scale=1e-5, pooling=None)
    weights = weights_of(model)
    assert weights["block1_hidden/kernel"].shape == (WIDTH, 2 * 32)
    assert weights["block1_scale1/kernel"].shape == (WIDTH,)
    for image, tokens in zip(x, model(x).numpy()):
        first = reference.tokens((image / 255 - MEAN) / STD, weights, PATCH, reference.sines(*GRID, WIDTH))
        np.testing.assert_allclose(tokens, reference.blocks(first, weights, DEPTH, HEADS)[0], atol=2e-4)


def test_factors_start_as_told_and_do_not_decay():
    model = encoders.vit((12, 16, 3), PATCH, width=WIDTH, depth=DEPTH, heads=HEADS, layer_scale=1e-5)
    scales = [v for v in model.trainable_variables if "_scale" in v.path]
    assert len(scales) == 2 * DEPTH
    for scale in scales:
        np.testing.assert_array_equal(scale, np.full(WIDTH, 1e-5, "float32"))
    optimizer = keras_ssl.optimizers.AdamW(0.1)
    optimizer.build(scales)
    assert len(optimizer._excluded) == len(scales)
    found = []
    for width in (384, 1536):
        model = encoders.vit((8, 8, 3), 4, width=width, depth=1, heads=1, activation="swiglu")
        found.append(model.get_layer("blocks").get_layer("block1_output").kernel.shape[0])
    assert found == [1024, 4096]  # of ViT-S and ViT-g in DINOv2


def test_learned_positions_are_a_table():
    x = pixels(2, 12, 16, 3)
    model = small(positions="learned")
    table = weights_of(model)["table/kernel"]
    assert table.shape == (12, WIDTH)
    np.testing.assert_allclose(model(x), expected(model, x, table)[0][:, 0], atol=2e-4)


def torch_bicubic(old, new):
    """The shares `(new, old)` of PyTorch's bicubic `interpolate` along one axis."""
    shares = np.zeros((new, old))
    for i in range(new):
        at = (i + 0.5) * old / new - 0.5
        for j in range(math.floor(at) - 1, math.floor(at) + 3):
            d, a = abs(at - j), -0.75
            share = (a + 2) * d**3 - (a + 3) * d**2 + 1 if d < 1 else a * (d**3 - 5 * d**2 + 8 * d - 4)
            shares[i, min(max(j, 0), old - 1)] += share
    return shares


def test_the_interpolation_is_that_of_pytorch():
    # Values that PyTorch 2 gave: interpolate, mode="bicubic", align_corners=False.
    assert torch_bicubic(4, 3) @ [0, 1, 4, 2] == pytest.approx([0.091435, 2.78125, 2.33912], abs=1e-5)
    larger = [-0.086806, 0.21875, 1.552083, 3.760417, 3.28125, 1.826389]
    assert torch_bicubic(4, 6) @ [0, 1, 4, 2] == pytest.approx(larger, abs=1e-5)


@pytest.mark.parametrize("size", [(3, 4), (2, 2), (5, 7), (1, 9)])
def test_positions_of_another_size_are_interpolated(size):
    x = pixels(2, size[0] * PATCH, size[1] * PATCH, 3)
    model = small((None, None, 3), grid=GRID, positions="learned")
    table = model.get_layer("positions").get_layer("table").kernel
    rows, columns = (torch_bicubic(old, new) for old, new in zip(GRID, size))
    resized = np.einsum("ia,jb,abc->ijc", rows, columns, np.reshape(table, (*GRID, WIDTH))).reshape(-1, WIDTH)
    np.testing.assert_allclose(model(x), expected(model, x, resized)[0][:, 0], atol=3e-4)

    model = small((None, None, 3), grid=GRID)
    sines = reference.sines(*size, WIDTH, GRID)
    np.testing.assert_allclose(model(x), expected(model, x, sines)[0][:, 0], atol=3e-4)
    model = small((None, None, 3))  # no grid: the patches are counted
    sines = reference.sines(*size, WIDTH)
    np.testing.assert_allclose(model(x), expected(model, x, sines)[0][:, 0], atol=3e-4)


def test_without_positions_the_order_of_the_patches_has_no_part():
    x = pixels(2, 4, 16, 3)
    turned = x.reshape(2, 4, 4, 4, 3)[:, :, [2, 0, 3, 1]].reshape(x.shape)
    model = small((4, 16, 3), positions=None)
    np.testing.assert_allclose(model(x), model(turned), atol=1e-4)
    model = small((4, 16, 3))
    assert np.abs(model(x) - model(turned)).max() > 1e-2


@pytest.mark.parametrize("build,width,count", [
    (encoders.vit_tiny, 192, 5_524_416), (encoders.vit_small, 384, 21_665_664), (encoders.vit_base, 768, 85_798_656),
])
def test_has_as_many_parameters_as_the_original(build, width, count):
    model = build(positions="learned")
    assert model.count_params() == count - width  # the position of the class token, which would be added to it
    assert model.output_shape == (None, width) and model.name == build.__name__
    assert len([x for x in model.get_layer("blocks").layers if x.name.endswith("_attention")]) == 12


def test_shapes():
    assert small(pooling=None).output_shape == (None, 13, WIDTH)
    assert small(pooling=None, class_token=False).output_shape == (None, 12, WIDTH)
    model = small((None, None, 1), pooling="mean", class_token=False)
    assert model.output_shape == (None, WIDTH) and model(pixels(2, 8, 20, 1)).shape == (2, WIDTH)
    images = keras.Input((None, None, 1), batch_size=5)
    assert model(images).shape == (5, WIDTH)


# Initial weights


def test_initial_weights():
    model = encoders.vit((32, 32, 3), 8, width=128, depth=2, heads=4)
    weights = weights_of(model)
    limits = {"block1_query": 6 / 256, "block2_value": 6 / 256, "block1_hidden": 6 / 640, "patches": 6 / (192 + 128)}
    for name, square in limits.items():
        assert np.abs(weights[f"{name}/kernel"]).max() == pytest.approx(square**0.5, rel=0.01), name
    assert not (weights["block1_query/kernel"] == weights["block1_key/kernel"]).any()
    assert weights["class_token/kernel"].std() == pytest.approx(1e-6, rel=0.3)
    assert all((value == 0).all() for name, value in weights.items() if name.endswith("/bias"))

    # MAE: one matrix for query, key and value.
    weights = weights_of(encoders.vit((32, 32, 3), 8, width=192, depth=1, heads=4, initializer="xavier_fused"))
    for part in ("query", "key", "value"):
        assert weights[f"block1_{part}/kernel"].std() == pytest.approx((2 / (192 + 3 * 192)) ** 0.5, rel=0.02), part
    assert np.abs(weights["block1_projection/kernel"]).max() == pytest.approx((6 / 384) ** 0.5, rel=0.01)
    assert weights["class_token/kernel"].std() == pytest.approx(0.02, rel=0.2)

    # DINO: a normal distribution, cut so far away that nothing is.
    model = encoders.vit((32, 32, 3), 8, width=128, depth=1, heads=4, initializer="truncated_normal",
                         positions="learned", grid=16)
    weights = weights_of(model)
    for name in ("block1_query", "block1_output", "table"):
        kernel = weights[f"{name}/kernel"]
        assert kernel.std() == pytest.approx(0.02, rel=0.02) and np.abs(kernel).max() > 0.06, name
    assert weights["class_token/kernel"].std() == pytest.approx(0.02, rel=0.2)
    for name in ("patches/kernel", "patches/bias"):
        assert np.abs(weights[name]).max() == pytest.approx(192**-0.5, rel=0.05)
    assert (weights["block1_query/bias"] == 0).all()

    # I-JEPA: one deviation for all, and no bias.
    weights = weights_of(encoders.vit((32, 32, 3), 8, width=128, depth=1, heads=4, initializer=0.03))
    for name in ("patches", "block1_query", "block1_key", "block1_hidden"):
        assert weights[f"{name}/kernel"].std() == pytest.approx(0.03, rel=0.02), name
    assert weights["class_token/kernel"].std() == pytest.approx(0.03, rel=0.2)
    assert all((value == 0).all() for name, value in weights.items() if name.endswith("/bias"))
    assert not (weights["block1_query/kernel"] == weights["block1_key/kernel"]).any()


def test_initial_weights_of_the_decoder_and_other_transformers():
    decoder = encoders.token_decoder(192, grid=4, width=192, depth=1, heads=3, outputs=48)
    hybrid = encoders.conv_vit((16, 16, 3), (1, 2, 2), width=(16, 32, 192), depth=(1, 1, 1), heads=3)
    for model in (decoder, hybrid):
        weights = weights_of(model)
        assert weights["block1_query/kernel"].std() == pytest.approx((2 / 768) ** 0.5, rel=0.02), model.name
    weights = weights_of(encoders.swin((32, 32, 3), 2, width=96, depths=(1, 1), heads=(2, 4), window=4))
    for name in ("stage1_block1_query", "stage2_block1_hidden", "stage2_merge"):
        kernel = weights[f"{name}/kernel"]
        assert kernel.std() == pytest.approx(0.02, rel=0.02) and np.abs(kernel).max() > 0.06, name


def test_the_mask_token_decays_unless_it_is_told_not_to():
    for decays, shape in ((True, (1, 64)), (False, (64,))):
        layer = encoders.MaskToken(64, decays=decays)
        optimizer = keras_ssl.optimizers.AdamW(0.1, weight_decay=0.5)
        optimizer.build(layer.trainable_variables)
        assert layer.token.shape == shape and optimizer._excludes(layer.token) is not decays
        assert encoders.MaskToken.from_config(layer.get_config()).decays is decays
        hidden = layer(np.ones((2, 3, 64)), np.array([[True, False, False]] * 2)).numpy()
        np.testing.assert_array_equal(hidden[1, 0], layer.token.numpy().ravel())
        assert (hidden[:, 1:] == 1).all()


# Stochastic depth


def test_drop_path_leaves_out_whole_samples():
    model = small(depth=4, drop_path=0.6)
    paths = dropped(model)
    np.testing.assert_allclose([layer.rate for layer in paths], np.repeat([0.2, 0.4, 0.6], 2))
    same = dropped(small(depth=3, drop_path=(0.3, 0.3)))
    np.testing.assert_allclose([layer.rate for layer in same], np.repeat(0.3, 6))
    x = np.ones((400, 5, WIDTH), "float32") * np.arange(1, 6)[:, None]
    for layer in paths:
        y = layer(x, training=True).numpy()
        kept = y[:, 0, 0] != 0
        np.testing.assert_allclose(y, np.where(kept[:, None, None], x / (1 - layer.rate), 0), rtol=1e-5)
        assert kept.mean() == pytest.approx(1 - layer.rate, abs=0.1)

    model = small(drop_path=0.5)  # 2 blocks: the first is never left out, the second has two branches
    blocks = model.get_layer("blocks")
    x = np.repeat(np.random.default_rng(0).normal(size=(1, 5, WIDTH)), 40, axis=0).astype("float32")
    assert len(np.unique(blocks(x, training=True).numpy().round(3), axis=0)) == 4
    assert len(np.unique(blocks(x, training=False).numpy().round(3), axis=0)) == 1


def test_dropout_acts_in_training_alone():
    x = pixels(2, 12, 16, 3)
    model, plain = small(dropout=0.5), small()
    assert len(dropped(model)) == 3 * DEPTH
    np.testing.assert_array_equal(model(x), plain(x))
    assert np.abs(model(x, training=True) - plain(x)).max() > 1e-2
    np.testing.assert_allclose(plain(x, training=True), plain(x), atol=1e-5)


# The stages


def test_stages_make_up_the_encoder():
    x = pixels(2, 12, 16, 3)
    model = small()
    patches, positions, blocks = encoders.vit_stages(model)
    tokens = positions(patches(x))
    assert patches(x).shape == (2, 3, 4, WIDTH) and tokens.shape == (2, 13, WIDTH)
    np.testing.assert_allclose(blocks(tokens)[:, 0], model(x), atol=1e-5)
    shared = {id(v) for stage in (patches, positions, blocks) for v in stage.weights}
    assert shared == {id(v) for v in model.weights}


@pytest.mark.parametrize("jit", [False, True])
def test_blocks_run_on_a_part_of_the_tokens(jit):
    x = pixels(2, 12, 16, 3)
    model = small()
    patches, positions, blocks = encoders.vit_stages(model)
    blocks = tf.function(blocks, jit_compile=jit)
    tokens = positions(patches(x))
    visible = np.array([[0, 7, 2], [0, 12, 11]])  # the class token, and patches that differ between the images
    found = blocks(ops.take_along_axis(tokens, visible[..., None], axis=1))
    for i, places in enumerate(visible):
        chosen = tokens.numpy()[i, places].astype("float64")
        np.testing.assert_allclose(found[i], reference.blocks(chosen, weights_of(model), DEPTH, HEADS)[0], atol=2e-4)
    hidden = x.copy()
    hidden[0, 8:, 12:] = 0  # the last patch, which image 0 does not see
    other = blocks(ops.take_along_axis(positions(patches(hidden)), visible[..., None], axis=1))
    np.testing.assert_array_equal(found, other)


def test_a_mask_token_takes_the_place_of_a_patch():
    x = pixels(2, 12, 16, 3)
    model = small()
    patches, positions, blocks = encoders.vit_stages(model)
    mask = np.zeros((2, 3, 4, 1), bool)
    mask[:, 1, 2] = True
    token = np.random.default_rng(0).normal(size=WIDTH).astype("float32")
    found = positions(ops.where(mask, token, patches(x))).numpy()
    plain = positions(patches(x)).numpy()
    expected_token = token + reference.sines(*GRID, WIDTH)[6]
    np.testing.assert_allclose(found[:, 7], [expected_token, expected_token], atol=1e-5)
    np.testing.assert_array_equal(np.delete(found, 7, axis=1), np.delete(plain, 7, axis=1))


def test_the_patch_projection_freezes():
    model = small()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(pixels(2, 12, 16, 3)) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(isinstance(g, tf.Tensor) and np.abs(g).max() > 0 for g in gradients)  # none is sparse
    count = len(model.trainable_variables)
    assert encoders.freeze_patches(model) is True
    assert len(model.trainable_variables) == count - 2
    assert not any("patches" in v.path for v in model.trainable_variables)
    again = type(model).from_config(model.get_config())
    assert len(again.trainable_variables) == count - 2
    wrapped = keras_ssl.heads.attach(small(), keras_ssl.heads.mlp(WIDTH, 4, 4))
    assert encoders.freeze_patches(wrapped) is True and not wrapped.layers[1].get_layer("patches").trainable
    assert encoders.freeze_patches(encoders.resnet18((32, 32, 3), width=2)) is False
    assert encoders.freeze_patches(model, False) is True and len(model.trainable_variables) == count


# Copies, files, precision


def test_copies_are_equal_and_apart():
    x = pixels(2, 12, 16, 3)
    model = small(positions="learned", drop_path=0.1, dropout=0.1)
    for copy in (
        keras_ssl.teacher.copy(model),
        encoders.with_plain_batch_norm(model),
        encoders.with_synchronized_batch_norm(model),
        encoders.with_grouped_batch_norm(model, 2),
    ):
        np.testing.assert_array_equal(copy(x), model(x))
        assert not {id(v) for v in copy.variables} & {id(v) for v in model.variables}
        assert [v.path for v in copy.weights] == [v.path for v in model.weights]
        encoders.vit_stages(copy), encoders.attention_maps(copy)


def test_exported_file_loads_with_keras_alone(tmp_path):
    x = pixels(2, 8, 24, 3)
    for i, positions in enumerate(("sincos", "learned")):
        model = small((None, None, 3), grid=GRID, positions=positions, drop_path=0.1, dropout=0.1)
        keras_ssl.export(model, tmp_path / f"{i}.keras")
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


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_takes_raw_pixels_under_every_policy(policy):
    x = pixels(2, 12, 16, 3)
    reference = small(positions="learned")(x).numpy()
    keras.config.set_dtype_policy(policy)
    model = small(positions="learned")
    assert {v.dtype for v in model.weights} == {"float32"}
    assert model(x).dtype == keras.config.dtype_policy().compute_dtype
    np.testing.assert_array_equal(model(x.astype("float32")), model(x))
    tolerance = {"float32": 1e-6, "mixed_float16": 0.02, "mixed_bfloat16": 0.15}[policy]
    np.testing.assert_allclose(np.asarray(model(x), "float32"), reference, atol=tolerance)


def test_eager_equals_graph_equals_xla_at_several_sizes():
    model = small((None, None, 3), grid=GRID, positions="learned")
    for size in ((12, 16), (8, 8)):
        x = tf.constant(pixels(2, *size, 3))
        for jit in (False, True):
            compiled = tf.function(lambda x: model(x, training=True), jit_compile=jit)
            assert compiled.get_concrete_function(x).output_shapes == (2, WIDTH)  # static
            np.testing.assert_allclose(compiled(x), model(x), atol=1e-4)


@pytest.mark.parametrize("options,message", [
    ({"input_shape": (32, 32)}, "input_shape"),
    ({"input_shape": (12, 18, 3)}, "multiples of the patch"),
    ({"input_shape": (None, None, 3), "positions": "learned"}, "grid=None"),
    ({"grid": (0, 2)}, "grid must"),
    ({"width": 13}, "width=13"),
    ({"width": 6}, "multiple of 4"),
    ({"depth": 0}, "depth=0"),
    ({"heads": 2.0}, "heads=2.0"),
    ({"mlp_ratio": 0}, "mlp_ratio=0"),
    ({"pooling": "max"}, "pooling='max'"),
    ({"class_token": False}, "class_token"),
    ({"positions": "rotary"}, "positions='rotary'"),
    ({"drop_path": 1.0}, "drop_path=1.0"),
    ({"drop_path": (0.1, 1.0)}, r"drop_path=\(0.1, 1.0\)"),
    ({"drop_path": (0.1, 0.2, 0.3)}, "drop_path="),
    ({"activation": "relu"}, "activation='relu'"),
    ({"layer_scale": 0}, "layer_scale=0"),
    ({"dropout": -0.1}, "dropout=-0.1"),
    ({"initializer": "he"}, "initializer='he'"),
    ({"initializer": 0.0}, "or a float above 0. Received: initializer=0.0"),
    ({"initializer": True}, "initializer=True"),
])
def test_errors_say_what_came(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_other_models_have_no_stages():
    other = encoders.resnet18((32, 32, 3), width=2)
    with pytest.raises(ValueError, match="'patches', 'positions' and 'blocks'"):
        encoders.vit_stages(other)
    with pytest.raises(ValueError, match="stem_conv"):
        encoders.attention_maps(other)
    with pytest.raises(ValueError, match="from -2 to 1. Received: block=2"):
        encoders.attention_maps(small(), 2)
