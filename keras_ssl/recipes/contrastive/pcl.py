"""PCL. ImageNet, 200 epochs: 67.6 %. Clusters of about 50, 25 and 12 images from a tenth of the run on."""

import keras_ssl
from keras_ssl import augment
from keras_ssl.clustering import Recluster
from keras_ssl.recipes.contrastive import moco_v2


def views(run):
    return run.views(augment.pcl, augment.moco_cifar)


def paper(run):
    callback = Recluster(run.in_order(), warmup=run.epochs // 10)
    return method(run, sizes=(50, 25, 12), hidden=2048), moco_v2.optimizer(run), callback


def minutes(run):
    model = method(run, sizes=(40, 20, 10), hidden=128, negatives=1000, restarts=1)
    return model, run.short_sgd(0.06), Recluster(run.in_order(), warmup=run.epochs // 5)


def method(run, sizes, **options):
    clusters = tuple(max(1, run.count // size) for size in sizes)
    encoder = run.encoder(resnet=run.groups())
    return keras_ssl.PCL(encoder, views(run), samples=run.count, clusters=clusters, **options, **run.queue())
