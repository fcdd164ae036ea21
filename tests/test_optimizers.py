"""Every optimizer follows its paper's loop, in every way it can be run."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import optimizers
from tests.reference import optimizers as reference

# Keras's own saving meets NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

KINDS = [optimizers.LARS, optimizers.SGD, optimizers.Adam, optimizers.AdamW]
STEPS, WARMUP = 25, 5
SHAPES = {"conv/kernel": (3, 3, 2, 4), "dense/kernel": (5, 4), "head/kernel": (4, 3), "bn/gamma": (6,), "scalar": ()}
VECTORS = ["bn/gamma", "scalar"]


def start(dtype="float64"):
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape) for shape in SHAPES.values()]
    variables = []
    for (path, shape), w in zip(SHAPES.items(), weights):
        variable = keras.Variable(np.asarray(w), dtype=dtype, name=path.replace("/", "_"))
        variable._path = path
        variables.append(variable)
    return weights, variables


def gradients(t, weights):
    """Depend on the weights, and vanish for one variable on one step."""
    found = [np.cos(t + np.arange(w.size)).reshape(w.shape) + 0.1 * w for w in weights]
    if t == 7:
        found[1] = np.zeros_like(found[1])
    return found


def run(optimizer, variables, steps=STEPS, mode="eager"):
    def step(*g):
        optimizer.apply(list(g), variables)

    optimizer.build(variables)
    if mode != "eager":
        step = tf.function(step, jit_compile=mode == "xla")
    history = []
    for t in range(steps):
        now = gradients(t, [v.numpy() for v in variables])
        step(*[tf.constant(g, v.dtype) for g, v in zip(now, variables)])
        history.append([v.numpy() for v in variables])
    return history


def rates(schedule):
    return [float(schedule(t)) for t in range(STEPS)]


def schedule():
    return optimizers.warmup_cosine(0.5, STEPS, WARMUP, final=0.01)


def excluded(*paths):
    return [any(p in path for p in paths) for path in SHAPES]


CASES = {
    "lars": (
        lambda **k: optimizers.LARS(schedule(), weight_decay=0.02, trust=0.05, exclude=["head"], **k),
        lambda w: reference.lars(w, gradients, excluded("head", *VECTORS), rates(schedule()), 0.9, 0.02, 0.05, False),
    ),
    "lars nesterov": (
        lambda **k: optimizers.LARS(schedule(), 0.8, 0.02, trust=0.05, nesterov=True, exclude_vectors=False, **k),
        lambda w: reference.lars(w, gradients, excluded(), rates(schedule()), 0.8, 0.02, 0.05, True),
    ),
    "lars of two rates": (
        lambda **k: optimizers.LARS(schedule(), weight_decay=0.02, trust=0.05, excluded_rate=0.1, **k),
        lambda w: reference.lars(
            w, gradients, excluded(*VECTORS), rates(schedule()), 0.9, 0.02, 0.05, False, excluded_rate=0.1
        ),
    ),
    "lars clipped": (
        lambda **k: optimizers.LARS(schedule(), weight_decay=0.02, trust=0.3, clipped=True, **k),
        lambda w: reference.lars(
            w, gradients, excluded(*VECTORS), rates(schedule()), 0.9, 0.02, 0.3, False, clipped=True
        ),
    ),
    "sgd": (
        lambda **k: optimizers.SGD(schedule(), weight_decay=0.02, **k),
        lambda w: reference.sgd(w, gradients, excluded(), rates(schedule()), 0.9, 0.02, False),
    ),
    "sgd nesterov": (
        lambda **k: optimizers.SGD(schedule(), 0.8, 0.02, True, exclude="head/.*nel$", exclude_vectors=True, **k),
        lambda w: reference.sgd(w, gradients, excluded("head", *VECTORS), rates(schedule()), 0.8, 0.02, True),
    ),
    "sgd of a constant rate": (
        lambda **k: optimizers.SGD(schedule(), weight_decay=0.02, constant_rates={"he.d/": 0.2, "e": 0.1}, **k),
        lambda w: reference.sgd(
            w, gradients, excluded(), rates(schedule()), 0.9, 0.02, False, constant={0: 0.1, 1: 0.1, 2: 0.2}
        ),
    ),
    "adam": (
        lambda **k: optimizers.Adam(schedule(), weight_decay=0.5, exclude="head", **k),
        lambda w: reference.adam(w, gradients, excluded("head"), rates(schedule()), 0.5),
    ),
    "adam without vectors": (
        lambda **k: optimizers.Adam(schedule(), 0.5, 0.8, 0.95, 1e-3, exclude_vectors=True, **k),
        lambda w: reference.adam(w, gradients, excluded(*VECTORS), rates(schedule()), 0.5, 0.8, 0.95, 1e-3),
    ),
    "adamw": (
        lambda **k: optimizers.AdamW(schedule(), optimizers.cosine(0.04, 0.4, STEPS), exclude=["head"], **k),
        lambda w: reference.adamw(
            w, gradients, excluded("head", *VECTORS), rates(schedule()), rates(optimizers.cosine(0.04, 0.4, STEPS))
        ),
    ),
    "adamw constant": (
        lambda **k: optimizers.AdamW(schedule(), 0.1, beta_2=0.95, exclude_vectors=False, **k),
        lambda w: reference.adamw(w, gradients, excluded(), rates(schedule()), [0.1] * STEPS, beta_2=0.95),
    ),
}


def equal(history, expected, tolerance):
    for found, wanted in zip(history, expected, strict=True):
        for f, w in zip(found, wanted, strict=True):
            np.testing.assert_allclose(f, w, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
@pytest.mark.parametrize("case", CASES)
def test_follows_the_papers_loop(case, mode):
    make, loop = CASES[case]
    weights, variables = start()
    # Schedules are float32, and so is Keras's 0.999 of Adam, whose 1 - 0.999 has 5 digits then.
    equal(run(make(), variables, mode=mode), loop(weights), 1e-4 if case in ("adam", "adamw") else 1e-6)


@pytest.mark.parametrize("case", CASES)
def test_configuration_and_state_round_trip(case):
    make, _ = CASES[case]
    _, variables = start()
    whole = run(make(), variables)

    _, variables = start()
    first = make()
    run(first, variables, steps=10)
    config = json.loads(json.dumps(keras.optimizers.serialize(first)))
    second = keras.optimizers.deserialize(config)
    assert type(second) is type(first) and second.get_config() == first.get_config()
    second.build(variables)
    store = {}
    first.save_own_variables(store)
    second.load_own_variables(store)

    def step(t):
        now = gradients(t, [v.numpy() for v in variables])
        second.apply([tf.constant(g) for g in now], variables)
        return [v.numpy() for v in variables]

    assert int(second.iterations) == 10
    for t in range(10, STEPS):
        for f, w in zip(step(t), whole[t], strict=True):
            np.testing.assert_array_equal(f, w)


@pytest.mark.parametrize("case", CASES)
def test_trains_and_saves_with_a_model(case, tmp_path):
    make, _ = CASES[case]
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head"), keras.layers.Dense(1)])
    model.compile(make(), "mse")
    x = 0.3 * np.random.default_rng(0).normal(size=(64, 4))
    y = x[:, :1] + 1
    losses = model.fit(x, y, epochs=8, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for a, b in zip(model.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    again.fit(x, y, shuffle=False, verbose=0), model.fit(x, y, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_decayed_twice(kind):
    """Without a gradient and momentum the weights shrink by exactly what the rule says."""
    options = {"momentum": 0.0} if kind in (optimizers.LARS, optimizers.SGD) else {}
    optimizer = kind(0.5, weight_decay=0.1, exclude_vectors=True, **options)
    w, b = keras.Variable(np.full((2, 2), 2.0)), keras.Variable(np.full((2,), 2.0))
    optimizer.apply([np.zeros((2, 2), "float32"), np.zeros(2, "float32")], [w, b])
    # LARS and Adam divide by the size of the gradient, which is the decay alone here.
    shrunk = {optimizers.LARS: 2.0 * (1 - 0.5 * 1e-3), optimizers.Adam: 2.0 - 0.5}.get(kind, 2.0 * (1 - 0.5 * 0.1))
    np.testing.assert_allclose(w.numpy(), shrunk, rtol=1e-5)
    np.testing.assert_array_equal(b.numpy(), 2.0)


def test_lars_survives_zeros():
    optimizer = optimizers.LARS(0.5)
    zeros, ones = keras.Variable(np.zeros((2, 2))), keras.Variable(np.ones((2, 2)))
    optimizer.apply([np.full((2, 2), 3.0, "float32"), np.zeros((2, 2), "float32")], [zeros, ones])
    np.testing.assert_allclose(zeros.numpy(), -1.5)  # ratio 1 where the weights are 0
    np.testing.assert_array_equal(ones.numpy(), 1.0)


def test_patterns_of_constant_rates_have_to_match():
    optimizer = optimizers.SGD(0.1, constant_rates={"predictor": 0.2, "projector": 0.1})
    with pytest.raises(ValueError, match="'projector', which no variable's path matches.*predictor"):
        optimizer.build([keras.Variable(np.ones(2), name="predictor")])


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_weights_have_norms_in_float32(kind):
    w = keras.Variable(np.full((300, 300), 2.0), dtype="float16")  # the sum of squares is over float16's largest
    kind(0.5, weight_decay=0.1).apply([np.full((300, 300), 2.0, "float16")], [w])
    assert np.isfinite(w.numpy()).all() and (w.numpy() < 2).all()


@pytest.mark.parametrize("case", ["lars", "sgd", "adamw constant"])
def test_loss_scale_changes_nothing_and_skips_overflows(case):
    make, _ = CASES[case]
    _, plain_variables = start("float32")
    _, scaled_variables = start("float32")
    plain, scaled = make(), keras.optimizers.LossScaleOptimizer(make(), initial_scale=1024.0)
    for t in range(5):
        now = [g.astype("float32") for g in gradients(t, [v.numpy() for v in plain_variables])]
        plain.apply([tf.constant(g) for g in now], plain_variables)
        scaled.apply([tf.constant(1024 * g) for g in now], scaled_variables)
    before = [v.numpy() for v in scaled_variables]
    for v, b in zip(plain_variables, before, strict=True):
        np.testing.assert_allclose(v.numpy(), b, rtol=1e-6)
    scaled.apply([tf.constant(g * np.inf) for g in now], scaled_variables)
    for v, b in zip(scaled_variables, before, strict=True):
        np.testing.assert_array_equal(v.numpy(), b)


@pytest.mark.parametrize("case", ["lars", "sgd", "adamw"])
def test_accumulated_gradients_step_once(case):
    make, _ = CASES[case]
    _, variables = start()
    optimizer = make(gradient_accumulation_steps=2)
    optimizer.build(variables)
    before = [v.numpy() for v in variables]
    step = tf.function(lambda *g: optimizer.apply(list(g), variables))
    g = gradients(0, before)
    step(*[tf.constant(0.5 * x) for x in g])
    for v, b in zip(variables, before, strict=True):
        np.testing.assert_array_equal(v.numpy(), b)
    step(*[tf.constant(1.5 * x) for x in g])
    assert any((v.numpy() != b).any() for v, b in zip(variables, before, strict=True))
    # Keras reads schedules at the number of batches: the first update is at batch 1.
    if case == "sgd":
        for v, b, x in zip(variables, before, g, strict=True):
            np.testing.assert_allclose(v.numpy(), b - float(schedule()(1)) * (x + 0.02 * b), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_sparse_gradients_of_an_embedding(kind):
    layer = keras.layers.Embedding(6, 3)
    layer.build()
    optimizer = kind(0.1, weight_decay=0.1)
    optimizer.build(layer.trainable_variables)

    @tf.function
    def step(tokens):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(tokens) ** 2)
        optimizer.apply(tape.gradient(loss, layer.trainable_variables), layer.trainable_variables)

    before = layer.embeddings.numpy()
    step(tf.constant([1, 1, 4]))
    assert (layer.embeddings.numpy() != before).all()  # the decay reaches the rows without a gradient too


def test_clipping_of_the_base_class_still_works():
    w = keras.Variable(np.ones((2, 2)))
    optimizers.SGD(1.0, momentum=0.0, clipnorm=1.0).apply([np.full((2, 2), 50.0, "float32")], [w])
    np.testing.assert_allclose(w.numpy(), 0.5, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_two_replicas_equal_one(kind, two_replicas):
    keras.config.set_dtype_policy("float64")
    x, y = np.random.default_rng(0).normal(size=(2, 16, 4))

    def train(strategy):
        with strategy.scope():
            keras.utils.set_random_seed(0)
            model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1, name="head")])
            decay = optimizers.cosine(0.1, 0.2, 9) if kind is optimizers.AdamW else 0.1
            model.compile(kind(optimizers.warmup_cosine(0.5, 9, 2), weight_decay=decay, exclude="head"), "mse")
        model.fit(x, y[:, :1], batch_size=8, epochs=3, shuffle=False, verbose=0)
        return model.get_weights()

    one, two = train(tf.distribute.get_strategy()), train(two_replicas)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("peak,steps,warmup,final", [(0.5, 20, 5, 0.0), (0.5, 20, 0, 0.1), (4.8, 1000, 100, 1e-3)])
def test_warmup_cosine(peak, steps, warmup, final):
    schedule = optimizers.warmup_cosine(peak, steps, warmup, final)
    points = sorted({0, 1, warmup - 1, warmup, warmup + 1, steps // 2, steps - 1, steps, steps + 10} - {-1})
    found = [float(schedule(t)) for t in points]
    np.testing.assert_allclose(
        found, [reference.warmup_cosine(t, peak, steps, warmup, final) for t in points], rtol=1e-5, atol=1e-6 * peak
    )
    assert found[points.index(warmup)] == pytest.approx(peak) and found[-1] == pytest.approx(final, abs=1e-7 * peak)
    ahead = optimizers.warmup_cosine(peak, steps, warmup, final, start=0.4 * peak)
    expected = [reference.warmup_cosine(t, peak, steps, warmup, final, 0.4 * peak) for t in points]
    np.testing.assert_allclose([float(ahead(t)) for t in points], expected, rtol=1e-5, atol=1e-6 * peak)
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule))
    assert again.get_config() == schedule.get_config()


@pytest.mark.parametrize("first,last", [(0.04, 0.4), (1.0, 0.0)])
def test_cosine_goes_up_and_down(first, last):
    schedule = optimizers.cosine(first, last, 10)
    found = [float(schedule(t)) for t in range(13)]
    expected = [last + (first - last) * (1 + np.cos(np.pi * min(t, 10) / 10)) / 2 for t in range(13)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_unclipped_variables_are_no_part_of_the_norm():
    """One step of AdamW's first moment: the gradients that it got."""
    a, b = keras.Variable([0.0, 0.0], name="weights"), keras.Variable([0.0], name="prototypes")
    gradients = [keras.ops.convert_to_tensor(x) for x in ([3.0, 4.0], [12.0])]
    for options, expected in (({}, ([3 / 13, 4 / 13], [12 / 13])), ({"unclipped": "prototypes"}, ([0.6, 0.8], [12.0]))):
        optimizer = optimizers.AdamW(0.1, weight_decay=0.0, global_clipnorm=1.0, beta_1=0.0, **options)
        assert type(optimizer).from_config(optimizer.get_config()).unclipped == options.get("unclipped")
        optimizer.build([a, b])
        optimizer.apply(gradients)
        for moment, value in zip((v for v in optimizer.variables if "momentum" in v.path), expected, strict=True):
            np.testing.assert_allclose(moment, value, rtol=1e-5)
    with pytest.raises(ValueError, match="unclipped must be a str or a list of str"):
        optimizers.AdamW(0.1, unclipped=3)


