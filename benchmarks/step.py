"""Step: what a method costs beside the bare encoder on the same views.

    python benchmarks/step.py

For every method two compiled steps are timed in turns, in one process, on the same batch: the method's own `train_step`
(heads, loss, teacher, queue, optimizer; the views are made before), and the bare encoder: the forward passes that the
method makes of its encoder, with their backward passes, those that its teacher makes without, and the same optimizer.
Which these are is seen by watching one step. The median of the rounds' ratios, minus 1, is the method's own share.

Methods and sizes are those of the recipes of minutes. Most train a ResNet-18. CMC has an encoder for lightness and one
for color, CLIP one for texts: they are part of the bare encoder. Methods that call the stages of a transformer one by
one, to leave out patches, have no bare encoder to compare with.
"""

import argparse
import contextlib
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import small  # noqa: E402
import tensorflow as tf  # noqa: E402
from quality import pipeline  # noqa: E402

METHODS = [name for name in small.METHODS if small.run(name).name == "resnet18"]
CLASSES = [f"class {number}" for number in range(10)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=32, help="base width of the ResNet-18")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--methods", nargs="*", default=METHODS, choices=METHODS)
    options = parser.parse_args()
    print(f"ResNet-18, width {options.width}, {small.SIZE} pixels, batch {options.batch}, {options.rounds} rounds")
    print("| | method, s | bare, s | own share (quartiles) |\n|---|---|---|---|")
    for name in options.methods:
        method, bare = steps(name, options)
        times = np.array([(clock(method), clock(bare)) for _ in range(options.rounds + 2)])[2:]
        share = times[:, 0] / times[:, 1] - 1
        low, middle, high = np.percentile(share, [25, 50, 75])
        print(f"| {name} | {np.median(times[:, 0]):.3f} | {np.median(times[:, 1]):.3f} |", end="")
        print(f" {100 * middle:.1f} % ({100 * low:.1f} to {100 * high:.1f}) |", flush=True)
        keras.backend.clear_session()


def steps(name, options):
    """The method's step and that of the bare encoder, as functions."""
    images = np.random.default_rng(0).integers(0, 256, (options.batch, small.SIZE, small.SIZE, 3), "uint8")
    model, *_ = small.make(name, images, width=options.width, batch=options.batch)
    model.compile(optimizer=keras.optimizers.SGD(1e-3, momentum=0.9))
    model.optimizer.build(model.trainable_variables)
    train = images, np.arange(options.batch) % 10
    batch = next(iter(pipeline(model, train, CLASSES, seed=0, epoch=0, batch=options.batch)))
    method = tf.function(lambda: model.train_step((batch,)))
    with watched(networks(model)) as calls:
        method.get_concrete_function()
    return method, bare(calls)


def networks(model):
    """The encoders that a method trains."""
    named = (getattr(model, name, None) for name in ("encoder", "text_encoder"))
    return getattr(model, "encoders", None) or [network for network in named if network is not None]


@contextlib.contextmanager
def watched(trained):
    """Lists the calls of networks and of their teachers: `(network, shape, dtype, whether it is trained)`."""
    calls, call = [], keras.layers.Layer.__call__
    names = {network.name for network in trained}

    def note(self, *inputs, **options):
        if isinstance(self, keras.Model) and self.name in names and tf.is_tensor(inputs[0]):
            own = any(self is network for network in trained)
            calls.append((self, tuple(inputs[0].shape), inputs[0].dtype, own))
        return call(self, *inputs, **options)

    keras.layers.Layer.__call__ = note
    try:
        yield calls
    finally:
        keras.layers.Layer.__call__ = call


def bare(calls):
    """A step of fresh copies of the networks that were called."""
    copies = {id(network): network.__class__.from_config(network.get_config()) for network, *_ in calls}
    work = [(copies[id(network)], random(shape, dtype), own) for network, shape, dtype, own in calls]
    weights = [w for network in {id(n): n for n, _, own in work if own}.values() for w in network.trainable_variables]
    optimizer = keras.optimizers.SGD(1e-3, momentum=0.9)
    optimizer.build(weights)

    def means(trained, of):
        return [tf.reduce_mean(of(network(inputs, training=True))) for network, inputs, own in work if own == trained]

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = sum(means(True, tf.square))
        targets = means(False, tf.identity)
        optimizer.apply([tf.convert_to_tensor(g) for g in tape.gradient(loss, weights)], weights)
        return loss, targets

    return step


def random(shape, dtype):
    return tf.cast(tf.random.uniform(shape, 0, 255), dtype)


def clock(step):
    start = time.perf_counter()
    keras.tree.map_structure(lambda x: x.numpy(), step())
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
