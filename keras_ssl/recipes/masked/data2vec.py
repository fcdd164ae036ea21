"""data2vec. ImageNet, batch 2,048: ViT-B 84.2 % after fine-tuning (800 epochs), ViT-L 86.6 %.

The momentum is that of the authors' ViT-B. With it the teacher hardly moves in a few thousand steps: for small images
it rises from a lower one, which is no setting of the paper.
"""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.run import VITS

ENCODERS = VITS
PAPER = {"initializer": 0.0108, "drop_path": 0.25, "layer_scale": 1e-4}


def views(run):
    return run.views(augment.data2vec, count=1)


def paper(run):
    optimizer = run.adamw(
        2.5e-4, weight_decay=0.05, start=1.25e-7, final=1e-5, global_clipnorm=3.0, exclude="class_token"
    )  # fmt: skip
    momenta = {"start_momentum": 0.996, "momentum": 0.9999, "ramp_steps": run.steps} if run.small else {}
    return method(run, PAPER, **momenta), optimizer


def minutes(run):
    momenta = {"start_momentum": 0.97, "momentum": 0.999, "ramp_steps": run.steps}
    settings = {"target_blocks": 3} | momenta
    return method(run, {"initializer": "truncated_normal"}, **settings), run.short_adamw(0.05, global_clipnorm=3.0)


def method(run, vit, **settings):
    return keras_ssl.Data2Vec(run.mean_vit(**vit), views(run), **settings)