def test_scale():
    assert optimizers.scale(0.3, 4096) == pytest.approx(4.8)
    assert optimizers.scale(1.2, 1024, rule="sqrt") == pytest.approx(0.075 * 32)
    assert optimizers.scale(0.1, 64, base=128) == pytest.approx(0.05)


@pytest.mark.parametrize("call,message", [
    (lambda: optimizers.warmup_cosine(0.1, 10, warmup=0.1), "number of steps, .*warmup=0.1, "),
    (lambda: optimizers.LARS(0.1, momentum=-1), "momentum=-1"),
    (lambda: optimizers.LARS(0.1, trust="x"), "trust=x"),
    (lambda: optimizers.LARS(0.1, exclude=3), "exclude=3"),
    (lambda: optimizers.LARS(0.1, excluded_rate=-1), "excluded_rate=-1"),
    (lambda: optimizers.SGD(0.1, weight_decay=-1e-4), "weight_decay=-0.0001"),
    (lambda: optimizers.SGD(0.1, constant_rates=["head"]), r"constant_rates=\['head'\]"),
    (lambda: optimizers.SGD(0.1, constant_rates={"head": -0.1}), r"constant_rates\['head'\]=-0.1"),
    (lambda: optimizers.Adam(0.1, weight_decay=None), "weight_decay=None"),
    (lambda: optimizers.Adam(0.1, beta_2=2), "beta_2=2"),
    (lambda: optimizers.AdamW(0.1, weight_decay=None), "weight_decay=None"),
    (lambda: optimizers.AdamW(0.1).exclude_from_weight_decay(var_names=["bias"]), "bias"),
    (lambda: optimizers.warmup_cosine(0.0, 10), "peak=0.0"),
    (lambda: optimizers.warmup_cosine(0.1, 10, 10), "warmup=10"),
    (lambda: optimizers.warmup_cosine(0.1, 10, 5, start=0.2), "start=0.2, peak=0.1"),
    (lambda: optimizers.cosine(0.0, 1.0, 10), "start=0.0"),
    (lambda: optimizers.scale(0.1, 0), "batch_size=0"),
    (lambda: optimizers.scale(0.1, 8, rule="cubic"), "cubic"),
])
def test_errors_say_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()
