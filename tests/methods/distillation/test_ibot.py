"""iBOT: arXiv 2111.07832."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import encoders, losses
from tests import cases
from tests.reference import clustering as reference

CASE = cases.Case(
    {
        "hidden": 16, "bottleneck": 8, "dim": 12, "grid": 3, "masked_views": 0.8, "temperature": 0.5,
        "teacher_temperature": 0.4, "warmup_temperature": 0.2, "warmup": 6, "momentum": 0.9, "steps": 20,
    },
    encoder=cases.small_vit, views=cases.multi_crop,
)

HEAD = {"hidden": 12, "bottleneck": 6, "dim": 10, "momentum": 0.9}


def vit(**options):
    return encoders.vit((None, None, 3), **{"patch": 2, "width": 8, "depth": 1, "heads": 2, "grid": 4} | options)


def make(optimizer=None, encoder=None, **options):
    model = keras_ssl.IBOT(encoder or vit(), **HEAD | {"grid": 4} | options)
    model.compile(optimizer=optimizer or keras.optimizers.SGD(0.2), run_eagerly=True)
    return model


def crops(seed=0, batch=6, sides=(8, 8, 4)):
    draw = np.random.default_rng(seed)
    return [draw.uniform(0, 255, (batch, side, side, 3)).astype("float32") for side in sides]


def fixed(model, masks):
    """Makes the model hide these patches `(views, batch, rows, columns)`."""
    model.draw_masks = lambda views: tf.constant(np.concatenate(masks))
    return masks


def draw_masks(seed=0, batch=6):
    masks = np.random.default_rng(seed).uniform(size=(2, batch, 4, 4)) < 0.3
    masks[:, ::3] = False  # some views stay whole
    return masks & (np.cumsum(masks.reshape(2, batch, 16), axis=2) <= 8).reshape(masks.shape)


def tokens(encoder, view, token=None, mask=None):
    """The tokens of a view, each hidden patch replaced by a vector before it knows where it is."""
    patches, positions, blocks = encoders.vit_stages(encoder)
    x = patches(view).numpy()
    if mask is not None:
        for b, i, j in np.argwhere(mask):
            x[b, i, j] = token
    return blocks(positions(x)).numpy()


def outputs(head, prototypes, x):
    kernel = prototypes.kernel.numpy()
    z = head(x.reshape(-1, x.shape[-1])).numpy().reshape(*x.shape[:-1], -1)
    return z @ (kernel / np.linalg.norm(kernel, axis=0))


def of_teacher(model, view):
    _, encoder, head = model.teacher.layers
    return outputs(head, model.teacher_prototypes, tokens(encoder, view))


def patch_loss(sharp, scores, masks):
    """One image and one patch at a time: `(images, patches, K)`, and `(images, patches)`."""
    found = []
    for q, s, mask in zip(sharp, scores, masks):
        hidden = [reference.cross_entropy([q[i]], [s[i]], 0.1) for i in np.flatnonzero(mask)]
        found.append(np.mean(hidden) if hidden else 0.0)
    return np.mean(found)


def test_the_loss_is_the_papers_and_both_centers_follow():
    model = make(center_momentum=0.7, teacher_temperature=0.08, warmup_temperature=0.03, warmup=3, patch_weight=0.5)
    model.mask_token.token.assign(np.random.default_rng(1).normal(size=(1, 8)))
    center, patch_center = np.zeros(10), np.zeros(10)
    for step in range(4):
        views, masks = crops(step), fixed(model, draw_masks(step))
        token = model.mask_token.token.numpy()[0]
        teacher = np.array([of_teacher(model, view) for view in views[:2]])  # (views, batch, 1 + patches, K)
        student = [tokens(model.encoder, view, token, mask) for view, mask in zip(views, [*masks, None])]
        student = [outputs(model.head, model.prototypes, x) for x in student]
        temperature = 0.03 + 0.05 * min(step / 3, 1)
        soft = lambda x: np.apply_along_axis(reference.softmax, -1, x / temperature)  # noqa: E731
        views_loss = reference.swapped_prediction(soft(teacher[:, :, 0] - center), [x[:, 0] for x in student], 0.1)
        flat = masks.reshape(12, 16)
        sharp = soft(teacher[:, :, 1:] - patch_center).reshape(12, 16, 10)
        patches = patch_loss(sharp, np.concatenate([x[:, 1:] for x in student[:2]]), flat)
        np.testing.assert_allclose(model.patch_center, patch_center, atol=1e-5)
        found = model.train_on_batch({"views": views}, return_dict=True)
        model.reset_metrics()
        assert found["view_loss"] == pytest.approx(views_loss, rel=1e-3), step
        assert found["patch_loss"] == pytest.approx(patches, rel=1e-3), step
        assert found["loss"] == pytest.approx(views_loss + 0.5 * patches, rel=1e-3), step
        center = 0.7 * center + 0.3 * teacher[:, :, 0].reshape(-1, 10).mean(axis=0)
        patch_center = 0.7 * patch_center + 0.3 * teacher[:, :, 1:].reshape(-1, 10).mean(axis=0)
    np.testing.assert_allclose(model.center, center, atol=1e-5)
    np.testing.assert_allclose(model.patch_center, patch_center, atol=1e-5)
    assert np.abs(center - patch_center).max() > 1e-3


def test_the_value_and_gradient_of_the_patch_loss():
    draw = np.random.default_rng(0)
    scores, masks = draw.normal(size=(5, 7, 4)), draw.uniform(size=(5, 7)) < 0.5
    masks[2] = False
    sharp = np.apply_along_axis(reference.softmax, -1, draw.normal(size=(5, 7, 4)))
    assert losses.masked_cross_entropy(sharp, scores, masks).numpy() == pytest.approx(patch_loss(sharp, scores, masks))
    with tf.GradientTape() as tape:
        tape.watch(inputs := [tf.constant(sharp), tf.constant(scores)])
        loss = losses.masked_cross_entropy(*inputs, masks)
    found = tape.gradient(loss, inputs)
    assert found[0] is None
    for index in np.ndindex(scores.shape):
        slopes = []
        for sign in (1, -1):
            moved = scores.copy()
            moved[index] += sign * 1e-5
            slopes.append(sign * patch_loss(sharp, moved, masks))
        assert found[1].numpy()[index] == pytest.approx(sum(slopes) / 2e-5, abs=1e-7)
    half = losses.masked_cross_entropy(*(tf.cast(x, "bfloat16") for x in inputs), masks)
    assert half.dtype == "float32"


@pytest.mark.parametrize("options", [{"masked_views": 0.0}, {"ratio": 0.0}, {"ratio": 0.0, "blocks": False}])
def test_without_masks_it_is_dino(options):
    model = make(**options)
    dino = keras_ssl.DINO(vit(), **HEAD)
    dino.compile(optimizer=keras.optimizers.SGD(0.2), run_eagerly=True)
    pairs = [("student", "student"), ("teacher", "teacher"), ("prototypes", "prototypes")]
    for own, other in [*pairs, ("teacher_prototypes", "teacher_prototypes")]:
        getattr(dino, other).set_weights(getattr(model, own).get_weights())
    for step in range(3):
        expected = dino.train_on_batch({"views": crops(step)}, return_dict=True)["loss"]
        found = model.train_on_batch({"views": crops(step)}, return_dict=True)
        assert found["loss"] == pytest.approx(expected, rel=1e-4) and found["patch_loss"] == 0
    np.testing.assert_allclose(model.center, dino.center, atol=1e-5)


def test_masks_are_of_half_of_the_global_views():
    model = make(encoder=vit(grid=14), grid=14)
    view = np.zeros((400, 2, 2, 3), "float32")
    masks = model.draw_masks([view, view]).numpy()
    counts = masks.reshape(800, 196).sum(axis=1)
    assert 0.43 < (counts == 0).mean() < 0.57  # 4 standard deviations
    some = counts[counts > 0]
    assert some.min() >= 19 and some.max() <= 98 and some.min() < 30 and some.max() > 88
    assert (masks[:400] != masks[400:]).any(axis=(1, 2)).mean() > 0.6  # each view has masks of its own
    rows, columns = masks.any(axis=2).sum(axis=1), masks.any(axis=1).sum(axis=1)
    assert (some >= 16).all() and ((rows * columns)[counts > 0] >= 16).all()  # no block has less than 16 patches
    apart = keras_ssl.IBOT(vit(grid=14), **HEAD, grid=14, ratio=0.7, blocks=False, masked_views=1.0)
    assert (apart.draw_masks([view]).numpy().sum(axis=(1, 2)) == 138).all()


def test_the_student_does_not_see_hidden_patches_and_the_teacher_does():
    model = make()
    views, masks = crops(), fixed(model, draw_masks())
    seen = np.concatenate(masks).repeat(2, axis=1).repeat(2, axis=2)[..., None]
    whole = np.concatenate(views[:2])
    other = np.where(seen, 255 - whole, whole)
    changed = [*np.split(other, 2), *views[2:]]
    places = np.tile(np.arange(8), (12, 1))
    for first, second in zip(
        keras.tree.flatten(model.study(views, np.concatenate(masks), places)),
        keras.tree.flatten(model.study(changed, np.concatenate(masks), places)),
    ):
        np.testing.assert_array_equal(first, second)
    first, second = (model.teach(x[:2], places)[1].numpy() for x in (views, changed))
    touched = seen.any(axis=(1, 2, 3))
    assert (np.abs(first - second).max(axis=(1, 2)) > 1e-6).tolist() == touched.tolist()


def test_the_teacher_knows_no_mask():
    model = make()
    found = []
    for masks in (draw_masks(0), draw_masks(1)):
        fixed(model, masks)
        found.append(model({"views": crops()}, training=True))
    np.testing.assert_array_equal(found[0]["logits"], found[1]["logits"])
    np.testing.assert_array_equal(found[0]["patch_total"], found[1]["patch_total"])
    assert float(found[0]["loss"]) != float(found[1]["loss"])


def test_no_gradient_at_visible_patches_and_none_to_the_teacher():
    model = make(masked_views=1.0)
    frozen = [*model.teacher.weights, *model.teacher_prototypes.weights, model.center, model.patch_center]
    scores, study = [], model.study

    def watched(*inputs):
        classes, patches = study(*inputs)
        scores.append(patches)
        tape.watch(patches)
        return classes, patches

    model.study = watched
    masks = fixed(model, draw_masks())
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([v.value for v in frozen])
        loss = model({"views": crops()}, training=True)["loss"]
    assert tape.gradient(loss, [v.value for v in frozen]) == [None] * len(frozen)
    slopes = np.abs(tape.gradient(loss, scores[0])).max(axis=2)  # (images, places)
    counts = np.concatenate(masks).sum(axis=(1, 2))
    assert slopes.shape == (12, 8)
    for slope, count in zip(slopes, counts):
        assert (slope[:count] > 0).all() and (slope[count:] == 0).all()


def test_the_centers_survive_a_save(tmp_path):
    model = make()
    for step in range(2):
        model.train_on_batch({"views": crops(step)})
    model.save(tmp_path / "run.keras")
    again = keras_ssl.load(tmp_path / "run.keras")
    assert np.abs(model.center.numpy()).max() > 0 and np.abs(model.patch_center.numpy()).max() > 0
    np.testing.assert_array_equal(again.center, model.center)
    np.testing.assert_array_equal(again.patch_center, model.patch_center)
    assert again.ratio == (0.1, 0.5)


def test_it_does_not_collapse():
    keras.utils.set_random_seed(0)
    model = make(encoder=vit(width=16), hidden=32, bottleneck=16, dim=16, masked_views=0.8)
    model.compile(optimizer=keras.optimizers.Adam(0.003))
    draw = np.random.default_rng(0)
    smooth = draw.uniform(0, 255, (32, 2, 2, 3)).repeat(4, axis=1).repeat(4, axis=2)
    for _ in range(60):
        light, noise = draw.uniform(0.7, 1.3, (2, 32, 1, 1, 3)), draw.normal(0, 20, (2, *smooth.shape))
        model.train_on_batch({"views": list((smooth * light + noise).astype("float32"))})
    logits = of_teacher(model, smooth.astype("float32"))
    for x, center in [(logits[:, 0], model.center), (logits[:, 1:].reshape(-1, 16), model.patch_center)]:
        p = np.array([reference.softmax(row / 0.04) for row in x - center.numpy()])
        entropy = [-np.mean(np.sum(q * np.log(q + 1e-30), axis=-1)) / np.log(16) for q in (p.mean(axis=0), p)]
        assert entropy[0] > 0.2 and entropy[1] < 0.9, entropy


def test_bad_encoders_and_grids_are_refused():
    with pytest.raises(ValueError, match="pooling='token'"):
        make(encoder=vit(pooling="mean"))
    with pytest.raises(ValueError, match=r"pass grid=\(rows, columns\)"):
        make(grid=None)
    fixed_size = encoders.vit((8, 8, 3), patch=2, width=8, depth=1, heads=2)
    assert keras_ssl.IBOT(fixed_size, **HEAD).mask.sides == (4, 4)
    with pytest.raises(ValueError, match=r"4 x 4 patches, and the masks are for grid=\(3, 3\)"):
        make(grid=3).train_on_batch({"views": crops()})
