"""Callbacks of `pretrain`: the history in `run.json`, and an end that saves."""

import contextlib
import signal
import threading
import time

import keras
import numpy as np

from keras_ssl import runs
from keras_ssl.command.ending import Stopped, saved


class Journal(keras.callbacks.Callback):
    """Writes what every epoch logs into `run.json`. Put it last.

    Args:
        folder: the folder of the run.
        record: dict, what `run.json` holds; it is changed in place.
    """

    def __init__(self, folder, record):
        super().__init__()
        self.folder, self.record = folder, record
        self.begun = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        now = time.monotonic()
        numbers = {name: float(np.asarray(value)) for name, value in (logs or {}).items()}
        self.record["history"].append({"epoch": epoch + 1, **numbers})
        self.record["seconds"] += now - self.begun
        self.begun = now
        runs.write(self.folder, self.record)


class Stop(keras.callbacks.Callback):
    """Ends `fit` after the step in which a signal came, and raises `Stopped` once the checkpoint is written.

    It stands behind the checkpoint and before the evaluations in the list of callbacks, so that these are not waited
    for: whoever sends SIGTERM often kills a little later.

    Args:
        checkpoint: the `keras_ssl.Checkpoint` of the run.
        journal: the `Journal`, which gets an epoch that ends with the signal, without its evaluations.
    """

    def __init__(self, checkpoint, journal):
        super().__init__()
        self.checkpoint, self.journal = checkpoint, journal
        self.number = None

    @contextlib.contextmanager
    def listening(self):
        """Takes Ctrl-C and SIGTERM while it lasts; a second one is again what it was before."""
        if threading.current_thread() is not threading.main_thread():  # no other one can
            yield
            return
        before = {}

        def note(number, frame):
            self.number = number
            restore()

        def restore():
            for each, handler in before.items():
                signal.signal(each, handler)

        before |= {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            restore()

    def on_train_batch_end(self, batch, logs=None):
        if self.number is not None:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        if self.number is None or not self.model.stop_training:
            return
        if self.checkpoint.start == 0:
            self.journal.on_epoch_end(epoch, logs)
        raise Stopped(f"Stopped by {signal.Signals(self.number).name}. {saved(self.checkpoint)}", self.number)
