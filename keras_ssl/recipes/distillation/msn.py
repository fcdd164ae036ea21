"""MSN. ImageNet, ViT-S/16, 800 epochs with a batch of 1,024: 76.9 %, with 1 % of the labels 67.2 %."""

import keras_ssl
from keras_ssl import augment, optimizers
from keras_ssl.recipes.run import VITS

ENCODERS = VITS


def views(run):
    return run.multi_crop(augment.msn, augment.msn_cifar, count=10)


def paper(run, name="MSN"):
    # The schedules of the rate, the decay and the momentum are longer than the run, which stops before they end.
    steps = int(1.25 * run.steps)
    sizes = {"prototype_count": 256 if run.small else 1024, "drop": 0.3 if run.name == "vit_base" else 0.15}
    encoder = run.encoder(any_size=True, vit={"positions": "learned", "initializer": "truncated_normal"})
    optimizer = run.adamw(
        2.5e-4, optimizers.cosine(0.04, 0.4, steps), warmup=min(15 / run.epochs, 0.1), start=5e-5, final=1e-6,
        steps=steps, exclude="prototypes", global_clipnorm=3.0, unclipped="prototypes",
    )  # fmt: skip
    return getattr(keras_ssl, name)(encoder, views(run), steps=steps, **sizes), optimizer


def minutes(run, name="MSN"):
    # Few prototypes: me-max has to use them all within a batch.
    sizes = {"hidden": 512, "dim": 128, "prototype_count": 128, "drop": 0.25, "momentum": 0.99, "steps": run.steps}
    model = getattr(keras_ssl, name)(run.encoder(any_size=True, vit={"positions": "learned"}), views(run), **sizes)
    clipping = {"global_clipnorm": 3.0, "unclipped": "prototypes"}
    return model, run.short_adamw(optimizers.cosine(0.04, 0.4, run.steps), exclude="prototypes", **clipping)
