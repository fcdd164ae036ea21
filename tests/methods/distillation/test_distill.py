"""Distill: versions 1, 2 and 3 of LightlyTrain's distillation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import encoders, losses, recipes
from keras_ssl.augment.rows import local_seeds
from keras_ssl.methods.distillation import distill
from tests import cases
from tests.reference import distillation as reference
from tests.reference.losses import gradient
from tests.test_losses import value_and_gradient, vectors

NAMES = ("of_teacher1", "of_teacher_norm", "of_teacher2")


def small_teacher(size=16, channels=3, seed=1):
    """Of images of another size than the student's."""
    images = keras.Input((size, size, channels))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(images)
    x = keras.layers.Conv2D(6, 3, strides=2, name=NAMES[0])(x)
    x = keras.layers.BatchNormalization(name=NAMES[1])(x)
    x = keras.layers.Conv2D(10, 4, activation="tanh", name=NAMES[2])(x)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


WEIGHTS = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")
CASE = cases.Case(
    {"teacher": small_teacher, "queue_size": 10},
    views=cases.one_crop,
    still=tuple(f"{name}/{weight}" for name in NAMES for weight in WEIGHTS),
)

SIZE = 8


def network(seed=0, dim=6, size=SIZE, channels=3, pooled=True):
    """Without batch normalization: it computes the same in training and in inference."""
    keras.utils.set_random_seed(seed)
    images = keras.Input((size, size, channels))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(images)
    x = keras.layers.Conv2D(dim, 3, strides=2, padding="same", activation="tanh")(x)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x) if pooled else x)


