"""Numbers of the papers, written down from them and not from the code: what recipes set, what methods default to.

Those of the views are in `test_recipes.py`.
"""

import inspect
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import augment, encoders, optimizers, recipes
from keras_ssl.optimizers import LARS, SGD, Adam, AdamW

# Side of the images and their number.
IMAGENET = (224, 1_281_167)
STL = (96, 105_000)
TINY = (64, 100_000)
CIFAR = (32, 50_000)


class Epochs(float):
    """Epochs of a setting that is in steps."""


# The recipe, with the encoder where it is no ResNet-50; images, batch, epochs; optimizer, rate for that batch, weight
# decay (first, last, epochs between them), epochs of warm-up (None for a rate that stays); `start` and `final` of the
# rate where they are not 0, its `epochs` where they are not those of the run, other settings of the optimizer; settings
# of the method.
NUMBERS = [
    ("SimCLR", IMAGENET, 4096, 1000, LARS, 4.8, 1e-6, 10, {}, {"temperature": 0.1, "dim": 128}),
    ("SimCLR", CIFAR, 512, 1000, LARS, 1.0, 1e-4, 10, {"trust": 1e-3}, {"temperature": 0.5}),
    ("SimCLRv2", IMAGENET, 4096, 800, LARS, 6.4, 1e-4, 40, {}, {"temperature": 0.1, "depth": 3}),
    ("SupCon", CIFAR, 1024, 1000, SGD, 0.5, 1e-4, 10, {}, {"temperature": 0.1}),
    ("DecoupledContrastive", IMAGENET, 256, 200, SGD, 0.03, 1e-4, 10, {}, {"temperature": 0.1}),
    ("DebiasedContrastive", STL, 256, 400, Adam, 1e-3, 1e-6, None, {}, {"tau_plus": 0.1, "hidden": 512}),
    ("HardNegativeContrastive", STL, 256, 400, Adam, 1e-3, 1e-6, None, {}, {"tau_plus": 0.1, "beta": 1.0}),
    ("FlatNCE", IMAGENET, 512, 100, LARS, 0.6, 1e-6, 10, {}, {"temperature": 0.1}),
    ("AlignUniform", TINY, 768, 200, SGD, 0.36, 1e-4, 0, {}, {"power": 2.0, "scale": 2.0}),
    ("InvaSpread", CIFAR, 128, 300, SGD, 0.03, 5e-4, 0, {}, {"temperature": 0.1, "negative_weight": 1.0}),
    ("IMix", CIFAR, 256, 1000, SGD, 0.125, 1e-4, 10, {}, {"temperature": 0.2, "alpha": 1.0, "cutmix": False}),
    ("InstDisc", IMAGENET, 256, 200, SGD, 0.03, 1e-4, 0, {}, {"negatives": 4096, "temperature": 0.07}),
    ("InstDisc", CIFAR, 128, 200, SGD, 0.03, 5e-4, 0, {}, {"negatives": 0, "temperature": 0.1}),
    ("PIRL", IMAGENET, 1024, 800, SGD, 0.12, 1e-4, 0, {"final": 1.2e-4}, {"negatives": 32000, "weight": 0.5}),
    ("CMC", IMAGENET, 128, 240, SGD, 0.03, 1e-4, 0, {}, {"negatives": 16384, "temperature": 0.07}),
    ("CMC", TINY, 128, 240, SGD, 0.03, 1e-4, 0, {}, {"temperature": 0.1}),
    ("MoCoV1", IMAGENET, 256, 200, SGD, 0.03, 1e-4, 0, {}, {"queue_size": 65536, "momentum": 0.999, "hidden": 0}),
    ("MoCoV2", IMAGENET, 256, 200, SGD, 0.03, 1e-4, 0, {"exclude_vectors": False}, {
        "hidden": 2048, "temperature": 0.2}),
    ("MoCoV2", CIFAR, 512, 800, SGD, 0.06, 5e-4, 0, {}, {
        "hidden": 0, "dim": 128, "queue_size": 4096, "momentum": 0.99, "temperature": 0.1}),
    ("MoCoV3", IMAGENET, 4096, 100, LARS, 9.6, 1e-6, 10, {}, {"momentum": 0.99, "temperature": 1.0, "depth": 2}),
    ("MoCoV3", IMAGENET, 4096, 300, LARS, 4.8, 1e-6, 10, {}, {"momentum": 0.99, "predictor_norm": False}),
    ("MoCoV3", IMAGENET, 4096, 1000, LARS, 4.8, 1.5e-6, 10, {}, {"momentum": 0.996, "steps": Epochs(1000)}),
    ("MoCoV3 vit_small", IMAGENET, 4096, 300, AdamW, 2.4e-3, 0.1, 40, {"exclude_vectors": False}, {
        "momentum": 0.99, "temperature": 0.2, "depth": 3, "predictor_norm": True, "freeze_patches": True}),
    ("MoCHi", IMAGENET, 256, 200, SGD, 0.03, 1e-4, 0, {}, {
        "hardest": 1024, "mixtures": 1024, "query_mixtures": 128, "warmup": Epochs(10), "queue_size": 65536}),
    ("IMixMoCo", IMAGENET, 512, 800, SGD, 0.03, 1e-4, 10, {}, {"cutmix": True, "queue_size": 65536}),
    ("IMixMoCo", CIFAR, 256, 1000, SGD, 0.125, 1e-4, 10, {}, {"cutmix": False, "queue_size": 4096}),
    ("NNCLR", IMAGENET, 4096, 1000, LARS, 4.8, 1e-6, 10, {}, {"queue_size": 98304, "temperature": 0.1}),
    ("PCL", IMAGENET, 256, 200, SGD, 0.03, 1e-4, 0, {}, {"queue_size": 16384, "negatives": 16384, "momentum": 0.999}),
    ("SwAV", IMAGENET, 4096, 800, LARS, 4.8, 1e-6, 10, {"start": 0.3, "final": 0.0048}, {
        "queue_size": 0, "freeze_steps": Epochs(1), "prototype_count": 3000}),
    ("SwAV", IMAGENET, 256, 400, LARS, 0.6, 1e-6, 0, {"final": 0.0006}, {
        "queue_size": 3840, "queue_start": Epochs(15), "freeze_steps": Epochs(1)}),
    ("SwAV", CIFAR, 256, 1000, LARS, 0.6, 1e-6, 0, {"final": 0.0006}, {
        "queue_size": 3840, "queue_start": Epochs(50), "freeze_steps": Epochs(2), "prototype_count": 3000}),
    ("MSN vit_small", IMAGENET, 1024, 800, AdamW, 1e-3, (0.04, 0.4, 1000), 15, {
        "start": 2e-4, "final": 1e-6, "epochs": 1000, "global_clipnorm": 3.0, "exclude_vectors": True}, {
        "steps": Epochs(1000), "momentum": 0.996, "drop": 0.15, "prototype_count": 1024}),
    ("BYOL", IMAGENET, 4096, 1000, LARS, 3.2, 1.5e-6, 10, {}, {"momentum": 0.996, "steps": Epochs(1000)}),
    ("BYOL", IMAGENET, 4096, 300, LARS, 4.8, 1e-6, 10, {}, {"momentum": 0.99, "hidden": 4096, "dim": 256}),
    ("BYOL", IMAGENET, 4096, 100, LARS, 7.2, 1e-6, 10, {"trust": 1e-3}, {"momentum": 0.99}),
    ("BYOL", CIFAR, 256, 1000, LARS, 1.0, 1e-5, 10, {}, {"hidden": 4096, "dim": 256}),
    ("IMixBYOL", CIFAR, 256, 1000, LARS, 1.0, 1e-5, 10, {}, {"alpha": 1.0, "cutmix": False}),
    ("SimSiam", IMAGENET, 512, 100, SGD, 0.1, 1e-4, 0, {"constant_rates": {"predictor": 0.1}}, {"depth": 3}),
    ("SimSiam", CIFAR, 512, 800, SGD, 0.06, 5e-4, 0, {"constant_rates": {"predictor": 0.06}}, {"depth": 2}),
    ("DINO vit_small", IMAGENET, 1024, 800, AdamW, 2e-3, (0.04, 0.4, 800), 10, {"final": 1e-6, "clipnorm": 3.0}, {
        "dim": 65536, "momentum": 0.996, "teacher_temperature": 0.07, "warmup": Epochs(30),
        "freeze_steps": Epochs(1), "steps": Epochs(800)}),
    ("DINO", IMAGENET, 1024, 800, SGD, 0.12, 1e-4, 10, {"exclude_vectors": True}, {"center_momentum": 0.9}),
    ("DINO", CIFAR, 256, 800, SGD, 0.03, 1e-4, 10, {}, {"dim": 4096, "momentum": 0.9995}),
    ("BarlowTwins", IMAGENET, 2048, 1000, LARS, 1.6, 1e-6, 10, {"final": 1.6e-3, "excluded_rate": 0.024}, {
        "dim": 8192, "redundancy_weight": 0.0051}),
    ("BarlowTwins", CIFAR, 256, 1000, LARS, 0.3, 1e-4, 10, {}, {"dim": 2048}),
    ("VICReg", IMAGENET, 2048, 1000, LARS, 1.6, 1e-6, 10, {"final": 1.6e-3, "excluded_rate": 1.0}, {"dim": 8192}),
    ("VICReg", CIFAR, 256, 1000, LARS, 0.3, 1e-4, 10, {}, {"dim": 2048}),
    ("WMSE", CIFAR, 512, 1000, Adam, 3e-3, 1e-6, 500 / 97, {}, {"hidden": 1024, "dim": 64, "sub_batch": 128}),
    ("WMSE", TINY, 512, 1000, Adam, 2e-3, 1e-6, 500 / 195, {}, {"dim": 128, "sub_batch": 256, "repeats": 4}),
    ("WMSE", STL, 512, 2000, Adam, 2e-3, 1e-6, 500 / 205, {}, {"dim": 128, "sub_batch": 256, "repeats": 4}),
    ("IBOT vit_small", IMAGENET, 1024, 800, AdamW, 2e-3, (0.04, 0.4, 800), 10, {"final": 1e-6, "clipnorm": 3.0}, {
        "dim": 8192, "teacher_temperature": 0.07, "warmup": Epochs(30), "freeze_steps": Epochs(1)}),
    ("MAE vit_base", IMAGENET, 4096, 1600, AdamW, 2.4e-3, 0.05, 40, {"beta_2": 0.95}, {"ratio": 0.75}),
    ("SimMIM vit_base", IMAGENET, 2048, 800, AdamW, 4e-4, 0.05, 10, {"global_clipnorm": 5.0}, {"unit": 32}),
    ("ConvMAE conv_vit", IMAGENET, 3072, 1600, AdamW, 1.8e-3, 0.05, 40, {"beta_2": 0.95}, {"ratio": 0.75}),
    ("LocalMIM vit_base", IMAGENET, 2048, 1600, AdamW, 1.6e-3, 0.05, 40, {"beta_2": 0.95}, {"taps": (2, 4, 10, 12)}),
    ("DeepMIM vit_base", IMAGENET, 4096, 1600, AdamW, 2.4e-3, 0.05, 40, {"beta_2": 0.95}, {"ratio": 0.75}),
]  # fmt: skip
UNKNOWN = {"MP3", "QBHeat"}  # whose papers do not say
DEFAULTS = {
    "SimCLR": {"dim": 128, "temperature": 0.1},
    "SimCLRv2": {"dim": 128, "depth": 3, "temperature": 0.1, "queue_size": 0, "momentum": 0.999},
    "MoCoV1": {
        "hidden": 0, "dim": 128, "queue_size": 65536, "temperature": 0.07, "momentum": 0.999, "shuffle": True,
        "symmetric": False},
    "MoCoV2": {"hidden": 2048, "dim": 128, "queue_size": 65536, "temperature": 0.2, "momentum": 0.999},
    "MoCoV3": {
        "hidden": 4096, "dim": 256, "depth": 3, "temperature": 0.2, "momentum": 0.99, "freeze_patches": True},
    "InstDisc": {
        "dim": 128, "negatives": 4096, "temperature": 0.07, "momentum": 0.5, "proximal": 0.0, "softmax": False},
    "InvaSpread": {"dim": 128, "temperature": 0.1, "negative_weight": 1.0, "detach_others": True},
    "PIRL": {
        "patches": 9, "dim": 128, "negatives": 32000, "temperature": 0.07, "momentum": 0.5, "weight": 0.5,
        "softmax": False},
    "CMC": {"core": False, "dim": 128, "negatives": 16384, "temperature": 0.07, "momentum": 0.5, "softmax": False},
    "CLIP": {"dim": 512, "temperature": 0.07, "max_scale": 100.0},
    "SupCon": {"dim": 128, "temperature": 0.1, "base_temperature": 0.07, "inside": False, "weight": 1.0},
    "PCL": {
        "clusters": (25000, 50000, 100000), "negatives": 16384, "queue_size": 16384, "hidden": 2048,
        "temperature": 0.2, "momentum": 0.999},
    "DebiasedContrastive": {"hidden": 512, "dim": 128, "temperature": 0.5, "tau_plus": 0.1},
    "HardNegativeContrastive": {"beta": 1.0, "hidden": 512, "dim": 128, "temperature": 0.5, "tau_plus": 0.1},
    "FlatNCE": {"dim": 128, "temperature": 0.1},
    "AlignUniform": {"dim": 128, "align_weight": 1.0, "uniform_weight": 1.0, "power": 2.0, "scale": 2.0},
    "DecoupledContrastive": {"temperature": 0.1, "weighted": False, "sigma": 0.5},
    "MoCHi": {
        "hardest": 1024, "mixtures": 1024, "query_mixtures": 128, "temperature": 0.2, "queue_size": 65536,
        "momentum": 0.999, "hidden": 2048},
    "IMix": {"dim": 128, "temperature": 0.2, "alpha": 1.0},
    "IMixMoCo": {"temperature": 0.2, "alpha": 1.0, "queue_size": 65536, "momentum": 0.999},
    "IMixBYOL": {"alpha": 1.0, "hidden": 4096, "dim": 256},
    "NNCLR": {"projector_hidden": 2048, "hidden": 4096, "dim": 256, "queue_size": 98304, "temperature": 0.1},
    "SwAV": {
        "hidden": 2048, "dim": 128, "prototype_count": 3000, "temperature": 0.1, "epsilon": 0.05, "iterations": 3,
        "assigned_views": 2},
    "MSN": {
        "hidden": 2048, "dim": 256, "prototype_count": 1024, "temperature": 0.1, "sharpening": 0.25, "drop": 0.15,
        "entropy_weight": 1.0, "iterations": 3, "momentum": 0.996},
    "BYOL": {"hidden": 4096, "dim": 256, "momentum": 0.996},
    "SimSiam": {
        "hidden": 2048, "dim": 2048, "depth": 3, "predictor_hidden": 512, "stop_gradient": True, "symmetric": True,
        "similarity": "cosine", "hidden_norm": True, "projection_norm": True, "prediction_norm": False},
    "DINO": {
        "hidden": 2048, "bottleneck": 256, "dim": 65536, "batch_norm": False, "temperature": 0.1,
        "warmup_temperature": 0.04, "center_momentum": 0.9, "momentum": 0.996, "global_views": 2},
    "BarlowTwins": {"hidden": 8192, "dim": 8192, "depth": 3, "redundancy_weight": 0.0051},
    "VICReg": {
        "hidden": 8192, "dim": 8192, "depth": 3, "invariance_weight": 25.0, "variance_weight": 25.0,
        "covariance_weight": 1.0},
    "WMSE": {"hidden": 1024, "dim": 64, "sub_batch": 128, "repeats": 1, "shuffle": True, "epsilon": 0.0},
    "IBOT": {"dim": 8192, "ratio": (0.1, 0.5), "masked_views": 0.5, "blocks": True},
    "MAE": {"ratio": 0.75, "width": 512, "depth": 8, "heads": 16, "normalise": True},
    "SimMIM": {"ratio": 0.6, "unit": 32},
    "BEiT": {"ratio": 75 / 196},
}  # fmt: skip


