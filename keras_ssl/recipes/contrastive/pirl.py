"""PIRL. ImageNet, 800 epochs: 63.6 %."""

import keras_ssl
from keras_ssl import augment


def views(run):
    if run.quick:
        image = run.views(augment.pirl, lambda size: augment.moco_cifar(size, count=1), count=1)
        return augment.Views([image.views, jigsaw(run, jitter=(0.4, 0.4, 0.4, 0.1), p=0.8)])
    return augment.Views([run.views(augment.pirl, count=1).views, jigsaw(run)])


def paper(run):
    model = keras_ssl.PIRL(
        run.encoder(any_size=True), views(run), samples=run.count, negatives=min(32000, run.count)
    )
    return model, run.sgd(0.03, weight_decay=1e-4, warmup=0, final=3e-5, exclude_vectors=True)


def minutes(run):
    model = keras_ssl.PIRL(
        run.encoder(any_size=True), views(run), samples=run.count, negatives=1024, temperature=0.1, softmax=True
    )
    return model, run.short_sgd(0.06)


def jigsaw(run, jitter=(0.4, 0.4, 0.4, 0.4), p=1.0):
    """Nine patches in random order; for images of 224 pixels they have 64 each, from cells of 85.

    By default their colors change as those of the whole image do.
    """
    cell = round(run.shape[0] * 85 / 224)
    side = min(cell, run.fit(cell * 64 / 85))
    crop = augment.RandomResizedCrop(3 * cell, scale=(0.6, 1.0), flip=0.0 if run.gray else 0.5)
    patches = augment.PatchGrid(3, side, stride=cell, jitter=(0, cell - side))
    colors = augment.ColorJitter(*jitter[: 2 if run.gray else 4], p=p)
    return augment.View([crop, patches, augment.PerPatch(colors), augment.ShufflePatches()])
