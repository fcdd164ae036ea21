"""DINO. ImageNet, ViT-S/16, 800 epochs with a batch of 1,024: 77.0 %, k-NN 74.5 %. ResNet-50: 75.3 %, k-NN 67.5 %."""

from functools import partial

import keras_ssl
from keras_ssl import augment, optimizers
from keras_ssl.recipes.run import RESNETS, VITS

ENCODERS = VITS + RESNETS
# The papers' 0.02 is made for widths of 384 and more: in a short run of a narrow transformer all features would be
# nearly alike at the start, and few steps do not part them. So `minutes` draws its weights as Keras does.
VIT = {"positions": "learned"}
PAPER = VIT | {"initializer": "truncated_normal", "drop_path": 0.1}


def views(run):
    recipe = augment.dino
    if not run.transformer:
        recipe = partial(augment.dino, scale=(0.14, 1.0), local_scale=(0.05, 0.14))
    return run.multi_crop(recipe, augment.dino_cifar, count=8)


def paper(run):
    model = keras_ssl.DINO(
        run.encoder(any_size=True, vit=PAPER), views(run), batch_norm=not run.transformer,
        dim=4096 if run.small else 65536, momentum=0.996 if run.batch >= 1024 else 0.9995,
        warmup=min(30, run.epochs // 3) * run.steps_per_epoch, **common(run),
    )  # fmt: skip
    if run.transformer:
        return model, run.adamw(5e-4, decay(run), final=1e-6, clipnorm=3.0)
    return model, run.sgd(0.03, weight_decay=1e-4, exclude_vectors=True, clipnorm=3.0)


def minutes(run):
    # The warm-up of the temperature and the frozen last layer are as long parts of the run as in the paper.
    model = keras_ssl.DINO(
        run.encoder(any_size=True, vit=VIT), views(run), batch_norm=not run.transformer, hidden=512, bottleneck=128,
        dim=1024, momentum=0.99, warmup=run.steps // 3, **common(run),
    )  # fmt: skip
    return model, run.short_adamw(decay(run), clipnorm=3.0)


def common(run):
    return {"teacher_temperature": 0.07, "steps": run.steps, "freeze_steps": run.steps_per_epoch}


def decay(run):
    return optimizers.cosine(0.04, 0.4, run.steps)