def defaults(kind):
    """Those of a method's arguments, also of those that it takes over from the method that it extends."""
    found = {}
    for parent in reversed(kind.__mro__):
        if parent.__module__.startswith("keras_ssl.methods") and "__init__" in vars(parent):
            parameters = inspect.signature(parent.__init__).parameters.values()
            found |= {p.name: p.default for p in parameters if p.default is not p.empty}
    return found


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_those_of_the_paper(name):
    found = defaults(getattr(keras_ssl, name))
    assert {key: found[key] for key in DEFAULTS[name]} == DEFAULTS[name]


def test_clusters_of_pcl():
    found = defaults(keras_ssl.PCL)
    assert (found["iterations"], found["restarts"]) == (20, 5)
    assert inspect.signature(keras_ssl.Recluster).parameters["every"].default == 1


def test_every_recipe_has_its_numbers():
    assert {name.split()[0] for name, *_ in NUMBERS} == set(recipes.RECIPES) - UNKNOWN


@pytest.fixture
def make(monkeypatch):
    """What a recipe gives to its method, without its networks, and the optimizer."""
    blocks = [SimpleNamespace(name=f"block{i}_attention") for i in range(12)]
    network = SimpleNamespace(_flatten_layers=lambda: blocks)
    monkeypatch.setattr(recipes.Run, "encoder", lambda self, **options: network)
    monkeypatch.setattr(recipes.Run, "pyramid", lambda self: network)

    def make(name, encoder, images, batch, epochs, quick=False):
        kind = getattr(keras_ssl, name)
        with monkeypatch.context() as patch:
            given = lambda *values, **options: inspect.signature(kind).bind(*values, **options)  # noqa: E731
            patch.setattr(keras_ssl, name, given)
            side, count = images
            in_order = lambda: np.zeros((4, 8, 8, 3), "uint8")  # noqa: E731
            run = recipes.Run(
                (side, side, 3), count, batch, count // batch, epochs, encoder, None, 16, quick, in_order
            )  # fmt: skip
            made, optimizer, *_ = recipes.RECIPES[name](run)
        arguments = dict(made.arguments)
        return run, {**defaults(kind), **arguments.pop("kwargs", {}), **arguments}, optimizer

    return make


