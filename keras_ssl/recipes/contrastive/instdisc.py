"""Instance discrimination. ImageNet, 200 epochs: 54.0 %.

CIFAR-10, ResNet-18: k-NN 80.8 %, with one softmax over the whole bank, as in the authors' code for few images.
"""

import keras_ssl
from keras_ssl import augment


def views(run):
    if run.quick:
        return run.views(augment.instdisc, lambda size: augment.moco_cifar(size, count=1), count=1)
    return run.views(augment.instdisc, count=1)


def paper(run):
    whole = run.small and run.count <= 65536
    options = {"negatives": 0, "temperature": 0.1} if whole else {"negatives": 4096, "temperature": 0.07}
    model = keras_ssl.InstDisc(run.encoder(), views(run), samples=run.count, **options)
    return model, run.sgd(0.06 if run.small else 0.03, weight_decay=5e-4 if run.small else 1e-4, warmup=0)


def minutes(run):
    negatives = 0 if run.count <= 65536 else 4096
    model = keras_ssl.InstDisc(
        run.encoder(), views(run), samples=run.count, negatives=negatives, temperature=0.1
    )  # fmt: skip
    return model, run.short_sgd(0.06)
