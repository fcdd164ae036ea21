"""VICRegL: arXiv 2210.01571."""

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import losses
from keras_ssl.augment.image.located import centers, distances
from tests import cases
from tests.methods.dense.test_dense_cl import view
from tests.reference import dense as reference
from tests.reference import redundancy
from tests.reference.losses import gradient
from tests.test_redundancy import value_and_gradient, vectors

CASE = cases.Case(
    {"hidden": 16, "dim": 8, "local_hidden": 16, "local_dim": 8, "matches": 5}, views=cases.located
)

FIRST = [[0, 0, 10, 10], [0, 0, 20, 30], [2, 3, 12, 19], [2, 3, 12, 19]]
SECOND = [[20, 20, 40, 50], [5, 20, 15, 10], [4, 1, 12, 20], [2, 19, 12, 3]]
BOXES = np.stack([FIRST, SECOND], axis=1).astype("float32")


def encoder():
    """A map of 3 x 3 places of 12 pixels, 2 x 2 of 8, without batch normalization."""
    images = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(6, 4, strides=4)(keras.layers.Rescaling(1 / 127.5, offset=-1)(images))
    x = keras.layers.Conv2D(8, 1)(keras.layers.LeakyReLU()(x))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def make(**options):
    keras.utils.set_random_seed(0)
    sizes = {"hidden": 10, "dim": 6, "local_hidden": 9, "local_dim": 5, "matches": 4, "small_matches": 2}
    return keras_ssl.VICRegL(encoder(), **sizes | options)


def found(model, views, boxes=BOXES):
    """The outputs, and by NumPy the embeddings of the wholes and of the places of each view."""
    outputs = {key: float(value) for key, value in model({"views": (*views, boxes)}, training=True).items()}
    wholes, maps = zip(*(map(np.float64, model.network(x, training=True)) for x in views))
    return outputs, wholes, [x.reshape(len(x), -1, x.shape[-1]) for x in maps]


def spots(boxes, grid):
    return np.array([[reference.spot(box, grid, place) for place in range(grid[0] * grid[1])] for box in boxes])


def of_wholes(wholes, pairs):
    apart = np.mean([np.mean((wholes[i] - wholes[j]) ** 2) for i, j in pairs])
    spread = np.mean([redundancy.variance(z) for z in wholes])
    return 25 * apart + 25 * spread + np.mean([redundancy.covariance(z) for z in wholes])


@pytest.mark.parametrize("by_feature", [None, 5])
def test_the_loss_is_the_papers(by_feature):
    model = make(alpha=0.6, feature_matches=by_feature)
    outputs, wholes, maps = found(model, (view(0), view(1)))
    expected = of_wholes(wholes, [(0, 1)])
    assert outputs["global_loss"] == pytest.approx(expected, rel=1e-4)
    places = [spots(np.float64(BOXES[:, i]), (3, 3)) for i in range(2)]
    local = reference.vicregl_local(*maps, *places, 4, 4, by_feature)
    assert outputs["local_loss"] == pytest.approx(local, rel=1e-3)
    assert outputs["loss"] == pytest.approx(0.6 * expected + 0.4 * local, rel=1e-3)


def test_small_views_are_compared_with_large_ones_alone():
    boxes = np.concatenate([BOXES, BOXES[:, ::-1] + 1], axis=1)
    views = view(0), view(1), view(2)[:, :8, :8], view(3)[:, :8, :8]
    outputs, wholes, maps = found(make(), views, boxes)
    pairs = [(0, 1), (0, 2), (0, 3), (1, 0), (1, 2), (1, 3)]
    assert outputs["global_loss"] == pytest.approx(of_wholes(wholes, pairs), rel=1e-4)
    grids = [(3, 3), (3, 3), (2, 2), (2, 2)]
    places = [spots(np.float64(boxes[:, i]), grid) for i, grid in enumerate(grids)]
    counts = [4, 4, 2, 2]
    local = [reference.vicregl_local(maps[i], maps[j], places[i], places[j], counts[i], counts[j]) for i, j in pairs]
    assert outputs["local_loss"] == pytest.approx(np.mean(local), rel=1e-3)


