"""DINOv2: arXiv 2304.07193."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import losses
from keras_ssl.recipes.distillation import dino_v2 as recipe
from tests import cases
from tests.methods.distillation.test_ibot import HEAD, crops, draw_masks, fixed, patch_loss, tokens, vit
from tests.reference import clustering as reference
from tests.reference.losses import gradient

CASE = cases.Case(
    {
        "hidden": 16, "bottleneck": 8, "dim": 12, "patch_bottleneck": 6, "grid": 3, "temperature": 0.5,
        "teacher_temperature": 0.4, "warmup_temperature": 0.2, "warmup": 6, "momentum": 0.9, "steps": 20,
    },
    encoder=cases.small_vit, views=cases.multi_crop, still=("center",),
)

ALIKE = {"separate_heads": False, "sinkhorn_iterations": 0, "koleo_weight": 0.0, "teacher_temperature": 0.04}


def make(optimizer=None, encoder=None, kind=keras_ssl.DINOv2, **options):
    model = kind(encoder or vit(), **HEAD | ({} if kind is keras_ssl.DINO else {"grid": 4}) | options)
    model.compile(optimizer=optimizer or keras.optimizers.SGD(0.2), run_eagerly=True)
    return model


def lively(encoder):
    """At the start all features are nearly alike, and their distances mostly rounding."""
    for variable in encoder.trainable_variables:
        if variable.path.endswith("kernel"):
            variable.assign(3 * variable)
    return encoder


def scored(head, prototypes, x):
    kernel = prototypes.kernel.numpy()
    z = head(x.reshape(-1, x.shape[-1])).numpy().reshape(*x.shape[:-1], -1)
    return z @ (kernel / np.linalg.norm(kernel, axis=0)) * prototypes.gains.numpy()


def koleo(x, groups=1):
    """One row at a time, in float64."""
    found = []
    for rows in np.split(x, groups):
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        for i, row in enumerate(rows):
            found.append(-np.log(min(np.linalg.norm(row - other) for j, other in enumerate(rows) if j != i)))
    return np.mean(found)


@pytest.mark.parametrize("separate", [True, False])
def test_the_loss_is_the_papers(separate):
    model = make(
        separate_heads=separate, patch_bottleneck=5, teacher_temperature=0.08, warmup_temperature=0.03, warmup=3,
        patch_weight=0.5, koleo_weight=0.2, encoder=lively(vit(layer_scale=0.3)),
    )  # fmt: skip
    model.mask_token.token.assign(np.random.default_rng(1).normal(size=(1, 8)))
    for step in range(3):
        views, masks = crops(step), fixed(model, draw_masks(step))
        token = model.mask_token.token.numpy()[0]
        teacher = np.array([tokens(model.evaluated_encoder, view) for view in views[:2]])
        student = [tokens(model.encoder, view, token, mask) for view, mask in zip(views, [*masks, None])]
        temperature = 0.03 + 0.05 * min(step / 3, 1)

        def assigned(x):
            found = reference.sinkhorn(x, temperature, 3)
            return found / found.sum(axis=1, keepdims=True)

        logits = scored(model.teacher_head, model.teacher_prototypes, teacher[:, :, 0]).reshape(12, 10)
        scores = [scored(model.head, model.prototypes, x[:, 0]) for x in student]
        view_loss = reference.swapped_prediction(np.split(assigned(logits), 2), scores, 0.1)

        hidden = masks.reshape(12, 16)
        patches = scored(model.teacher_patch_head, model.teacher_patch_prototypes, teacher[:, :, 1:])
        patches = patches.reshape(12, 16, 10)
        sharp = np.zeros_like(patches)
        sharp[hidden] = assigned(patches[hidden])  # among the hidden patches of the whole batch
        scores = scored(model.patch_head, model.patch_prototypes, np.concatenate([x[:, 1:] for x in student[:2]]))
        patch = patch_loss(sharp, scores, hidden)

        spread = sum(koleo(x[:, 0].astype("float64")) for x in student[:2])
        found = model.train_on_batch({"views": views}, return_dict=True)
        model.reset_metrics()
        assert found["view_loss"] == pytest.approx(view_loss, rel=1e-3), step
        assert found["patch_loss"] == pytest.approx(patch, rel=1e-3), step
        assert found["koleo"] == pytest.approx(spread, rel=1e-3), step
        assert found["loss"] == pytest.approx(view_loss + 0.5 * patch + 0.2 * spread, rel=1e-3), step
    assert np.abs(model.prototypes.gains - 1.0).max() > 1e-4  # trained, and followed
    assert np.abs(model.teacher_prototypes.gains - 1.0).max() > 1e-5
    assert (model.patch_head is not model.head) is separate
    if separate:
        twins = zip(model.teacher_patch_head.weights, model.patch_head.weights)
        assert all(np.abs(slow - fast).max() > 0 for slow, fast in twins)


@pytest.mark.parametrize("kind", [keras_ssl.DINO, keras_ssl.IBOT])
def test_with_the_same_arguments_it_is_what_it_extends(kind):
    """But for the patches' center, which is 0 in the first step, and the gain, which is held here."""
    model = make(**ALIKE, patch_weight=float(kind is keras_ssl.IBOT))
    other = make(kind=kind)
    for layer in (model.prototypes, model.teacher_prototypes):
        layer.gains.trainable = False
    for name in ("student", "teacher"):
        getattr(other, name).set_weights(getattr(model, name).get_weights())
        prototypes = "prototypes" if name == "student" else "teacher_prototypes"
        getattr(other, prototypes).kernel.assign(getattr(model, prototypes).kernel)
    for step in range(1 if kind is keras_ssl.IBOT else 3):
        masks = draw_masks(step) if kind is keras_ssl.IBOT else np.zeros((2, 6, 4, 4), bool)
        fixed(model, masks), fixed(other, masks)
        expected = other.train_on_batch({"views": crops(step)}, return_dict=True)["loss"]
        found = model.train_on_batch({"views": crops(step)}, return_dict=True)["loss"]
        assert found == pytest.approx(expected, rel=1e-6)
    for own, its in [(model.student, other.student), (model.teacher, other.teacher)]:
        for first, second in zip(own.get_weights(), its.get_weights()):
            np.testing.assert_allclose(first, second, atol=1e-6)
    np.testing.assert_allclose(model.center, other.center, atol=1e-6)