@pytest.mark.parametrize(
    "row", NUMBERS, ids=lambda row: f"{row[0]}-{ {224: 'ImageNet', 32: 'CIFAR'}.get(row[1][0], row[1][0]) }-{row[3]}"
)
def test_recipes_have_the_numbers_of_the_paper(row, make):
    name, images, batch, epochs, kind, rate, decay, warmup, plain, settings = row
    name, encoder = name.split() if " " in name else (name, "resnet50")
    run, given, optimizer = make(name, encoder, images, batch, epochs)
    steps = lambda n: round(n * run.steps_per_epoch)  # noqa: E731

    assert type(optimizer) is kind
    if kind in (SGD, LARS):
        assert optimizer.momentum == 0.9
    if isinstance(decay, tuple):
        first, last, length = decay
        assert optimizer.weight_decay.get_config() == optimizers.cosine(first, last, steps(length)).get_config()
    else:
        assert optimizer.weight_decay == pytest.approx(decay)

    final, start, length = (plain.get(key, usual) for key, usual in {"final": 0, "start": 0, "epochs": epochs}.items())
    if warmup is None:
        assert optimizer.get_config()["learning_rate"] == pytest.approx(rate)
    else:
        schedule = optimizer._learning_rate
        assert schedule.warmup_target == pytest.approx(rate)
        assert schedule.warmup_steps == pytest.approx(steps(warmup), abs=1)
        assert schedule.warmup_steps + schedule.decay_steps == pytest.approx(steps(length), abs=1)
        assert schedule.initial_learning_rate == pytest.approx(start)
        assert schedule.alpha * rate == pytest.approx(final)
    for key in plain.keys() - {"final", "start", "epochs"}:
        assert optimizer.get_config()[key] == pytest.approx(plain[key]), key

    for key, value in settings.items():
        expected = pytest.approx(steps(value), abs=1) if isinstance(value, Epochs) else value
        assert given[key] == expected, key


