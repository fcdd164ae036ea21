"""TrackingByColorizing. Kinetics, 400,000 steps of 32 clips: masks of DAVIS 2017 with J 34.6 and F 32.7.

Key points of JHMDB: 45.2 % within a tenth of the person. Frames are 256 pixels, the map is 32, of a ResNet-18; the rate
is 1e-3 for 60,000 steps and 1e-4 then, here along half a cosine. The colors are those of the samples.
"""

import keras_ssl
from keras_ssl import augment, encoders, optimizers
from keras_ssl.inputs import VIDEO

KIND = VIDEO
ENCODERS = ("resnet18",)


def views(run):
    frames = run.shape[0]
    return augment.tracking(run.shape[1:3], min(4, frames), max(1, min(4, (frames - 1) // 3)))


def centers(run):
    """The colors of some of the samples."""
    if run.gray:
        raise ValueError("Color is what is to be found: the method needs videos with colors")
    data = run.in_order()
    if hasattr(data, "element_spec"):
        return augment.color_centers(data.take(8))
    return augment.color_centers((data["video"] if isinstance(data, dict) else data)[:64])


def paper(run):
    network = encoders.resnet18(run.shape[1:], stem="cifar", width=run.width or 64)
    model = keras_ssl.TrackingByColorizing(network, views(run), centers=centers(run))
    return model, optimizers.Adam(run.schedule(1e-3, warmup=0))


def minutes(run):
    network = encoders.resnet18(run.shape[1:], stem="cifar", width=run.width or 16)
    model = keras_ssl.TrackingByColorizing(network, views(run), centers=centers(run), depth=1, width=64)
    return model, optimizers.Adam(run.schedule(1e-3, warmup=1 / 15))
