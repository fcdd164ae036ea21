"""DeepCluster. ImageNet, AlexNet: 41.0 % from its third layer of convolutions.

A ResNet needs no trunk after it. It sees colors here: the authors' networks see slopes (`keras_ssl.augment.Sobel`).
"""

import keras_ssl
from keras_ssl import augment, optimizers
from keras_ssl.clustering import Recluster


def views(run):
    return run.views(
        lambda size: augment.deepcluster(size, sobel=False), lambda size: augment.moco_cifar(size, count=1), count=1
    )


def paper(run):
    rate = optimizers.scale(0.05, run.batch)
    optimizer = optimizers.SGD(rate, momentum=0.9, weight_decay=1e-5)  # the same from the first step to the last
    return method(run, clusters=10000, size=50), optimizer, Recluster(run.in_order())


def minutes(run):
    return method(run, clusters=500, size=20), run.short_sgd(0.06), Recluster(run.in_order())


def method(run, clusters, size):
    """`size`: the smallest number of images of a cluster, on average."""
    clusters = min(clusters, max(1, run.count // size))
    return keras_ssl.DeepCluster(run.encoder(), views(run), samples=run.count, clusters=clusters, hidden=0)
