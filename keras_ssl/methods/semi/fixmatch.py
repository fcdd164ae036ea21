r"""FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence (Sohn et al., 2020).

https://arxiv.org/abs/2001.07685

Objective:
    \mathcal{L} = \operatorname{mean}_b H(y_b, p(x_b)) + \lambda \operatorname{mean}_b \mathbb{1}[\max q_b \ge t]\;
    H(\operatorname{argmax} q_b, p(\mathcal{A}(u_b)))
    where $q_b = p(\alpha(u_b))$ is the prediction for a weak view $\alpha$ of an unlabeled image, without a gradient,
    and $\mathcal{A}$ is a strong view.

Flow:
    labeled -> network -> cross entropy
    labels ~> cross entropy
    unlabeled, strong -> network -> cross entropy where certain
    unlabeled, weak -> network ~> class, where certain ~> cross entropy where certain
    network ~EMA~> average

Take it when a few images of each class have labels, and crops, mirrors and colors do not change what an image shows. It
    is the first to try: one threshold, one weight.

Leave it when some classes have no label at all, or the unlabeled images are of other classes: they get the nearest of
    yours. With fewer than four labels of a class results depend on which images these are.
"""

import keras
from keras import ops

from keras_ssl import checks
from keras_ssl.losses import confident_cross_entropy
from keras_ssl.methods.semi.classifier import SemiSupervised, flat


@keras.saving.register_keras_serializable("keras_ssl")
class FixMatch(SemiSupervised):
    """What a classifier is certain of for a weak view of an unlabeled image, it learns to say of a strong view.

    The data has labeled images, `"label"`, and several unlabeled ones beside each: `keras_ssl.data.with_unlabeled`.
    Labeled images, weak and strong views pass the network as one batch, so that batch normalization sees all of them.
    What is evaluated is the average of the weights over time, `evaluated_classifier`, with the batch normalization
    statistics of the network, as in the authors' code for CIFAR-10 (that for ImageNet averages them):
    `model.evaluated_classifier.predict(images)` returns logits, and `model.predict` the features before them.

    Logs `supervised` and `unsupervised`, the two losses; `accuracy`, of the labeled views; and `share`, the part of the
    unlabeled images that the network is certain of.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`; `keras_ssl.encoders.wide_resnet` in the paper.
        augment: layer that makes three views: of the labeled image, weak and strong ones of the unlabeled images;
            `keras_ssl.augment.fixmatch`.
        classes: int, the number of classes.
        threshold: float, the probability from which a prediction is certain (t, 0.95; 0.7 on ImageNet). Above 1 no
            unlabeled image has a loss; they still pass batch normalization with the labeled ones.
        weight: float, the weight of the unlabeled images (lambda, 1; 10 on ImageNet).
        momentum: float from 0 and below 1, of the average of the weights (0.999); None for no average.

    Example:

    >>> images, labels = np.zeros((512, 32, 32, 3), "uint8"), np.arange(512) % 10  # few of them have labels
    >>> labeled = keras_ssl.data.arrays(images[:80], 64, labels=labels[:80])
    >>> data = keras_ssl.data.with_unlabeled(labeled, keras_ssl.data.arrays(images, 7 * 64))
    >>> encoder = keras_ssl.encoders.wide_resnet((32, 32, 3))
    >>> model = keras_ssl.FixMatch(encoder, keras_ssl.augment.fixmatch(32), classes=10)
    >>> rate = keras_ssl.optimizers.part_of_cosine(0.03, steps=2**20)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(rate, 0.9, 5e-4, nesterov=True, exclude_vectors=True))
    >>> model.fit(data, epochs=100)
    """

    terms = (*SemiSupervised.terms, "share")
    bounds = {"threshold": checks.numbers(least=0)}
    parts = (1, 2)
    view_counts = (3, 3)

    def __init__(self, encoder, augment=None, *, threshold=0.95, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.threshold = threshold

    def objective(self, views, labels):
        labeled, weak, strong = self.predictions(views)
        loss, share = confident_cross_entropy(strong, weak, self.threshold)
        return self.outputs(labeled, labels, loss, self.weight, share=share)

    def predictions(self, views):
        """The logits of labeled images, of weak and of strong views of the unlabeled ones, by one pass."""
        labeled, weak, strong = views
        logits = self.network(ops.concatenate([labeled, flat(weak), flat(strong)]), training=True)
        rows = ops.shape(labeled)[0]
        return logits[:rows], *ops.split(logits[rows:], 2)
