"""MAE, arXiv 2111.06377: its loss, its decoder and what the encoder sees."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import augment, distribute, encoders, losses
from tests import cases
from tests.reference import reconstruction as reference
from tests.reference.losses import gradient
from tests.test_distribute import on_replicas

CASE = cases.Case({"width": 16, "depth": 1, "heads": 2}, encoder=cases.vit_of_one_size, views=cases.masked_patches)

SIZE, PATCH = 12, 3  # 4 x 4 patches


def vit(size=SIZE, **options):
    return encoders.vit((size, size, 3), **({"patch": PATCH, "width": 8, "depth": 2, "heads": 2} | options))


def make(encoder=None, **options):
    model = keras_ssl.MAE(encoder or vit(), **({"width": 8, "depth": 1, "heads": 2} | options))
    randomize(model)
    model.compile(optimizer=keras.optimizers.Adam(5e-3), run_eagerly=True)
    return model


def randomize(model, seed=0):
    """Biases of zero and gains of one hide mistakes."""
    draw = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.2 * draw.normal(size=variable.shape).astype("float32"))


def images(batch=3, size=SIZE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (batch, size, size, 3), "uint8")


def ramps(batch):
    """Images that grow brighter into one of four directions: a visible patch tells what the hidden ones are."""
    ramp = np.tile(np.linspace(0, 255, SIZE), (SIZE, 1))
    kinds = np.stack([np.rot90(ramp, i) for i in range(4)])
    return kinds[np.arange(batch) % 4][..., None].repeat(3, axis=3).astype("uint8")


def some_masks(model, batch=3, seed=5):
    seeds = np.stack([np.arange(batch), np.full(batch, seed)], axis=1).astype("int32")
    return model.mask(np.zeros((batch, 1)), seeds)


def named(model):
    return {"/".join(v.path.split("/")[-2:]): v.numpy().astype("float64") for v in model.weights}


# The loss


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("shape, patch", [((2, 6, 9, 3), 3), ((1, 4, 4, 1), 2)])
def test_patches_are_the_loops(shape, patch, normalize):
    pixels = np.random.default_rng(0).normal(size=shape) * 3 + 1
    found = losses.patch_pixels(pixels, patch, normalize)
    np.testing.assert_allclose(found, reference.patches(pixels, patch, normalize), atol=1e-9)
    np.testing.assert_array_equal(losses.patch_pixels(pixels, patch), augment.patchify(pixels, patch))
    assert losses.patch_pixels(pixels.astype("uint8"), patch).dtype == tf.float32


def test_a_patch_of_one_color_is_zero():
    found = losses.patch_pixels(np.full((1, 4, 4, 3), 200, "uint8"), 2, normalize=True)
    np.testing.assert_array_equal(found, 0)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pixels_are_standardized_as_the_encoders_do(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 6, 6, channels), "uint8")
    encoder = encoders.vit((6, 6, channels), patch=3, width=8, depth=1, heads=2)
    inside = keras.Model(encoder.input, encoder.get_layer("preprocessing").output)(pixels)
    standard = losses.standard_pixels(pixels)
    np.testing.assert_allclose(standard, inside, atol=1e-5)
    np.testing.assert_allclose(losses.plain_pixels(standard), pixels, atol=1e-3)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("weights", [False, True])
def test_value_and_gradient_are_the_loops(power, weights):
    draw = np.random.default_rng(0)
    prediction, target = draw.normal(size=(2, 3, 5, 4))
    mask = draw.uniform(size=(3, 5)) if weights else draw.uniform(size=(3, 5)) < 0.5
    p, t = tf.constant(prediction), tf.constant(target)
    with tf.GradientTape() as tape:
        tape.watch([p, t])
        loss = losses.masked_error(p, t, mask, power)
    slope, of_target = tape.gradient(loss, [p, t])
    assert loss.dtype == tf.float64
    assert float(loss) == pytest.approx(reference.masked_error(prediction, target, mask, power), rel=1e-12)
    expected = gradient(lambda x: reference.masked_error(x, target, mask, power), prediction)
    np.testing.assert_allclose(slope, expected, atol=1e-6)
    if not weights:
        assert (slope.numpy()[~mask] == 0).all()  # visible patches
    assert of_target is None


def test_nothing_hidden_is_no_error():
    assert float(losses.masked_error(np.ones((2, 3, 4)), np.zeros((2, 3, 4)), np.zeros((2, 3), bool))) == 0


def test_two_replicas_are_one_with_the_whole_batch(two_replicas):
    draw = np.random.default_rng(0)
    prediction, target = draw.normal(size=(2, 4, 5, 3))
    mask = np.arange(5) < np.array([[1], [2], [4], [5]])  # the second replica hides more

    def value_and_slope(prediction, target, mask):
        with tf.GradientTape() as tape:
            tape.watch(prediction)
            loss = losses.masked_error(prediction, target, mask) / distribute.replicas()
        return loss, tape.gradient(loss, prediction)

    loss, slope = value_and_slope(*map(tf.constant, (prediction, target, mask)))
    (one, first), (two, second) = on_replicas(two_replicas, value_and_slope, prediction, target, mask)
    assert one + two == pytest.approx(float(loss), rel=1e-12)
    np.testing.assert_allclose(np.concatenate([first, second]), slope, atol=1e-12)


def test_wrong_arguments_of_the_losses_are_refused():
    with pytest.raises(ValueError, match="patch must be .* Received: patch=5"):
        losses.patch_pixels(np.zeros((1, 12, 12, 3)), 5)
    with pytest.raises(ValueError, match="power must be 1 or 2"):
        losses.masked_error(np.zeros((1, 2, 3)), np.zeros((1, 2, 3)), np.zeros((1, 2)), power=3)
    for prediction, mask in (((1, 2, 4), (1, 2)), ((1, 2, 3), (1, 3)), ((2, 3), (1, 2))):
        with pytest.raises(ValueError, match="prediction and target must be"):
            losses.masked_error(np.zeros(prediction), np.zeros((1, 2, 3)), np.zeros(mask))


# The decoder


@pytest.mark.parametrize("class_token", [False, True])
@pytest.mark.parametrize("depth", [0, 2])
def test_the_decoder_gives_a_vector_for_each_patch(class_token, depth):
    decoder = encoders.token_decoder(6, (2, 3), 8, depth, 2, 5, class_token=class_token)
    assert decoder(np.zeros((4, 6 + class_token, 6))).shape == (4, 6, 5)


def test_the_decoder_knows_places():
    decoder = encoders.token_decoder(6, (2, 3), 8, 1, 2, 5)
    found = decoder(np.ones((1, 6, 6))).numpy()[0]
    assert len(np.unique(found.round(5), axis=0)) == 6


def test_wrong_decoders_are_refused():
    for options, message in (
        ({"depth": -1}, "depth must be"),
        ({"width": 9}, "width must be a multiple"),
        ({"outputs": 0}, "outputs must be"),
        ({"embed": False}, "embed=False needs"),
    ):
        with pytest.raises(ValueError, match=message):
            encoders.token_decoder(**({"inputs": 6, "grid": 2, "width": 8, "heads": 2} | options))


def test_a_mask_token_stands_where_it_should():
    layer = encoders.MaskToken(3)
    tokens, mask = np.random.default_rng(0).normal(size=(2, 4, 3)), np.arange(8).reshape(2, 4) % 3 == 0
    with tf.GradientTape() as tape:
        found = layer(tokens, mask)
        loss = tf.reduce_sum(found)
    np.testing.assert_array_equal(found, np.where(mask[..., None], layer.token, tokens.astype("float32")))
    np.testing.assert_array_equal(tape.gradient(loss, layer.token), [[mask.sum()] * 3])
    again = encoders.MaskToken.from_config(layer.get_config())
    assert again.get_config() == layer.get_config() and 0 < np.abs(again.token).max() < 0.1


# MAE


@pytest.mark.parametrize("normalize", [False, True])
def test_the_loss_is_the_loop(normalize):
    model = make(normalize=normalize)
    pixels = images()
    masks = some_masks(model)
    model.mask.call = lambda images, seeds, **options: masks
    found = float(model({"views": [pixels]}, training=True)["loss"])
    standard = np.asarray(losses.standard_pixels(pixels), "float64")
    sizes = {"patch": PATCH, "depth": 2, "heads": 2, "decoder_depth": 1, "decoder_heads": 2}
    weights = named(model.encoder), named(model.decoder)
    predicted = [reference.mae_prediction(x, m, *weights, **sizes) for x, m in zip(standard, masks.numpy())]
    target = reference.patches(standard, PATCH, normalize)
    expected = reference.masked_error(np.array(predicted), target, masks.numpy().reshape(3, -1))
    assert found == pytest.approx(expected, rel=1e-4)


def test_the_papers_sizes():
    model = keras_ssl.MAE(encoders.vit((224, 224, 3), depth=1))
    assert model.grid == (14, 14) and model.patch == 16 and model.mask.masked == 147
    masks = model.mask(images(2, 224), np.array([[0, 1], [0, 2]]))
    visible, hidden, restore = augment.partition(masks, 147)
    assert model.latents(images(2, 224), masks, visible).shape == (2, 50, 384)
    np.testing.assert_array_equal(np.sort(np.concatenate([visible, hidden], axis=1)), [range(196)] * 2)
    order = np.concatenate([visible, hidden], axis=1)
    np.testing.assert_array_equal(np.take_along_axis(order, restore.numpy(), axis=1), [range(196)] * 2)
    assert model.decoder.embed.kernel.shape == (384, 512) and model.decoder.outputs == 768


@pytest.mark.parametrize("ratio, visible", [(0.25, 12), (0.5, 8), (0.75, 4), (0.9, 1)])
def test_the_encoder_runs_on_what_is_left(ratio, visible):
    model = make(ratio=ratio)
    shapes = []
    blocks, call = model.stages.blocks, model.stages.blocks.call
    blocks.call = lambda tokens, **options: (shapes.append(tuple(tokens.shape)), call(tokens, **options))[1]
    model({"views": [images()]}, training=True)
    assert shapes == [(3, 1 + visible, 8)]


def test_the_encoder_is_blind_to_hidden_pixels():
    model = make()
    pixels, masks = images(), some_masks(model)
    visible, _, _ = augment.partition(masks, model.mask.masked)
    hidden = np.asarray(augment.enlarge(masks, PATCH))[..., None]
    other = np.where(hidden, images(seed=9), pixels)
    np.testing.assert_array_equal(model.latents(other, masks, visible), model.latents(pixels, masks, visible))
    np.testing.assert_array_equal(model.predictions(other, masks), model.predictions(pixels, masks))
    seen = np.where(hidden, pixels, images(seed=9))
    assert np.abs(model.latents(seen, masks, visible) - model.latents(pixels, masks, visible)).max() > 0.1


@pytest.mark.parametrize("patch", [2, 4])
def test_a_predictor_of_zeros(patch):
    model = make(vit(patch=patch), ratio=0.5)
    for variable in model.decoder.transformer.get_layer("outputs").weights:
        variable.assign(variable * 0)
    numbers = 3 * patch**2
    found = float(model({"views": [images(16)]}, training=True)["loss"])
    assert found == pytest.approx((numbers - 1) / numbers, abs=1e-4)


def test_every_image_and_every_step_has_its_own_mask():
    model = make()
    drawn, call = [], model.mask.call
    model.mask.call = lambda *inputs, **options: (drawn.append(call(*inputs)), drawn[-1])[1]
    for _ in range(2):
        model({"views": [images(16)]}, training=True)
    found = np.concatenate(drawn).reshape(32, -1)
    assert (found.sum(axis=1) == 12).all() and len(np.unique(found, axis=0)) > 25


def test_training_finds_what_is_hidden():
    model = keras_ssl.MAE(vit(patch=4, width=16), width=16, depth=1, heads=2)
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    found = [model.train_on_batch({"views": [ramps(32)]}) for _ in range(40)]
    assert found[0] > 0.9 and max(found[-5:]) < 0.4  # a prediction of 0 has 47/48


@pytest.mark.parametrize("normalize", [False, True])
def test_reconstructions(normalize):
    model = make(normalize=normalize)
    pixels = images()
    masks, found = model.reconstruct(pixels)
    assert masks.shape == (3, 4, 4) and masks.dtype == bool and (masks.sum(axis=(1, 2)) == 12).all()
    assert found.shape == pixels.shape and found.dtype == "float32" and 0 <= found.min() and found.max() <= 255
    hidden = masks.repeat(PATCH, axis=1).repeat(PATCH, axis=2)
    np.testing.assert_array_equal(found[~hidden], pixels[~hidden])
    assert (found[hidden] != pixels[hidden]).mean() > 0.9
    again = model.reconstruct(pixels)
    np.testing.assert_array_equal(again[0], masks)
    np.testing.assert_array_equal(again[1], found)
    assert (model.reconstruct(pixels, seed=1)[0] != masks).any()


def test_a_perfect_prediction_is_the_image():
    model = make()
    pixels = images()
    model.predictions = lambda images, masks, training: model.targets(images)
    np.testing.assert_allclose(model.reconstruct(pixels)[1], pixels, atol=1e-2)


def test_an_encoder_without_class_token():
    model = make(vit(class_token=False, pooling="mean"))
    assert np.isfinite(model.train_on_batch({"views": [images()]}))
    assert model.predictions(images(), some_masks(model)).shape == (3, 16, 27)


def test_the_encoder_afterwards_takes_other_sizes():
    model = make()
    larger = vit(24, grid=4)
    larger.set_weights(model.encoder.get_weights())
    coarse, fine = images(2), images(2).repeat(2, axis=1).repeat(2, axis=2)
    assert larger(fine).shape == model.encoder(coarse).shape
    whole = keras.Model(model.encoder.input, keras.layers.Dense(3)(model.encoder.output))
    assert whole(images()).shape == (3, 3)


def test_wrong_arguments_are_refused():
    for ratio in (0, 1, 0.99, "most"):
        with pytest.raises(ValueError, match="ratio must be"):
            make(ratio=ratio)
    with pytest.raises(ValueError, match="Masks need images of one size"):
        make(encoders.vit((None, None, 3), patch=3, width=8, depth=1, heads=2))
    with pytest.raises(ValueError, match="has the layers"):
        make(encoders.resnet18((32, 32, 3), width=8))
