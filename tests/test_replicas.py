"""Four replicas train as one does; what Keras cannot do on several is refused in one sentence."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from tests import cases
from tests import multi_worker_run as run
from tests.test_multi_worker import assert_like_one_process, launch

pytestmark = pytest.mark.xdist_group("workers")  # shares the runs of one process with test_multi_worker


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replicas")
    launch(folder, "four")
    return dict(np.load(folder / "four" / "0.npz"))


@pytest.mark.parametrize("name", run.FOUR)
def test_four_replicas_equal_one(found, name):
    assert_like_one_process(found, name, steps=2)


def test_replicas_draw_other_views(two_replicas):
    """Of images without seeds: the layer's own seeds know the replica."""
    with two_replicas.scope():
        augment = keras_ssl.augment.Views(keras_ssl.augment.RandomResizedCrop(4, (0.2, 1.0), flip=0.5), 2)
    images = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3)).astype("float32")
    images = np.repeat(images, 3, axis=0)
    views = [two_replicas.experimental_local_results(x) for x in two_replicas.run(lambda: augment(images))]
    rows = [row.numpy().tobytes() for view in views for replica in view for row in replica]
    assert len(rows) == len(set(rows)) == 2 * 2 * 3


def test_replicas_cannot_accumulate_gradients(two_replicas):
    with two_replicas.scope():
        model = keras_ssl.SimCLR(cases.small_encoder(), hidden=8, dim=4)
        for wrap in (lambda x: x, keras.optimizers.LossScaleOptimizer):
            model.compile(optimizer=wrap(keras.optimizers.SGD(0.1, gradient_accumulation_steps=4)))
            with pytest.raises(ValueError, match="cannot accumulate .*gradient_accumulation_steps=4 under 2 replicas"):
                model.fit(np.zeros((4, 8, 8, 3)))


def test_parameter_servers_are_refused(monkeypatch):
    strategy = object.__new__(tf.distribute.ParameterServerStrategy)  # a real one needs servers
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: strategy)
    with pytest.raises(ValueError, match="ParameterServerStrategy cannot train.*Use tf.distribute.MultiWorker"):
        keras_ssl.distribute.check_strategy()
