"""DINOv3, its Gram anchoring: arXiv 2508.10104."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import losses
from tests import cases
from tests.methods.distillation import test_dino_v2
from tests.methods.distillation.test_dino_v2 import make
from tests.methods.distillation.test_ibot import HEAD, crops, draw_masks, fixed, vit
from tests.reference.losses import gradient

CASE = cases.Case(
    test_dino_v2.CASE.arguments | {"gram_every": 2, "gram_warmup": 2}, encoder=cases.small_vit, views=cases.multi_crop,
    still=("center",),
)


def make_v3(**options):
    return make(kind=keras_ssl.DINOv3, **{"gram_warmup": 0} | options)


def gram(tokens, anchors):
    """One pair of patches at a time."""
    unit = lambda x: x / np.linalg.norm(x)  # noqa: E731
    return np.mean([
        (unit(x[i]) @ unit(x[j]) - unit(y[i]) @ unit(y[j])) ** 2
        for x, y in zip(tokens, anchors) for i in range(len(x)) for j in range(len(x))
    ])  # fmt: skip


def test_the_gram_loss_and_its_gradient():
    x, y = np.random.default_rng(0).normal(size=(2, 3, 5, 4))
    inputs = [tf.Variable(x), tf.Variable(y)]
    with tf.GradientTape() as tape:
        found = losses.gram_anchoring(*inputs)
    assert float(found) == pytest.approx(gram(x, y), rel=1e-9)
    slope, none = tape.gradient(found, inputs)
    assert none is None
    np.testing.assert_allclose(slope, gradient(lambda z: gram(z, y), x), atol=1e-8)
    assert losses.gram_anchoring(*(tf.cast(z, "float16") for z in inputs)).dtype == "float32"


def test_it_fixes_similarities_and_not_features():
    x, y = np.random.default_rng(0).normal(size=(2, 3, 5, 4))
    assert float(losses.gram_anchoring(x, x)) == 0
    turned = x @ np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0] * np.arange(1, 6)[:, None]
    assert float(losses.gram_anchoring(turned, y)) == pytest.approx(float(losses.gram_anchoring(x, y)))
    assert float(losses.gram_anchoring(x + 1, y)) != pytest.approx(float(losses.gram_anchoring(x, y)), rel=0.01)


def test_the_loss_is_that_of_dino_v2_and_the_similarities_of_the_gram_teacher():
    before = make()
    model = keras_ssl.DINOv3.after(before, gram_weight=3.0, gram_warmup=4)
    model.compile(optimizer=keras.optimizers.SGD(0.2), run_eagerly=True)
    frozen = [v.value for v in model.gram_teacher.weights]
    for step in range(3):
        masks = draw_masks(step)
        fixed(before, masks), fixed(model, masks)
        with tf.GradientTape() as tape:
            tape.watch(frozen)
            found = model({"views": crops(step)}, training=True)
        assert tape.gradient(found["loss"], frozen) == [None] * len(frozen)
        anchors = np.concatenate([test_dino_v2.tokens(model.gram_teacher, view)[:, 1:] for view in crops(step)[:2]])
        expected = gram(found["patches"].numpy().astype("float64"), anchors.astype("float64"))
        assert float(found["gram_loss"]) == pytest.approx(expected, rel=1e-3)
        if step == 0:
            assert float(found["loss"]) == pytest.approx(float(before({"views": crops(step)}, training=True)["loss"]))
        rest = found["view_loss"] + found["patch_loss"] + 0.1 * found["koleo"]
        assert float(found["loss"]) == pytest.approx(float(rest + 3 * step / 4 * found["gram_loss"]), rel=1e-5)
        model.train_on_batch({"views": crops(step)})


def test_the_gram_teacher_is_the_teacher_of_some_steps():
    model = make_v3(gram_every=2, gram_copies=2, encoder=vit(drop_path=0.5, depth=2))
    fixed(model, draw_masks())
    values = lambda encoder: np.concatenate([w.numpy().ravel() for w in encoder.weights])  # noqa: E731
    expected = values(model.evaluated_encoder)
    np.testing.assert_array_equal(values(model.gram_teacher), expected)
    for step in range(1, 7):
        model.train_on_batch({"views": crops(step)})
        expected = values(model.evaluated_encoder) if step in (2, 4) else expected
        np.testing.assert_array_equal(values(model.gram_teacher), expected)
    assert np.abs(expected - values(model.evaluated_encoder)).max() > 1e-5


def test_it_goes_on_from_a_trained_model():
    before = make(momentum=0.8, warmup=4, freeze_steps=4, steps=8, temperature=0.2)
    fixed(before, draw_masks())
    before.train_on_batch({"views": crops()})
    model = keras_ssl.DINOv3.after(before, gram_weight=0.5)
    assert (model.temperature, model.gram_weight, int(model.step), model.mask.sides) == (0.2, 0.5, 0, (4, 4))
    for name in ("student", "teacher", "prototypes", "patch_head", "teacher_patch_prototypes", "mask_token"):
        for own, its in zip(getattr(model, name).get_weights(), getattr(before, name).get_weights(), strict=True):
            np.testing.assert_array_equal(own, its, err_msg=name)
    for own, its in zip(model.gram_teacher.get_weights(), before.evaluated_encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(own, its)

    model.compile(optimizer=keras.optimizers.SGD(0.2), run_eagerly=True)
    fixed(model, draw_masks(1))
    assert float(model.current_temperature()) == model.teacher_temperature == 0.07
    kernel, slow = (np.array(layer.kernel) for layer in (model.prototypes, model.teacher_prototypes))
    model.train_on_batch({"views": crops(1)})
    assert np.abs(model.prototypes.kernel - kernel).max() > 1e-4  # not frozen
    follows = 0.999 * slow + 0.001 * model.prototypes.kernel.numpy()
    np.testing.assert_allclose(model.teacher_prototypes.kernel, follows, atol=1e-6)
    assert keras_ssl.DINOv3.after(before, momentum=0.9, steps=5, warmup=2, freeze_steps=1).steps == 5
    again = keras_ssl.DINOv3.after(model)
    assert again.gram_weight == 0.5 and type(model.at_resolution(None, grid=4)) is keras_ssl.DINOv3


def test_without_weight_it_trains_as_dino_v2():
    before = make(warmup=1, koleo_weight=0.3)
    fixed(before, draw_masks())
    before.train_on_batch({"views": crops()})  # the warm-up is over
    same = {"gram_weight": 0.0, "gram_warmup": 0, "momentum": 0.9}
    models = before, keras_ssl.DINOv3.after(before, **same), keras_ssl.DINOv3.after(before, **same | {"gram_weight": 9})
    found = []
    for model in models:
        model.compile(optimizer=keras.optimizers.SGD(0.2), run_eagerly=True)
        fixed(model, draw_masks(1))
        model.train_on_batch({"views": crops(1)})
        trained = [model.student, model.teacher, model.prototypes, model.patch_head, model.teacher_patch_prototypes]
        found.append(np.concatenate([w.ravel() for part in trained for w in part.get_weights()]))
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    assert np.abs(found[0] - found[2]).max() > 1e-4


def test_it_goes_on_from_nothing_else():
    with pytest.raises(ValueError, match="goes on from a DINOv2 alone.*IBOT"):
        keras_ssl.DINOv3.after(keras_ssl.IBOT(vit(), **HEAD, grid=4))
    for separate in (False, True):
        before = make(separate_heads=separate)
        for changes in ({"separate_heads": not separate}, {"dim": 12}):
            with pytest.raises(ValueError, match=f"ask for others.*{next(iter(changes))}="):
                keras_ssl.DINOv3.after(before, **changes)
