"""CPC. ImageNet, ResNet-101 up to its third stage, patches of 64 pixels, batch 512: 48.7 %.

The ResNets here are whole, and are layer-normalized: the authors' has no normalization, which needs another start of
its weights. Images of any size get a grid of 7 x 7 patches that overlap by half. As in the paper they are gray, in
training and in evaluation: colors tell neighboring patches too easily. In runs of minutes they keep their colors. The
paper gives no number of epochs.
"""

import keras_ssl
from keras_ssl import augment, optimizers
from keras_ssl.recipes.run import RESNETS

ENCODERS = RESNETS


def grid(run, rows=7):
    """Patches that overlap by half and fill the image."""
    stride = run.shape[0] // (rows + 1)
    return {"grid": rows, "patch": 2 * stride, "stride": stride}


def cropped(run, sizes, scale=(0.73, 0.73)):
    """A crop that the grid fills, in the paper 256 of 300 pixels, cut into patches."""
    side = (sizes["grid"] - 1) * sizes["stride"] + sizes["patch"]
    flip = 0.0 if run.gray else 0.5
    return [
        augment.RandomResizedCrop(side, scale=scale, ratio=(1.0, 1.0), flip=flip),
        augment.PatchGrid(sizes["grid"], sizes["patch"], stride=sizes["stride"]),
    ]


def views(run):
    """Each patch is cut to 60 of 64 pixels and moved within a frame of zeros."""
    sizes = grid(run)
    margin = round(sizes["patch"] * 4 / 64)
    moved = [augment.RandomCrop(sizes["patch"] - margin), augment.RandomCrop(sizes["patch"], padding=margin)]
    layers = [*cropped(run, sizes), *([augment.PerPatch(augment.View(moved))] if margin else [])]
    return augment.Views(augment.View(layers), 1)


def paper(run):
    return keras_ssl.CPC(network(run, luma=not run.gray), views(run), **grid(run)), optimizers.Adam(2e-4)


def minutes(run):
    sizes = grid(run) | {"hidden": 64, "depth": 3}
    return keras_ssl.CPC(network(run), views(run), **sizes), optimizers.Adam(run.schedule(1e-3, warmup=1 / 15))


def network(run, **options):
    return run.encoder(any_size=True, layer_norm=True, **options)
