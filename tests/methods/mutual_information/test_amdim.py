"""AMDIM: arXiv 1906.00910. Its network without padding, its clipped scores, and what is compared with what."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import encoders, recipes
from tests import cases
from tests.reference import information as reference

SIZES = {"small": "small", "large": "large"}


def encoder(size=8):
    images = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(4, 3, 2, activation="relu", name="large")(keras.layers.Rescaling(1 / 127.5, -1)(images))
    x = keras.layers.Conv2D(5, 2, activation="relu", name="small")(x)
    x = keras.layers.Conv2D(6, 1)(x)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def case_encoder():
    return encoder(cases.SIZE)


def awake(model):
    """Branches that start at 0 give nothing to the layers before them."""
    for variable in [*model.embed_small.trainable_variables, *model.embed_large.trainable_variables]:
        variable.assign(variable + 0.3 * keras.random.normal(variable.shape))


CASE = cases.Case(SIZES, encoder=case_encoder, prepare=awake)


def make(**options):
    keras.utils.set_random_seed(0)
    model = keras_ssl.AMDIM(encoder(), **SIZES | options)
    awake(model)
    return model


def views(batch=4):
    return tuple(np.random.default_rng(i).integers(0, 256, (batch, 8, 8, 3)).astype("float32") for i in range(2))


def without_draws(model):
    model.one_place = lambda places: places[:, 1]
    return model


def embeddings(model, view):
    return [np.float64(x) for x in model.embeddings(view)]


def pair(queries, places, clip):
    scores = np.einsum("id,jld->ijl", queries, places) / np.sqrt(queries.shape[1])
    return reference.nce(clip * np.tanh(scores / clip)), (scores**2).mean()


def test_the_loss_is_the_papers():
    model, (one, other) = without_draws(make(clip=3.0, penalty=0.2)), views()
    first, second = embeddings(model, one), embeddings(model, other)
    expected, squares = [], []
    for (features, small, _), (_, small_places, large_places) in ((first, second), (second, first)):
        for queries, places in ((features, small_places), (features, large_places), (small[:, 1], small_places)):
            loss, square = pair(queries, places, 3.0)
            expected.append(loss)
            squares.append(square)
    found = model({"views": (one, other)}, training=True)
    assert float(found["information"]) == pytest.approx(-sum(expected) / 2, rel=1e-4)
    assert float(found["loss"]) == pytest.approx(sum(expected) / 2 + 0.2 * sum(squares) / 2, rel=1e-4)
    assert float(found["score"]) == pytest.approx(np.mean(squares), rel=1e-4)
    swapped = model({"views": (other, one)}, training=True)
    assert float(swapped["loss"]) == pytest.approx(float(found["loss"]), rel=1e-5)


def test_embeddings_are_a_copy_plus_a_perceptron_normalized():
    model, (one, _) = make(), views()
    small = np.float64(model.maps(one, training=True)[0])
    first, second, copy, bias, gain, shift = (np.float64(v) for v in by_kind(model.embed_small))
    made = np.maximum(small @ first, 0) @ second + small @ copy + bias
    made = (made - made.mean(axis=(0, 1, 2))) / np.sqrt(made.var(axis=(0, 1, 2)) + 1e-5) * gain + shift
    np.testing.assert_allclose(embeddings(model, one)[1], made.reshape(4, 4, 6), rtol=1e-3, atol=1e-4)


def by_kind(network):
    dense = [layer for layer in network.layers if isinstance(layer, keras.layers.Dense) and layer.name != "copy"]
    (norm,) = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    copy = network.get_layer("copy")
    return [dense[0].kernel, dense[1].kernel, copy.kernel, copy.bias, norm.gamma, norm.beta]


def test_embeddings_start_as_a_noisy_copy():
    model = keras_ssl.AMDIM(encoder(), **SIZES)
    first, second, copy, bias, *_ = (np.asarray(v) for v in by_kind(model.embed_large))
    assert not second.any() and not bias.any() and first.any()
    assert (np.diag(copy) == 1).all() and 0 < np.abs(copy[~np.eye(4, 6, dtype=bool)]).max() <= 0.01


def test_scores_are_bounded_and_saturate():
    model = make(clip=2.0, penalty=0.0)
    places = tf.constant(np.eye(3)[:, None] * 1e3, "float32")
    queries = tf.constant((2 * np.eye(3) - 1) * 1e3, "float32")
    with tf.GradientTape() as tape:
        tape.watch(queries)
        loss, square = model.compared(queries, places)
    assert float(loss) == pytest.approx(np.log(np.exp(2) + 2 * np.exp(-2)) - 2, rel=1e-4)
    assert float(square) == pytest.approx((1e6 / np.sqrt(3)) ** 2, rel=1e-4)  # before they are clipped
    assert np.abs(tape.gradient(loss, queries)).max() < 1e-6


def test_the_place_is_another_one_for_every_image_and_step():
    model = make()
    places = tf.constant(np.broadcast_to(np.arange(4.0)[None, :, None], (64, 4, 2)), "float32")
    first, second = (np.asarray(model.one_place(places))[:, 0] for _ in range(2))
    assert set(first) == {0, 1, 2, 3} and not np.array_equal(first, second)
    assert np.bincount(first.astype(int)).min() > 6


@pytest.mark.parametrize("options, message", [
    ({"small": "nothing"}, "small must be the name of a layer"),
    ({"large": "nothing"}, "large must be the name of a layer"),
    ({"clip": 0}, "clip must be a finite number above 0"),
])  # fmt: skip
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


# The network


def trained(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def test_the_papers_network():
    model = encoders.amdim_net((32, 32, 3))
    assert trained(model) == 15_832_576
    whole = keras_ssl.AMDIM(model)
    assert trained(whole) == 20_033_024


@pytest.mark.parametrize("size", [32, 64, 128])
def test_maps_have_their_sizes(size):
    model = encoders.amdim_net((size, size, 3), width=2, dim=16, depth=2)
    assert model.get_layer("local7").output.shape[1:3] == (7, 7)
    assert model.get_layer("local5").output.shape[1:3] == (5, 5) and model.output_shape == (None, 16)
    with pytest.raises(ValueError, match="32, 64 or 128"):
        encoders.amdim_net((size, 2 * size, 3))


def test_a_place_sees_a_box_of_the_image():
    model = encoders.amdim_net((32, 32, 3), width=2, dim=8, depth=1)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.3 * np.random.default_rng(0).normal(size=variable.shape))
    maps = keras.Model(model.input, [model.get_layer(name).output for name in ("local7", "local5")])
    image = tf.constant(np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)), "float32")
    for number, (side, start) in enumerate([(8, 4), (16, 4)]):
        with tf.GradientTape() as tape:
            tape.watch(image)
            value = tf.reduce_sum(maps(image)[number][0, 1, 1] ** 2)
        seen = np.flatnonzero(np.abs(tape.gradient(value, image)).sum(axis=(0, 2, 3)))
        assert seen.min() == start and seen.max() == start + side - 1, (number, seen)


def test_views_of_small_images_are_shifted_and_those_of_others_cut_out():
    """Two draws of one flip."""
    for size, shifted in ((32, True), (128, False)):
        run = recipes.Run((size, size, 3), 8, 8, 1, 1, "resnet18")
        layers = json.dumps(keras.saving.serialize_keras_object(recipes.find("AMDIM").views(run)))
        assert ("RandomResizedCrop" in layers) is not shifted and ('"padding": 4' in layers) is shifted
        assert layers.count('"RandomFlip"') == 1
    images = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3)).astype("uint8")
    run = recipes.Run((32, 32, 3), 40, 40, 1, 1, "resnet18")
    place = recipes.find("AMDIM").views(run).layers[1].views.layers[0]
    seen = np.asarray(place(images))
    still = sum(np.array_equal(one, other) for one, other in zip(seen, images))
    assert 1 <= still <= 20  # a fifth, and shifts by nothing


def test_views_of_unknown_size_are_refused():
    images = keras.Input((None, None, 3))
    small = keras.layers.Conv2D(4, 3, name="small")(images)
    large = keras.layers.Conv2D(4, 1, name="large")(images)
    x = keras.layers.GlobalAveragePooling2D()(small + 0.0 * keras.ops.mean(large))
    model = keras_ssl.AMDIM(keras.Model(images, x), small="small", large="large")

    @tf.function(input_signature=[tf.TensorSpec((4, None, None, 3))])
    def loss(x):
        return model({"views": (x, x)}, training=True)["loss"]

    with pytest.raises(ValueError, match="AMDIM needs views of one known size"):
        loss(np.zeros((4, 8, 8, 3), "float32"))
