r"""SupCon: Supervised Contrastive Learning (Khosla et al., 2020).

https://arxiv.org/abs/2004.11362

Objective:
    \mathcal{L} = -\frac{\tau}{\tau_0} \operatorname{mean}_i \frac{1}{|P(i)|} \sum_{p \in P(i)} \log \frac{\exp(z_i
    \cdot z_p / \tau)}{\sum_{a \ne i} \exp(z_i \cdot z_a / \tau)}
    where $z$ are the unit embeddings of all views, $P(i)$ are the other views with the label of $i$, and $\tau_0$ is
    the base temperature.

Flow:
    view 1 -> encoder -> projector -> supervised contrast
    view 2 -> encoder
    labels ~> supervised contrast

Take it when all images have labels, and the features should serve further tasks too.

Leave it when there are no labels, or only a class is wanted: train a classifier with cross-entropy.
"""

import keras
from keras import ops

from keras_ssl import checks, heads
from keras_ssl.inputs import together
from keras_ssl.losses import sup_con
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class SupCon(Method):
    """SimCLR with labels: all views of a class attract each other and repel those of the other classes.

    The data must hold a column "label", integers from 0.

    The paper trains in two stages: this model, then a linear classifier on the frozen `model.encoder`, for example
    with `keras_ssl.eval.linear`. With `classes`, both are trained at once: `model.classifier` is one dense layer on the
    features of the encoder, before the projector, and its cross-entropy, whose gradient reaches the encoder, is added
    to `weight` times the contrastive loss. It is used as
    `keras.Sequential([model.encoder, model.classifier]).predict(images)`, which returns logits `(batch, classes)`;
    `model.predict` returns features, as for every method. The terms `contrastive` and `cross_entropy` are logged.

    An image with the label -1 has no class, and its other views are its only positives; not with `classes`, which needs
    the labels of all.

    The views of the batch are compared with each other only: the authors' later variant with a queue of keys and their
    labels, as in MoCo, is not built.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`.
        augment: layer from images to two views, or more; `keras_ssl.augment.cifar` for CIFAR.
        hidden: int, units of the projector's hidden layer; None for the size of the features, as in the paper.
        dim: int, size of the embedding (128).
        temperature: float > 0 (tau, 0.1).
        base_temperature: float > 0: the loss is multiplied by `temperature / base_temperature`, as in the authors'
            code (0.07). None for no factor.
        inside: whether the mean over the positives stands inside the logarithm: L_in, which is worse, not L_out.
        classes: int, number of classes of the classifier, or None for the contrastive loss alone.
        weight: float, weight of the contrastive loss beside the cross-entropy (1). Without `classes`, unused.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.SupCon(encoder, keras_ssl.augment.cifar(32), classes=10)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.5, momentum=0.9, weight_decay=1e-4))
    """

    needs = ("label",)
    view_counts = (2, None)
    least_batch = 2

    bounds = {
        "hidden": checks.ints(optional=True),
        "dim": checks.ints(),
        "temperature": checks.numbers(above=0),
        "base_temperature": checks.numbers(above=0, optional=True),
        "inside": checks.flag(),
        "classes": checks.ints(optional=True),
        "weight": checks.numbers(least=0),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=None,
        dim=128,
        temperature=0.1,
        base_temperature=0.07,
        inside=False,
        classes=None,
        weight=1.0,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.dim, self.temperature, self.base_temperature = hidden, dim, temperature, base_temperature
        self.inside, self.classes, self.weight = inside, classes, weight
        features = encoder.output_shape[-1]
        self.projector = heads.mlp(
            features, hidden or features, dim, batch_norm=False, output_bias=True, name="projector"
        )
        self.classifier = None
        if classes is not None:
            self.classifier = heads.linear(features, classes, name="classifier")
            self.track("contrastive", "cross_entropy")

    def limits(self):
        return {} if self.classes is None else {"label": self.classes}

    def objective(self, views, labels):
        features = self.encoder(together(views), training=True)  # (views * batch, features)
        embeddings = ops.split(self.projector(features, training=True), len(views))  # (batch, dim) each
        contrastive = sup_con(embeddings, labels, self.temperature, self.base_temperature, self.inside)
        if self.classifier is None:
            return contrastive
        logits = ops.cast(self.classifier(features, training=True), "float32")  # (views * batch, classes)
        labels = ops.tile(labels, [len(views)])
        cross_entropy = ops.mean(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True))
        loss = cross_entropy + self.weight * contrastive
        return {"loss": loss, "contrastive": contrastive, "cross_entropy": cross_entropy}
