"""SimMIM: arXiv 2111.09886, and the Swin that it trains: arXiv 2103.14030."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import encoders
from tests import cases
from tests.reference import masked as reference


def masked_squares():
    return keras_ssl.augment.simmim(cases.SIZE)


CASE = cases.Case({"unit": 4}, encoder=cases.vit_of_one_size, views=masked_squares)

SIZE, PATCH, UNIT = 16, 2, 4


def swin(**options):
    options = {"width": 8, "depths": (2, 1), "heads": (2, 4), "window": 4} | options
    return encoders.swin((SIZE, SIZE, 3), PATCH, **options)


def vit(**options):
    return encoders.vit((SIZE, SIZE, 3), PATCH, width=8, depth=1, heads=2, **{"pooling": "mean"} | options)


every_encoder = pytest.mark.parametrize("build", [swin, vit])


def make(build=swin, **options):
    model = keras_ssl.SimMIM(build(), **{"unit": UNIT} | options)
    model.compile(keras.optimizers.Adam(1e-2), run_eagerly=True)
    return model


def pixels(count=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3)).astype("float32")


def masks(model, count=3, seed=0):
    return model.mask(np.zeros((count, 1)), np.stack([np.arange(count), np.full(count, seed)], 1)).numpy()


def to_pixels(mask):
    return mask.repeat(PATCH, 1).repeat(PATCH, 2)


# The method


@every_encoder
def test_the_loss_is_the_papers(build):
    model = make(build)
    drawn = masks(model)
    model.mask = lambda images, seeds, **options: drawn
    x = pixels()
    guess = model.predictions(x, drawn).numpy().astype("float64")
    assert guess.shape == x.shape
    expected = reference.simmim(x.astype("float64"), guess, drawn, PATCH)
    assert float(model({"views": [x]}, training=True)["loss"]) == pytest.approx(expected, rel=1e-5)


def test_masks_are_squares_and_as_many_as_asked_for():
    model = make()
    drawn = masks(model, 50)
    squares = drawn.reshape(50, 4, 2, 4, 2)
    assert (squares == squares[:, :, :1, :, :1]).all()
    assert (squares[:, :, 0, :, 0].sum((1, 2)) == math.ceil(0.6 * 16)).all()
    assert len(np.unique(drawn, axis=0)) > 40


def test_each_step_hides_other_squares():
    model = make()
    found = []
    draw = model.mask
    model.mask = lambda images, seeds, **options: found.append(draw(images, seeds).numpy()) or found[-1]
    for _ in range(2):
        model({"views": [pixels()]}, training=True)
    assert (found[0] != found[1]).any() and (found[0][0] != found[0][1]).any()


@every_encoder
def test_hidden_pixels_have_no_influence(build):
    model = make(build)
    drawn, x = masks(model), pixels()
    noise = np.where(to_pixels(drawn)[..., None], pixels(seed=1), x)
    np.testing.assert_array_equal(model.predictions(x, drawn), model.predictions(noise, drawn))
    seen = np.where(to_pixels(drawn)[..., None], x, pixels(seed=1))
    assert np.abs(model.predictions(x, drawn) - model.predictions(seen, drawn)).max() > 1e-5


@every_encoder
def test_predictions_of_visible_pixels_get_no_gradient(build):
    model = make(build)
    drawn = masks(model)
    model.mask = lambda images, seeds, **options: drawn
    guess = tf.Variable(pixels(seed=2) / 255)
    model.predictions = lambda images, masks: tf.convert_to_tensor(guess)
    with tf.GradientTape() as tape:
        loss = model.objective([pixels()])
    gradient = tape.gradient(loss, guess).numpy()
    hidden = to_pixels(drawn)
    assert (gradient[~hidden] == 0).all() and (gradient[hidden] != 0).all()


@every_encoder
def test_an_output_predicts_the_pixels_at_its_place(build):
    model = make(build)
    x, drawn = pixels(1), np.zeros((1, 8, 8), bool)
    row, column = 1, 2  # of the outputs
    bias = np.arange(math.prod(model.cell) * 3, dtype="float32")
    model.head.kernel.assign(np.zeros(model.head.kernel.shape))
    model.head.bias.assign(bias)
    high, wide = model.cell
    found = model.predictions(x, drawn)[0, row * high : (row + 1) * high, column * wide : (column + 1) * wide]
    np.testing.assert_array_equal(found, bias.reshape(high, wide, 3))


@every_encoder
def test_it_learns_to_fill_squares(build):
    # Images of one color: what is hidden follows from what is seen.
    colors = np.random.default_rng(0).integers(0, 256, (32, 1, 1, 3)).astype("float32")
    x = np.broadcast_to(colors, (32, SIZE, SIZE, 3))
    model = make(build)
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    losses = [model.train_on_batch({"views": [x]}) for _ in range(40)]
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:2])


def test_reconstruct_keeps_what_is_seen_and_moves_nothing():
    model = make()
    x = pixels().astype("uint8")
    before = [v.numpy() for v in model.variables]
    drawn, found = model.reconstruct(x)
    for variable, value in zip(model.variables, before):
        np.testing.assert_array_equal(variable, value)
    assert drawn.dtype == bool and drawn.shape == (3, 8, 8)
    assert found.dtype == "float32" and found.shape == x.shape and found.min() >= 0 and found.max() <= 255
    np.testing.assert_array_equal(found[~to_pixels(drawn)], x[~to_pixels(drawn)])
    assert (found[to_pixels(drawn)] != x[to_pixels(drawn)]).mean() > 0.9
    np.testing.assert_array_equal(model.reconstruct(x)[0], drawn)
    assert (model.reconstruct(x, seed=1)[0] != drawn).any()


def test_a_swin_trains_saves_and_is_an_ordinary_encoder(tmp_path):
    images = pixels(16).astype("uint8")
    model = make()
    model.augment = None
    model.compile(keras.optimizers.SGD(0.1), jit_compile=False)
    model.fit({"views": [images]}, batch_size=8, epochs=1, verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    again = keras_ssl.load(tmp_path / "model.keras")
    np.testing.assert_allclose(again.reconstruct(images)[1], model.reconstruct(images)[1], atol=1e-3)
    encoder = keras_ssl.export(model, tmp_path / "encoder.keras")
    plain = keras.saving.load_model(tmp_path / "encoder.keras")
    np.testing.assert_allclose(plain.predict(images, verbose=0), encoder.predict(images, verbose=0), atol=1e-5)


@pytest.mark.parametrize("options,message", [
    ({"unit": 3}, "multiple of the patch"), ({"unit": 6}, "divides height and width"), ({"unit": 0}, "unit must be"),
    ({"ratio": 0.0}, "above 0"), ({"ratio": 0.99}, "at least one unit visible"), ({"ratio": 2}, "ratio must be"),
])
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(vit, **options)


def test_encoders_without_stages_or_size_are_refused():
    with pytest.raises(ValueError, match="layers 'patches'"):
        keras_ssl.SimMIM(encoders.resnet18((SIZE, SIZE, 3), width=4))
    with pytest.raises(ValueError, match="one size"):
        keras_ssl.SimMIM(encoders.vit((None, None, 3), PATCH, width=8, depth=1, heads=2, grid=8))


# The hierarchical encoder


def test_swin_t_has_as_many_parameters_as_the_original():
    assert encoders.swin().count_params() == 28_288_354 - 769_000  # without the classifier
    assert encoders.swin(pooling=None).output_shape == (None, 7, 7, 768)


@pytest.mark.parametrize("shift", [0, 2])
def test_window_attention_is_the_papers(shift):
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 8))
    model = swin(depths=(2,), heads=(2,)).get_layer("blocks")
    prefix = f"stage1_block{2 if shift else 1}"
    layers = {layer.name: layer for layer in model.layers}
    draw = np.random.default_rng(1)
    weights = {}
    for part in ("query", "key", "value", "projection", "table"):
        for variable in layers[f"{prefix}_{part}"].weights:
            variable.assign(draw.normal(0, 0.5, variable.shape))
            weights[f"{part}/{variable.path.split('/')[-1]}"] = variable.numpy().astype("float64")
    # From the normalized map to the map that is added: the layers between, the shifts there and back included.
    from_norm = keras.Model(model.input, [layers[f"{prefix}_norm1"].output, before_sum(layers[f"{prefix}_norm2"])])
    normed, added = from_norm(x.astype("float32"))
    block_input = before_sum(layers[f"{prefix}_norm1"])
    source = keras.Model(model.input, block_input)(x.astype("float32")).numpy()
    for image in range(2):
        expected = reference.window_attention(normed[image].numpy().astype("float64"), weights, 2, 4, shift)
        np.testing.assert_allclose(added[image] - source[image], expected, atol=1e-4)


def before_sum(norm):
    return norm.input


def test_swin_stages_make_up_the_encoder():
    model, x = swin(), pixels()
    patches, positions, blocks = encoders.vit_stages(model)
    assert patches(x).shape == (3, 8, 8, 8) and blocks.output_shape == (None, 4, 4, 16)
    np.testing.assert_allclose(blocks(positions(patches(x))).numpy().mean((1, 2)), model(x), atol=1e-5)


def test_weights_of_a_swin_fit_another_size():
    small, large = swin(), encoders.swin((32, 32, 3), PATCH, width=8, depths=(2, 1), heads=(2, 4), window=4)
    large.set_weights(small.get_weights())
    assert large(np.zeros((1, 32, 32, 3))).shape == (1, 16)


def test_swin_drop_path_acts_in_training_alone():
    model, x = swin(drop_path=0.5), np.repeat(pixels(1), 20, axis=0)
    assert len(np.unique(model(x, training=True).numpy().round(4), axis=0)) > 2
    assert len(np.unique(model(x).numpy().round(4), axis=0)) == 1


@pytest.mark.parametrize("options,message", [
    ({"window": 3}, "multiple of the window"), ({"depths": (1,)}, "for each stage"), ({"heads": (3, 3)}, "its heads"),
    ({"depths": (1,) * 5, "heads": (1,) * 5}, "whole number"), ({"pooling": "token"}, "pooling"),
    ({"drop_path": 1}, "drop_path"), ({"mlp_ratio": 0}, "mlp_ratio"), ({"width": 0}, "width"),
])
def test_wrong_swins_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        swin(**options)


def test_sizes_a_swin_cannot_have_are_refused():
    with pytest.raises(ValueError, match="need a size"):
        encoders.swin((None, None, 3))
    with pytest.raises(ValueError, match="multiples of the patch"):
        encoders.swin((30, 30, 3), 4)
