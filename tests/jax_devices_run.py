"""JAX devices run: methods whose encoder is spread over the devices of a mesh, for test_jax_devices.

    KERAS_BACKEND=jax XLA_FLAGS=--xla_force_host_platform_device_count=4 python -m tests.jax_devices_run OUT MAE DINO

The file OUT (.npz) gets `METHOD/KIND/...`: loss and state after a step, with KIND "one" for one device and "mesh"
for two parts of the weights by two parts of the batch; and `METHOD/split`, how many of the variables are spread.
"""

import sys

import jax
import keras
import numpy as np

from keras_ssl import encoders
from tests import cases


def main(out, *names):
    devices = keras.distribution.list_devices()
    assert len(devices) == 4, devices
    batches = {name: cases.fixed(name)[:1] for name in names}
    found = {f"{name}/one/{key}": value for name in names for key, value in train(name, batches[name])[1].items()}
    mesh = keras.distribution.DeviceMesh((2, 2), ("batch", "model"), devices)
    layout = encoders.layout(mesh)
    keras.distribution.set_distribution(keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch"))
    for name in names:
        model, values = train(name, batches[name])
        found |= {f"{name}/mesh/{key}": value for key, value in values.items()}
        found[f"{name}/split"] = sum(not v.value.sharding.is_fully_replicated for v in model.variables)
    np.savez(out, **found)


def train(name, batches):
    model = cases.make(name)
    loss = model.fit(cases.dataset(batches), verbose=0).history["loss"]
    values = {key: np.array(value) for key, value in cases.state(model).items()}
    return model, values | {"loss": np.array(loss)}


if __name__ == "__main__":
    assert jax.process_count() == 1
    main(*sys.argv[1:])
