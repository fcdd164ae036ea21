"""FrameOrder. No numbers are public: those here are of CVRL, whose encoder and clips it takes."""

import keras_ssl
from keras_ssl.inputs import VIDEO
from keras_ssl.recipes.video import cvrl
from keras_ssl.recipes.video.cvrl import views  # noqa: F401

KIND = VIDEO
ENCODERS = ("r3d18",)


def paper(run):
    return keras_ssl.FrameOrder(cvrl.encoder(run), views(run)), cvrl.optimizer(run)


def minutes(run):
    return keras_ssl.FrameOrder(cvrl.encoder(run), views(run)), run.short_sgd(0.1)
