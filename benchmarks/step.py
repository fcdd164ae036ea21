"""Step: what a method costs beside the bare encoder on the same number of views.

    python benchmarks/step.py

For every method two compiled steps are timed in turns, in one process, on the same batch: the method's own `train_step`
(heads, loss, teacher, queue, optimizer; the views are made before), and the bare encoder: as many forward and backward
passes as the method makes with a gradient, as many forward passes as its teacher makes without, and the same optimizer.
The median of the rounds' ratios, minus 1, is the method's own share.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

import keras_ssl  # noqa: E402
from keras_ssl import encoders  # noqa: E402

# The method, the calls of the encoder with a gradient (views in each call), and those of the teacher without.
METHODS = {
    "SimCLR": ({}, (2,), ()),
    "MoCoV1": ({"queue_size": 4096}, (1,), (1,)),
    "MoCoV2": ({"hidden": 512, "queue_size": 4096}, (1,), (1,)),
    "BYOL": ({"hidden": 1024}, (1, 1), (1, 1)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=32, help="base width of the ResNet-18")
    parser.add_argument("--size", type=int, default=32, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    options = parser.parse_args()
    print(f"ResNet-18, width {options.width}, {options.size} pixels, batch {options.batch}, {options.rounds} rounds")
    print("| | method, s | bare, s | own share (quartiles) |\n|---|---|---|---|")
    for name in options.methods:
        method, bare = steps(name, options)
        times = np.array([(clock(method), clock(bare)) for _ in range(options.rounds + 2)])[2:]
        share = times[:, 0] / times[:, 1] - 1
        low, middle, high = np.percentile(share, [25, 50, 75])
        print(f"| {name} | {np.median(times[:, 0]):.3f} | {np.median(times[:, 1]):.3f} |", end="")
        print(f" {100 * middle:.1f} % ({100 * low:.1f} to {100 * high:.1f}) |", flush=True)


def steps(name, options):
    arguments, trained, frozen = METHODS[name]
    shape = (options.size, options.size, 3)
    views = [tf.random.uniform((options.batch, *shape), 0, 255) for _ in range(2)]

    model = getattr(keras_ssl, name)(encoders.resnet18(shape, width=options.width), **arguments)
    model.compile(optimizer=keras.optimizers.SGD(1e-3, momentum=0.9))
    model.optimizer.build(model.trainable_variables)
    method = tf.function(lambda: model.train_step(({"views": views},)))

    encoder, teacher = (encoders.resnet18(shape, width=options.width) for _ in range(2))
    optimizer = keras.optimizers.SGD(1e-3, momentum=0.9)
    optimizer.build(encoder.trainable_variables)

    @tf.function
    def bare():
        with tf.GradientTape() as tape:
            outputs = [encoder(tf.concat(views[:count], 0), training=True) for count in trained]
            loss = sum(tf.reduce_mean(tf.square(output)) for output in outputs)
        others = [tf.reduce_mean(teacher(tf.concat(views[:count], 0), training=True)) for count in frozen]
        optimizer.apply(tape.gradient(loss, encoder.trainable_variables), encoder.trainable_variables)
        return loss, others

    return method, bare


def clock(step):
    start = time.perf_counter()
    keras.tree.map_structure(lambda x: x.numpy(), step())
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
