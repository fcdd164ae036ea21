"""Recipes of semi-supervised methods: the numbers of the papers, which no folder of images can be trained with."""

import numpy as np
import pytest

import keras_ssl
from keras_ssl import optimizers, recipes
from tests import cases

NAMES = [name for name, path in keras_ssl.METHODS.items() if ".semi." in path]


def run(monkeypatch, side=32, batch=64, epochs=300, steps=1000, channels=3):
    monkeypatch.setattr(recipes.Run, "encoder", lambda self: cases.any_size_encoder())
    return recipes.Run((side, side, channels), steps * batch, batch, steps, epochs, "resnet50")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", [28, 72])
def test_gray_images_have_views(monkeypatch, name, side):
    """Digits: small and large ones, without colors and mirrors."""
    made = recipes.find(name).views(run(monkeypatch, side, channels=1))
    digits = np.random.default_rng(0).integers(0, 256, (3, 2, side, side, 1)).astype("uint8")
    for view in made({"image": digits[:, 0], "unlabeled": digits}):
        assert view.shape[-3:] == (side, side, 1) and np.isfinite(view).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_command_line_says_why_it_has_none(name):
    assert "keras_ssl.data.with_unlabeled" in recipes.why_not(name)
    with pytest.raises(ValueError, match="labeled images with unlabeled ones"):
        recipes.make(name, recipes.Run((32, 32, 3), 100, 10, 10, 1, "resnet18"))


def test_fixmatch_of_cifar(monkeypatch):
    model, optimizer = recipes.find("FixMatch").few_labels(run(monkeypatch), 10)
    assert (model.classes, model.threshold, model.weight, model.momentum) == (10, 0.95, 1.0, 0.999)
    assert (optimizer.weight_decay, optimizer.momentum, optimizer.nesterov) == (5e-4, 0.9, True)
    assert optimizer.exclude_vectors
    rate = optimizer._learning_rate
    steps = 300_000
    for step in (0, 1000, 150_000, steps):
        assert float(rate(step)) == pytest.approx(0.03 * np.cos(7 * np.pi * step / (16 * steps)), rel=1e-5)


def test_fixmatch_of_imagenet(monkeypatch):
    model, optimizer = recipes.find("FixMatch").few_labels(run(monkeypatch, side=224, batch=1024), 1000)
    assert (model.threshold, model.weight) == (0.7, 10.0) and optimizer.weight_decay == 6e-4
    assert optimizer._learning_rate.warmup_target == pytest.approx(0.4) and optimizer.nesterov
    assert optimizer._learning_rate.warmup_steps == 5000


@pytest.mark.parametrize("side, threshold, rate", [(32, 0.8, 0.03), (224, 0.5, 0.0375)])
def test_uda(monkeypatch, side, threshold, rate):
    model, optimizer = recipes.find("UDA").few_labels(run(monkeypatch, side), 10)
    assert (model.threshold, model.temperature, model.momentum) == (threshold, 0.4, 0.9999)
    assert optimizer._learning_rate.peak == pytest.approx(rate)


def test_pseudo_label(monkeypatch):
    model, optimizer = recipes.find("PseudoLabel").few_labels(run(monkeypatch), 10)
    assert (model.threshold, model.warmup, model.momentum) == (0.95, 120_000, 0.999)
    assert optimizer._learning_rate.peak == 0.03 and optimizer.weight_decay == 5e-4


def test_vat(monkeypatch):
    small, optimizer = recipes.find("VAT").few_labels(run(monkeypatch), 10)
    assert (small.epsilon, small.weight, small.entropy_weight, small.apart) == (6.0, 0.3, 0.06, True)
    assert isinstance(optimizer, optimizers.AdamW) and small.warmup == 120_000
    large, optimizer = recipes.find("VAT").few_labels(run(monkeypatch, 224, 256), 10)
    assert (large.epsilon, large.weight, large.entropy_weight, large.apart) == (40.0, 0.5, 1.0, False)
    assert optimizer._learning_rate.warmup_target == 0.03 and optimizer.weight_decay == 1e-3


def test_s4l(monkeypatch):
    model, optimizer = recipes.find("S4L").few_labels(run(monkeypatch, 224, 256, epochs=200), 10)
    assert (model.task, model.weight, model.momentum) == ("rotation", 1.0, None)
    assert optimizer._learning_rate.warmup_target == 0.03 and optimizer.weight_decay == 1e-3
    assert optimizer._learning_rate.warmup_steps == 5000


def test_part_of_cosine():
    rate = optimizers.part_of_cosine(2.0, 100, warmup=20)
    late = {60: 2 * np.cos(7 * np.pi / 32), 100: 2 * np.cos(7 * np.pi / 16)}
    for step, value in ({0: 0.0, 10: 1.0, 20: 2.0} | late).items():
        assert float(rate(step)) == pytest.approx(value, abs=1e-6)
    assert float(rate(500)) == float(rate(100))
    assert float(optimizers.part_of_cosine(1.0, 10, share=1.0)(10)) == pytest.approx(0, abs=1e-6)
    again = type(rate).from_config(rate.get_config())
    assert float(again(33)) == float(rate(33))
    for options in ({"share": 1.5}, {"warmup": 100}, {"peak": 0}, {"steps": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            optimizers.part_of_cosine(**{"peak": 1.0, "steps": 100, **options})


def test_wide_resnet():
    encoder = keras_ssl.encoders.wide_resnet((32, 32, 3))
    assert encoder.output_shape == (None, 128)
    assert encoder.count_params() + 128 * 10 + 10 == pytest.approx(1.47e6, rel=0.01)  # and what the code prints
    norms = [layer for layer in encoder.layers if "bn" in layer.name]
    assert len(norms) == 25 and {(n.momentum, n.epsilon) for n in norms} == {(0.999, 1e-3)}
    kernel = encoder.get_layer("stage3_block2_conv1").kernel.numpy()
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 128)), rel=0.02)
    shortcuts = [layer.name for layer in encoder.layers if layer.name.endswith("shortcut")]
    assert shortcuts == [f"stage{stage}_block1_shortcut" for stage in (1, 2, 3)]
    assert encoder.get_layer("stage1_block1_shortcut").input is encoder.get_layer("stage1_block1_1_relu").output
    assert encoder.get_layer("stage2_block1_shortcut").input is encoder.get_layer("stage1").output
    white = encoder.get_layer("preprocessing")(np.full((1, 2, 2, 3), 255.0))
    np.testing.assert_allclose(white, 1, rtol=1e-6)
    for options in ({"depth": 27}, {"depth": 4}, {"width": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            keras_ssl.encoders.wide_resnet(**options)
