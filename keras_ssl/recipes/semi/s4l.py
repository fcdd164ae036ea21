"""S4L. ImageNet, 10 % of the labels, ResNet-50, rotations: 83.8 % of top-5, exemplars 83.7 %; all models, wide: 91.2 %.

`few_labels(run, classes)` is the one with rotations. Its rate is that of the code, which falls in three steps where
this one is half a cosine; the code's 200 epochs, 5 of them of warm-up, are passes over the labeled images. Its data is
no folder of images, so the command line has no recipe.
"""

import keras_ssl
from keras_ssl import augment, optimizers

WITHOUT = "it learns from labeled images with unlabeled ones beside them: keras_ssl.data.with_unlabeled"


def views(run):
    return augment.pseudo_label(run.shape[0], flip=0.0 if run.gray else 0.5, small=run.small)


def few_labels(run, classes):
    """The method and its optimizer; `run.batch` counts the labeled images of a step, beside as many others."""
    model = keras_ssl.S4L(run.encoder(), views(run), classes=classes)
    rate = run.schedule(0.03, min(5 / run.epochs, 0.15))  # for any batch
    return model, optimizers.SGD(rate, 0.9, 1e-3, exclude_vectors=True)
