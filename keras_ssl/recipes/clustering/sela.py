"""SeLa. ImageNet, 10 heads of 3,000 labels, 280 epochs with stronger views: 68.8 %; 400 epochs: 61.5 %.

The authors divide the rate by ten every 150 epochs; here it follows a cosine.
"""

import keras_ssl
from keras_ssl import augment
from keras_ssl.clustering import Recluster
from keras_ssl.methods.clustering.sela import label_steps


def views(run):
    return run.views(lambda size: augment.moco_v1(size, count=1), lambda size: augment.moco_cifar(size, count=1), 1)


def paper(run):
    if run.small:
        model = method(run, clusters=128, power=10.0, one_head=True)
        return model, run.sgd(0.06, weight_decay=5e-4, warmup=0), Recluster(run.in_order())
    model, labels = method(run, clusters=3000), Recluster(run.in_order(), at=label_steps(run.steps, times=100))
    return model, run.sgd(0.05, weight_decay=1e-5, warmup=0), labels


def minutes(run):
    labels = Recluster(run.in_order(), at=label_steps(run.steps, times=min(run.steps, 30)))
    return method(run, clusters=128, power=10.0, head_count=4), run.short_sgd(0.06), labels


def method(run, clusters, **options):
    clusters = min(clusters, max(1, run.count // 15))
    return keras_ssl.SeLa(run.encoder(), views(run), samples=run.count, clusters=clusters, **options)
