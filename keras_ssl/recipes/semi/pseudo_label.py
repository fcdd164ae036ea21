"""PseudoLabel. ImageNet, 10 % of the labels, ResNet-50, in two steps: 82.4 % of top-5.

`few_labels(run, classes)` is the form that learns and labels at once, of the code of FixMatch for CIFAR-10. Its data is
no folder of images, so the command line has no recipe.
"""

import keras_ssl
from keras_ssl import augment, optimizers

WITHOUT = "it learns from labeled images with unlabeled ones beside them: keras_ssl.data.with_unlabeled"


def views(run):
    return augment.pseudo_label(run.shape[0], flip=0.0 if run.gray else 0.5, small=run.small)


def few_labels(run, classes):
    """The method and its optimizer; `run.batch` counts the labeled images of a step, beside as many others."""
    warmup = max(1, round(0.4 * run.steps))
    model = keras_ssl.PseudoLabel(run.encoder(), views(run), classes=classes, warmup=warmup)
    rate = optimizers.part_of_cosine(0.03 * run.batch / 64, run.steps)
    return model, optimizers.SGD(rate, 0.9, 5e-4, nesterov=True, exclude_vectors=True)
