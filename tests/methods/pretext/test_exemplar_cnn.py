"""ExemplarCNN: arXiv 1406.6909, and the triplets of arXiv 1901.09005."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import augment, data, losses, recipes
from keras_ssl.data.salient import energy
from tests import cases
from tests.reference import pretext as reference

CASE = cases.Case({"samples": cases.COUNT}, views=cases.one_crop)


def images(count=4, size=cases.SIZE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3)).astype("float32")


def exemplar(**options):
    keras.utils.set_random_seed(0)
    return keras_ssl.ExemplarCNN(cases.small_encoder(), **options)


# The softmax


@pytest.mark.parametrize("views", [1, 3])
def test_the_loss_is_the_loop_over_all_views(views):
    model, x = exemplar(samples=6), [images(seed=seed) for seed in range(views)]
    index = np.array([3, 0, 5, 2], "int32")
    logits, labels = np.asarray(model.network(np.concatenate(x), training=True)), np.tile(index, views)
    outputs = model.objective(x, index)
    assert logits.shape == (4 * views, 6) and model.chance == 1 / 6
    assert float(outputs["loss"]) == pytest.approx(reference.classification(logits, labels)[0], rel=1e-5)
    assert float(outputs["accuracy"]) == pytest.approx(np.mean(logits.argmax(axis=1) == labels))


def test_it_learns_which_image_it_was():
    model, known = exemplar(samples=8), images(8)
    model.compile(keras.optimizers.Adam(0.02))
    for step in range(40):
        changed = 0.8 * known + 0.2 * images(8, seed=step)
        batch = {"views": (changed.astype("float32"),), "index": np.arange(8)}
        found = model.train_on_batch(batch, return_dict=True)
        model.reset_metrics()
    assert found["accuracy"] > 0.8


# The triplets


def unit_vectors(*shape, seed=0):
    x = np.random.default_rng(seed).normal(size=shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.mark.parametrize("numbers", [[0, 1, 2, 3], [0, 1, 0, 2]])
@pytest.mark.parametrize("margin", [0.5, 3.0])
def test_triplets_are_the_loop(numbers, margin):
    given = unit_vectors(4, 3, 2)
    with tf.GradientTape() as tape:
        x = tf.constant(given)
        tape.watch(x)
        loss, _ = losses.semi_hard_triplets(x, np.array(numbers), margin)
    loop = lambda views: reference.semi_hard_triplets(views, numbers, margin)  # noqa: E731
    assert float(loss) == pytest.approx(loop(given), rel=1e-9)
    np.testing.assert_allclose(tape.gradient(loss, x), reference.gradient(loop, given), atol=1e-6)


def test_where_no_negative_is_further_away_it_is_the_furthest():
    views = np.array([[[0.0], [9.0]], [[1.0], [1.5]]])  # of 0 and 9 the others lie between
    loss, nearest = losses.semi_hard_triplets(views, np.array([0, 1]), 0.0)
    # 0: 81 - 2.25; 9: 81 - 64; 1 and 1.5 are as near as they should be
    assert float(loss) == pytest.approx((78.75 + 17) / 4)
    assert float(nearest) == 0.5  # 0 is nearest to 1, and 9 to 1.5; 1 and 1.5 to each other


def test_the_objective_has_the_triplets_of_unit_vectors():
    model, x = exemplar(form="triplet", dim=5, margin=0.7), [images(seed=seed) for seed in range(3)]
    found = np.asarray(model.network(np.concatenate(x), training=True)).reshape(3, 4, 5).transpose(1, 0, 2)
    found = found / np.linalg.norm(found, axis=-1, keepdims=True)  # of each embedding, not along the batch
    outputs = model.objective(x, np.arange(4, dtype="int32"))
    assert float(outputs["loss"]) == pytest.approx(reference.semi_hard_triplets(found, range(4), 0.7), rel=1e-4)
    assert model.chance is None and model.limits() == {}


def test_triplets_keep_no_matrix_for_each_view():
    """The largest tensor of a step, backwards too, compares all views with all, once."""
    views, numbers = tf.random.normal((16, 6, 3)), tf.range(16)

    @tf.function
    def step(views):
        with tf.GradientTape() as tape:
            tape.watch(views)
            loss, _ = losses.semi_hard_triplets(views, numbers)
        return loss, tape.gradient(loss, views)

    operations = step.get_concrete_function(views).graph.get_operations()
    sizes = [tensor.shape.num_elements() or 0 for operation in operations for tensor in operation.outputs]
    assert max(sizes) == (16 * 6) ** 2


@pytest.mark.parametrize("numbers", [range(6), [0, 1, 1, 2, 3, 0]])
def test_the_gradient_of_the_triplets_is_that_of_the_loop(numbers):
    views = np.random.default_rng(3).normal(size=(6, 3, 4))
    given = tf.constant(views)
    with tf.GradientTape() as tape:
        tape.watch(given)
        loss, _ = losses.semi_hard_triplets(given, np.array(numbers), 0.6)
    expected = reference.gradient(lambda x: reference.semi_hard_triplets(x, numbers, 0.6), views)
    np.testing.assert_allclose(tape.gradient(loss, given), expected, atol=1e-6)


def test_all_views_of_a_large_image_are_gray_or_none_is():
    run = recipes.Run((80, 80, 3), 64, 32, 2, 1, "resnet18")
    views = recipes.find("ExemplarCNN").views(run)
    found = np.stack(views(np.random.default_rng(0).integers(0, 256, (24, 90, 90, 3), "uint8")))
    assert found.shape == (8, 24, 80, 80, 3)
    gray = np.ptp(found, axis=-1).max(axis=(2, 3)) < 1e-2
    assert (gray == gray[0]).all() and 0.3 < gray[0].mean() < 0.95
    np.testing.assert_allclose(found.mean(axis=(2, 3, 4)), 127.5, atol=0.01)
    np.testing.assert_allclose(found.std(axis=(2, 3, 4)), 50, atol=0.01)
    assert len({tuple(one) for one in found[:, 0, 0, :5, 0]}) == 8  # crops of their own


def test_triplets_on_two_replicas_are_those_of_one(two_replicas):
    batch = {"views": tuple(images(8, seed=seed) for seed in range(2)), "index": np.arange(8)}
    found = []
    for replicas in (False, True):
        if replicas:
            with two_replicas.scope():
                model = exemplar(form="triplet", dim=5)
                model.compile(keras.optimizers.SGD(0.5))
        else:
            model = exemplar(form="triplet", dim=5)
            model.compile(keras.optimizers.SGD(0.5))
        rows = tf.data.Dataset.from_tensor_slices(batch).batch(8)
        history = model.fit(rows, epochs=2, verbose=0).history
        found.append([history["loss"][1], history["accuracy"][1], model.head.get_weights()[0]])
    for one, two in zip(*found):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


# The exemplars


def test_patches_are_from_where_something_is_to_be_seen():
    draw = np.random.default_rng(0)
    x = np.full((20, 48, 48, 3), 90, "uint8")
    for image in x:
        row, column = draw.integers(0, 36, 2)
        image[row : row + 12, column : column + 12] = draw.integers(0, 256, (12, 12, 3))
    patches, places = data.salient_patches(x, 200, size=16)
    for patch, (number, row, column) in zip(patches, places):
        np.testing.assert_array_equal(patch, x[number, row : row + 16, column : column + 16])
    assert np.bincount(places[:, 0]).tolist() == [10] * 20
    all_energies = [energy(image, 16) for image in x]
    drawn = np.mean([all_energies[number][row, column] for number, row, column in places])
    assert drawn > 2 * np.mean(all_energies)
    assert all_energies[0].shape == (33, 33) and places[:, 1:].max() <= 32
    again = data.salient_patches(x, 200, size=16)
    np.testing.assert_array_equal(again[1], places)
    assert not np.array_equal(data.salient_patches(x, 200, size=16, seed=1)[1], places)


def test_the_energy_is_the_mean_squared_gradient():
    x = images(1)[0]
    down, across = np.gradient(x.astype("float64").mean(axis=-1))
    expected = (down**2 + across**2)[2:7, 3:8].mean()
    assert energy(x, 5)[2, 3] == pytest.approx(expected)
    assert len(data.salient_patches(np.zeros((2, 8, 8, 3)), 3, size=4)[0]) == 3  # flat images have patches, too


@pytest.mark.parametrize("x", [np.zeros((2, 8, 8)), np.zeros((0, 8, 8, 3)), np.zeros((2, 4, 8, 3))])
def test_other_images_have_no_patches(x):
    with pytest.raises(ValueError, match="images must be .* Received: shape="):
        data.salient_patches(x, 2, size=4)


# The transformations


def smooth(count=3, size=16):
    y, x = np.indices((size, size)) - (size - 1) / 2
    ramp = np.stack([128 + 4 * y, 128 + 4 * x, 128 + 0 * x], axis=-1)
    return np.tile(ramp, (count, 1, 1, 1)).astype("float32")


def test_an_affine_map_moves_each_pixel_to_where_it_should():
    layer, x = augment.RandomAffine(), smooth()
    angle, scale = np.array([0.0, 0.3, -0.2]), np.array([1.0, 1.3, 0.8])
    down, across = np.array([0.125, 0.0, 0.1]), np.array([0.0, 0.0, -0.1])
    given = {"angle": angle, "scale": scale, "down": down, "across": across}
    found = np.asarray(layer.transform(x, **{key: value.astype("float32") for key, value in given.items()}))
    for number in range(3):
        for row, column in [(7, 7), (5, 9), (9, 6)]:
            y, c = row - 7.5 - 16 * down[number], column - 7.5 - 16 * across[number]
            cosine, sine = np.cos(angle[number]) / scale[number], np.sin(angle[number]) / scale[number]
            source = cosine * y + sine * c, cosine * c - sine * y  # of a ramp the value is the place
            np.testing.assert_allclose(found[number, row, column, :2], 128 + 4 * np.array(source), atol=1e-2)
    plain = augment.RandomAffine(0.0, 0.0, (1.0, 1.0))(images())
    np.testing.assert_allclose(plain, images(), atol=1e-3)
    border = np.asarray(augment.RandomAffine(45.0, 0.5, (0.5, 0.6))(np.full((8, 9, 9, 3), 200, "uint8")))
    np.testing.assert_allclose(border, 200, rtol=1e-5)  # nothing black comes in


def test_components_are_scaled_about_the_mean():
    x = 100 + images(size=8) / 8
    layer = augment.ScaleComponents()
    factor = np.tile(np.array([0.5, 2.0, 1.0], "float32"), (4, 1))
    found = np.asarray(layer.transform(x, factor))
    np.testing.assert_allclose(found.mean(axis=(1, 2)), x.mean(axis=(1, 2)), rtol=1e-4)
    parts = [value - value.mean(axis=(1, 2), keepdims=True) for value in (found, x)]
    for axis, ratio in (([1, 1, 1], 0.5), ([1, 0, -1], 2.0), ([1, -2, 1], 1.0)):
        np.testing.assert_allclose(parts[0] @ axis, ratio * parts[1] @ axis, atol=1e-2)


def test_hue_saturation_and_value_change_apart():
    x = images()
    nothing = augment.ChangeHSV(power=(1.0, 1.0), factor=(1.0, 1.0), shift=0.0, hue=0.0)(x)
    np.testing.assert_allclose(nothing, x, atol=0.1)
    layer, ones = augment.ChangeHSV(), np.ones((4, 2), "float32")
    square = np.asarray(layer.transform(x, np.array([[1.0, 2.0]] * 4, "float32"), ones, 0 * ones, 0 * ones[:, 0]))
    np.testing.assert_allclose(square.max(axis=-1), x.max(axis=-1) ** 2 / 255, atol=0.1)  # the value
    ratio = lambda x: x.min(axis=-1) / np.maximum(x.max(axis=-1), 1)  # noqa: E731
    np.testing.assert_allclose(ratio(square)[square.max(axis=-1) > 20], ratio(x)[square.max(axis=-1) > 20], atol=0.02)
    gray = np.full((4, 3, 3, 3), 90, "float32")
    np.testing.assert_allclose(np.ptp(np.asarray(layer(gray)), axis=-1), 0, atol=1e-3)


def test_views_of_the_paper_are_all_of_these():
    (view,) = augment.exemplar().each()
    affine, components, colors = view.layers
    assert (affine.degrees, affine.translate, affine.scale) == (20.0, 0.2, (0.7, 1.4))
    assert components.factors == (0.5, 2.0)
    assert (colors.power, colors.factor, colors.shift, colors.hue) == ((0.25, 4.0), (0.7, 1.4), 0.1, 0.1)
    assert len(augment.exemplar(8).each()) == 8


def test_copies_are_the_same_in_every_epoch_and_after_a_reload():
    layer = augment.Copies(augment.exemplar(), count=5, start=3)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    x, index = images(1).repeat(60, axis=0), np.repeat(np.arange(2), 30)
    (first,), (second,) = (np.asarray(made({"image": x, "index": index})) for made in (layer, again))
    first, second = first.reshape(60, -1), second.reshape(60, -1)
    for own in (slice(0, 30), slice(30, 60)):
        copies = np.unique(first[own].round(1), axis=0)
        assert len(copies) == 5  # of an image, whatever was drawn
        np.testing.assert_allclose(copies, np.unique(second[own].round(1), axis=0), atol=0.2)
    assert len(np.unique(first.round(1), axis=0)) == 10
    with pytest.raises(ValueError, match="Copies needs the column 'index'"):
        layer(x)


def test_copies_of_the_pipeline_are_those_of_the_model():
    one, other = (data.arrays(images(8).astype("uint8"), 8, index=True) for _ in range(2))
    copies = augment.Copies(augment.exemplar(), count=5)
    found = next(iter(data.views(one, copies)))["views"]
    np.testing.assert_allclose(found[0], copies(next(iter(other)))[0], atol=0.5)


# Bad input


@pytest.mark.parametrize("options", [{}, {"samples": 4, "form": "triplet"}])
def test_classes_belong_to_the_softmax(options):
    with pytest.raises(ValueError, match="samples must be the number of images for form='softmax'"):
        exemplar(**options)


def test_triplets_need_two_views():
    with pytest.raises(ValueError, match="ExemplarCNN takes 2 or more views"):
        exemplar(form="triplet")({"views": (images(),), "index": np.arange(4)}, training=True)