def make(encoder=None, optimizer=None, **options):
    options = {"teacher": options.pop("teacher", None) or network(1, dim=5), "queue_size": 12, "alpha": 0} | options
    model = keras_ssl.Distill(encoder or network(), **options)
    model.compile(optimizer=optimizer or keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def pixels(batch=4, size=SIZE, channels=3, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (batch, size, size, channels)).astype("float32")


def of(model, images, **options):
    return {key: np.asarray(value) for key, value in model({"views": (images,), **options}, training=True).items()}


def array(x):
    return np.asarray(x).astype("float64")


# The losses


@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_kl_divergence(temperature):
    a, b = vectors(3, 2, 5), vectors(3, 2, 5, seed=1)
    if temperature < 1:
        a, b = a / 10, b / 10
    loss = lambda x: np.mean([reference.kl(*rows, temperature) for rows in zip(x.reshape(-1, 5), b.reshape(-1, 5))])
    value, (slope, none) = value_and_gradient(lambda x, y: losses.kl_divergence(x, y, temperature), a, b)
    assert value == pytest.approx(loss(a), rel=1e-4)
    np.testing.assert_allclose(slope, gradient(loss, a), atol=2e-5 / temperature)
    assert none is None
    assert float(losses.kl_divergence(b + 7, b, temperature)) == pytest.approx(0, abs=1e-6)
    assert float(losses.kl_divergence(np.eye(3) * 1e4, -np.eye(3) * 1e4, temperature)) < np.inf


def parts(model, images):
    """Features and maps of student (behind its heads) and teacher, float64."""
    student, student_map = (array(x) for x in model.outlook(images))
    teacher, teacher_map = (array(x) for x in model.teacher_outlook(images))
    weights = lambda head: [array(w) for w in head.get_weights()]
    if model.head is not None:
        kernel, bias = weights(model.head)
        student = student @ kernel + bias
    kernel, bias = weights(model.local_head)
    places = [reference.bilinear(x, *teacher_map.shape[1:3]) for x in student_map @ kernel + bias]
    return student, np.stack(places), teacher, teacher_map


def coarse(dim=5, size=SIZE):
    """A teacher with another grid than the student's 4 x 4: 2 x 3."""
    keras.utils.set_random_seed(3)
    images = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(dim, (4, 3), strides=(4, 2), activation="tanh")(keras.layers.Rescaling(1 / 255)(images))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


@pytest.mark.parametrize("teacher", [network, coarse])
def test_version_3_equals_the_loops(teacher):
    model = make(teacher=teacher(dim=5), temperature=0.2, local_weight=0.7)
    model.train_on_batch({"views": (pixels(5, seed=3),)})  # the queue: these five, and zeros
    images = pixels()
    student, places, targets, target_map = parts(model, images)
    earlier = array(model.queue.entries)[:5]
    queue = [*map(reference.unit, targets), *earlier, *np.zeros((3, 5))]
    found = of(model, images)
    expected = reference.global_loss(student, targets, queue, 0.2), reference.local_loss(places, target_map, 0.2)
    assert float(found["global_loss"]) == pytest.approx(expected[0], rel=1e-4)
    assert float(found["local_loss"]) == pytest.approx(expected[1], rel=1e-4)
    assert float(found["loss"]) == pytest.approx(expected[0] + 0.7 * expected[1], rel=1e-4)
    first = make(model.encoder, teacher=model.teacher, version=1, temperature=0.2)
    first.queue.set_weights(model.queue.get_weights())
    first.head.set_weights(model.head.get_weights())
    assert float(of(first, images)["loss"]) == pytest.approx(expected[0], rel=1e-4)


def test_version_2_equals_the_loops():
    model = make(teacher=coarse(), version=2)
    images = pixels()
    _, places, _, target_map = parts(model, images)
    assert float(of(model, images)["loss"]) == pytest.approx(np.mean((places - target_map) ** 2), rel=1e-5)
    assert model.queue is None and model.head is None


@pytest.mark.parametrize("version", [1, 2, 3])
def test_the_gradient_is_that_of_the_formula(version):
    """By finite differences, of some weights of both networks and heads; none goes to the teacher."""
    model, images = make(teacher=coarse(), version=version, temperature=0.5), pixels(3)
    if model.head is not None:  # a vector near 0 turns fast
        model.head.set_weights([10 * w for w in model.head.get_weights()])
    watched = [v.value for v in model.teacher.weights] + ([model.queue.entries.value] if version != 2 else [])
    with tf.GradientTape() as tape:
        tape.watch(watched)
        loss = model({"views": (images,)}, training=True)["loss"]
    weights = model.trainable_variables
    slopes = tape.gradient(loss, [v.value for v in weights] + watched)
    assert slopes[len(weights) :] == [None] * len(watched)
    for weight, slope in zip(weights, slopes):
        place = np.unravel_index(np.argmax(np.abs(slope)), slope.shape)
        start, found = weight.numpy(), []
        for sign in (1, -1):
            moved = start.copy()
            moved[place] += sign * 1e-3
            weight.assign(moved)
            found.append(float(of(model, images)["loss"]))
        weight.assign(start)
        assert float(slope[place]) == pytest.approx((found[0] - found[1]) / 2e-3, rel=0.02, abs=3e-4), weight.path
    assert {id(v) for v in weights} >= {id(v) for v in model.encoder.trainable_variables}


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_student_that_is_the_teacher_has_no_loss(version):
    model = make(network(), teacher=network(), version=version)
    for head in (model.head, model.local_head):
        if head is not None:
            head.set_weights([np.eye(6), np.zeros(6)])
    assert float(of(model, pixels())["loss"]) == pytest.approx(0, abs=1e-6)


def test_the_places_may_be_turned():
    """The local part compares relations: a rotation of the student's space changes nothing."""
    model, images = make(), pixels()
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0]
    kernel, bias = model.local_head.get_weights()
    before = of(model, images)
    model.local_head.set_weights([kernel @ turn, bias @ turn])
    after = of(model, images)
    assert float(after["local_loss"]) == pytest.approx(float(before["local_loss"]), rel=1e-4)
    model.local_head.set_weights([kernel @ np.diag([1, 1, 1, 1, 9.0]), bias])
    assert float(of(model, images)["local_loss"]) != pytest.approx(float(before["local_loss"]), rel=1e-2)


# The queue and the mixing


def test_an_image_finds_its_own_target_first():
    """The queue that the loss sees holds those of the batch already; the state moves after the step."""
    model, images = make(), pixels()
    keys = of(model, images)["keys"]
    seen = np.asarray(model.queue.read(keys))
    np.testing.assert_array_equal(np.argmax(keys @ seen.T, axis=1), np.arange(4))
    np.testing.assert_allclose(np.linalg.norm(keys, axis=1), 1, atol=1e-6)
    assert not np.any(model.queue.entries) and int(model.queue.pointer) == 0
    model.train_on_batch({"views": (images,)})
    np.testing.assert_allclose(model.queue.entries, [*keys, *np.zeros((8, 5))], atol=1e-6)
    for seed in (1, 2, 3):
        model.train_on_batch({"views": (pixels(seed=seed),)})
    assert int(model.queue.pointer) == 4 and not np.allclose(model.queue.entries[:4], keys, atol=1e-3)


