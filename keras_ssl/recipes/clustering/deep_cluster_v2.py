"""DeepCluster-v2. ImageNet, 800 epochs with a batch of 4,096 and multi-crop: 75.2 %."""

import keras_ssl
from keras_ssl import augment
from keras_ssl.clustering import Recluster


def views(run):
    return run.multi_crop(augment.swav, augment.swav_cifar, count=6)


def paper(run):
    model = method(run, clusters=3000, size=15)
    if run.batch <= 512:  # SwAV's rate for small batches
        return model, run.lars(0.6, weight_decay=1e-6, warmup=0, final=6e-4), Recluster(run.in_order())
    optimizer = run.lars(0.3, weight_decay=1e-6, start=0.3 / 16, final=3e-4)
    return model, optimizer, Recluster(run.in_order())


def minutes(run):
    return method(run, clusters=500, size=20, hidden=512), run.short_sgd(0.2), Recluster(run.in_order())


def method(run, clusters, size, **options):
    """`size`: the smallest number of images of a cluster, on average."""
    clusters = (min(clusters, max(1, run.count // size)),) * 3
    encoder = run.encoder(any_size=True)
    return keras_ssl.DeepClusterV2(encoder, views(run), samples=run.count, clusters=clusters, **options)
