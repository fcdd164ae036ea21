"""JAX devices run: methods trained on one device and on two, for test_jax_devices.

    KERAS_BACKEND=jax XLA_FLAGS=--xla_force_host_platform_device_count=2 python -m tests.jax_devices_run OUT SimCLR BYOL

The file OUT (.npz) gets `METHOD/DEVICES/...`: the losses and the state after an epoch.
"""

import sys

import jax
import keras
import numpy as np

from tests.test_every_method import new, pipeline, state


def main(out, *names):
    assert len(jax.devices()) == 2, jax.devices()
    found = {f"{name}/1/{key}": value for name in names for key, value in train(name, 1).items()}
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=keras.distribution.list_devices()))
    found |= {f"{name}/2/{key}": value for name in names for key, value in train(name, 2).items()}
    np.savez(out, **found)


def train(name, devices):
    keras.utils.set_random_seed(0)
    model = new(name)
    model.compile(optimizer=keras.optimizers.SGD(0.05, momentum=0.9))
    losses = model.fit(pipeline(), epochs=2, verbose=0).history["loss"]
    spread = {len(v.value.sharding.device_set) for v in model.variables}
    assert spread == {devices}, spread  # every device has all weights
    return {key: np.array(value) for key, value in state(model).items()} | {"loss": np.array(losses)}


if __name__ == "__main__":
    main(*sys.argv[1:])