def test_the_queue_is_smaller_than_the_data():
    model = make(queue_size=12)
    for count, advice in ((12, 4), (5, 4)):
        words = rf"queue_size=12 and {count} images in batches of 4. Take queue_size={advice}\."
        for data in (pixels(count), keras_ssl.data.arrays(pixels(count), 4)):
            with pytest.raises(ValueError, match=words):
                model.fit(data, batch_size=None if hasattr(data, "element_spec") else 4, verbose=0)
    for count, batch, size, advice in (
        (300, 256, 8192, "Take queue_size=256."),
        (300, 256, 128, "Take queue_size=256."),
        (300, None, 300, "Take queue_size=128."),
        (99_999, 256, 99_999, "Take queue_size=8192."),
        (64, 64, 64, "Take more images, or smaller batches."),
    ):
        model.queue_size = size
        with pytest.raises(ValueError, match=advice):
            model.check_samples(count, batch)
    model.queue_size = 12
    model.augment = cases.crops(SIZE)
    model.fit(pixels(13), batch_size=12, steps_per_epoch=1, verbose=0)
    make(version=2).check_samples(1)


def test_the_recipe_says_at_once_that_no_queue_fits():
    run = recipes.Run((32, 32, 3), 64, batch=64, steps_per_epoch=1, epochs=1, name="resnet18", quick=True)
    with pytest.raises(ValueError, match="batches of 64 and 64 images"):
        recipes.make("Distill", run)


class Fixed:
    """Mixing by one share, each image with the next."""

    def __init__(self, share):
        self.share = share

    def __call__(self, images, seeds):
        return self.share * images + (1 - self.share) * np.roll(images, -1, axis=0), None, None


def test_both_networks_see_the_same_mixture():
    model, images = make(alpha=1.0), pixels()
    assert (model.mixing.alpha, model.mixing.per_batch, model.mixing.dominant) == (1.0, True, False)
    plain = make(model.encoder, teacher=model.teacher)
    for own, other in ((model.head, plain.head), (model.local_head, plain.local_head)):
        other.set_weights(own.get_weights())
    model.mixing = Fixed(1.0)
    assert float(of(model, images)["loss"]) == pytest.approx(float(of(plain, images)["loss"]), rel=1e-6)
    model.mixing = Fixed(0.3)
    mixed = 0.3 * images + 0.7 * np.roll(images, -1, axis=0)
    assert float(of(model, images)["loss"]) == pytest.approx(float(of(plain, mixed)["loss"]), rel=1e-4)
    assert float(of(model, images)["loss"]) != pytest.approx(float(of(plain, images)["loss"]), rel=1e-2)


def test_the_real_mixing_is_by_the_seeds_that_the_objective_draws():
    model, images = make(alpha=1.0), pixels()
    plain = make(model.encoder, teacher=model.teacher)
    for own, other in ((model.head, plain.head), (model.local_head, plain.local_head)):
        other.set_weights(own.get_weights())
    state = model.draws.state.numpy()
    mixed, partner, share = model.mixing(images, local_seeds(model.draws, 4))
    model.draws.state.assign(state)
    found, expected = of(model, images), of(plain, mixed)
    assert float(found["loss"]) == pytest.approx(float(expected["loss"]), rel=1e-5)
    np.testing.assert_allclose(found["keys"], expected["keys"], atol=1e-6)
    np.testing.assert_allclose(mixed, share[0] * images + (1 - share[0]) * images[np.asarray(partner)], atol=1e-3)
    assert 0.01 < float(share[0]) < 0.99 and float(of(model, images)["loss"]) != float(found["loss"])  # another mixture


def test_heads_start_normal_with_a_deviation_of_0_02():
    for kernel, *_ in (distill.head(64, 256, name).get_weights() for name in ("head", "local_head")):
        assert kernel.std() == pytest.approx(0.02, rel=0.03) and np.abs(kernel).max() > 0.05  # not cut at two of them


# The teacher


