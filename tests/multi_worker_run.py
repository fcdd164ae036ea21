"""Multi-worker run: several workers, or several replicas, train small models; for test_multi_worker, test_replicas.

    python -m tests.multi_worker_run OUT two killed

Each scenario writes what its workers found to `OUT/SCENARIO/NUMBER.npz`. Workers are forked from this process, which
has imported TensorFlow but not used it: to import it takes longer than to train.
"""

import functools
import json
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # a driver that is in use does not survive a fork

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

import keras_ssl  # noqa: E402
from tests import cases  # noqa: E402

COUNT, BATCH, EPOCHS = 60, 12, 3  # batches that two, three and four replicas can share
# Other methods on request, as KERAS_SSL_METHODS="MAE BEiT"; KERAS_SSL_COMPLETE=1 is all of them, half an hour.
NAMED = os.environ.get("KERAS_SSL_METHODS", "").split()
ASKED = tuple(keras_ssl.METHODS if os.environ.get("KERAS_SSL_COMPLETE") else NAMED)
TWO = ASKED or ("MoCoV2", "InstDisc")
THREE = ("BYOL",)
FOUR = ASKED or ("MoCoV2", "InstDisc", "SwAV", "DINO", "VICReg", "MAE")


def main(out, *scenarios):
    for name in scenarios:
        folder = Path(out) / name
        folder.mkdir()
        SCENARIOS[name](folder)


# Scenarios


def two(folder):
    wait(workers(2, folder, train_all, TWO), folder)


def three(folder):
    wait(workers(3, folder, train_all, THREE), folder)


def four(folder):
    # Two steps, not compiled: to compile one for four replicas takes longer, and two replicas test the compiled one.
    wait([fork(folder, 0, train_all, FOUR, 2, devices=4)], folder)


def killed(folder):
    """A worker is killed, then the others, and all are started again."""
    first = workers(2, folder, resume, 8)
    assert os.waitpid(first[1], 0)[1] == signal.SIGKILL
    os.kill(first[0], signal.SIGKILL)
    os.waitpid(first[0], 0)
    wait(workers(2, folder, resume), folder)


def folders(folder):
    wait(workers(2, folder, refused), folder)


SCENARIOS = {scenario.__name__: scenario for scenario in (two, three, four, killed, folders)}


def workers(count, folder, work, *arguments):
    """The numbers of new processes, which find each other by TF_CONFIG."""
    ports = [socket.socket() for _ in range(count)]
    for port in ports:
        port.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{port.getsockname()[1]}" for port in ports]
    for port in ports:
        port.close()
    return [fork(folder, number, work, *arguments, addresses=addresses) for number in range(count)]


def fork(folder, number, work, *arguments, addresses=None, devices=1):
    process = os.fork()
    if process == 0:
        try:
            strategy = make_strategy(number, addresses, devices)
            np.savez(folder / f"{number}.npz", **work(strategy, folder, number, *arguments))
            (folder / f"{number}.done").touch()
            signal.pause()  # until all are ready: one that leaves stops the others
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(1)
    return process


def wait(processes, folder):
    """Waits until every worker has written what it found, and ends them."""
    limit = time.monotonic() + (7200 if ASKED else 600)
    try:
        while not all((folder / f"{number}.done").exists() for number in range(len(processes))):
            failed = [process for process in processes if os.waitpid(process, os.WNOHANG)[0]]
            if failed or time.monotonic() > limit:
                processes = [process for process in processes if process not in failed]
                raise SystemExit("A worker failed." if failed else "The workers take too long.")
            time.sleep(0.02)
    finally:
        for process in processes:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


def make_strategy(number, addresses, devices):
    if addresses:
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": number}}
        os.environ["TF_CONFIG"] = json.dumps(task)
        return tf.distribute.MultiWorkerMirroredStrategy()
    device = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * devices)
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(devices)])


# What a worker does


def train_all(strategy, folder, number, names, steps=None):
    # Only the first worker's seed counts: it sends the weights it starts from to the others.
    runs = {name: train(name, strategy, steps, seed=number) for name in names}
    return {f"{name}/{key}": value for name, run in runs.items() for key, value in run.items()}


def resume(strategy, folder, number=0, last=None):
    """A run with checkpoints, from where it stands to its end. The second worker dies after the step `last`."""
    model = make("MoCoV2", strategy)
    checkpoint = keras_ssl.Checkpoint(folder / "run", every=3)
    position = checkpoint.restore(model)
    if number:
        model.save = None  # only the first worker may
    die = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: os.kill(os.getpid(), signal.SIGKILL)
        if number and model.optimizer.iterations.numpy() == last
        else None
    )
    epoch, start = position
    history = model.fit(
        pipeline(epoch=epoch, start=start), epochs=EPOCHS, initial_epoch=epoch, callbacks=[die, checkpoint], verbose=0
    ).history
    return cases.state(model) | {"loss": np.array(history["loss"]), "position": np.array(position)}


def refused(strategy, folder, number):
    """The error where every worker has a folder of its own, and one of them a checkpoint."""
    model = make("SimCLR", strategy)
    checkpoint = keras_ssl.Checkpoint(folder / f"run{number}")
    checkpoint.restore(model)
    if number == 0:
        checkpoint.set_model(model)
        checkpoint.step = 5
        checkpoint.save(1, 0)
    try:
        checkpoint.restore(model)
    except ValueError as error:
        return {"error": str(error)}
    return {"error": "none"}


def train(name, strategy, steps=None, seed=0):
    """Loss and state after an epoch, and the features of all images; or after some steps, not compiled."""
    model = make(name, strategy, seed, run_eagerly=steps is not None)
    loss = model.fit(pipeline() if steps is None else pipeline().take(steps), verbose=0).history["loss"]
    found = cases.state(model) | {"loss": np.array(loss)}
    if steps is None:
        found["features"] = model.encoder.predict(images(), batch_size=BATCH, verbose=0)  # as `eval` does
    return found


@functools.cache
def train_on_one(name, steps=None):
    """The same in this process, on one device."""
    return train(name, tf.distribute.get_strategy(), steps)


def make(name, strategy, seed=0, **compile):
    sizes = {"samples": COUNT, "queue_size": 30}
    sizes = {key: value for key, value in sizes.items() if key in cases.case_of(name).arguments}
    with strategy.scope():
        keras.utils.set_random_seed(seed)
        model = cases.new(name, **sizes)
        model.compile(optimizer=keras.optimizers.SGD(0.05, momentum=0.9), **compile)
    return model


def pipeline(**options):
    labels, texts = np.arange(COUNT) % 3, cases.columns("CLIP", COUNT)["text"]
    made = keras_ssl.data.arrays(images(), BATCH, seed=1, labels=labels, index=True, **options)
    return made.map(lambda batch: {**batch, "text": tf.gather(texts, batch["index"])})


def images():
    coarse = np.random.default_rng(0).integers(0, 256, (COUNT, 4, 4, 3), "uint8")
    return coarse.repeat(cases.SIZE // 4, axis=1).repeat(cases.SIZE // 4, axis=2)


if __name__ == "__main__":
    main(*sys.argv[1:])
