r"""PseudoLabel: Pseudo-Label, The Simple and Efficient Semi-Supervised Learning Method (Lee, 2013).

http://deeplearning.net/wp-content/uploads/2013/03/pseudo_label_final.pdf

Objective:
    \mathcal{L} = \operatorname{mean}_b H(y_b, p(x_b)) + \lambda_t \operatorname{mean}_b \mathbb{1}[\max p(u_b) \ge
    0.95]\; H(\operatorname{argmax} p(u_b), p(u_b))
    where $u$ are unlabeled images and $\lambda_t$ grows from 0 in the first part of the run.

Flow:
    labeled -> network -> cross entropy
    labels ~> cross entropy
    unlabeled -> network -> cross entropy where certain
    network ~> class, where certain ~> cross entropy where certain

Take it when you want the simplest baseline, or no change of an image is known to keep its class: it needs no strong
    view.

Leave it when strong views are known: `FixMatch` has them, and learns from the same labels much more.
"""

import keras
import numpy as np
from keras import ops

from keras_ssl import checks
from keras_ssl.losses import confident_cross_entropy
from keras_ssl.methods.semi.classifier import SemiSupervised, flat, unchanged


@keras.saving.register_keras_serializable("keras_ssl")
class PseudoLabel(SemiSupervised):
    """A classifier takes its own predictions of unlabeled images for their labels, where it is certain.

    As in the code of "Realistic Evaluation of Deep Semi-Supervised Learning Algorithms" and of FixMatch, unlabeled
    images pass the network apart from the labeled ones, with batch statistics of their own, and leave its moving
    statistics alone.

    The other form trains in two steps, on all predictions, certain or not: a classifier of the labels alone
    (`weight=0`), whose predictions `label_all` turns into labels, and a fresh one of all of these, with `weight=0`.

    Logs `supervised` and `unsupervised`, the two losses, `accuracy`, of the labeled views, and `share`, the part of the
    unlabeled images that it is certain of.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`.
        augment: layer that makes a view of the labeled image and one of the unlabeled images;
            `keras_ssl.augment.pseudo_label`.
        classes: int, the number of classes.
        threshold: float, the probability from which a prediction is certain (0.95).
        weight: float, the weight of the unlabeled images (lambda, 1); 0 for a classifier of the labels alone.
        warmup: int, the steps over which that weight grows from 0 in a straight line, 0.4 of the run in the code; None
            for none.
        momentum: float from 0 and below 1, of the average of the weights that is evaluated (0.999); None for none.

    Example:

    >>> images, labels = np.zeros((512, 32, 32, 3), "uint8"), np.arange(512) % 10  # few of them have labels
    >>> labeled = keras_ssl.data.arrays(images[:80], 64, labels=labels[:80])
    >>> data = keras_ssl.data.with_unlabeled(labeled, keras_ssl.data.arrays(images, 64))
    >>> encoder = keras_ssl.encoders.wide_resnet((32, 32, 3))
    >>> model = keras_ssl.PseudoLabel(encoder, keras_ssl.augment.pseudo_label(32), classes=10, warmup=40_000)
    >>> rate = keras_ssl.optimizers.part_of_cosine(0.03, steps=100_000)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(rate, 0.9, 5e-4, nesterov=True, exclude_vectors=True))
    >>> model.fit(data, epochs=100)
    """

    terms = (*SemiSupervised.terms, "share")
    bounds = {"threshold": checks.numbers(least=0), "warmup": checks.ints(optional=True)}

    def __init__(self, encoder, augment=None, *, threshold=0.95, warmup=None, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.threshold, self.warmup = threshold, warmup

    def objective(self, views, labels):
        labeled, unlabeled = views
        logits = self.network(labeled, training=True)
        others = unchanged(self.network, flat(unlabeled))
        loss, share = confident_cross_entropy(others, others, self.threshold)
        return self.outputs(logits, labels, loss, self.ramp(self.warmup), share=share)

    @staticmethod
    def label_all(classifier, images, labels):
        """Labels for all images: the known ones, and what a classifier predicts where there is none.

        Args:
            classifier: `keras.Model` from images to logits, such as the `evaluated_classifier` of a trained method.
            images: array `(n, height, width, channels)`, or a pipeline that gives all of them in order.
            labels: ints `(n,)`, -1 where there is none.

        Returns:
            int64 array `(n,)`.

        Raises:
            ValueError: there are not as many labels as images.
        """
        labels = np.asarray(labels)
        found = np.asarray(classifier.predict(sample_of(images), verbose=0)).argmax(axis=-1)
        if labels.shape != found.shape:
            raise ValueError(f"labels must be one for each image. Received: {labels.shape} for {len(found)} images")
        return np.where(labels < 0, found, labels).astype("int64")


def sample_of(images):
    """What a classifier takes: the images of a pipeline, or an array as it is."""
    if not hasattr(images, "element_spec"):
        return images
    if getattr(images, "ordered", True) is False:
        raise ValueError("The pipeline shuffles or leaves samples out: pass images.in_order().")
    return images.map(lambda batch: ops.cast(batch["image"] if isinstance(batch, dict) else batch, "float32"))
