"""Numbers of the papers, written down from them and not from the code: what recipes set, what methods default to.

They stand in `tests/recipes/FAMILY/m.py` for `keras_ssl/recipes/FAMILY/m.py`. Those of the views are in
`tests/test_recipes.py`. For samples that are no images such a file has two constants more: `SAMPLES`, a function of a
count that makes so many samples as a dict of columns, and `RUN`, a dict of what else the recipe asks of its run.
"""

import importlib
import importlib.util
import inspect
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import augment, encoders, optimizers, recipes
from keras_ssl.optimizers import LARS, SGD, Adam, AdamW
from keras_ssl.recipes.contrastive import pirl
from keras_ssl.recipes.distillation import dino_v2
from tests.recipes.row import CIFAR, IMAGENET, Epochs

KINDS = {kind.__name__: kind for kind in (LARS, SGD, Adam, AdamW)}


def written(name):
    """The numbers of a method's paper: a module."""
    path = keras_ssl.METHODS[name].replace("methods.", "tests.recipes.", 1)
    return importlib.import_module(path) if importlib.util.find_spec(path) else None


def rows():
    for name in keras_ssl.METHODS:
        for row in getattr(written(name), "NUMBERS", ()):
            size = {224: "ImageNet", 32: "CIFAR"}.get(row.images[0], row.images[0])
            yield pytest.param(name, row, id=f"{name}-{size}-{row.epochs}")


def defaults(kind):
    """Those of a method's arguments, also of those that it takes over from the method that it extends."""
    found = {}
    for parent in reversed(kind.__mro__):
        if parent.__module__.startswith("keras_ssl.methods") and "__init__" in vars(parent):
            parameters = inspect.signature(parent.__init__).parameters.values()
            found |= {p.name: p.default for p in parameters if p.default is not p.empty}
    return found


@pytest.mark.parametrize("name", [name for name in keras_ssl.METHODS if hasattr(written(name), "DEFAULTS")])
def test_defaults_are_those_of_the_paper(name):
    found, expected = defaults(getattr(keras_ssl, name)), written(name).DEFAULTS
    assert {key: found[key] for key in expected} == expected


def test_clusters_of_pcl():
    found = defaults(keras_ssl.PCL)
    assert (found["iterations"], found["restarts"]) == (20, 5)
    assert inspect.signature(keras_ssl.Recluster).parameters["every"].default == 1


def test_every_recipe_has_its_numbers():
    assert [name for name in keras_ssl.METHODS if hasattr(written(name), "NUMBERS")] == recipes.names(kind=None)


@pytest.fixture
def make(monkeypatch):
    """What a recipe gives to its method, what it asks of its encoder, which is not made, and the optimizer."""
    blocks = [SimpleNamespace(name=f"block{i}_attention") for i in range(12)]

    def network(self, vit=None, resnet=None, **options):
        parts = {"_flatten_layers": lambda: blocks, "output_shape": (None, 2048)}
        return SimpleNamespace(**parts, asked=vit or {}, resnet=resnet or {})

    monkeypatch.setattr(recipes.Run, "encoder", network)
    monkeypatch.setattr(recipes.Run, "pyramid", network)

    def make(name, encoder, images, batch, epochs, quick=False):
        kind = getattr(keras_ssl, name)
        with monkeypatch.context() as patch:
            given = lambda *values, **options: inspect.signature(kind).bind(*values, **options)  # noqa: E731
            patch.setattr(keras_ssl, name, given)
            patch.setattr(dino_v2, "rates", lambda model: [0.9])  # of weights, which are not made
            shape, count = images
            shape = shape if isinstance(shape, tuple) else (shape, shape, 3)
            run = recipes.Run(
                shape, count, batch, count // batch, epochs, encoder, quick=quick,
                in_order=lambda: np.zeros((4, *((8, 8, 3) if len(shape) == 3 else shape)), "uint8"),
                kind=recipes.kind_of(name),
                **getattr(written(name), "RUN", {}),
            )  # fmt: skip
            made, optimizer, *_ = recipes.make(name, run)
        if isinstance(optimizer, dict):  # of players: the one that moves the encoder
            optimizer = optimizer["encoder"]
        arguments = dict(made.arguments)
        return run, {**defaults(kind), **arguments.pop("kwargs", {}), **arguments}, optimizer

    return make


@pytest.mark.parametrize("name, row", rows())
def test_recipes_have_the_numbers_of_the_paper(name, row, make):
    run, given, optimizer = make(name, row.encoder, row.images, row.batch, row.epochs)
    steps = lambda n: round(n * run.steps_per_epoch)  # noqa: E731

    assert type(optimizer) is KINDS[row.optimizer]
    if row.optimizer in ("SGD", "LARS"):
        assert optimizer.momentum == 0.9
    if isinstance(row.decay, tuple):
        first, last, length = row.decay
        assert optimizer.weight_decay.get_config() == optimizers.cosine(first, last, steps(length)).get_config()
    else:
        assert optimizer.weight_decay == pytest.approx(row.decay)

    usual = {"final": 0, "start": 0, "epochs": row.epochs}
    final, start, length = (row.plain.get(key, value) for key, value in usual.items())
    if row.warmup is None:
        assert optimizer.get_config()["learning_rate"] == pytest.approx(row.rate)
    else:
        schedule = optimizer._learning_rate
        assert schedule.warmup_target == pytest.approx(row.rate)
        assert schedule.warmup_steps == pytest.approx(steps(row.warmup), abs=1)
        assert schedule.warmup_steps + schedule.decay_steps == pytest.approx(steps(length), abs=1)
        assert schedule.initial_learning_rate == pytest.approx(start)
        assert schedule.alpha * row.rate == pytest.approx(final)
    for key in row.plain.keys() - usual.keys():
        expected = row.plain[key] if isinstance(row.plain[key], str) else pytest.approx(row.plain[key])
        assert optimizer.get_config()[key] == expected, key

    for key, value in row.settings.items():
        expected = pytest.approx(steps(value), abs=1) if isinstance(value, Epochs) else value
        assert given[key] == expected, key
    if row.network:
        assert given["encoder"].asked == row.network
    if row.views:
        last = getattr(given["augment"], "layers", [given["augment"]])[-1]  # views may share what comes before them
        assert len(last.each()) == row.views


