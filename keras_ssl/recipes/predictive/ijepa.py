"""I-JEPA. ImageNet, batch 2,048: ViT-B/16 72.9 % and ViT-L/16 77.5 % after 600 epochs, ViT-H/14 79.3 % after 300.

Numbers are those of the authors' code for ViT-H/14, but for the predictor: 6 blocks in place of 12, as beside ViT-B and
ViT-L. For small images the predictor is smaller, which is no setting of the paper. Contexts are as long as the authors'
are on average, after the cut to the shortest of a batch. It needs long schedules: a run of 375 steps on 8,000 images of
CIFAR-10, with contexts of 28 patches, left the features where they were (k-NN 26.1 % on images held out, untrained
25.8 %). With a momentum of 0.97 the targets of different images became alike sooner.
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
    return method(run, 0.02, **sizes), optimizer


def minutes(run):
    sizes = {"width": 64, "depth": 2, "heads": 4}
    return method(run, "truncated_normal", **sizes), run.short_adamw(optimizers.cosine(0.04, 0.4, run.steps))


def method(run, initializer, **sizes):
    encoder = run.mean_vit(class_token=False, initializer=initializer)
    return keras_ssl.IJEPA(encoder, views(run), keep=keep(run), steps=run.steps, **sizes)


def keep(run):
    """The length of the authors' contexts, in patches: 51 of 196, and 13 of 64."""
    patches = (run.shape[0] // run.patch) * (run.shape[1] // run.patch)
    return max(1, round((0.2 if patches <= 64 else 0.26) * patches))
