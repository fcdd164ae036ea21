"""I-JEPA, arXiv 2301.08243: its loss, what each network sees, and the predictor that is told places."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import encoders, losses, recipes
from keras_ssl.losses.vectors import layer_norm
from keras_ssl.methods.predictive.ijepa import select_blocks
from keras_ssl.recipes.predictive import ijepa as recipe
from tests import cases
from tests.reference import predictive as reference
from tests.reference.losses import gradient
from tests.test_distribute import on_replicas

SIZE, PATCH = 12, 3  # 4 x 4 patches


def vit(size=SIZE, **options):
    options = {"patch": PATCH, "width": 8, "depth": 2, "heads": 2, "class_token": False, "pooling": "mean"} | options
    return encoders.vit((size, size, 3), **options)


def case_encoder():
    return cases.small_vit((cases.SIZE, cases.SIZE, 3), class_token=False, pooling="mean")


def enlarge(model):
    """So narrow a predictor lets hardly any gradient through at first."""
    for variable in model.predictor.trainable_variables:
        if len(variable.shape) > 1:
            variable.assign(10 * variable)


CASE = cases.Case(
    {"targets": 2, "width": 12, "depth": 1, "heads": 3, "momentum": 0.9, "steps": 20},
    encoder=case_encoder, views=cases.one_crop, prepare=enlarge,
)


def make(encoder=None, **options):
    options = {"targets": 2, "width": 12, "depth": 1, "momentum": 0.9} | options
    model = keras_ssl.IJEPA(encoder or vit(), **options)
    randomize([*model.trainable_variables, *model.target.weights])
    model.compile(optimizer=keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def randomize(variables, seed=0):
    """Biases of zero and gains of one hide mistakes, and so does a target that is equal to the encoder."""
    draw = np.random.default_rng(seed)
    for variable in variables:
        variable.assign(variable + 0.3 * draw.normal(size=variable.shape).astype("float32"))


def images(batch=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (batch, SIZE, SIZE, 3), "uint8")


def some_masks(model, batch=3):
    return [x.numpy() for x in model.mask(images(batch), np.arange(2 * batch, dtype="int32").reshape(batch, 2))]


def with_masks(model, *masks):
    model.mask.call = lambda images, seeds, **options: tuple(map(tf.constant, masks))
    return model


def loss_of(model, pixels):
    return model({"views": [pixels]}, training=True)


def named(model, moved=None):
    """Weights by the name of their layer; the values in `moved`, by the id of the variable, in place of their own."""
    values = {id(v): v.numpy().astype("float64") for v in model.weights} | (moved or {})
    return {"/".join(v.path.split("/")[-2:]): values[id(v)] for v in model.weights}


# The loss


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_smooth_l1_is_the_loop_in_value_and_gradient(beta):
    p, t = np.random.default_rng(0).normal(size=(2, 3, 2, 5)) * 1.5
    prediction, target = tf.constant(p), tf.constant(t)
    with tf.GradientTape() as tape:
        tape.watch([prediction, target])
        loss = losses.smooth_l1(prediction, target, beta)
    slope, of_target = tape.gradient(loss, [prediction, target])
    assert float(loss) == pytest.approx(reference.smooth_l1(p, t, beta), rel=1e-12)
    np.testing.assert_allclose(slope, gradient(lambda x: reference.smooth_l1(x, t, beta), p), atol=1e-8)
    assert of_target is None


def test_smooth_l1_at_its_ends():
    p, t = np.random.default_rng(0).normal(size=(2, 40, 500))
    assert float(losses.smooth_l1(p, t, beta=0)) == pytest.approx(np.abs(p - t).mean(), rel=1e-12)
    assert float(losses.smooth_l1(p, p)) == 0
    assert float(losses.smooth_l1(np.zeros_like(t), t)) == pytest.approx(0.42, abs=0.01)  # whatever the targets mean
    assert losses.smooth_l1(p.astype("float16"), t.astype("float16")).dtype == "float32"
    with pytest.raises(ValueError, match="one shape.*3, 4.*3, 5"):
        losses.smooth_l1(np.zeros((3, 4)), np.zeros((3, 5)))
    with pytest.raises(ValueError, match="beta must be .*from 0.*-1"):
        losses.smooth_l1(p, t, beta=-1)


def test_the_loss_is_the_loop_in_value_and_gradient():
    model, pixels = make(width=8, heads=2), images()
    masks = some_masks(model)
    with_masks(model, *masks)
    with tf.GradientTape() as tape:
        loss = loss_of(model, pixels)["loss"]
    weights = [*model.encoder.trainable_variables, *model.predictor.trainable_variables]
    draw = np.random.default_rng(1)
    way = [draw.normal(size=v.shape) for v in weights]
    slope = sum(float(np.sum(d * g)) for d, g in zip(way, tape.gradient(loss, weights)))

    standard = np.asarray(losses.standard_pixels(pixels), "float64")
    shape = {"patch": PATCH, "depth": 2, "heads": 2, "grid": (4, 4), "sizes": (1, 2)}
    target = named(model.target)

    def expected(step):
        moved = {id(v): v.numpy().astype("float64") + step * d for v, d in zip(weights, way)}
        encoder, predictor = (named(part, moved) for part in (model.encoder, model.predictor))
        return reference.ijepa(standard, *masks, encoder, target, predictor, **shape)

    assert float(loss) == pytest.approx(expected(0), rel=1e-5)
    assert slope == pytest.approx((expected(1e-5) - expected(-1e-5)) / 2e-5, rel=1e-3)


def test_a_predictor_that_returns_the_target_has_no_loss():
    model, pixels = make(), images()
    _, blocks = masks = some_masks(model)
    with_masks(model, *masks)
    model.predictions = lambda images, context, blocks: select_blocks(layer_norm(model.target_tokens(images)), blocks)
    assert float(loss_of(model, pixels)["loss"]) == 0


def test_targets_are_normalized_token_by_token_before_they_are_taken():
    model, pixels = make(), images()
    tokens = model.target_tokens(pixels).numpy()  # (3, 16, 8)
    assert tokens.mean(axis=-1).std() > 0.1  # the layer normalization of the encoder has weights
    found = layer_norm(tokens).numpy()
    np.testing.assert_allclose(found.mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(found.var(axis=-1), 1, atol=1e-3)
    np.testing.assert_allclose(found, [reference.layer_norm(x.astype("float64")) for x in tokens], atol=1e-4)
    blocks = np.array([[[0, 5], [5, 6]]] * 3)
    taken = select_blocks(found, blocks).numpy()
    for image in range(3):
        np.testing.assert_array_equal(taken[image], found[image][blocks[image]])


# Who sees what


def test_no_gradient_reaches_the_target_encoder():
    model = make()
    kept = [v.value for v in model.target.weights]
    with tf.GradientTape() as tape:
        tape.watch(kept)
        loss = loss_of(model, images())["loss"]
    assert tape.gradient(loss, kept) == [None] * len(kept)


def test_the_encoder_runs_on_the_context_and_the_target_encoder_on_the_image():
    model, seen = make(), {}
    for name, stages in (("encoder", model.stages), ("target", model.target_stages)):
        def call(tokens, name=name, old=stages.blocks.call, **options):
            seen[name] = tuple(tokens.shape)
            return old(tokens, **options)
        stages.blocks.call = call
    loss_of(model, images())
    assert seen == {"encoder": (3, model.mask.kept, 8), "target": (3, 16, 8)} and model.mask.kept < 16


def test_predictions_are_blind_to_what_is_no_context():
    model, pixels = make(), images()
    context, blocks = some_masks(model)
    hidden = np.ones((3, 16), bool)
    np.put_along_axis(hidden, context, False, axis=1)
    assert np.take_along_axis(hidden, blocks.reshape(3, -1), axis=1).all()
    hidden = hidden.reshape(3, 4, 4).repeat(PATCH, axis=1).repeat(PATCH, axis=2)[..., None]
    before = model.predictions(pixels, context, blocks).numpy()
    other = np.where(hidden, images(seed=9), pixels)
    np.testing.assert_array_equal(model.predictions(other, context, blocks), before)
    assert np.abs(model.target_tokens(other) - model.target_tokens(pixels)).max() > 0.1
    seen = np.where(hidden, pixels, images(seed=9))
    assert np.abs(model.predictions(seen, context, blocks) - before).max() > 1e-2


def test_blocks_are_predicted_apart():
    model, pixels = make(targets=3), images()
    context, blocks = some_masks(model)
    found = model.predictions(pixels, context, blocks).numpy()
    np.testing.assert_allclose(model.predictions(pixels, context, blocks[:, [2, 0, 1]]), found[:, [2, 0, 1]], atol=1e-5)
    moved = blocks.copy()
    moved[:, 1] = (moved[:, 1] + 3) % 16
    again = model.predictions(pixels, context, moved).numpy()
    np.testing.assert_allclose(again[:, [0, 2]], found[:, [0, 2]], atol=1e-5)
    assert np.abs(again[:, 1] - found[:, 1]).max() > 1e-2


def test_every_image_and_every_step_has_its_own_masks():
    model = make(vit(24, grid=8), targets=4)
    drawn, call = [], model.mask.call
    model.mask.call = lambda *inputs, **options: (drawn.append(call(*inputs)), drawn[-1])[1]
    pixels = np.zeros((16, 24, 24, 3), "uint8")
    for _ in range(2):
        loss_of(model, pixels)
    context, blocks = (np.concatenate(parts) for parts in zip(*drawn))
    assert context.shape == (32, model.mask.kept) and blocks.shape == (32, 4, model.mask.masked)
    for inside, outside in zip(context, blocks.reshape(32, -1)):
        assert not set(inside) & set(outside)
    assert len(np.unique(context, axis=0)) > 25


# The predictor


def test_the_predictor_is_told_places():
    predictor = encoders.TokenPredictor(6, (2, 3), width=8, depth=1, heads=2, outputs=5)
    randomize(predictor.weights)
    tokens = np.random.default_rng(0).normal(size=(2, 3, 6)).astype("float32")
    context, asked = np.array([[0, 1, 3], [2, 4, 5]]), np.array([[[2, 4]], [[0, 1]]])
    found = predictor(tokens, context, asked).numpy()
    assert found.shape == (2, 1, 2, 5)
    order = [2, 0, 1]
    np.testing.assert_allclose(predictor(tokens[:, order], context[:, order], asked), found, atol=1e-5)
    np.testing.assert_allclose(predictor(tokens, context, asked[..., ::-1]), found[:, :, ::-1], atol=1e-5)
    for other in (predictor(tokens, context[:, order], asked), predictor(tokens, context, (asked + 1) % 6)):
        assert np.abs(other - found).max() > 1e-2
    again = encoders.TokenPredictor.from_config(predictor.get_config())
    assert again.get_config() == predictor.get_config()
    again.set_weights(predictor.get_weights())
    np.testing.assert_array_equal(again(tokens, context, asked), found)


def test_wrong_predictors_are_refused():
    for options, message in (
        ({"width": 9}, "width must be a multiple"),
        ({"heads": 3}, "width must be a multiple of heads"),
        ({"depth": -1}, "depth must be"),
        ({"outputs": 0}, "outputs must be"),
        ({"grid": (2, 2, 2)}, "grid must be"),
        ({"grid": None}, "grid must be"),
    ):
        with pytest.raises(ValueError, match=message):
            encoders.TokenPredictor(**({"inputs": 6, "grid": 2, "width": 8, "heads": 2} | options))


def test_the_papers_sizes():
    encoder = vit(224, patch=16, width=96, depth=1, heads=12, initializer=0.02)
    model = keras_ssl.IJEPA(encoder, keep=recipe.keep(a_run(224, 16)))
    predictor = model.predictor
    assert (model.mask.kept, model.mask.masked, model.mask.targets) == (51, 30, 4)
    assert predictor.token.shape == (1, 384) and 0.015 < np.std(predictor.token) < 0.025
    assert predictor.transformer.get_layer("block6_attention").output.shape[1] == 12  # heads, as the encoder has
    assert not any(layer.name.startswith("block7") for layer in predictor.transformer.layers)
    assert (predictor.embed.kernel.shape, predictor.project.kernel.shape) == ((96, 384), (384, 96))
    for kernel in (predictor.embed.kernel, encoder.get_layer("patches").kernel):
        assert np.std(kernel) == pytest.approx(0.02, rel=0.05)


def test_contexts_are_as_long_as_the_authors_are():
    """Of their sampler, over 30 batches of 128 images: 51.3, 68.9 and 12.5 patches."""
    for side, patch, expected in ((224, 16, 51), (224, 14, 67), (32, 4, 13)):
        assert recipe.keep(a_run(side, patch)) == expected
        mask = keras_ssl.augment.MultiBlockMask(side // patch, keep=expected)
        assert mask.kept == expected


def a_run(side, patch):
    return recipes.Run((side, side, 3), 1000, 10, 100, 1, "vit_small", patch=patch)


# The target encoder


def test_the_target_follows_after_the_step_along_a_straight_line():
    model = make(momentum=0.6, steps=4)
    expected = [v.numpy() for v in model.target.weights]
    for step in range(6):
        model.train_on_batch({"views": [images(seed=step)]})
        tau = 0.6 + 0.4 * min(step / 4, 1)
        expected = [tau * slow + (1 - tau) * fast.numpy() for slow, fast in zip(expected, model.encoder.weights)]
        for found, value in zip(model.target.weights, expected):
            np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-5, err_msg=f"step {step}: {found.path}")


def test_the_features_are_the_mean_of_the_target_encoders_patches():
    model, pixels = make(), images()
    found = model.predict(pixels, verbose=0)
    np.testing.assert_allclose(found, model.target_tokens(pixels).numpy().mean(axis=1), atol=1e-5)
    assert np.abs(found - model.encoder(pixels)).max() > 0.1


def test_the_spread_of_the_targets_is_logged():
    model, pixels = make(), images(5)
    tokens = model.target_tokens(pixels).numpy()
    assert float(loss_of(model, pixels)["target_std"]) == pytest.approx(tokens.std(axis=0).mean(), rel=1e-5)
    assert float(loss_of(model, pixels[[0] * 5])["target_std"]) == pytest.approx(0, abs=1e-5)


def test_the_spread_is_that_of_all_replicas(two_replicas):
    x = np.random.default_rng(0).normal(size=(6, 4, 3)) + np.arange(6)[:, None, None]
    found = on_replicas(two_replicas, losses.batch_std, x)
    np.testing.assert_allclose(found, x.std(axis=0).mean(), rtol=1e-12)


def test_wrong_arguments_are_refused():
    for encoder, options, message in (
        (vit(class_token=True), {}, "class_token=False and pooling='mean'"),
        (encoders.vit((None, None, 3), patch=3, width=8, depth=1, heads=2, class_token=False, pooling="mean"), {},
         "Masks need images of one size"),
        (encoders.resnet18((32, 32, 3), width=8), {}, "has the layers"),
        (vit(), {"targets": 0}, "targets must be a positive int"),
        (vit(), {"targets": 12}, "may leave no context"),
        (vit(), {"keep": 15}, "keep must be an int from 1 to"),
        (vit(), {"heads": 5}, "width must be a multiple of heads"),
        (vit(), {"heads": 0}, "heads must be a positive int or None"),
        (vit(), {"momentum": 1.5}, "momentum must be"),
    ):
        with pytest.raises(ValueError, match=message):
            make(encoder, **options)
