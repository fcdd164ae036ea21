"""MP3: arXiv 2207.07611, and the positions a transformer gets afterwards."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import encoders
from tests import cases
from tests.reference import vit as reference


def vit_without_positions():
    shape = (cases.SIZE, cases.SIZE, 3)
    return cases.small_vit(shape, positions=None, class_token=False, pooling="mean", grid=None)


CASE = cases.Case({"ratio": 0.5}, encoder=vit_without_positions, views=cases.one_crop)


def vit(**options):
    options = {"patch": 2, "width": 16, "depth": 2, "heads": 2, "positions": None} | options
    return encoders.vit((8, 8, 3), **({"class_token": False, "pooling": "mean"} | options))


def make(encoder=None, optimizer=None, **options):
    model = keras_ssl.MP3(encoder or vit(), **options)
    model.compile(optimizer=optimizer or keras.optimizers.Adam(0.01), run_eagerly=True)
    return model


def pictures(batch=6, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (batch, 8, 8, 3)).astype("float32")


def scattered(model):
    """Weights of any size: those of the start make nearly no difference."""
    draw = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(weight + draw.normal(0, 0.3, weight.shape))
    return model


def test_the_loss_is_the_cross_entropy_of_the_true_positions():
    model = scattered(make())
    order = model.draw_order(6)
    model.draw_order = lambda rows: order
    found = model({"views": [pictures()]}, training=True)
    logits = model.predict_positions(pictures(), order).numpy().astype("float64")
    losses, right = [], []
    for row, true in zip(logits, order.numpy()):
        for scores, position in zip(row, true):
            losses.append(np.log(np.exp(scores - scores.max()).sum()) + scores.max() - scores[position])
            right.append(scores.argmax() == position)
    assert found["loss"].numpy() == pytest.approx(np.mean(losses), rel=1e-5)
    assert found["accuracy"].numpy() == pytest.approx(np.mean(right))


def test_it_starts_at_the_logarithm_of_the_positions():
    loss = make(vit(width=64))({"views": [pictures()]}, training=True)["loss"]
    assert float(loss) == pytest.approx(np.log(16), abs=0.05)


def reference_blocks(tokens, weights, depth, heads, size):
    """The tokens of an image after all blocks, one query at a time; keys and values are the first `size` tokens."""
    def dense(name, x):
        return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]

    def norm(name, x):
        return reference.norm(x, weights[f"{name}/gamma"], weights[f"{name}/beta"])

    for block in (f"block{i + 1}" for i in range(depth)):
        x = norm(f"{block}_norm1", tokens)
        context, found = x[:size], []
        for token in x:
            query = np.split(dense(f"{block}_query", token), heads)
            keys = np.split(dense(f"{block}_key", context), heads, axis=1)
            values = np.split(dense(f"{block}_value", context), heads, axis=1)
            weight = [np.exp(k @ q / np.sqrt(len(q))) for q, k in zip(query, keys)]
            found.append(np.concatenate([(w / w.sum()) @ v for w, v in zip(weight, values)]))
        tokens = tokens + dense(f"{block}_projection", np.array(found))
        x = reference.gelu(dense(f"{block}_hidden", norm(f"{block}_norm2", tokens)))
        tokens = tokens + dense(f"{block}_output", x)
    return norm("norm", tokens)


@pytest.mark.parametrize("ratio, kept", [(0.0, 16), (0.25, 12), (0.75, 4), (0.85, 2)])
@pytest.mark.parametrize("token", [False, True])
def test_keys_and_values_are_of_the_context_alone(ratio, kept, token):
    model = scattered(make(vit(class_token=True, pooling="token") if token else vit(), ratio=ratio))
    assert model.kept == kept
    order = model.draw_order(2).numpy()
    tokens = model.positions(model.patches(pictures(2))).numpy().astype("float64")
    tokens = np.array([np.concatenate([x[:token], x[token:][row]]) for x, row in zip(tokens, order)])
    layers = model.encoder.get_layer("blocks").layers
    weights = {f"{x.name}/{v.name}": v.numpy().astype("float64") for x in layers for v in x.weights}
    expected = np.array([reference_blocks(x, weights, 2, 2, token + kept) for x in tokens])[:, token:]
    logits = expected @ model.head.weights[0].numpy() + model.head.weights[1].numpy()
    np.testing.assert_allclose(model.predict_positions(pictures(2), order), logits, rtol=1e-3, atol=1e-3)


def test_patches_outside_of_the_context_are_seen_by_nobody_else():
    model = scattered(make(ratio=0.5))
    order = model.draw_order(6).numpy()
    images = pictures()
    last = order[:, -1]  # of the patches outside
    changed = images.copy()
    for image, place in zip(changed, last):
        row, column = 2 * (place // 4), 2 * (place % 4)
        image[row : row + 2, column : column + 2] = 0
    first, second = (model.predict_positions(x, order).numpy() for x in (images, changed))
    np.testing.assert_array_equal(first[:, :-1], second[:, :-1])
    assert np.abs(first[:, -1] - second[:, -1]).max(axis=-1).min() > 1e-3


def test_it_knows_no_order():
    model = scattered(make(ratio=0.5))
    order = model.draw_order(6).numpy()
    draw = np.random.default_rng(0)
    within = np.array([np.concatenate([draw.permutation(8), 8 + draw.permutation(8)]) for _ in order])
    first = model.predict_positions(pictures(), order).numpy()
    second = model.predict_positions(pictures(), np.take_along_axis(order, within, axis=1)).numpy()
    np.testing.assert_allclose(second, np.take_along_axis(first, within[..., None], axis=1), atol=1e-4)
    # Nor where the pixels were: patch i of the other images is patch moves[i] of these.
    moves = np.array([draw.permutation(16) for _ in order])
    moved = np.zeros_like(pictures())
    for image, other, row in zip(pictures(), moved, moves):
        for i, j in enumerate(row):
            patch = image[2 * (j // 4) :, 2 * (j % 4) :][:2, :2]
            other[2 * (i // 4) :, 2 * (i % 4) :][:2, :2] = patch
    back = np.take_along_axis(np.argsort(moves, axis=1), order, axis=1)
    np.testing.assert_allclose(model.predict_positions(moved, back), first, atol=1e-4)


def test_the_context_is_drawn_for_every_image():
    model = make(ratio=0.75)
    order = np.sort(model.draw_order(200).numpy()[:, :4], axis=1)
    assert (np.sort(model.draw_order(5).numpy(), axis=1) == np.arange(16)).all()
    assert len({tuple(row) for row in order}) > 150
    assert np.bincount(order.ravel(), minlength=16).min() > 25  # 50 on average, 4 standard deviations are 25
    assert (np.sort(model.draw_order(200).numpy()[:, :4], axis=1) != order).any(axis=1).mean() > 0.9


def test_a_smaller_context_makes_it_harder():
    draw = np.random.default_rng(0)
    coarse = draw.uniform(0, 255, (64, 3, 3, 3))
    smooth = keras.ops.convert_to_numpy(keras.ops.image.resize(coarse, (8, 8))).astype("float32")
    found = {}
    for ratio in (0.0, 0.5, 0.85):
        keras.utils.set_random_seed(0)
        model = make(vit(width=32), ratio=ratio)
        model.compile(optimizer=keras.optimizers.Adam(0.003))
        for _ in range(150):
            model.train_on_batch({"views": [smooth]})
        model.reset_metrics()
        found[ratio] = model.train_on_batch({"views": [smooth]}, return_dict=True)["accuracy"]
    assert found[0.0] > 0.9 and found[0.0] > found[0.5] > found[0.85]


def test_positions_for_fine_tuning():
    encoder = scattered(make(vit(class_token=True, pooling="token"))).encoder
    before = encoder.get_weights()
    images = pictures()
    none = encoders.with_positions(encoder, positions=None)
    np.testing.assert_allclose(none(images), encoder(images), atol=1e-6)
    learned = encoders.with_positions(encoder)
    table = learned.get_layer("positions").get_layer("table")
    assert table.kernel.shape == (16, 16) and any(v is table.kernel for v in learned.trainable_variables)
    assert 0 < np.abs(table.kernel).max() < 0.1
    assert np.abs(learned(images) - encoder(images)).max() > 1e-3
    table.kernel.assign(tf.zeros_like(table.kernel))
    np.testing.assert_allclose(learned(images), encoder(images), atol=1e-5)
    whole = encoders.vit((8, 8, 3), patch=2, width=16, depth=2, heads=2)  # the same model, built with positions
    for stage in ("patches", "positions", "blocks"):
        whole.get_layer(stage).set_weights(encoder.get_layer(stage).get_weights())
    np.testing.assert_allclose(encoders.with_positions(encoder, "sincos")(images), whole(images), atol=1e-5)
    learned.set_weights([w * 0 for w in learned.get_weights()])
    for weight, value in zip(encoder.get_weights(), before):
        np.testing.assert_array_equal(weight, value)  # a copy
    with pytest.raises(ValueError, match="positions must be"):
        encoders.with_positions(encoder, "rotary")


def test_bad_encoders_and_ratios_are_refused():
    for positions in ("sincos", "learned"):
        with pytest.raises(ValueError, match="build it with positions=None"):
            make(vit(positions=positions))
    anysize = encoders.vit((None, None, 3), 2, width=16, depth=1, heads=2, positions=None)
    with pytest.raises(ValueError, match="images of one size"):
        make(anysize)
    for ratio in (-0.1, 1):
        with pytest.raises(ValueError, match="ratio must be in"):
            make(ratio=ratio)
    with pytest.raises(ValueError, match="leaves 0 of 16"):
        make(ratio=0.99)
