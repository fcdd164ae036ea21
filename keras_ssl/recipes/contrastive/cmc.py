"""CMC. ImageNet, 240 epochs, ResNet-50 x2: 68.4 %. The features are those of both encoders, twice as long."""

import keras_ssl
from keras_ssl import augment


def views(run):
    if run.gray:
        raise ValueError("CMC contrasts the lightness of an image with its color: it needs images with colors")
    return run.views(augment.cmc)


def paper(run):
    made = views(run)
    options = {"negatives": min(16384, run.count), "temperature": 0.1 if run.small else 0.07}
    model = keras_ssl.CMC(both(run), made, samples=run.count, **options)
    return model, run.sgd(0.06, weight_decay=1e-4, warmup=0)


def minutes(run):
    made = views(run)
    model = keras_ssl.CMC(both(run), made, samples=run.count, negatives=1024, temperature=0.1, softmax=True)
    return model, run.short_sgd(0.06)


def both(run):
    """The encoders for the lightness and for the color."""
    return [run.encoder(channels=channels) for channels in (1, 2)]
