"""ShuffleAndLearn. UCF101, 100,000 steps: 50.2 % on its actions after fine-tuning, 18.1 % on HMDB51.

They are of a CaffeNet with batch normalization on frames of 227 pixels; this one has none, and for minutes it is a
ResNet. The rate stays as it is for any batch, and falls along half a cosine, where the paper lowers it once. Biases do
not decay; the authors' have twice the rate, which is left out here.
"""

import keras_ssl
from keras_ssl import augment, encoders, optimizers
from keras_ssl.inputs import VIDEO

KIND = VIDEO
ENCODERS = ("caffenet", "resnet18")


def views(run):
    return augment.shuffle_and_learn(run.shape[1:3], run.shape[0])


def method(run, images, **options):
    frames = run.shape[0]
    apart = min(15, max(1, frames // 6))
    return keras_ssl.ShuffleAndLearn(encoders.over_time(images), views(run), apart=apart, **options)


def paper(run):
    small = min(run.shape[1:3]) <= 64
    if run.name == "caffenet":
        images = encoders.caffenet(run.shape[1:], **({"hidden": None, "stride": 2} if small else {}))
    else:
        images = encoders.resnet18(run.shape[1:], stem="cifar" if small else "imagenet")
    rate = run.schedule(1e-3, warmup=0)
    return method(run, images), optimizers.SGD(rate, momentum=0.9, weight_decay=5e-4, exclude_vectors=True)


def minutes(run):
    stem = "cifar" if min(run.shape[1:3]) <= 64 else "imagenet"
    images = encoders.resnet18(run.shape[1:], width=run.width or 16, stem=stem)
    return method(run, images, hidden=64), optimizers.Adam(run.schedule(1e-3, warmup=1 / 15))
