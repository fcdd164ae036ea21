"""NNBYOL. Numbers are not published; the recipe is that of others for CIFAR-10, 1,000 epochs."""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.distillation.byol import SHORT
from keras_ssl.recipes.run import CLIPPED


def views(run):
    return run.views(augment.byol, augment.byol_cifar)


def paper(run):
    model = keras_ssl.NNBYOL(run.encoder(), views(run), momentum=0.99, steps=run.steps)
    return model, run.lars(1.0, weight_decay=1e-5, **CLIPPED)


def minutes(run):
    # The queue holds the last 16 steps, as with NNCLR.
    sizes = SHORT | {"queue_size": run.short_queue(16 * run.batch), "steps": run.steps}
    return keras_ssl.NNBYOL(run.encoder(), views(run), **sizes), run.short_sgd(0.2)
