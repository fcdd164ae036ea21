"""VAT. ImageNet, 10 % of the labels, ResNet-50: 82.8 % of top-5, with the entropy 83.4 %.

`few_labels(run, classes)` is VAT with the entropy: that of the code of S4L for ImageNet, and of that of FixMatch for
CIFAR-10, where the decay is decoupled and the average of the weights is evaluated. The rate of the former falls in
three steps, here along half a cosine; its 200 epochs, 5 of them of warm-up, are passes over the labeled images.
Its data is no folder of images, so the command line has no recipe.
"""

import keras_ssl
from keras_ssl import augment, optimizers

WITHOUT = "it learns from labeled images with unlabeled ones beside them: keras_ssl.data.with_unlabeled"


def views(run):
    return augment.pseudo_label(run.shape[0], flip=0.0 if run.gray else 0.5, small=run.small)


def few_labels(run, classes):
    """The method and its optimizer; `run.batch` counts the labeled images of a step, beside as many others."""
    if run.small:
        options = {"epsilon": 6.0, "weight": 0.3, "entropy_weight": 0.06, "apart": True, "momentum": 0.999}
        options |= {"warmup": max(1, round(0.4 * run.steps))}
        model = keras_ssl.VAT(run.encoder(), views(run), classes=classes, **options)
        return model, optimizers.AdamW(2e-3, weight_decay=0.02, exclude_vectors=True)
    model = keras_ssl.VAT(run.encoder(), views(run), classes=classes, entropy_weight=1.0)
    rate = run.schedule(0.03, min(5 / run.epochs, 0.15))  # for any batch
    return model, optimizers.SGD(rate, 0.9, 1e-3, exclude_vectors=True)
