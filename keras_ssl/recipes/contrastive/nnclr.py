"""NNCLR. ImageNet, 1,000 epochs with a batch of 4,096: 75.4 %."""

import keras_ssl
from keras_ssl import augment


def views(run):
    return run.views(augment.nnclr, augment.simclr_cifar if run.quick else augment.byol_cifar)


def paper(run):
    return keras_ssl.NNCLR(run.encoder(), views(run)), run.lars(0.3, weight_decay=1e-6)


def minutes(run):
    # The queue holds the last 16 steps: older embeddings are from another encoder.
    sizes = {"hidden": 512, "predictor_hidden": 512, "dim": 128, "queue_size": run.short_queue(16 * run.batch)}
    return keras_ssl.NNCLR(run.encoder(), views(run), temperature=0.1, **sizes), run.short_sgd(0.2)
