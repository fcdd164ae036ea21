"""Replicas: what two replicas cost or win against one, and bfloat16 against float32, at the same global batch.

    python benchmarks/replicas.py
    python benchmarks/replicas.py --rounds 1 --width 8      # whether it runs

SimCLR with a small ResNet-18 on images of 32 pixels; the views are made before. Every variant trains the same number
of steps in each round, the variants in turns, in one process. Printed are the medians of the rounds: images per second,
and the ratio to one replica in float32 of the same round. Two replicas of one CPU share its cores: nothing can be won
there, and what is lost is the price of gathering and of synchronized batch statistics.

Got on 2 CPU cores: two replicas make 0.75 of the images/s of one (quartiles 0.56 to 0.90); bfloat16 makes 1.15 times as
many as float32 (1.00 to 1.24), on two replicas 0.86 (0.58 to 1.03).
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

import keras_ssl  # noqa: E402

SIZE = 32
VARIANTS = {  # (replicas, precision)
    "1 replica, float32": (1, "float32"),
    "2 replicas, float32": (2, "float32"),
    "1 replica, bfloat16": (1, "mixed_bfloat16"),
    "2 replicas, bfloat16": (2, "mixed_bfloat16"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=45)
    parser.add_argument("--steps", type=int, default=2, help="of each variant in a round")
    parser.add_argument("--batch", type=int, default=128, help="the global batch")
    parser.add_argument("--width", type=int, default=16, help="base width of the ResNet-18")
    options = parser.parse_args()
    device = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategies = {1: tf.distribute.get_strategy(), 2: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])}

    data = pairs(options)
    models = {name: make(strategies[count], policy, options) for name, (count, policy) in VARIANTS.items()}
    for model in models.values():
        model.fit(data, verbose=0)  # compiles
    rounds = []
    for _ in range(options.rounds):
        seconds = {}
        for name, model in models.items():
            begin = time.perf_counter()
            model.fit(data, verbose=0)
            seconds[name] = time.perf_counter() - begin
        rounds.append(seconds)

    images, first = options.steps * options.batch, next(iter(VARIANTS))
    print(f"\n{'':24}{'images/s':>10}{'ratio':>8}{'quartiles':>16}")
    for name in VARIANTS:
        speed = np.median([images / seconds[name] for seconds in rounds])
        low, ratio, high = np.percentile([seconds[first] / seconds[name] for seconds in rounds], (25, 50, 75))
        print(f"{name:24}{speed:10.0f}{ratio:8.2f}{low:10.2f} to {high:.2f}")


def make(strategy, policy, options):
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    with strategy.scope():
        synchronized = strategy.num_replicas_in_sync > 1
        encoder = keras_ssl.encoders.resnet18((SIZE, SIZE, 3), width=options.width, synchronized=synchronized)
        model = keras_ssl.SimCLR(encoder, hidden=128, dim=64)
        model.compile(optimizer=keras.optimizers.SGD(0.05, momentum=0.9))
    return model


def pairs(options):
    draw = np.random.default_rng(0)
    views = [draw.integers(0, 256, (options.batch, SIZE, SIZE, 3), "uint8") for _ in range(2)]
    batch = tf.data.Dataset.from_tensors({"views": tuple(views)}).repeat(options.steps)
    return batch.apply(tf.data.experimental.assert_cardinality(options.steps)).prefetch(2)


if __name__ == "__main__":
    main()
