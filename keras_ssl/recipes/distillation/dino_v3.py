"""DINOv3. Its stage of Gram anchoring: 200,000 steps after 1,000,000, with a batch of 4,096, a rate of 2.4e-4 (that of
the paper is multiplied by 4 * sqrt(batch / 1024)) and a momentum of 0.999.
"""

from keras_ssl.recipes.distillation import dino_v2
from keras_ssl.recipes.run import VITS

ENCODERS = VITS
WITHOUT = "it goes on from a trained DINOv2: DINOv3.after(model)"
views = dino_v2.views


def minutes(run):
    # From the start: the weight is low while the Gram teacher has learned nothing.
    return dino_v2.minutes(run, "DINOv3", gram_warmup=run.steps // 3, gram_every=max(1, run.steps // 4))
