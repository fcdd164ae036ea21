"""Cases: how a method is made small, and the parts that the cases share.

`tests/methods/FAMILY/test_m.py` holds the `CASE` of `keras_ssl/methods/FAMILY/m.py`; what every method must do
(`test_every_method`) and what trains all of them elsewhere find it there, by its path.
"""

import dataclasses
import functools
import importlib
import inspect
from pathlib import Path
from typing import Callable

import keras
import numpy as np

import keras_ssl
from keras_ssl import inputs

SIZE, BATCH, STEPS = 12, 8, 4
COUNT = BATCH * STEPS


def small_encoder(seed=0, size=SIZE, channels=3, padding="valid"):
    images = keras.Input((size, size, channels))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(images)
    x = keras.layers.Conv2D(8, 3, strides=2, padding=padding, use_bias=False)(x)
    x = keras.layers.BatchNormalization(momentum=0.9, synchronized=keras_ssl.distribute.replicas() > 1)(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(16, 3, padding=padding)(x)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def any_size_encoder():
    return small_encoder(size=None)


def padded_encoder():
    """Of images of any size, down to one pixel."""
    return small_encoder(size=None, padding="same")


def small_vit(shape=(None, None, 3), **options):
    return keras_ssl.encoders.vit(shape, patch=4, width=16, depth=2, heads=2, **{"grid": SIZE // 4} | options)


def vit_of_one_size():
    return small_vit((SIZE, SIZE, 3))


def crops(*sizes):
    """Views of few operations: the time of these tests is that of tracing."""
    layer = {size: keras_ssl.augment.RandomResizedCrop(size, (0.3, 1.0), flip=0.5) for size in set(sizes)}
    return keras_ssl.augment.Views([layer[size] for size in sizes])


def one_crop():
    return crops(SIZE)


def pair():
    return crops(SIZE, SIZE)


def multi_crop():
    return crops(SIZE, SIZE, 8, 8)


def located():
    """A pair, and where it lies."""
    return keras_ssl.augment.Located(pair())


def masked_patches():
    return keras_ssl.augment.mae(SIZE)


def sgd():
    return keras.optimizers.SGD(0.05, momentum=0.9)


def images(count=COUNT):
    """Smooth random images, so that crops of one image are alike."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3), "uint8")
    return coarse.repeat(SIZE // 4, axis=1).repeat(SIZE // 4, axis=2)


def image_columns(count):
    return {"image": images(count)}


@dataclasses.dataclass(frozen=True)
class Case:
    """How a method is made small, and what it needs other than the usual.

    Attributes:
        arguments: dict of its arguments. A function makes a part of the model, a new one for each.
        encoder: function that makes its encoder (or the list of its encoders).
        views: function that makes its augmentation.
        optimizer: function that makes its optimizer, or the dict of those of its players.
        kind: `inputs.Kind` of its data.
        samples: function of a count that makes so many samples: a dict of columns.
        columns: function of a count that makes further columns of the data, beside `"label"` and `"index"`.
        prepare: function that gets a new model before it trains.
        still: ends of the paths of variables that training leaves alone.
        diverged: what the error says of features that are not a number, where the loss cannot even be computed.
        base: whether it is among those on which is tested what the base class alone decides. Together they have each
            kind of state.
        method: the class, where it is not the one of the same file in `keras_ssl.methods`.
    """

    arguments: dict = dataclasses.field(default_factory=dict)
    encoder: Callable = small_encoder
    views: Callable = pair
    optimizer: Callable = sgd
    kind: inputs.Kind = inputs.IMAGE
    samples: Callable = image_columns
    columns: Callable = None
    prepare: Callable = None
    still: tuple = ()
    diverged: str = None
    base: bool = False
    method: type = None


def path_of(name):
    """Where the case of a method of the package is, from the root of the repository."""
    *_, family, module = keras_ssl.METHODS[name].split(".")
    return Path("tests", "methods", family, f"test_{module}.py")


@functools.cache
def case_of(name):
    """The case of a method of the package, or of those in `further`.

    Raises:
        LookupError: its file is missing, or holds no case.
    """
    if name in further():
        return further()[name]
    path = path_of(name)
    if not (Path(__file__).parents[1] / path).exists():
        raise LookupError(
            f"{path} is missing. It must hold CASE, a tests.cases.Case, and the properties of the paper of {name}."
        )
    module = importlib.import_module(".".join(path.with_suffix("").parts))
    if not isinstance(getattr(module, "CASE", None), Case):
        raise LookupError(f"{path} must hold CASE, a tests.cases.Case that says how to make {name} small.")
    return module.CASE


def further():
    """Cases that are no method of the package, by a name of their own."""
    from tests import kinds, players

    return kinds.CASES | players.CASES


def names():
    return [*keras_ssl.METHODS, *further()]


def options(name):
    """The arguments of a method, with new parts."""
    made = case_of(name).arguments
    return {key: value() if inspect.isfunction(value) else value for key, value in made.items()}


def method_of(name):
    return case_of(name).method or getattr(keras_ssl, name)


def parts(name):
    """All arguments of a method, with new parts: its encoder (by whatever name), its augmentation, the others."""
    encoder = next(iter(inspect.signature(method_of(name)).parameters))
    return {encoder: case_of(name).encoder(), "augment": case_of(name).views(), **options(name)}


def new(name, **changes):
    """The method, with other values of some of its arguments."""
    model = method_of(name)(**parts(name) | changes)
    if case_of(name).prepare:
        case_of(name).prepare(model)
    return model


def columns(name, count):
    """The data of a method as arrays: samples, labels, indices and what else it needs."""
    case = case_of(name)
    return {
        **case.samples(count),
        "label": np.arange(count) % 3,
        "index": np.arange(count),
        **(case.columns(count) if case.columns else {}),
    }


def pipeline(name, count=COUNT, batch=BATCH, **options):
    """The data of a method as the package's pipeline gives it: shuffled, with the seeds of each sample."""
    data = columns(name, count)
    labels = data.pop("label")
    del data["index"]
    return keras_ssl.data.arrays(data, batch, seed=1, labels=labels, index=True, **options)


def fixed(name):
    """The batches of two epochs, with views that are made already: compiled without them, a step takes half the time.

    Returns:
        list of `2 * STEPS` dicts of arrays, with the tuple `"views"`.
    """
    case = case_of(name)
    key = case.views, case.samples, case.columns  # cases with the same data and views share them
    if key not in FIXED:
        FIXED.clear()
        FIXED[key] = list(with_views(name))
    return FIXED[key]


FIXED = {}


def with_views(name):
    case = case_of(name)
    made, sample = case.views(), case.samples(1)
    for epoch in range(2):
        for batch in pipeline(name, epoch=epoch):
            views = made(batch, training=True)
            views = tuple(views) if isinstance(views, (list, tuple)) else (views,)
            kept = {key: value for key, value in batch.items() if key not in sample}
            yield keras.tree.map_structure(np.asarray, {**kept, "views": views})


def dataset(batches):
    """A `tf.data` pipeline of these batches, of static shapes."""
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(keras.tree.map_structure(lambda *x: np.stack(x), *batches))


def rows(batches, count=None):
    """The first rows of all of these batches, in batches whose size is not known when a step is compiled."""
    import tensorflow as tf

    joined = keras.tree.map_structure(lambda *x: np.concatenate(x)[:count], *batches)
    return tf.data.Dataset.from_tensor_slices(joined).batch(BATCH)


def make(name, optimizer=None, seed=0, **compile):
    """The method, compiled."""
    keras.utils.set_random_seed(seed)
    model = new(name)
    model.compile(optimizer=optimizer or case_of(name).optimizer(), **compile)
    return model


def for_players(name, optimizer):
    """What the method is compiled with: `optimizer()`, or one for each of its players."""
    players = method_of(name).players
    return {player: optimizer() for player in players} if players else optimizer()


def state(model):
    """Everything a run is made of, by a name that another instance shares: weights, optimizer, random state."""
    values = {f"model/{i}/{v.path.split('/')[-1]}": v.numpy() for i, v in enumerate(model.variables)}
    return values | {f"optimizer/{i}": v.numpy() for i, v in enumerate(model.optimizer.variables)}


def moving(model):
    """The state that only `after_step` may move: what is frozen, but for batch normalization's and random state."""
    own = ("moving_mean", "moving_variance", "seed_generator_state")
    kept = [v for v in model.non_trainable_variables if not v.path.endswith(own)]
    others = {id(v) for v in [*model.metrics_variables, model.step]}  # the base moves its own counter
    return [v for v in kept if id(v) not in others]


def assert_same(first, second, **tolerance):
    """Two states are equal, bit by bit or within the tolerance."""
    assert first.keys() == second.keys()
    for name, value in first.items():
        if tolerance:
            np.testing.assert_allclose(value, second[name], err_msg=name, **tolerance)
        else:
            np.testing.assert_array_equal(value, second[name], err_msg=name)
