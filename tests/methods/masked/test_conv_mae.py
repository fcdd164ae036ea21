"""ConvMAE, arXiv 2205.03892: masked convolutions leak nothing, and the encoder works without a mask."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import augment, encoders
from tests import cases
from tests.methods.masked import test_mae
from tests.methods.masked.test_mae import named, randomize, some_masks
from tests.reference.vit import gelu


def small_conv_vit():
    shape = (cases.SIZE, cases.SIZE, 3)
    return keras_ssl.encoders.conv_vit(shape, (1, 2, 2), width=(4, 8, 16), depth=(1, 1, 1), heads=2)


CASE = cases.Case({"width": 16, "depth": 1, "heads": 2}, encoder=small_conv_vit, views=cases.masked_patches)


def images(*sizes, **options):
    return tf.constant(test_mae.images(*sizes, **options))


def conv_vit(size=12, **options):
    options = {"patch": (1, 2, 2), "width": (4, 6, 8), "depth": (2, 1, 2), "heads": 2} | options
    return encoders.conv_vit((size, size, 3), **options)


def make(encoder=None, **options):
    options = {"width": 8, "depth": 1, "heads": 2, "ratio": 0.5} | options
    model = keras_ssl.ConvMAE(encoder or conv_vit(), **options)
    randomize(model)
    model.compile(optimizer=keras.optimizers.Adam(5e-3), run_eagerly=True)
    return model


def norm(x, weights, name):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return x * weights[f"{name}/gamma"] + weights[f"{name}/beta"]


def block(x, shown, weights, name):
    """A masked block: each place reads the visible places among the 25 around it."""
    def dense(x, part):
        return x @ weights[f"{name}_{part}/kernel"] + weights[f"{name}_{part}/bias"]

    y = dense(norm(x, weights, f"{name}_norm1"), "conv1")
    out, kernel = np.zeros_like(y) + weights[f"{name}_depthwise/bias"], weights[f"{name}_depthwise/kernel"][..., 0]
    for i, j in np.ndindex(*x.shape[:2]):
        for di, dj in np.ndindex(5, 5):
            place = i + di - 2, j + dj - 2
            if 0 <= min(place) and place[0] < x.shape[0] and place[1] < x.shape[1] and shown[place]:
                out[i, j] += y[place] * kernel[di, dj]
    x = x + dense(out, "conv2")
    return x + dense(gelu(dense(norm(x, weights, f"{name}_norm2"), "hidden")), "output")


def test_the_stages_are_the_loops():
    model = make()
    masks = some_masks(model)
    stage = model.encoder.get_layer("convolutions")
    weights = named(stage)
    x = np.random.default_rng(0).normal(size=(12, 12, 3))
    shown = ~masks.numpy()[0]
    found, early = stage([tf.constant(y[None], "float32") for y in (x, shown[..., None])])
    total, side = 0.0, 12
    for i, (stride, depth) in enumerate(zip((1, 2, 2), (2, 1, 0))):
        name, side = f"stage{i + 1}", side // stride
        x = cells(x, stride) @ flat(weights[f"{name}_patches/kernel"]) + weights[f"{name}_patches/bias"]
        x = gelu(norm(x, weights, f"{name}_norm"))
        factor = side // 3
        fine = shown.repeat(factor, axis=0).repeat(factor, axis=1)
        for j in range(depth):
            x = block(x, fine, weights, f"{name}_block{j + 1}")
        if i < 2:
            total += cells(x, factor) @ flat(weights[f"{name}_early/kernel"]) + weights[f"{name}_early/bias"]
    x = x @ weights["projection/kernel"] + weights["projection/bias"]
    np.testing.assert_allclose(found[0], x, atol=1e-3)
    np.testing.assert_allclose(early[0], total, atol=1e-3)


def cells(x, side):
    """Squares of a map as vectors."""
    rows, columns = x.shape[0] // side, x.shape[1] // side
    found = x.reshape(rows, side, columns, side, -1).transpose(0, 2, 1, 3, 4)
    return found.reshape(rows, columns, -1)


def flat(kernel):
    return kernel.reshape(-1, kernel.shape[-1])


def test_nothing_of_hidden_pixels_leaks():
    model = make()
    pixels, masks = images(), some_masks(model)
    visible, _, _ = augment.partition(masks, model.mask.masked)
    hidden = np.asarray(augment.enlarge(masks, 4))[..., None]
    other = tf.where(hidden, images(seed=9), pixels)
    shown = tf.cast(~masks[..., None], "float32").numpy()
    for first, second in zip(*(model.stages.patches([x, tf.constant(shown)]) for x in (pixels, other))):
        np.testing.assert_array_equal(first.numpy()[shown[..., 0] > 0], second.numpy()[shown[..., 0] > 0])
        assert np.abs(first - second).max() > 0.1
    np.testing.assert_array_equal(model.latents(pixels, masks, visible), model.latents(other, masks, visible))
    np.testing.assert_array_equal(model.predictions(pixels, masks), model.predictions(other, masks))
    whole = tf.ones_like(shown)  # plain convolutions would let it through
    first, second = (model.stages.patches([x, whole])[0].numpy()[shown[..., 0] > 0] for x in (pixels, other))
    assert np.abs(first - second).max() > 0.01


def test_the_same_mask_at_three_scales():
    model = make()
    stage = model.encoder.get_layer("convolutions")
    masks = some_masks(model).numpy()
    inner = keras.Model(stage.input, [stage.get_layer(f"stage{i}_visible").output for i in (1, 2)])
    fine, middle = inner([np.zeros((3, 12, 12, 3)), ~masks[..., None]])
    np.testing.assert_array_equal(fine[..., 0], ~masks.repeat(4, axis=1).repeat(4, axis=2))
    np.testing.assert_array_equal(middle[..., 0], ~masks.repeat(2, axis=1).repeat(2, axis=2))


def test_without_a_mask_the_stages_are_the_encoder():
    model = make()
    pixels = images()
    patches, positions, blocks = model.stages
    maps, early = patches([pixels, tf.ones((3, 3, 3, 1))])
    tokens = blocks([positions(maps), tf.reshape(early, (3, 9, 8))])
    np.testing.assert_allclose(np.mean(tokens, axis=1), model.encoder(pixels), atol=1e-5)


def test_what_the_early_stages_found_reaches_the_latents():
    model = make()
    pixels, masks = images(), some_masks(model)
    visible, _, _ = augment.partition(masks, model.mask.masked)
    before = model.latents(pixels, masks, visible).numpy()
    for i in (1, 2):
        kernel = model.encoder.get_layer("convolutions").get_layer(f"stage{i}_early").kernel
        kernel.assign(kernel * 0)
        after = model.latents(pixels, masks, visible).numpy()
        assert np.abs(after - before).max() > 0.1
        before = after


def test_the_transformer_runs_on_what_is_left():
    model = make(ratio=0.75)
    visible, _, _ = augment.partition(some_masks(model), model.mask.masked)
    assert model.latents(images(), some_masks(model), visible).shape == (3, 2, 8)
    assert model.train_on_batch({"views": [images()]}) > 0


def test_reconstructions():
    pixels = images()
    masks, found = make().reconstruct(pixels)
    hidden = masks.repeat(4, axis=1).repeat(4, axis=2)
    np.testing.assert_array_equal(found[~hidden], pixels.numpy()[~hidden])
    assert (found[hidden] != pixels.numpy()[hidden]).mean() > 0.9


def test_the_papers_sizes():
    encoder = encoders.conv_vit(depth=(0, 0, 1))
    patches, positions, blocks = encoders.conv_vit_stages(encoder)
    assert [tuple(x.shape) for x in patches.output] == [(None, 14, 14, 768)] * 2
    assert encoders.patch_grid(encoder) == ((14, 14), 16) and encoder.output_shape == (None, 768)


def test_the_encoder_is_saved_and_takes_other_sizes(tmp_path):
    encoder = conv_vit(drop_path=0.1)
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(loaded(images()), encoder(images()))
    assert encoders.conv_vit_stages(loaded)
    other = conv_vit(24, grid=3)
    other.set_weights(encoder.get_weights())
    assert other(images(2, 24)).shape == (2, 8)
    unknown = encoders.conv_vit((None, None, 3), (1, 2, 2), width=(4, 6, 8), depth=(1, 1, 1), heads=2, grid=3)
    assert unknown(images()).shape == (3, 8) and unknown(images(2, 24)).shape == (2, 8)


def test_wrong_arguments_are_refused():
    for options, message in (
        ({"patch": (4, 2)}, "patch must be three ints"),
        ({"depth": (1, 1, 0)}, "at least 1 block"),
        ({"patch": (2, 2, 2)}, "height and width must be"),
        ({"heads": 3}, "the last width must be"),
        ({"pooling": "token"}, "pooling must be"),
        ({"drop_path": 1}, "drop_path must be"),
        ({"mlp_ratio": 0}, "mlp_ratio must be"),
    ):
        with pytest.raises(ValueError, match=message):
            conv_vit(**options)
    with pytest.raises(ValueError, match="input_shape must be"):
        encoders.conv_vit((12, 12))
    with pytest.raises(ValueError, match="A conv_vit of keras_ssl.encoders has"):
        make(encoders.vit((12, 12, 3), patch=4, width=8, depth=1, heads=2))
