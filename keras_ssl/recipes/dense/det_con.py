"""DetCon-B, for data with masks, of a segmentation or a grid.

It has no recipe for the shell. The authors': LARS, 0.2 for a batch of 256, of 4,096 images, decay 1.5e-6, ten epochs of
warm-up, a momentum of 0.996 that rises to 1, the views of BYOL.
"""

import keras_ssl
from keras_ssl.recipes.dense.pix_pro import views

WITHOUT = "it learns from masks that number the regions of each image"
SHORT = {"hidden": 256, "dim": 128, "momentum": 0.97}


def minutes(run):
    return keras_ssl.DetCon(run.encoder(), views(run), steps=run.steps, **SHORT), run.short_sgd(0.2)
