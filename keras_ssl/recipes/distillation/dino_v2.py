"""DINOv2. ImageNet, ViT-L/16, 125,000 steps with a batch of 2,048 (200 epochs): 82.9 %, k-NN 81.6 %.

For small images, whose runs are short, there are fewer outputs, less drop path, and one rate for all layers, which are
no settings of the paper.
"""

import keras_ssl
from keras_ssl import augment, optimizers
from keras_ssl.recipes.distillation import dino
from keras_ssl.recipes.run import VITS

ENCODERS = VITS
PAPER = dino.VIT | {"initializer": "truncated_normal", "drop_path": (0.3, 0.3), "layer_scale": 1e-5}
SMALL = PAPER | {"drop_path": (0.1, 0.1)}


def views(run):
    return run.multi_crop(augment.dino_v2, augment.dino_cifar, count=8)


def paper(run):
    # Of ImageNet-1k: one head, centering. The authors clip each network for itself, and count in tenths of the run.
    model = method(
        run, SMALL if run.small else PAPER, dim=4096 if run.small else 65536, separate_heads=False,
        sinkhorn_iterations=0, momentum=0.992, warmup=run.steps * 3 // 10, freeze_steps=run.steps // 100,
    )  # fmt: skip
    rate = optimizers.scale(4e-3, run.batch, base=1024, rule="sqrt")
    return model, optimizers.AdamW(
        run.schedule(rate, warmup=0.1, final=1e-6), weight_decay=dino.decay(run), global_clipnorm=3.0,
        rates=None if run.small else rates(model),
    )  # fmt: skip


def minutes(run, kind="DINOv2", **options):
    # No more outputs than class tokens in a batch of 128: with more, Sinkhorn-Knopp could not use all of them alike.
    sizes = {"hidden": 512, "bottleneck": 128, "dim": 256, "momentum": 0.99, "warmup": run.steps // 3}
    model = method(run, dino.VIT, kind, **sizes, freeze_steps=run.steps_per_epoch, **options)
    return model, run.short_adamw(dino.decay(run), clipnorm=3.0)


def method(run, vit, kind="DINOv2", **options):
    encoder, grid = run.encoder(any_size=True, vit=vit), run.shape[0] // run.patch
    return getattr(keras_ssl, kind)(encoder, views(run), grid=grid, steps=run.steps, **options)


def rates(model):
    """Factors of the rate: 0.9 from block to block, least at the image, where the patches' projection has a fifth."""
    found = optimizers.layer_decay(model.encoder, 0.9)
    of_weights = {id(w): rate for w, rate in zip(model.encoder.trainable_variables, found)}
    of_weights |= {id(w): min(found) for w in model.mask_token.trainable_variables}
    of_weights |= {id(w): 0.2 * min(found) for w in model.encoder.get_layer("patches").trainable_variables}
    return [of_weights.get(id(w), 1.0) for w in model.trainable_variables]
