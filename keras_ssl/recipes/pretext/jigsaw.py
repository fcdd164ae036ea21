"""Jigsaw. ImageNet, linear, a wide ResNet-50: 44.6 %.

That is of "Revisiting Self-Supervised Visual Representation Learning", arXiv 1901.09005, whose rates, length, 100
orders and 8 puzzles an image are those here, and its linear embedding and batch normalization; it puts all images of a
batch into the same 8 orders. The paper trained an AlexNet with 1000 orders (34.0 % on its third layer). The tiles are
the paper's.
"""

import keras_ssl
from keras_ssl import augment


def views(run, **options):
    size, options = run.shape[0], dict(options)
    if run.gray:
        options["grayscale_p"] = 0.0
    if run.transformer:  # tiles that its own patches fill
        options["patch"] = max(run.patch, size // 4 // run.patch * run.patch)
    return augment.jigsaw(size, **options)


def paper(run):
    model = keras_ssl.Jigsaw(
        run.encoder(any_size=True), views(run), orders=100, puzzles=8, dim=1000, batch_norm=True, linear=True
    )
    return model, run.sgd(0.1, weight_decay=1e-4, warmup=min(5 / run.epochs, 0.15))


def minutes(run):
    model = keras_ssl.Jigsaw(
        run.encoder(any_size=True), views(run), orders=64, puzzles=8, dim=128, hidden=256, dropout=0.0, batch_norm=True
    )
    return model, run.short_sgd(0.06)