def test_the_center_of_the_patches_is_that_of_the_hidden_ones():
    model = make(**ALIKE, center_momentum=0.7)
    masks = fixed(model, draw_masks()).reshape(12, 16)
    teacher = np.concatenate([tokens(model.evaluated_encoder, view)[:, 1:] for view in crops()[:2]])
    logits = scored(model.teacher_head, model.teacher_prototypes, teacher)
    model.train_on_batch({"views": crops()})
    np.testing.assert_allclose(model.patch_center, 0.3 * logits[masks].mean(axis=0), atol=1e-6)
    assert np.abs(0.3 * logits.mean(axis=(0, 1)) - model.patch_center).max() > 1e-3


def test_class_tokens_and_patches_have_heads_apart():
    model = make()
    fixed(model, draw_masks())
    with tf.GradientTape(persistent=True) as tape:
        outputs = model({"views": crops()}, training=True)
    for term, own, other in [("view_loss", "head", "patch_head"), ("patch_loss", "patch_head", "head")]:
        assert all(g is None for g in tape.gradient(outputs[term], getattr(model, other).trainable_variables))
        assert all(g is not None for g in tape.gradient(outputs[term], getattr(model, own).trainable_variables))
    spread = tape.gradient(outputs["koleo"], model.trainable_variables)
    trained = {id(v) for v, g in zip(model.trainable_variables, spread) if g is not None}
    assert trained & {id(v) for v in model.encoder.trainable_variables}
    assert not trained & {id(v) for v in [*model.head.trainable_variables, *model.patch_head.trainable_variables]}


def test_the_teacher_knows_no_mask_and_gets_no_gradient():
    model, found = make(), []
    frozen = [v for twin, _ in model.twins() for v in twin.weights]
    for masks in (draw_masks(0), draw_masks(1)):
        fixed(model, masks)
        with tf.GradientTape() as tape:
            tape.watch([v.value for v in frozen])
            outputs = model({"views": crops()}, training=True)
        assert tape.gradient(outputs["loss"], [v.value for v in frozen]) == [None] * len(frozen)
        found.append(outputs)
    np.testing.assert_array_equal(found[0]["logits"], found[1]["logits"])
    assert float(found[0]["view_loss"]) != float(found[1]["view_loss"])


