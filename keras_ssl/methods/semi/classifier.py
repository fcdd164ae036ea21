"""Classifier: what the semi-supervised methods share: the network, its average, and the loss of what has a label."""

from keras import ops

from keras_ssl import checks, distribute, heads, inputs, teacher
from keras_ssl.encoders import keeping_state
from keras_ssl.losses.vectors import precise
from keras_ssl.method import Method, check_counts


class SemiSupervised(Method):
    """Base of the methods that train a classifier on labeled and unlabeled images at once.

    The data has labeled images in `"image"`, their classes in `"label"` and, for each of them, several unlabeled ones
    in `"unlabeled"`, `(batch, ratio, height, width, channels)`: see `keras_ssl.data.with_unlabeled`. Of a labeled
    image with the label -1 the class is not known: it has no part in the loss of the labels.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`.
        augment: layer that makes views of both, `keras_ssl.augment.SemiViews`.
        classes: int, the number of classes.
        weight: float, the weight of the loss of unlabeled images. (With 0 `PseudoLabel` is a classifier of the labels
            alone; where both pass the network as one batch, its statistics are still those of both.)
        momentum: float from 0 and below 1, of the average over time of the weights, which is what is evaluated; None to
            evaluate the network itself.
    """

    needs = ("label",)
    terms = ("supervised", "unsupervised", "accuracy")
    unlabeled = True
    bounds = {
        "classes": checks.ints(2),
        "weight": checks.numbers(least=0),
        "momentum": checks.numbers(least=0, below=1, optional=True),
    }
    parts = (1, 1)  # views of labeled images, and of unlabeled ones
    view_counts = (2, 2)
    initializer = "glorot_normal"  # of the classifier, in the code of FixMatch and its baselines

    def __init__(self, encoder, augment=None, *, classes, weight=1.0, momentum=0.999, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.classes, self.weight, self.momentum = classes, weight, momentum
        self.classifier = heads.linear(
            encoder.output_shape[-1], classes, initializer=self.initializer, name="classifier"
        )
        self.network = heads.attach(encoder, self.classifier, name="network")
        self.average = None if momentum is None else teacher.copy(self.network, name="average")

    @property
    def evaluated_classifier(self):
        """`keras.Model` from images to logits `(batch, classes)`: the average over time, where there is one."""
        return self.network if self.average is None else self.average

    @property
    def evaluated_encoder(self):
        return self.encoder if self.average is None else self.average.get_layer(self.encoder.name)

    def limits(self):
        return {"label": self.classes}

    def check_views(self, views):
        check_counts(self, views)
        for number, view in enumerate(views[: self.parts[0]]):
            inputs.check_fit(view, self.encoder, f"View {number} of labeled images" if number else "The first view")
        for view in views[self.parts[0] :]:
            if len(view.shape) != 5:
                raise ValueError(
                    "The views of unlabeled images must have the shape (batch, ratio, height, width, channels). "
                    f"Received: shape={tuple(view.shape)}. keras_ssl.augment.SemiViews makes them."
                )
            inputs.check_fit(view[:, 0], self.encoder, "The view of unlabeled images")

    def after_step(self, outputs):
        if self.average is not None:
            teacher.follow(self.average, self.network, self.pace())
            teacher.copy_statistics(self.average, self.network)

    def pace(self):
        """The momentum of the average at this step."""
        return self.momentum

    def ramp(self, steps):
        """The weight of the loss of unlabeled images at this step: it grows in a straight line over `steps`."""
        return self.weight * teacher.linear(0.0, 1.0, self.step, steps) if steps else self.weight

    def outputs(self, logits, labels, unsupervised, weight, **others):
        """What the objective returns, of the logits of labeled images and the loss of the unlabeled ones."""
        supervised, accuracy = labeled_cross_entropy(logits, labels)
        loss = supervised + weight * unsupervised
        return {
            "loss": loss, "supervised": supervised, "unsupervised": unsupervised, "accuracy": accuracy, **others
        }  # fmt: skip


def flat(view):
    """Unlabeled images `(batch, ratio, ...)` in a row, `(batch * ratio, ...)`."""
    return ops.reshape(view, (-1, *view.shape[2:]))


def unchanged(network, images):
    """What a network makes of images in training mode, by the statistics of this batch; nothing of it changes."""
    with keeping_state(network):
        return network(images, training=True)


def labeled_cross_entropy(logits, labels, chosen=None):
    """The mean cross-entropy, and accuracy, of the images of all replicas that have a label.

    Args:
        logits: `(batch, classes)`.
        labels: ints `(batch,)`, -1 for none.
        chosen: bool `(batch,)`, which of them the loss takes, or None for all.

    Returns:
        two float32 scalars, which the replicas' mean makes those of all; 0 where there is no label.
    """
    logits, labels = precise(logits), ops.cast(labels, "int32")
    known = labels >= 0
    counted = known if chosen is None else known & chosen
    losses = ops.sparse_categorical_crossentropy(ops.maximum(labels, 0), logits, from_logits=True)
    right = ops.cast(ops.argmax(logits, axis=-1), "int32") == labels
    return mean_of(losses, counted), mean_of(ops.cast(right, logits.dtype), known)


def mean_of(values, chosen):
    """The mean of the chosen values of all replicas, as the share of this one times their number."""
    weights = ops.cast(chosen, values.dtype)
    count = distribute.total(ops.sum(weights))
    return ops.sum(values * weights) * distribute.replicas() / ops.maximum(count, 1.0)
