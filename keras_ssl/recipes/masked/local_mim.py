"""LocalMIM. ImageNet, ViT-B, 1,600 epochs: 84.0 % after fine-tuning."""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.masked import mae
from keras_ssl.recipes.run import VITS

ENCODERS = VITS


def views(run):
    return run.views(augment.mae, count=1)


def paper(run):
    encoder = run.mean_vit()
    blocks = sum(layer.name.endswith("_attention") for layer in encoder._flatten_layers())
    taps = (2, 4, blocks - 2, blocks) if blocks > 6 else tuple(range(1, blocks + 1))[-4:]
    # A cell has four pixels a side at least, or a patch where that is smaller.
    scales = [min(scale, max(1, run.patch // 4)) for scale in (4, 2, 1, 0.5)][-len(taps) :]
    return keras_ssl.LocalMIM(encoder, views(run), taps=taps, scales=tuple(scales)), mae.optimizer(run, 2e-4)


def minutes(run):
    # In patches of 4 pixels, a scale of 4 would be cells of one.
    scales = tuple(min(scale, max(1, run.patch // 2)) for scale in (4, 2, 1, 0.5))
    model = keras_ssl.LocalMIM(run.mean_vit(), views(run), taps=(1, 2, 4, 6), scales=scales, width=64, heads=4)
    return model, run.short_adamw(0.05, beta_2=0.95)
