"""DINOv3. Its stage of Gram anchoring: 200,000 steps with a rate of 3e-5 and a momentum of 0.999, after 1,000,000."""

from keras_ssl.recipes.distillation import dino_v2
from keras_ssl.recipes.run import VITS

ENCODERS = VITS
WITHOUT = "it goes on from a trained DINOv2: DINOv3.after(model)"
views = dino_v2.views


def minutes(run):
    # From the start: the weight is low while the Gram teacher has learned nothing.
    return dino_v2.minutes(run, "DINOv3", gram_warmup=run.steps // 3, gram_every=max(1, run.steps // 4))
