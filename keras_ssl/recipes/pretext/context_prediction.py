"""ContextPrediction. ImageNet, linear, a wide ResNet-50: 51.4 %.

That is of "Revisiting Self-Supervised Visual Representation Learning", arXiv 1901.09005, whose rates and length are
those here: the paper trained an AlexNet for weeks (31.7 % on its fourth layer), with a loss that sums over the pairs.
The patches are the paper's, and so are the pairs: all neighbors, where "Revisiting" has the center and its neighbors.
"""

import keras_ssl
from keras_ssl import augment


def views(run, **options):
    size, options = run.shape[0], dict(options)
    if run.gray:
        options["colors"] = "keep"
    if run.transformer:  # patches that its own patches fill, and a smaller gap where they are too large
        side = max(run.patch, int(size / 4.2) // run.patch * run.patch)
        jitter = max(1, round(side * 7 / 96))
        gap = min(side // 2, (size - 2 * jitter - 3 * side) // 2)
        options = {"patch": side, "jitter": jitter, "gap": gap} | options
    return augment.context_prediction(size, **options)


def paper(run):
    model = keras_ssl.ContextPrediction(run.encoder(any_size=True), views(run))
    return model, run.sgd(0.1, weight_decay=1e-4, warmup=min(5 / run.epochs, 0.15))


def minutes(run):
    model = keras_ssl.ContextPrediction(run.encoder(any_size=True), views(run), dim=256, hidden=256)
    return model, run.short_sgd(0.06)
