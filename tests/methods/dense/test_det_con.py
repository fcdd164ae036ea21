"""DetCon: arXiv 2103.10957."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import losses
from tests import cases
from tests.methods.dense.test_dense_cl import encoder, view
from tests.reference import dense as reference
from tests.reference.losses import gradient
from tests.test_redundancy import value_and_gradient, vectors


def masks(count=4, size=12, high=4):
    """Blocks of four pixels, of a few regions each."""
    blocks = np.random.default_rng(0).integers(0, high, (count, size // 4, size // 4))
    return blocks.repeat(4, axis=1).repeat(4, axis=2).astype("int32")


CASE = cases.Case(
    {"hidden": 16, "dim": 8, "momentum": 0.9, "steps": 20, "regions": 4},
    views=cases.located,
    columns=lambda count: {"mask": masks(count, cases.SIZE)},
)

FIRST = [[0, 0, 12, 12], [2, 0, 10, 9], [0, 2, 6, 12], [4, 9, 12, 1]]
SECOND = [[0, 0, 12, 12], [0, 1, 9, 12], [6, 2, 12, 12], [0, 3, 12, 11]]
BOXES = np.stack([FIRST, SECOND], axis=1).astype("float32")


def make(**options):
    keras.utils.set_random_seed(0)
    model = keras_ssl.DetCon(encoder(), **{"hidden": 10, "dim": 5, "momentum": 0.5, "regions": 4} | options)
    model.compile(optimizer=keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def batch(first=0, second=1, **changes):
    return {"views": (view(first), view(second), BOXES), "mask": masks(), **changes}


def loss_of(model, **changes):
    return float(model(batch(**changes), training=True)["loss"])


def drawn(model, given=None):
    """What the next step draws: ids and places of the regions of both views; the state stays."""
    state = model.draws.state.numpy()
    found = [model.draw(masks() if given is None else given, BOXES[:, i], (3, 3)) for i in range(2)]
    model.draws.state.assign(state)
    return [[np.asarray(part) for part in one] for one in found]


def embedded(maps, projector, images, own, predictor=None):
    places = np.float64(maps(images, training=True)[1]).reshape(len(images), 9, -1)
    regions = np.stack([[x[mask].mean(axis=0) for mask in one] for x, one in zip(places, own)])
    rows = projector(regions.reshape(-1, regions.shape[-1]).astype("float32"), training=True)
    rows = predictor(rows, training=True) if predictor else rows
    return np.float64(rows).reshape(*regions.shape[:2], -1)


@pytest.mark.parametrize("target", ["ema", "siamese"])
def test_the_loss_is_the_papers(target):
    model = make(target=target)
    for _ in range(2):
        model.train_on_batch(batch(5, 6))
    (ids, own), (other_ids, other_own) = drawn(model)
    nets = model.maps, model.projector
    u, other_u = (embedded(*nets, view(i), x, model.predictor) for i, x in ((0, own), (1, other_own)))
    v, other_v = u, other_u
    if target == "ema":
        nets = model.target_maps, model.target_projector
        v, other_v = (embedded(*nets, view(i), x) for i, x in ((0, own), (1, other_own)))
    there = reference.region_contrast(u, other_v, v, ids, other_ids, 0.1)
    back = reference.region_contrast(other_u, v, other_v, other_ids, ids, 0.1)
    assert loss_of(model) == pytest.approx(there + back, rel=1e-4)


def test_value_and_gradient_are_the_loop():
    arrays = [vectors(3, 4, 5, seed=seed) for seed in range(3)]
    ids, other_ids = (np.random.default_rng(seed).integers(0, 4, (3, 4)).astype("int32") for seed in (0, 1))
    for learns in (False, True):
        value, slopes = value_and_gradient(
            lambda u, v, w: losses.region_contrast(u, v, w, ids, other_ids, 0.3, gradient=learns), *arrays
        )
        loop = lambda *x: reference.region_contrast(*x, ids, other_ids, 0.3)  # noqa: E731
        assert float(value) == pytest.approx(loop(*arrays), rel=1e-9)
        for place, slope in enumerate(slopes):
            if place and not learns:
                assert slope is None
                continue
            moved = lambda x: loop(*(x if i == place else a for i, a in enumerate(arrays)))  # noqa: E731, B023
            np.testing.assert_allclose(slope, gradient(moved, arrays[place]), atol=1e-6)


def test_one_region_of_the_whole_image_is_simclr():
    model = make(target="siamese", regions=1)
    one = np.zeros((4, 12, 12), "int32")
    (_, own), (_, other) = drawn(model, one)
    assert own.all() and other.all()
    z = [embedded(model.maps, model.projector, view(i), own)[:, 0] for i in range(2)]
    assert loss_of(model, mask=one) == pytest.approx(2 * float(losses.nt_xent(*z, 0.1)), rel=1e-4)


def test_other_numbers_of_the_regions_change_nothing():
    model = make()
    expected = loss_of(model)
    model = make()
    assert loss_of(model, mask=masks() * 1000 + 7) == pytest.approx(expected, rel=1e-6)


def test_a_region_that_the_other_view_does_not_show_has_no_weight():
    u = vectors(1, 2, 5).astype("float32")
    ids, others = np.array([[0, 1]], "int32"), np.array([[0, 2]], "int32")

    v, w = (vectors(1, 2, 5, seed=seed).astype("float32") for seed in (1, 2))

    def loss(u):
        return losses.region_contrast(u, v, w, ids, others)

    _, (slope,) = value_and_gradient(loss, u, dtype="float32")
    assert np.abs(slope[0, 0]).max() > 0 and not np.any(slope[0, 1])
    assert float(losses.region_contrast(u, u, u, ids, ids + 5)) == 0


def test_places_outside_of_the_drawn_regions_get_no_gradient():
    model, x = make(regions=1, target="siamese"), vectors(4, 9, 8).astype("float32")
    _, own = drawn(model)[0]
    _, (slope,) = value_and_gradient(
        lambda x: tf.reduce_sum(tf.square(model.embed(lambda rows, training: rows, x, own))),
        x.reshape(4, 3, 3, 8), dtype="float32",
    )
    moved = np.abs(slope).reshape(4, 9, 8).max(axis=2) > 0
    np.testing.assert_array_equal(moved, own[:, 0])
    assert 0 < moved.sum() < 36


def test_regions_are_drawn_uniformly_among_those_of_the_view():
    model = make(regions=2000)
    (ids, own), _ = drawn(model)
    labels = np.asarray(keras_ssl.augment.image.located.labels_of_cells(masks(), BOXES[:, 0], (3, 3)))
    for image in range(4):
        present, counts = np.unique(ids[image], return_counts=True)
        assert set(present) == set(labels[image])
        np.testing.assert_allclose(counts / 2000, 1 / len(present), atol=0.06)
        np.testing.assert_array_equal(own[image], ids[image][:, None] == labels[image])


def test_each_step_draws_other_regions():
    model = make(regions=16)
    first = model.draw(masks(), BOXES[:, 0], (3, 3))[0]
    second = model.draw(masks(), BOXES[:, 0], (3, 3))[0]
    assert np.any(np.asarray(first) != np.asarray(second))


def test_no_gradient_reaches_the_target():
    model = make()
    watched = [v.value for v in model.target_maps.weights + model.target_projector.weights]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        loss = model(batch(), training=True)["loss"]
    assert all(found is None for found in tape.gradient(loss, watched))


def test_the_heads_are_the_papers():
    model = keras_ssl.DetCon(encoder())
    for head in (model.projector, model.predictor, model.target_projector):
        assert [type(layer).__name__ for layer in head.layers] == ["Dense", "BatchNormalization", "ReLU", "Dense"]
        assert [layer.units for layer in head.layers[::3]] == [4096, 256]
    assert make(target="siamese").predictor is None


@pytest.mark.parametrize("changes, message", [
    ({"mask": np.zeros((4, 12, 12, 1), "int32")}, "'mask' must be ints of shape .batch, height, width."),
    ({"views": (view(0), view(1))}, r"augment=keras_ssl.augment.Located\(views\)"),
])  # fmt: skip
def test_wrong_data_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        loss_of(make(), **changes)


@pytest.mark.parametrize("on_host", [True, False])
def test_masks_of_another_size_are_refused(on_host):
    augment = keras_ssl.augment.Located(keras_ssl.augment.Views(keras_ssl.augment.RandomResizedCrop(12), 2))
    columns = {"image": view(0), "mask": masks()[:, :8, :8]}
    with pytest.raises(ValueError, match=r"height and the width of the images.* masks of shape .*8, 8"):
        if on_host:
            keras_ssl.data.views(keras_ssl.data.arrays(columns, 4), augment)
        keras_ssl.DetCon(encoder(), augment, hidden=8, dim=4)(columns, training=True)


def test_masks_are_asked_for():
    with pytest.raises(ValueError, match="needs the column 'mask'"):
        make()({"views": batch()["views"]}, training=True)


@pytest.mark.parametrize("options, message", [
    ({"target": "byol"}, "target must be one of"),
    ({"regions": 0}, "regions must be"),
    ({"momentum": 2}, "momentum must be"),
])  # fmt: skip
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
