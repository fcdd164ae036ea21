"""ExemplarCNN. STL-10, 8,000 patches of 32 pixels, a small network, all layers pooled over quarters, an SVM: 74.2 %.

Small images take the paper's softmax over all of them, with its rate for a batch of 128; its weight decay is not known.
ImageNet, linear, a wide ResNet-50: 46.0 %, with the triplets of "Revisiting Self-Supervised Visual Representation
Learning", arXiv 1901.09005, which are those of large images here: two of three images are gray, and of each there
are 8 crops with other brightness and saturation, all with the same mean and deviation. (Gray is the luma here, the mean
of the channels in the code.)
"""

import keras_ssl
from keras_ssl import augment


def views(run, **options):
    if run.gray:
        return augment.exemplar(**{"components": None, "colors": False} | options)
    if run.small:
        return augment.exemplar(**options)
    crop = augment.RandomResizedCrop(run.shape[0], scale=(0.1, 1.0), flip=0.5)
    colors = augment.ColorJitter(brightness=32 / 255, saturation=0.5, p=1.0)
    view = augment.View([crop, colors, augment.Standardize(per_channel=False)])
    return augment.View([augment.Grayscale(0.66), augment.Views(view, **{"count": 8} | options)])


def paper(run):
    if run.small:
        model = keras_ssl.ExemplarCNN(run.encoder(), views(run), samples=run.count)
        return model, run.sgd(0.02, weight_decay=5e-4, warmup=0)
    options = {"count": 8} if run.gray else {}
    model = keras_ssl.ExemplarCNN(run.encoder(), views(run, **options), form="triplet")
    return model, run.sgd(0.1, weight_decay=1e-4, warmup=min(5 / run.epochs, 0.15))


def minutes(run):
    return keras_ssl.ExemplarCNN(run.encoder(), views(run), samples=run.count), run.short_sgd(0.06)
