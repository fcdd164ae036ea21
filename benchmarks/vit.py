"""ViT: what a training step of `keras_ssl.encoders.vit` costs, beside KerasHub's ViTBackbone on the same work.

    pip install keras-hub
    python benchmarks/vit.py

Both have the same blocks, class token and learned positions, so as many floating point operations. A step is a forward
and a backward pass in float32, compiled; the two take turns in one process, on the same batch. The median of the
rounds' ratios is below 1 where keras_ssl is faster. Without KerasHub the script times keras_ssl alone.

Got on one CPU core with batch 16 and 9 rounds: 0.92 of KerasHub's time in float32 (quartiles 0.91 to 0.93), 0.95 in
bfloat16 (0.93 to 0.97), 0.97 compiled by XLA (0.96 to 0.98), and with 224 pixels in patches of 16, batch 8, 0.94
(0.85 to 0.94).
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from keras_ssl import encoders  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=32, help="side of the images in pixels")
    parser.add_argument("--patch", type=int, default=4, help="side of a patch in pixels")
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--depth", type=int, default=12)
    parser.add_argument("--heads", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--policy", default="float32", help="dtype policy, for example mixed_bfloat16")
    parser.add_argument("--jit", action="store_true", help="compile with XLA")
    options = parser.parse_args()
    keras.config.set_dtype_policy(options.policy)
    models = {"keras_ssl": ours(options)} | peer(options)
    images = tf.random.uniform((options.batch, options.size, options.size, 3))
    steps = {name: step(model, images, options.jit) for name, model in models.items()}
    times = np.array([[clock(step) for step in steps.values()] for _ in range(options.rounds + 2)])[2:]
    for model, column in zip(models, times.T):
        print(f"{model}: {np.median(column):.3f} s, {models[model].count_params():,} parameters")
    if len(models) > 1:
        low, middle, high = np.percentile(times[:, 0] / times[:, 1], [25, 50, 75])
        print(f"keras_ssl / keras_hub: {middle:.3f} (quartiles {low:.3f} to {high:.3f})")


def ours(options):
    return encoders.vit(
        (options.size, options.size, 3), options.patch, width=options.width, depth=options.depth, heads=options.heads,
        positions="learned", pooling=None, preprocessing=False,
    )


def peer(options):
    try:
        import keras_hub
    except ImportError:
        print("keras-hub is not installed")
        return {}
    backbone = keras_hub.models.ViTBackbone(
        image_shape=(options.size, options.size, 3), patch_size=options.patch, num_layers=options.depth,
        num_heads=options.heads, hidden_dim=options.width, mlp_dim=4 * options.width,
    )
    return {"keras_hub": backbone}


def step(model, images, jit):
    @tf.function(jit_compile=jit)
    def compiled():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(images, training=True)))
        return loss, tape.gradient(loss, model.trainable_variables)

    return compiled


def clock(step):
    start = time.perf_counter()
    step()[0].numpy()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
