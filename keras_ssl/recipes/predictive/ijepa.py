"""I-JEPA. ImageNet, batch 2,048: ViT-B/16 72.9 % and ViT-L/16 77.5 % after 600 epochs, ViT-H/14 79.3 % after 300.

Numbers are those of the authors' code for ViT-H/14; the predictor beside a smaller ViT has 6 blocks in place of 12. For
small images the predictor is smaller, which is no setting of the paper. It needs long schedules: a run of 375 steps on
8,000 images of CIFAR-10 left the features where they were (k-NN 26.1 % on images held out, untrained 25.8 %). With a
momentum of 0.97 the targets of different images became alike sooner.
"""

import keras_ssl
from keras_ssl import augment, optimizers
from keras_ssl.recipes.run import VITS

ENCODERS = VITS


def views(run):
    return run.views(augment.ijepa, count=1)


def paper(run):
    optimizer = run.adamw(
        1.25e-4, optimizers.cosine(0.04, 0.4, run.steps), warmup=min(40 / run.epochs, 2 / 15), start=2.5e-5, final=1e-6
    )  # fmt: skip
    sizes = {"width": 192, "depth": 4} if run.small else {}
    return method(run, **sizes), optimizer


def minutes(run):
    return method(run, width=64, depth=2, heads=4), run.short_adamw(optimizers.cosine(0.04, 0.4, run.steps))


def method(run, **sizes):
    encoder = run.mean_vit(class_token=False, initializer="truncated_normal")
    return keras_ssl.IJEPA(encoder, views(run), steps=run.steps, **sizes)
