"""TrackingByColorizing: arXiv 1806.09594."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import inputs
from keras_ssl.methods.video import tracking_by_colorizing as module
from tests import cases

CENTERS = ((-30.0, 0.0), (30.0, 20.0), (0.0, 40.0), (10.0, -40.0))


def network():
    """A map of 4 x 4 places for images of 8 pixels."""
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(keras.layers.Rescaling(1 / 255)(images))
    x = keras.layers.BatchNormalization(momentum=0.9, synchronized=keras_ssl.distribute.replicas() > 1)(x)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x)))


def views():
    return keras_ssl.augment.tracking(8, frames=3, stride=1)


CASE = cases.Case(
    {"centers": CENTERS, "dim": 4, "depth": 1, "width": 6}, network, views, kind=inputs.VIDEO,
    samples=lambda count: {"video": sprites(count, 5)["video"][..., :8, :8, :]},
)  # fmt: skip


def sprites(count, frames, side=16, seed=0):
    """Colored squares over colored photographs of large spots."""
    draws = np.random.default_rng(seed)
    spots = draws.integers(40, 200, (6, side // 4, side // 4, 3)).repeat(4, axis=1).repeat(4, axis=2).astype("uint8")
    squares = np.broadcast_to(draws.integers(0, 256, (8, 1, 1, 3)), (8, 4, 4, 3)).astype("uint8")
    return keras_ssl.data.moving_sprites(spots, squares, count, frames, speed=1, seed=seed)


def make(**options):
    keras.utils.set_random_seed(0)
    return keras_ssl.TrackingByColorizing(network(), centers=CENTERS, **{"dim": 4, "depth": 0} | options)


def clips(batch=2, frames=3):
    return np.random.default_rng(0).uniform(0, 255, (batch, frames, 8, 8, 3)).astype("float32")


def test_the_loss_is_the_papers():
    model, given = make(temperature=0.7), clips()
    f = np.float64(model.embeddings(given, training=True))  # (batch, frames, places, dim)
    labels = np.asarray(model.colors_of(given))
    terms, told = [], []
    for b in range(2):
        for j in range(16):
            scores = np.array([[f[b, r, i] @ f[b, 2, j] / 0.7 for i in range(16)] for r in range(2)])
            weights = np.exp(scores) / np.exp(scores).sum()
            copied = [weights[labels[b, :2] == color].sum() for color in range(4)]
            terms.append(-np.log(copied[labels[b, 2, j]] + 1e-6))
            told.append(np.argmax(copied) == labels[b, 2, j])
    outputs = model({"views": [given]}, training=True)
    assert float(outputs["loss"]) == pytest.approx(np.mean(terms), rel=1e-4)
    assert float(outputs["accuracy"]) == pytest.approx(np.mean(told))


def test_colors_are_those_of_lab_at_the_places_of_the_map():
    model, given = make(), clips()
    lab = np.asarray(keras_ssl.augment.ToLab()(given.reshape(-1, 8, 8, 3)))[..., 1:]
    means = lab.reshape(2, 3, 4, 2, 4, 2, 2).mean(axis=(3, 5)).reshape(2, 3, 16, 1, 2)
    nearest = np.square(means - np.array(CENTERS)).sum(axis=-1).argmin(axis=-1)
    np.testing.assert_array_equal(model.colors_of(given), nearest)


def test_frames_are_seen_in_gray():
    model, given = make(), clips()
    lightness = np.asarray(keras_ssl.augment.ToLab()(given.reshape(-1, 8, 8, 3)))[..., :1] * 2.55
    gray = np.repeat(lightness, 3, axis=-1)
    expected = np.asarray(model.network(gray)).reshape(2, 3, -1).mean(axis=1)
    np.testing.assert_allclose(model.predict(given, verbose=0), expected, atol=1e-4)
    with tf.GradientTape() as tape:  # colors are copied, and nothing is learned through them
        colors = tf.constant(np.random.default_rng(1).uniform(size=(1, 6, 4)))
        tape.watch(colors)
        copied = module.pointed(tf.ones((1, 2, 3), tf.float64), tf.ones((1, 6, 3), tf.float64), colors, 1.0)
    assert tape.gradient(copied, colors) is None
    np.testing.assert_allclose(copied[0], np.broadcast_to(colors[0].numpy().mean(axis=0), (2, 4)))


def test_the_order_of_the_references_does_not_count():
    draws = np.random.default_rng(0)
    targets, references = draws.normal(size=(1, 5, 3)), draws.normal(size=(1, 12, 3))
    colors, order = draws.uniform(size=(1, 12, 4)), draws.permutation(12)
    one = module.pointed(targets, references, colors, 0.5)
    other = module.pointed(targets, references[:, order], colors[:, order], 0.5)
    np.testing.assert_allclose(one, other)


def test_a_place_is_an_input():
    for position, channels in ((True, 10), (False, 8)):
        model = make(position=position)
        assert model.embed.get_layer("embedding").kernel.shape == (channels, 4)
    grid = np.asarray(module.Places()(np.zeros((1, 2, 3, 5, 1), "float32")))
    np.testing.assert_allclose(grid[0, 1, :, 0, 1], [-1, 0, 1])
    np.testing.assert_allclose(grid[0, 1, 0, :, 2], [-1, -0.5, 0, 0.5, 1])
    assert make(depth=2, width=6).embed.get_layer("conv2").kernel.shape == (3, 3, 3, 6, 6)


def test_a_frame_that_looks_the_same_is_told_the_same():
    model = make()
    places = np.random.default_rng(0).normal(size=(16, 4))
    places /= np.linalg.norm(places, axis=1, keepdims=True)  # a place is most like itself
    model.embeddings = lambda clips, training: np.broadcast_to(places, (1, clips.shape[1], 16, 4))
    masks = np.eye(16).reshape(4, 4, 16)
    found = model.propagate(clips(1, 6)[0], masks, temperature=0.01)
    assert found.shape == (6, 4, 4, 16)
    assert (found.argmax(axis=-1) == np.arange(16).reshape(4, 4)).all()
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize("radius", [None, 1])
def test_places_are_told_in_full_whatever_the_length_of_their_embeddings(radius):
    """Each place has a softmax of its own: what others score, and what lies outside of the radius, does not count."""
    model = make()
    places = np.random.default_rng(0).normal(size=(16, 4))
    places *= np.where(np.arange(16) % 3, 1, 20)[:, None] / np.linalg.norm(places, axis=1, keepdims=True)
    model.embeddings = lambda clips, training: np.broadcast_to(places, (1, clips.shape[1], 16, 4))
    found = model.propagate(clips(1, 6)[0], np.eye(16).reshape(4, 4, 16), radius=radius)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)
    scores = places @ places.T / 0.5  # to one reference: the first frame
    scores[~module.within(4, 4, radius)] = -np.inf
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    np.testing.assert_allclose(found[1].reshape(16, 16), weights / weights.sum(axis=1, keepdims=True), atol=1e-6)


def test_the_head_has_the_statistics_of_all_replicas(two_replicas):
    with two_replicas.scope():
        assert make(depth=1, width=4).embed.get_layer("bn1").synchronized
    assert not make(depth=1, width=4).embed.get_layer("bn1").synchronized


def test_pointers_reach_within_the_radius():
    masks = np.eye(16).reshape(4, 4, 16)
    near = make().propagate(clips(1, 3)[0], masks, radius=1)[1].reshape(16, 16)
    for place in range(16):
        rows, columns = np.divmod(np.flatnonzero(near[place] > 0), 4)
        assert np.abs(rows - place // 4).max() <= 1 and np.abs(columns - place % 4).max() <= 1
        assert len(rows) in (4, 6, 9)
    coarse = make().propagate(clips(1, 2)[0], np.ones((8, 8, 1)))  # shrunk to the map
    np.testing.assert_allclose(coarse, np.ones((2, 4, 4, 1)), atol=1e-6)


def test_propagated_masks_follow_what_moves():
    """Learned from colors alone; the squares are told from the spots by their gray values."""
    keras.utils.set_random_seed(0)
    images = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling(1 / 255, offset=-0.5)(images)
    for filters in (16, 16):
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    trunk = keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))
    train = sprites(96, 8)["video"]
    view = keras_ssl.augment.RandomClip(3, 2)
    model = keras_ssl.TrackingByColorizing(
        trunk, view, centers=keras_ssl.augment.color_centers(train), dim=16, depth=0, position=True
    )
    model.compile(optimizer=keras.optimizers.Adam(5e-3))
    model.fit(keras_ssl.data.arrays({"video": train}, 16), epochs=14, verbose=0)
    made = sprites(8, 11, seed=1)  # spots and squares that were not there in training
    gains = []
    for video, objects in zip(made["video"], made["objects"]):
        first = np.eye(2)[objects[0]]
        told = model.propagate(video, first, temperature=0.3, radius=3)[10, ..., 1] > 0.5
        real, copied = objects[10] == 1, objects[0] == 1
        iou = lambda a, b: (a & b).sum() / max((a | b).sum(), 1)  # noqa: E731
        gains.append(iou(told, real) - iou(copied, real))
    assert np.mean(gains) > 0.2, gains


def test_what_does_not_fit_is_refused():
    for centers in ([1.0, 2.0], None, "x", [["a", "b"]], [[1.0, 2.0], [np.nan, 1.0]], {}):
        with pytest.raises(ValueError, match="centers must be two colors or more.* Received: centers="):
            keras_ssl.TrackingByColorizing(network(), centers=centers)
    for wrong in (None, 3, keras_ssl.encoders.over_time(network())):
        with pytest.raises(ValueError, match="network must be a keras.Model from images of one size"):
            keras_ssl.TrackingByColorizing(wrong, centers=CENTERS)
    with pytest.raises(ValueError, match="features of the encoder must be pooled from a map"):
        flat = keras.Input((8, 8, 3))
        dense = keras.layers.Dense(3)(keras.layers.Flatten()(flat))
        keras_ssl.TrackingByColorizing(keras.Model(flat, dense), centers=CENTERS)
    with pytest.raises(ValueError, match="needs clips of a known number of frames, 2 at least"):
        make()({"views": [clips(frames=1)]}, training=True)


def test_centers_of_colors():
    three = np.array([[250, 10, 10], [10, 250, 10], [10, 10, 250]], "uint8")
    pixels = three[np.random.default_rng(0).integers(0, 3, 600)]
    centers = keras_ssl.augment.color_centers(pixels.reshape(2, 3, 10, 10, 3), 3)
    lab = np.asarray(keras_ssl.augment.ToLab()(three[None, None]))[0, 0, :, 1:]
    np.testing.assert_allclose(centers, lab[np.lexsort(lab.T[::-1])], atol=1e-3)
    more = keras_ssl.augment.color_centers([{"video": pixels.reshape(1, 6, 10, 10, 3)}], 5)
    assert more.shape == (5, 2) and len(np.unique(more.round(3), axis=0)) == 5
    with pytest.raises(ValueError, match="three channels"):
        keras_ssl.augment.color_centers(np.zeros((2, 3, 4, 4, 1)))
