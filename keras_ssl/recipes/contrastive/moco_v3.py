"""MoCo v3. ImageNet, ViT-S/16, 300 epochs with a batch of 4,096: 73.2 %. ResNet-50, 1,000 epochs: 74.6 %."""

from functools import partial

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.run import IDENTITY, RESNETS, VITS

ENCODERS = VITS + RESNETS


def views(run):
    recipe = augment.moco_v3 if run.transformer else partial(augment.moco_v3, scale=(0.2, 1.0))
    return run.views(recipe, augment.byol_cifar)


def paper(run):
    if run.transformer:
        encoder = run.encoder(vit={"heads": 12} if run.name == "vit_small" else None)
        model = keras_ssl.MoCoV3(encoder, views(run), steps=run.steps)
        return model, run.adamw(1.5e-4, weight_decay=0.1, warmup=40 / 300, exclude_vectors=False)
    momentum = 0.996 if run.epochs > 600 else 0.99
    model = keras_ssl.MoCoV3(
        run.encoder(resnet=IDENTITY), views(run), steps=run.steps, depth=2, predictor_norm=False, temperature=1.0,
        momentum=momentum,
    )
    return model, run.lars(0.3 if run.epochs > 150 else 0.6, weight_decay=1.5e-6 if run.epochs > 600 else 1e-6)


def minutes(run):
    sizes = {"hidden": 512, "dim": 128, "temperature": 0.2, "steps": run.steps}
    if run.transformer:
        return keras_ssl.MoCoV3(run.encoder(), views(run), **sizes), run.short_adamw(0.1, exclude_vectors=False)
    model = keras_ssl.MoCoV3(run.encoder(), views(run), predictor_norm=False, momentum=0.97, **sizes)
    return model, run.short_sgd(0.2)
