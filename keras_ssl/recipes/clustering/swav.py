"""SwAV. ImageNet, 800 epochs with a batch of 4,096: 75.3 %; 400 epochs with 256: 74.3 %."""

import keras_ssl
from keras_ssl import augment


def views(run):
    return run.multi_crop(augment.swav, augment.swav_cifar, count=6)


def paper(run):
    few = run.batch <= 512  # a small batch needs the queue, and had a higher rate and no warm-up
    start = min((50 if run.small else 15) * run.steps_per_epoch, run.steps // 3)
    frozen = 2 if run.small and run.epochs >= 20 else 1  # epochs
    model = keras_ssl.SwAV(
        run.encoder(any_size=True), views(run), queue_size=3840 if few else 0, queue_start=start,
        freeze_steps=frozen * run.steps_per_epoch,
    )  # fmt: skip
    if few:
        return model, run.lars(0.6, weight_decay=1e-6, warmup=0, final=6e-4)
    return model, run.lars(0.3, weight_decay=1e-6, start=0.3 / 16, final=3e-4)


def minutes(run):
    # Fewer prototypes than images in a batch, so no queue. At the start all embeddings lie close together: with the
    # paper's 0.05 Sinkhorn then finds every prototype as good as another, and such targets teach nothing.
    model = keras_ssl.SwAV(
        run.encoder(any_size=True), views(run), hidden=512, prototype_count=96, epsilon=0.01, freeze_steps=10
    )
    return model, run.short_sgd(0.2)