def test_the_teacher_is_a_copy_in_inference_mode_that_never_moves(tmp_path):
    """It is in the file, so that a run resumes without it, and not in the export."""
    teacher = small_teacher(SIZE * 2)
    for weight in teacher.weights:
        weight.assign(weight + 0.1)
    before = [w.copy() for w in teacher.get_weights()]
    model = make(teacher=teacher, alpha=1.0)
    model.fit({"views": (pixels(16),)}, batch_size=4, verbose=0)
    for other in (model.teacher, teacher):
        assert all(np.array_equal(*pair) for pair in zip(before, other.get_weights(), strict=True))
    assert len(teacher.trainable_variables) == 6 and not model.teacher.trainable_variables
    model.save(tmp_path / "run.keras")
    loaded = keras_ssl.load(tmp_path / "run.keras")
    assert all(np.array_equal(*pair) for pair in zip(before, loaded.teacher.get_weights(), strict=True))
    keras_ssl.export(model, tmp_path / "student.keras")
    student = keras.saving.load_model(tmp_path / "student.keras")
    assert student.count_params() == model.encoder.count_params()
    np.testing.assert_allclose(student(pixels()), model.predict(pixels(), verbose=0), atol=1e-5)


@pytest.mark.parametrize("version", [1, 2])
def test_versions_1_and_2_resume(version, tmp_path):
    model = make(version=version, alpha=1.0, optimizer=keras.optimizers.SGD(0.1, momentum=0.9))
    data = [{"views": (pixels(seed=seed),)} for seed in range(3)]
    model.train_on_batch(data[0])
    model.save(tmp_path / "run.keras")
    second = keras_ssl.load(tmp_path / "run.keras")
    for batch in data[1:]:
        model.train_on_batch(batch)
        second.train_on_batch(batch)
    cases.assert_same(cases.state(model), cases.state(second))


def test_a_teacher_of_another_size():
    """It sees the view resampled, as the layer does it."""
    images = pixels()
    model = make(teacher=network(1, dim=5, size=12))
    resized = keras_ssl.augment.Resize(12)(images)
    expected = model.teacher(resized)
    np.testing.assert_allclose(of(model, images)["keys"], losses.vectors.unit(expected), atol=1e-5)
    assert model.teacher_outlook.outputs[1].shape[1:3] == (6, 6)
    assert make().for_teacher(images) is images  # of the same size: untouched


def test_a_teacher_of_three_channels_sees_gray_images_three_times():
    images = pixels(channels=1)
    model = make(network(channels=1), teacher=network(1, dim=5, size=12))
    expected = model.teacher(np.repeat(keras_ssl.augment.Resize(12)(images), 3, axis=-1))
    np.testing.assert_allclose(of(model, images)["keys"], losses.vectors.unit(expected), atol=1e-5)
    for student, teacher in ((1, 2), (3, 1), (4, 3)):
        with pytest.raises(ValueError, match=rf"as many channels .* of {teacher} channels .* of {student}"):
            make(network(channels=student), teacher=network(channels=teacher))


def vit(pooling, **options):
    keras.utils.set_random_seed(5)
    return encoders.vit((SIZE, SIZE, 3), 2, width=8, depth=1, heads=2, pooling=pooling, **options)


@pytest.mark.parametrize("student", ["token", "mean", "registers", "any size"])
def test_transformers(student):
    """The map is that of the patches, without the class token, whatever is pooled; None gives all tokens."""
    options = {"registers": 2} if student == "registers" else {}
    encoder = vit(student if student == "mean" else "token", **options)
    if student == "any size":
        encoder = encoders.vit((None, None, 3), 2, width=8, depth=1, heads=2, grid=4)
    model, images = make(encoder, teacher=vit(None)), pixels()
    tokens = model.teacher(images)  # (4, 17, 8)
    found = of(model, images)
    np.testing.assert_allclose(
        found["keys"], losses.vectors.unit(np.mean(array(tokens)[:, 1:], axis=1)), atol=1e-5
    )
    model.train_on_batch({"views": (images,)})
    again = make(vit("token"), teacher=vit("token"))
    again.head.set_weights([np.eye(8), np.zeros(8)])
    again.local_head.set_weights([np.eye(8), np.zeros(8)])
    assert float(of(again, images)["loss"]) == pytest.approx(0, abs=1e-5)
    assert again.teacher_outlook(images)[1].shape == (4, 17, 8)