def test_of_whole_views_alone_it_is_vicreg():
    """The covariance is the mean over the views, VICReg's their sum."""
    model = make(alpha=1.0)
    outputs, wholes, _ = found(model, (view(0), view(1)))
    together = np.mean([redundancy.covariance(z) for z in wholes])
    expected = redundancy.vicreg(*wholes) - together
    assert outputs["loss"] == pytest.approx(expected, rel=1e-4)


def test_variance_and_covariance_of_slots_are_the_loop():
    x = 0.5 * vectors(6, 3, 4)

    def loop(x):
        return [np.mean([f(x[:, s]) for s in range(3)]) for f in (redundancy.variance, redundancy.covariance)]

    for place, (name, factor) in enumerate((("variance", 1.0), ("covariance", 1.0))):
        value, (slope,) = value_and_gradient(lambda x: factor * losses.variance_covariance(x)[place], x)
        assert float(value) == pytest.approx(loop(x)[place], rel=1e-9), name
        np.testing.assert_allclose(slope, gradient(lambda x: loop(x)[place], x), atol=1e-7)


def test_the_gradient_of_the_pairs_is_the_loops():
    model, first, second = make(), 0.5 * vectors(5, 3, 4), 0.5 * vectors(5, 3, 4, seed=1)
    value, slopes = value_and_gradient(model.of_pairs, first, second)
    assert float(value) == pytest.approx(reference.vicreg_of_slots(first, second), rel=1e-9)
    loops = (lambda x: reference.vicreg_of_slots(x, second)), (lambda x: reference.vicreg_of_slots(first, x))
    for slope, loop, x in zip(slopes, loops, (first, second)):
        np.testing.assert_allclose(slope, gradient(loop, x), atol=1e-6)


@pytest.mark.parametrize("count", [1, 20, 49, None])
def test_nearest_matches_are_the_loop(count):
    """With ties: distances are whole numbers."""
    apart = np.random.default_rng(0).integers(0, 12, (3, 49, 9)).astype("float32")
    places, others = losses.nearest_matches(apart, count)
    assert places.dtype == others.dtype == "int32"
    for image, table in enumerate(apart):
        own, theirs = reference.matches(table, count or 49)
        assert places[image].numpy().tolist() == own and others[image].numpy().tolist() == theirs


def test_equal_crops_match_place_by_place_and_a_mirrored_one_in_mirrored_order():
    boxes, mirrored = BOXES[2:, 0], np.arange(9).reshape(3, 3)[:, ::-1].ravel()
    for box, order in ((boxes, np.arange(9)), (boxes[:, [0, 3, 2, 1]], mirrored)):
        apart = distances(centers(boxes, (3, 3)), centers(box, (3, 3)))
        places, others = losses.nearest_matches(apart, 20)
        np.testing.assert_array_equal(places, [np.arange(9)] * 2)
        np.testing.assert_array_equal(others, [order] * 2)


def test_moving_both_crops_changes_nothing():
    model, views = make(), (view(0), view(1))
    one, other = (found(model, views, boxes)[0] for boxes in (BOXES, BOXES + np.array([7, 11, 7, 11], "float32")))
    assert one == other


def test_heads_are_the_papers():
    model = keras_ssl.VICRegL(encoder())
    for name, size in (("expander", 8192), ("projector", 512)):
        layers = model.network.get_layer(name).layers
        block = ["Dense", "BatchNormalization", "ReLU"]
        assert [type(layer).__name__ for layer in layers] == [*block, *block, "Dense"]
        assert [layer.units for layer in layers[::3]] == [size] * 3 and not layers[-1].use_bias


def test_views_without_boxes_are_refused():
    with pytest.raises(ValueError, match=r"augment=keras_ssl.augment.Located\(views\)"):
        make()({"views": (view(0), view(1))}, training=True)


@pytest.mark.parametrize("options, message", [
    ({"alpha": 1.5}, "alpha must be"),
    ({"matches": 0}, "matches must be"),
    ({"feature_matches": 0}, "feature_matches must be"),
])  # fmt: skip
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
