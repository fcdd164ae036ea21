"""All4One. CIFAR-10, ResNet-18, 1,000 epochs: 93.2 %, CIFAR-100 72.2 %, ImageNet-100, 400 epochs: 81.9 %.

The authors' transformer has a rate of its own, 0.1; here it has that of all.
"""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.run import CLIPPED


def views(run):
    return run.views(augment.byol, augment.byol_cifar)


def paper(run):
    model = keras_ssl.All4One(run.encoder(), views(run), steps=run.steps)
    return model, run.lars(1.0, weight_decay=1e-5, **CLIPPED)


def minutes(run):
    # The queue holds the last 16 steps: older embeddings are from another encoder.
    sizes = {"hidden": 512, "predictor_hidden": 512, "dim": 128, "queue_size": run.short_queue(16 * run.batch)}
    model = keras_ssl.All4One(run.encoder(), views(run), momentum=0.97, steps=run.steps, **sizes)
    return model, run.short_sgd(0.1)