def test_tokens_are_those_of_patches_or_refused():
    tokens = np.arange(9.0).reshape(1, 9, 1)
    np.testing.assert_array_equal(np.ravel(distill.as_map(tokens[:, :5], (8, 8))), [1, 2, 3, 4])
    np.testing.assert_array_equal(distill.as_map(tokens, (12, 12)), tokens.reshape(1, 3, 3, 1))
    np.testing.assert_array_equal(np.ravel(distill.as_map(tokens, (8, 16))), np.arange(1, 9))
    with pytest.raises(ValueError, match="which of 9 tokens .* of 8 x 8 pixels: a grid of 3 x 3"):
        distill.as_map(tokens, (8, 8))  # 2 x 2 patches behind a class token and four registers


def test_sequential_models():
    """They have no output before they are called."""
    parts = lambda: [keras.layers.Conv2D(4, 3, 2), keras.layers.GlobalAveragePooling2D()]
    model = make(
        keras.Sequential([keras.Input((SIZE, SIZE, 3)), *parts()]),
        teacher=keras.Sequential([keras.Input((SIZE, SIZE, 3)), *parts()]),
    )
    found = of(model, pixels())
    np.testing.assert_allclose(found["keys"], losses.vectors.unit(model.teacher(pixels())), atol=1e-5)
    assert model.outlook(pixels())[1].shape == (4, 3, 3, 4) and found["local_loss"] > 0


def test_maps_of_several_levels_are_put_side_by_side():
    model = make(teacher=several(), version=2)
    images = pixels()
    first, second = (array(x) for x in model.teacher(images))
    _, places, *_ = parts(make_first(model), images)
    whole = np.concatenate([first, second], axis=-1)
    assert model.local_head.output_shape == (None, 5)
    assert float(of(model, images)["loss"]) == pytest.approx(np.mean((places - whole) ** 2), rel=1e-4)
    third = make(teacher=several())
    expected = losses.vectors.unit(np.mean(whole, axis=(1, 2)))
    np.testing.assert_allclose(of(third, images)["keys"], expected, atol=1e-5)
    with pytest.raises(ValueError, match="maps must be of one size"):
        of(make(teacher=several(strides=2)), images)


def several(strides=1):
    keras.utils.set_random_seed(4)
    images = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(2, 2, 2, activation="tanh")(keras.layers.Rescaling(1 / 255)(images))
    return keras.Model(images, [x, keras.layers.Conv2D(3, 3, strides, padding="same")(x)])


def make_first(model):
    """The same with a teacher of one map of all channels, for `parts`."""
    maps = model.teacher.outputs
    joined = keras.layers.Concatenate()(maps)
    model.teacher_outlook = keras.Model(
        model.teacher.input, [keras.layers.GlobalAveragePooling2D()(joined), joined]
    )
    return model


def test_samples_of_other_kinds():
    """Version 1 without mixing compares features of anything."""

    def flat(dim):
        x = keras.Input((16, 2))
        return keras.Model(x, keras.layers.Dense(dim)(keras.layers.Flatten()(x)))

    model, series = make(flat(3), teacher=flat(4), version=1), vectors(4, 16, 2).astype("float32")
    expected = losses.vectors.unit(model.teacher(series))
    np.testing.assert_allclose(of(model, series)["keys"], expected, atol=1e-5)


def test_what_is_refused():
    for teacher in ("dinov2", keras.Sequential([keras.layers.Dense(3)]), keras.Model):
        with pytest.raises(ValueError, match="teacher must be a built functional or sequential keras.Model"):
            make(teacher=teacher)
    images = keras.Input((SIZE, SIZE, 3))
    around = keras.Model(images, network()(images))
    for options in ({"encoder": around}, {"teacher": around}):
        with pytest.raises(ValueError, match=f"the {next(iter(options))} .* has no map or tokens"):
            make(**options, version=3)
        assert np.isfinite(of(make(**options, version=1), pixels())["loss"])
    bare = keras.Model(images, keras.layers.GlobalAveragePooling2D()(images), name="vgg16")
    with pytest.raises(ValueError, match="wrap it, as keras_ssl.encoders.pool"):
        make(teacher=bare)
    make(teacher=encoders.pool(bare), version=1)
    inside = keras.Model(images, keras.layers.Lambda(lambda x: x[:, 0, 0])(images))
    with pytest.raises(ValueError, match="Lambda, which cannot be made again"):
        make(teacher=inside, version=1)
    with pytest.raises(ValueError, match="version must be one of"):
        make(version=4)