@pytest.mark.parametrize("groups", [1, 2])
def test_koleo_and_its_gradient(groups):
    x = np.random.default_rng(0).normal(size=(8, 5))
    variable = tf.Variable(x)
    with tf.GradientTape() as tape:
        found = losses.koleo(variable, None if groups == 1 else 4)
    assert float(found) == pytest.approx(koleo(x, groups), rel=1e-7)
    np.testing.assert_allclose(tape.gradient(found, variable), gradient(lambda y: koleo(y, groups), x), atol=1e-6)
    assert losses.koleo(tf.cast(x, "float16")).dtype == "float32"
    assert float(losses.koleo(x * np.arange(1, 9)[:, None])) == pytest.approx(float(losses.koleo(x)))
    nearer = x.copy()
    nearer[0] = 0.9 * x[1] + 0.1 * x[0]
    assert losses.koleo(nearer, None if groups == 1 else 4) > found


def test_koleo_of_duplicates_is_finite():
    x = tf.Variable(np.random.default_rng(0).normal(size=(4, 5)).repeat(2, axis=0), dtype="float32")
    with tf.GradientTape() as tape:
        found = losses.koleo(x)
    assert float(found) == pytest.approx(-np.log(2e-8), rel=1e-5)
    np.testing.assert_array_equal(tape.gradient(found, x), np.zeros((8, 5)))
    for bad, group in [(x[:1], None), (x, 3)]:
        with pytest.raises(ValueError, match="koleo needs a nearest other image"):
            losses.koleo(bad, group)


def test_exactly_half_of_the_views_are_masked_with_ratios_that_fill_the_range():
    model = make(encoder=vit(grid=10), grid=10)
    view = np.zeros((33, 20, 20, 3), "float32")
    first, second = (model.draw_masks([view, view]).numpy().sum(axis=(1, 2)) for _ in range(2))
    for counts in (first, second):
        some = np.sort(counts[counts > 0])
        parts = 10 + 40 * np.arange(34) / 33
        assert len(some) == 33 and (parts[:-1] - 1 < some).all() and (some <= parts[1:]).all()
    assert (first != second).any() and 5 < (first[:33] > 0).sum() < 28
    assert model.mask.min_patches == 4 and model.mask.masked == 50
    assert type(make(blocks=False).mask) is keras_ssl.augment.RandomMask


def test_hidden_patches_of_an_image_weigh_as_much_as_one():
    draw = np.random.default_rng(0)
    scores, sharp = draw.normal(size=(2, 4, 3)), draw.dirichlet(np.ones(3), (2, 4))
    scores[:, 2:], sharp[:, 2:] = scores[:, :2], sharp[:, :2]
    once = losses.masked_cross_entropy(sharp, scores, np.array([[1, 1, 0, 0], [1, 0, 0, 0]]))
    twice = losses.masked_cross_entropy(sharp, scores, np.array([[1, 1, 1, 1], [1, 0, 0, 0]]))
    assert float(once) == pytest.approx(float(twice))


def test_it_goes_on_at_twice_the_resolution(tmp_path):
    keras.utils.set_random_seed(0)
    draw = np.random.default_rng(0)
    coarse = draw.uniform(0, 255, (8, 4, 4, 3))

    def views(side):
        return [coarse.repeat(side // 4, axis=1).repeat(side // 4, axis=2) + draw.normal(0, 5, 3) for _ in range(2)]

    model = make(encoder=vit(positions="learned", layer_scale=0.1, activation="swiglu"), steps=30, blocks=False)
    before = [float(model.train_on_batch({"views": views(8)}, return_dict=True)["loss"]) for _ in range(4)][-1]
    model.save(tmp_path / "run.keras")
    larger = keras_ssl.load(tmp_path / "run.keras").at_resolution(None, grid=8, steps=10)
    assert int(larger.step) == 0 and larger.steps == 10 and larger.mask.sides == (8, 8) and larger.momentum == 0.9
    for own, its in zip(larger.weights, model.weights):
        assert own is larger.step or np.array_equal(own, its), own.path
    larger.compile(optimizer=keras.optimizers.SGD(0.2), run_eagerly=True)
    found = larger.train_on_batch({"views": views(16)}, return_dict=True)["loss"]
    assert found == pytest.approx(before, rel=0.2)
    assert not np.array_equal(larger.teacher.get_weights()[0], model.teacher.get_weights()[0])


def test_rates_of_the_recipe_fall_towards_the_image():
    model = make(encoder=vit(depth=3))
    found = dict(zip((v.path for v in model.trainable_variables), recipe.rates(model), strict=True))
    of = lambda part: {round(rate, 6) for path, rate in found.items() if part in path}  # noqa: E731
    assert of("block3_") == {0.9} and of("block1_") == {round(0.9**3, 6)} and of("norm/") >= {1.0}
    assert of("patches/") == {round(0.2 * 0.9**4, 6)} and of("token") == {round(0.9**4, 6)}
    assert of("head") == of("last_layer") == {1.0}
