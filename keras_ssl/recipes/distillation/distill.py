"""Distill: for minutes only, with a teacher that SimCLR trains on the way, for as many epochs as Distill itself.

For more take a teacher that knows more. LightlyTrain trains version 3 by AdamW with 5e-4 for a batch of 1,536, which
goes with the root of the batch, a decay of 0.04, or 1e-6 for a network with batch normalization, gradients clipped to a
norm of 1, for 100 epochs and more, the longer the better; versions 1 and 2 by LARS with 1.8 and 9.0.
"""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.contrastive import simclr

WITHOUT = "it copies an encoder that has to be trained before"


def views(run):
    return run.views(augment.distill, count=1)


def minutes(run):
    if run.batch >= run.count:
        raise ValueError(
            "Distill compares images with a queue that holds a batch and is smaller than the data. Received: batches "
            f"of {run.batch} and {run.count} images. Take smaller batches, or more images."
        )
    made, optimizer = simclr.minutes(run)
    made.compile(optimizer=optimizer)
    run.train_before(made)
    return method(run, made.encoder)


def method(run, teacher, **options):
    queue = {"queue_size": run.short_queue(2048)}
    model = keras_ssl.Distill(run.encoder(), views(run), teacher=teacher, **queue | options)
    return model, run.short_adamw(0.04 if run.transformer else 1e-6, global_clipnorm=1.0)
