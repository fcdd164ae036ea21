"""PixContrast: arXiv 2011.10043."""

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

CASE = cases.Case({"hidden": 16, "dim": 8, "momentum": 0.9, "steps": 20}, views=cases.located)

# Of four images: apart, one inside the other, equal, and equal but mirrored.
FIRST = [[0, 0, 10, 10], [0, 0, 20, 30], [2, 3, 12, 19], [2, 3, 12, 19]]
SECOND = [[20, 20, 40, 50], [5, 20, 15, 10], [2, 3, 12, 19], [2, 19, 12, 3]]
BOXES = np.stack([FIRST, SECOND], axis=1).astype("float32")


def make(name="PixContrast", **options):
    keras.utils.set_random_seed(0)
    model = getattr(keras_ssl, name)(encoder(), **{"hidden": 10, "dim": 5, "momentum": 0.5} | options)
    model.compile(optimizer=keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def parted(name="PixContrast", **options):
    """A model whose target is not the online network any more."""
    model = make(name, **options)
    for _ in range(2):
        model.train_on_batch({"views": (view(5), view(6), BOXES)})
    return model


def loss_of(model, first, second, boxes=BOXES):
    return float(model({"views": (first, second, boxes)}, training=True)["loss"])


def places_of(network, images):
    return np.float64(network(images, training=True)).reshape(len(images), 9, -1)


def positives(boxes=BOXES, threshold=0.7):
    return np.stack([reference.near(*pair, (3, 3), (3, 3), threshold) for pair in np.float64(boxes)])


def test_the_loss_is_the_papers():
    model, views = parted(), (view(0), view(1))
    first, second = (places_of(model.online, x) for x in views)
    first_target, second_target = (places_of(model.target, x) for x in views)
    there = reference.contrast(first, second_target, positives(), 0.3)
    back = reference.contrast(second, first_target, positives().transpose(0, 2, 1), 0.3)
    assert loss_of(model, *views) == pytest.approx(there + back, rel=1e-4)


def test_value_and_gradient_are_the_loop():
    x, keys = vectors(4, 9, 3), vectors(4, 9, 3, seed=1)
    value, slopes = value_and_gradient(lambda x, k: losses.place_contrast(x, k, positives(), 0.3), x, keys)
    assert float(value) == pytest.approx(reference.contrast(x, keys, positives(), 0.3), rel=1e-9)
    loop = gradient(lambda x: reference.contrast(x, keys, positives(), 0.3), x)
    np.testing.assert_allclose(slopes[0], loop, atol=1e-7)
    assert slopes[1] is None


def test_places_that_lie_together_are_the_loop():
    for threshold in (0.3, 0.7, 1.5):
        found = make(threshold=threshold).near(BOXES, [(3, 3), (3, 3)])
        np.testing.assert_array_equal(found, positives(threshold=threshold))
    assert [int(p.sum()) for p in positives()][::2] == [0, 21]


def test_equal_boxes_match_place_by_place_and_mirrored_ones_in_mirrored_order():
    near = np.asarray(make(threshold=0.3).near(BOXES, [(3, 3), (3, 3)]))
    np.testing.assert_array_equal(near[2], np.eye(9, dtype=bool))
    mirrored = np.arange(9).reshape(3, 3)[:, ::-1].ravel()
    np.testing.assert_array_equal(near[3], np.eye(9, dtype=bool)[mirrored])


def test_moving_both_crops_changes_nothing():
    model = make()
    near = model.near(BOXES, [(3, 3), (3, 3)])
    moved = BOXES + np.array([7, 11, 7, 11], "float32")
    np.testing.assert_array_equal(model.near(moved, [(3, 3), (3, 3)]), near)
    np.testing.assert_array_equal(model.near(4 * BOXES, [(3, 3), (3, 3)]), near)


def test_views_that_do_not_overlap_have_no_loss_and_no_gradient():
    check_apart("PixContrast")


def check_apart(name):
    model, boxes = make(name), np.tile(BOXES[:1], (4, 1, 1))
    with tf.GradientTape() as tape:
        loss = model({"views": (view(0), view(1), boxes)}, training=True)["loss"]
    assert float(loss) == 0
    for found in tape.gradient(loss, model.trainable_variables, unconnected_gradients="zero"):
        assert not np.any(found)


def test_no_gradient_reaches_the_target():
    check_target("PixContrast")


def check_target(name, **options):
    model = make(name, **options)
    watched = [v.value for v in model.target.weights]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        loss = model({"views": (view(0), view(1), BOXES)}, training=True)["loss"]
    assert all(found is None for found in tape.gradient(loss, watched))


def test_the_target_follows_with_a_rising_momentum():
    model = make(momentum=0.8, steps=10)
    model.step.assign(5)
    for variable in model.online.trainable_variables:
        variable.assign(variable + 1.0)
    model.after_step({})
    pairs = keras_ssl.teacher.pairs(model.target, model.online)
    for slow, fast in pairs:
        np.testing.assert_allclose(slow, fast - 0.9, atol=1e-5)  # 0.8 + half of 0.2


def test_views_without_boxes_are_refused():
    for views in ((view(0), view(1)), (view(0), view(1), BOXES[:, :1])):
        with pytest.raises(ValueError, match=r"augment=keras_ssl.augment.Located\(views\)"):
            make()({"views": views}, training=True)
    with pytest.raises(ValueError, match="takes 2 views"):
        make()({"views": (view(0), BOXES[:, :1])}, training=True)


def test_the_projector_is_the_papers():
    layers = keras_ssl.PixContrast(encoder()).online.get_layer("projector").layers
    assert [type(layer).__name__ for layer in layers] == ["Dense", "BatchNormalization", "ReLU", "Dense"]
    assert [layer.units for layer in layers[::3]] == [4096, 256] and all(layer.use_bias for layer in layers[::3])


@pytest.mark.parametrize("options, message", [
    ({"threshold": 0}, "threshold must be"),
    ({"temperature": -1}, "temperature must be"),
    ({"momentum": 2}, "momentum must be"),
])  # fmt: skip
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
