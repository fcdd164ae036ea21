"""iBOT. ImageNet, ViT-S/16, 800 epochs with a batch of 1,024: 77.9 %, k-NN 75.2 %."""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.distillation import dino
from keras_ssl.recipes.run import VITS

ENCODERS = VITS


def views(run):
    return run.multi_crop(augment.ibot, augment.dino_cifar, count=10)


def paper(run):
    warmup = min(30, run.epochs // 3) * run.steps_per_epoch
    model = method(run, dino.PAPER, dim=2048 if run.small else 8192, warmup=warmup)
    return model, run.adamw(5e-4, dino.decay(run), final=1e-6, clipnorm=3.0)


def minutes(run):
    sizes = {"hidden": 512, "bottleneck": 128, "dim": 1024, "momentum": 0.99, "warmup": run.steps // 3}
    return method(run, dino.VIT, **sizes), run.short_adamw(dino.decay(run), clipnorm=3.0)


def method(run, vit, **options):
    encoder, grid = run.encoder(any_size=True, vit=vit), run.shape[0] // run.patch
    return keras_ssl.IBOT(encoder, views(run), grid=grid, **options, **dino.common(run))
