"""FixMatch. CIFAR-10, WRN-28-2, 2^20 steps, 250 labels: 94.9 %; 40 labels: 86 to 89 %. ImageNet, 10 %: 71.5 %.

`few_labels(run, classes)` is what the paper trains, with the encoder of the run; the paper's for CIFAR-10 is
`encoders.wide_resnet`. For large images the rate of the code falls to a tenth every 50 of 300 epochs, here along half a
cosine; its epochs (5 of warm-up) are passes over the labeled images. Its data is no folder of images, so the command
line has no recipe.
"""

import keras_ssl
from keras_ssl import augment, optimizers

WITHOUT = "it learns from labeled images with unlabeled ones beside them: keras_ssl.data.with_unlabeled"


def views(run):
    return augment.fixmatch(run.shape[0], flip=0.0 if run.gray else 0.5, small=run.small, colors=not run.gray)


def few_labels(run, classes):
    """The method and its optimizer; `run.batch` counts the labeled images of a step, each beside 7 (large ones 5)."""
    if run.small:
        model = keras_ssl.FixMatch(run.encoder(), views(run), classes=classes)
        rate = optimizers.part_of_cosine(0.03 * run.batch / 64, run.steps)
        return model, optimizers.SGD(rate, 0.9, 5e-4, nesterov=True, exclude_vectors=True)
    model = keras_ssl.FixMatch(run.encoder(), views(run), classes=classes, threshold=0.7, weight=10.0)
    options = {"warmup": min(5 / run.epochs, 0.15), "nesterov": True, "exclude_vectors": True}
    return model, run.sgd(0.1, weight_decay=6e-4, **options)  # the code has 3e-4 times the squares, without a half
