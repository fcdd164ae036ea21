"""Batch normalization: a training step of a ResNet-18 with Keras's layers and with the one kernel of this package.

    python benchmarks/batch_norm.py
    python benchmarks/batch_norm.py --rounds 2 --batch 16      # whether it runs

The step is forward and backward pass of the encoder alone (32 pixels, "cifar" stem). Both kinds take turns in one
process; printed are the medians of the rounds and the median of the rounds' ratios with its quartiles.

Got on 2 CPU cores: the kernel's step takes 0.70 of the time of Keras's in float32 (quartiles 0.69 to 0.74), 0.59 in
bfloat16 (0.55 to 0.60).
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from vit import clock, step  # noqa: E402

from keras_ssl import encoders  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=256, help="images of a step")
    parser.add_argument("--width", type=int, default=16, help="base width of the ResNet-18")
    options = parser.parse_args()
    images = tf.constant(np.random.default_rng(0).integers(0, 256, (options.batch, 32, 32, 3), "uint8"))
    print(f"{'':18}{'Keras, ms':>12}{'fused, ms':>12}{'ratio':>8}{'quartiles':>16}")
    for policy in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        plain = encoders.resnet18((32, 32, 3), width=options.width)
        steps = [step(encoder, images, jit=False) for encoder in (plain, encoders.with_fused_batch_norm(plain))]
        seconds = np.array([[clock(one) for one in steps] for _ in range(options.rounds + 1)])[1:]
        low, ratio, high = np.quantile(seconds[:, 1] / seconds[:, 0], (0.25, 0.5, 0.75))
        keras_ms, fused_ms = 1000 * np.median(seconds, axis=0)
        print(f"{policy:18}{keras_ms:12.0f}{fused_ms:12.0f}{ratio:8.2f}{low:9.2f} to{high:5.2f}", flush=True)


if __name__ == "__main__":
    main()