def test_patches_of_pirl_are_jittered_as_the_image_is(make):
    run, *_ = make("PIRL", "resnet18", IMAGENET, 1024, 800)
    (patches,) = [layer for layer in run.jigsaw().layers if isinstance(layer, augment.PerPatch)]
    (image,) = [layer for layer in augment.pirl(224).views.layers if isinstance(layer, augment.ColorJitter)]
    assert patches.layer.p == image.p == 1.0 and patches.layer.hue == image.hue == 0.4


def test_short_runs_wait_for_a_part_of_them_only(make):
    run, given, _ = make("SwAV", "resnet18", CIFAR, 256, 6)
    assert given["queue_start"] == run.steps // 3 and given["freeze_steps"] == run.steps_per_epoch
    run, given, _ = make("MoCHi", "resnet18", CIFAR, 256, 12)
    assert given["warmup"] == run.steps_per_epoch


@pytest.mark.parametrize("name", ["SimSiam", "MoCoV2", "BYOL", "MSN"])
def test_quick_runs_have_one_optimizer_for_all(make, name):
    run, given, optimizer = make(name, "vit_small" if name == "MSN" else "resnet18", CIFAR, 256, 8, quick=True)
    schedule = optimizer._learning_rate
    assert schedule.warmup_target == (1e-3 if name == "MSN" else 0.1)
    assert schedule.warmup_steps + schedule.decay_steps == run.steps
    if name != "MSN":
        assert type(optimizer) is SGD and optimizer.constant_rates is None and optimizer.weight_decay == 5e-4
    if name == "MoCoV2":
        assert given["hidden"] == 128


def test_patterns_of_recipes_find_their_variables():
    images = keras.Input((8, 8, 3))
    encoder = keras.Model(images, keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(images)))
    model = keras_ssl.SimSiam(encoder, hidden=4, dim=4, predictor_hidden=2)
    optimizer = SGD(0.1, constant_rates={"predictor": 0.1})
    optimizer.build(model.trainable_variables)
    found = [model.trainable_variables[i] for i in optimizer._constant]
    assert {id(v) for v in found} == {id(v) for v in model.predictor.trainable_variables}

    encoder = encoders.vit((8, 8, 3), 4, width=12, depth=1, heads=1)
    model = keras_ssl.MSN(encoder, hidden=4, dim=4, prototype_count=8)
    optimizer = AdamW(0.1, exclude="prototypes", exclude_vectors=False)
    optimizer.build(model.trainable_variables)
    found = [model.trainable_variables[i] for i in optimizer._excluded]
    assert {id(v) for v in found} == {id(v) for v in model.prototypes.trainable_variables} and found
