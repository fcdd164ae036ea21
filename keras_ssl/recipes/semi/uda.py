"""UDA. CIFAR-10, WRN-28-2, 500,000 steps, ratio 7. ImageNet, 10 % of the labels, ResNet-50: 68.8 %.

`few_labels(run, classes)` is what the authors' code trains, with the encoder of the run (theirs for CIFAR-10 is a wide
ResNet, nearly `encoders.wide_resnet`), with the views of FixMatch, and without decay of biases and normalization. Its
data is no folder of images, so the command line has no recipe.
"""

import keras_ssl
from keras_ssl import augment, optimizers

WITHOUT = "it learns from labeled images with unlabeled ones beside them: keras_ssl.data.with_unlabeled"


def views(run):
    return augment.fixmatch(run.shape[0], flip=0.0 if run.gray else 0.5, small=run.small, colors=not run.gray)


def few_labels(run, classes):
    """The method and its optimizer; `run.batch` counts the labeled images of a step, each beside 7 (large ones 30)."""
    threshold = 0.8 if run.small else 0.5
    model = keras_ssl.UDA(run.encoder(), views(run), classes=classes, threshold=threshold)
    if run.small:
        rate = optimizers.part_of_cosine(0.03 * run.batch / 64, run.steps)
        return model, optimizers.SGD(rate, 0.9, 5e-4, nesterov=True, exclude_vectors=True)
    rate = optimizers.part_of_cosine(0.3 * run.batch / 512, run.steps, warmup=round(run.steps / 8))
    return model, optimizers.SGD(rate, 0.9, 1e-4, nesterov=True, exclude_vectors=True)
