"""Jigsaw: arXiv 1603.09246."""

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl.augment import PatchGrid
from keras_ssl.methods.pretext import jigsaw as file
from tests import cases
from tests.reference import pretext as reference

CASE = cases.Case(
    {"orders": 6, "tiles": 4, "puzzles": 2, "dim": 8, "hidden": 8, "dropout": 0.0},
    encoder=cases.padded_encoder, views=lambda: PatchGrid(2, cases.SIZE // 2), still=("orders",),
)  # fmt: skip
SET = [[1, 0, 2, 3], [3, 2, 1, 0], [0, 3, 1, 2]]


def jigsaw(**options):
    keras.utils.set_random_seed(0)
    small = {"orders": SET, "tiles": 4, "dim": 5, "hidden": 7, "dropout": 0.0}
    return keras_ssl.Jigsaw(cases.padded_encoder(), **small | options)


def tiles(count=3, number=4, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, number, 4, 4, 3)).astype("float32")


def embedded(model, x, training):
    return np.asarray(model.tower(x.reshape(-1, 4, 4, 3), training=training)).reshape(*x.shape[:2], -1)


# The loss


@pytest.mark.parametrize("puzzles, batch_norm", [(1, False), (3, True)])
def test_the_loss_is_the_loop_over_all_puzzles(puzzles, batch_norm, monkeypatch):
    model, x = jigsaw(puzzles=puzzles, batch_norm=batch_norm), tiles()
    labels = np.random.default_rng(1).integers(0, 3, (3, puzzles)).astype("int32")
    monkeypatch.setattr(model, "draw_orders", lambda rows: keras.ops.convert_to_tensor(labels))
    each = embedded(model, x, training=True)
    laid = [np.concatenate([each[i][tile] for tile in SET[label]]) for i in range(3) for label in labels[i]]
    logits = np.asarray(model.solver(np.array(laid), training=True))
    outputs = model.objective([x])
    assert float(outputs["loss"]) == pytest.approx(reference.classification(logits, labels.ravel())[0], rel=1e-5)
    assert float(outputs["accuracy"]) == pytest.approx((logits.argmax(axis=1) == labels.ravel()).mean())


def test_shuffled_embeddings_are_those_of_shuffled_tiles():
    """And the inverse of an order puts the tiles back."""
    model, x, order = jigsaw(), tiles(), np.array([2, 0, 3, 1], "int32")
    orders = np.tile(order, (3, 1, 1))
    plain = np.tile(np.arange(4, dtype="int32"), (3, 1, 1))
    shuffled = model.solve(embedded(model, x[:, order], training=False), plain, training=False)
    in_place = model.solve(embedded(model, x, training=False), orders, training=False)
    np.testing.assert_allclose(in_place, shuffled, atol=1e-5)
    np.testing.assert_array_equal(x[:, order][:, np.argsort(order)], x)


def test_the_embedding_of_a_tile_may_be_linear():
    """Of "Revisiting": no ReLU before the tiles stand side by side, and nothing left out there by dropout."""
    model, x = jigsaw(linear=True, dropout=0.5), tiles(8)
    found = embedded(model, x, training=True)
    kernel, bias = model.tower.layers[-1].get_weights()
    features = np.asarray(model.encoder(x.reshape(-1, 4, 4, 3), training=True))
    np.testing.assert_allclose(found.reshape(-1, 5), features @ kernel + bias, atol=1e-4)
    assert (found < 0).any()
    plain = embedded(jigsaw(dropout=0.5), x, training=True)
    assert (plain >= 0).all() and (plain == 0).mean() > 0.5


def test_a_solver_that_does_not_see_the_places_stays_at_chance():
    model, x = jigsaw(), tiles()
    kernel, *others = model.solver.get_weights()
    model.solver.set_weights([np.tile(kernel[:5], (4, 1)), *others])  # every place has the same weights
    each, every = embedded(model, x, training=True), np.tile(np.array(SET, "int32"), (3, 1, 1))
    logits = np.asarray(model.solve(each, every))  # (batch, orders, orders): all puzzles of an image
    np.testing.assert_allclose(logits, np.broadcast_to(logits[:, :1], logits.shape), atol=1e-5)
    loss, _ = reference.classification(logits.reshape(-1, 3), np.tile(np.arange(3), 3))
    assert loss >= np.log(3) - 1e-6


def test_at_the_start_all_orders_are_about_as_likely():
    model = jigsaw(orders=20, puzzles=20)
    found = model.objective([tiles(8)])
    assert float(found["loss"]) == pytest.approx(np.log(20), abs=0.5) and float(found["accuracy"]) < 0.2
    assert model.chance == 1 / 20


# The orders


def test_orders_of_the_paper():
    table = file.check_orders(1000, 9)
    assert table.shape == (1000, 9) and len({tuple(order) for order in table}) == 1000
    assert min((table[:200, None] != table[None]).sum(axis=2)[np.arange(200)[:, None] != np.arange(1000)]) >= 4
    assert not (table == np.arange(9)).all(axis=1).any()


def test_orders_are_saved_with_the_model(tmp_path, monkeypatch):
    model = jigsaw(orders=5)
    model.compile(keras.optimizers.SGD(0.1))
    model.save(tmp_path / "run.keras")
    monkeypatch.setattr(file, "permutations", lambda tiles, count: np.tile(np.arange(tiles, dtype="int32"), (count, 1)))
    np.testing.assert_array_equal(keras_ssl.load(tmp_path / "run.keras").table, model.table)


def test_every_image_gets_orders_of_its_own():
    found = np.asarray(jigsaw(orders=20, puzzles=3).draw_orders(400))
    assert found.shape == (400, 3) and len(np.unique(found, axis=0)) > 300
    share = np.bincount(found.ravel(), minlength=20) / 1200
    assert np.abs(share - 0.05).max() < 5 * np.sqrt(0.05 / 1200)


def test_dropout_acts_in_training_alone():
    model, x = jigsaw(dropout=0.5), tiles()
    each, orders = embedded(model, x, training=False), np.tile(np.array(SET[:1], "int32"), (3, 1, 1))
    first, second = (np.asarray(model.solve(each, orders)) for _ in range(2))
    assert np.abs(first - second).max() > 1e-3
    first, second = (np.asarray(model.solve(each, orders, training=False)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_it_learns_the_orders():
    """Tiles whose brightness is their place."""
    light = np.array([0, 80, 160, 240], "float32")[None, :, None, None, None]
    model = jigsaw(orders=8, puzzles=4, dim=16, hidden=32)
    model.compile(keras.optimizers.Adam(0.01))
    for step in range(40):
        x = light + 0.05 * tiles(8, seed=step)
        found = model.train_on_batch({"views": (x,)}, return_dict=True)
        model.reset_metrics()
    assert found["accuracy"] > 0.8


# Bad input


@pytest.mark.parametrize("orders", [1, 0, "100", SET[:1], [[0, 1, 2], [2, 1, 0]], [[0, 0, 1, 2], [1, 0, 2, 3]], [1, 2]])
def test_other_orders_are_refused(orders):
    with pytest.raises(ValueError, match="orders must be an int from 2, or two or more permutations of the 4 tiles"):
        jigsaw(orders=orders)


def test_more_orders_than_there_are():
    with pytest.raises(ValueError, match="count must be an int from 1 to 23"):
        jigsaw(orders=24)


def test_views_without_the_tiles_are_refused():
    with pytest.raises(ValueError, match="takes 4 patches of each image.*Received: shape="):
        jigsaw()({"views": (tiles(number=9),)}, training=True)
