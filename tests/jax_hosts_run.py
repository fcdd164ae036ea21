"""JAX hosts run: one of several processes of JAX trains a small model, or makes host views; for test_multi_worker.

    python -m tests.jax_hosts_run OUT PHOTOS NUMBER HOSTS ADDRESS

It writes what it found to `OUT/HOSTS-NUMBER.npz`.
"""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = "jax"
    os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

import keras_ssl  # noqa: E402


def main(out, photos, number, hosts, address):
    if int(hosts) > 1:
        import jax

        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        keras.distribution.initialize(address, int(hosts), int(number))
        keras.distribution.set_distribution(keras.distribution.DataParallel())
    found = train()
    if int(hosts) == 1:
        found |= {f"arrays{place}": view for place, view in enumerate(views_of_arrays())}
        found |= {f"photos{place}": view for place, view in enumerate(views_of_photos(photos))}
    np.savez(Path(out) / f"{hosts}-{number}.npz", **found)


def train():
    """Losses and weights after two epochs, and the rows that this process read in its first one."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, strides=2)(keras.layers.Rescaling(1 / 255)(inputs))
    encoder = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    model = keras_ssl.SimCLR(encoder, layer(), hidden=8, dim=4)
    model.compile(keras.optimizers.SGD(0.1))
    seen = []

    def look(index):
        seen.append(np.array(index))
        return np.int32(0)

    def note(batch):
        with tf.control_dependencies([tf.numpy_function(look, [batch["index"]], tf.int32)]):
            return {**batch, "index": tf.identity(batch["index"])}

    data = keras_ssl.data.arrays(images(), 8, index=True).map(note)
    losses = model.fit(data, epochs=2, verbose=0).history["loss"]
    weights = np.concatenate([np.ravel(keras.ops.convert_to_numpy(w)) for w in model.trainable_variables])
    return {"losses": np.array(losses), "weights": weights, "seen": np.stack(seen[:3])}


def images():
    return np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3), "uint8")


def layer():
    view = [keras_ssl.augment.RandomResizedCrop(8, flip=0.5), keras_ssl.augment.Grayscale(0.5)]
    return keras_ssl.augment.Views(keras_ssl.augment.View(view), 2)


def views_of_arrays():
    return next(keras_ssl.data.views(keras_ssl.data.arrays(images(), 8), layer()).as_numpy_iterator())["views"]


def views_of_photos(photos):
    return next(keras_ssl.data.image_folder_views(photos, layer(), 3).as_numpy_iterator())["views"]


if __name__ == "__main__":
    main(*sys.argv[1:])