def test_minutes_of_siglip_have_the_optimizer_of_the_paper(make):
    expected = written("SigLIP").OPTIMIZER
    config = make("SigLIP", "vit_small", (32, 10_000), 256, 15, quick=True)[2].get_config()
    assert {key: config[key] for key in expected} == pytest.approx(expected)


IDENTITY = {  # in the authors' code
    "SimCLR", "SimCLRv2", "BYOL", "SimSiam", "BarlowTwins", "VICReg", "MoCoV3", "PixPro", "PixContrast", "VICRegL",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(IDENTITY) + ["MoCoV1", "MoCoV2", "SwAV", "DINO", "WMSE"])
def test_blocks_start_as_the_identity_where_the_authors_have_it(name, make):
    for quick in (False, True):
        _, given, _ = make(name, "resnet50", IMAGENET, 256, 100, quick=quick)
        encoder = given["encoder"]
        assert encoder.resnet.get("zero_init_residual", False) is (name in IDENTITY and not quick)


@pytest.mark.parametrize("name", ["MAE", "LocalMIM", "DeepMIM"])
def test_transformers_of_mae_start_as_its_authors_have_it(name, make):
    _, given, _ = make(name, "vit_base", IMAGENET, 256, 100)
    assert given["encoder"].asked["initializer"] == "xavier_fused"


def test_patches_of_pirl_are_jittered_as_the_image_is():
    (patches,) = [layer for layer in pirl.jigsaw(a_run()).layers if isinstance(layer, augment.PerPatch)]
    (image,) = [layer for layer in augment.pirl(224).views.layers if isinstance(layer, augment.ColorJitter)]
    assert patches.layer.p == image.p == 1.0 and patches.layer.hue == image.hue == 0.4


@pytest.mark.parametrize("name", ["LeJEPA", "VISReg"])
def test_jitter_of_large_images(name):
    """VISReg's files of settings have a hue of 0.05, which only one of its two ways of making views reads."""
    for view in recipes.find(name).views(a_run()).each():
        (jitter,) = [layer for layer in view.layers if isinstance(layer, augment.ColorJitter)]
        assert [jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue] == [0.4, 0.4, 0.2, 0.1]


def a_run(**changes):
    options = {"batch": 1024, "steps_per_epoch": 1251, "epochs": 800, "name": "resnet18"} | changes
    return recipes.Run((224, 224, 3), 1_281_167, **options)


def test_short_runs_wait_for_a_part_of_them_only(make):
    run, given, _ = make("SwAV", "resnet18", CIFAR, 256, 6)
    assert given["queue_start"] == run.steps // 3 and given["freeze_steps"] == run.steps_per_epoch
    run, given, _ = make("MoCHi", "resnet18", CIFAR, 256, 12)
    assert given["warmup"] == run.steps_per_epoch


# The rate for a batch of 128, as it was chosen by measuring, and the settings without which little is learned.
MINUTES = {
    "SimCLR": (0.2, {"temperature": 0.2}),
    "MoCoV2": (0.06, {"hidden": 128, "queue_size": 4096, "momentum": 0.99, "temperature": 0.1}),
    "SwAV": (0.2, {"epsilon": 0.01, "prototype_count": 96, "queue_size": 0}),
    "BYOL": (0.2, {"momentum": 0.97}),
    "SimSiam": (0.06, {"depth": 2}),
    "BarlowTwins": (0.05, {"hidden": 512, "dim": 512}),
    "VICReg": (0.02, {"hidden": 512, "dim": 512}),
    "MSN": (1e-3, {"prototype_count": 128, "momentum": 0.99}),
}


@pytest.mark.parametrize("name", MINUTES)
def test_minutes_are_those_that_were_measured(make, name):
    adam = name == "MSN"
    run, given, optimizer = make(name, "vit_small" if adam else "resnet18", (32, 10_000), 256, 15, quick=True)
    rate, settings = MINUTES[name]
    schedule = optimizer._learning_rate
    assert schedule.warmup_target == pytest.approx(rate if adam else 2 * rate)
    assert schedule.warmup_steps == (2 if adam else 1) * run.steps_per_epoch
    assert schedule.warmup_steps + schedule.decay_steps == run.steps
    assert {key: given[key] for key in settings} == settings
    if not adam:
        assert type(optimizer) is SGD and optimizer.constant_rates is None and optimizer.weight_decay == 5e-4


def test_queues_of_short_runs_hold_a_part_of_the_images(make):
    for count, expected in ((10_000, 4096), (1_297, 648), (140, 128)):
        assert make("MoCoV2", "resnet18", (32, count), 128, 15, quick=True)[1]["queue_size"] == expected


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

    encoder = encoders.vit((8, 8, 3), 4, width=12, depth=1, heads=1, pooling="mean")
    model = keras_ssl.Data2Vec(encoder)
    optimizer = AdamW(0.1, exclude="class_token")
    optimizer.build(model.trainable_variables)
    found = [model.trainable_variables[i] for i in optimizer._excluded]
    assert [v.path for v in found if len(v.shape) > 1] == [encoder.get_layer("positions").weights[0].path]
