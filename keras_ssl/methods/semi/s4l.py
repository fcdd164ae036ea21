r"""S4L: Self-Supervised Semi-Supervised Learning (Zhai, Oliver, Kolesnikov, Beyer, 2019).

https://arxiv.org/abs/1905.03670

Objective:
    \mathcal{L} = w_c\, \mathcal{L}_{\text{labels}} + w\, \tfrac{1}{2} \left( \mathcal{L}_{\text{task}}(x) +
    \mathcal{L}_{\text{task}}(u) \right) + w_v\, \mathrm{KL}\left( p(u + r) \,\|\, p(u) \right) + w_e\, H(p(u))
    where the task is to tell by how much an image was turned, or which views are of one image; the last two terms, of
    virtual adversarial training and of the entropy, are for the mix of all models (MOAM).

Flow:
    labeled -> all rotations -> encoder -> classifier -> cross entropy
    labels ~> cross entropy
    unlabeled -> all rotations -> encoder -> rotation head -> rotation loss
    labeled -> rotation head
    angles ~> rotation loss

Take it when a question of `RotNet` or `ExemplarCNN` suits the images: it then teaches the classifier's own layers, and
    needs no certainty of its first predictions.

Leave it when images have no upright: rotations then ask nothing. Where strong views are known, `FixMatch` learns more.
"""

import keras
from keras import ops

from keras_ssl import checks, heads
from keras_ssl.augment.image.geometry import RIGHT_ANGLES, rotated
from keras_ssl.augment.random import split
from keras_ssl.augment.rows import local_seeds
from keras_ssl.losses import batch_hard_triplets, classification, entropy
from keras_ssl.losses.vectors import unit
from keras_ssl.methods.semi.classifier import SemiSupervised, flat
from keras_ssl.methods.semi.vat import adversarial


@keras.saving.register_keras_serializable("keras_ssl")
class S4L(SemiSupervised):
    """A classifier of a few labels answers a self-supervised question of all images with the same features.

    With `task="rotation"` every image comes in four rotations, and all four of a labeled image have its class: rotation
    is an augmentation, too. With `task="exemplar"` every image comes in several views, which shall be nearer to each
    other than to those of other images: the hardest triplets of the batch, with a soft margin, of unit vectors; labeled
    and unlabeled images apart. Images that are turned by the method are evaluated upright.

    The authors' mix of all models is three runs. The first has `class_weight=0.3, weight=0.4, vat_weight=0.3,
    entropy_weight=0.3, epsilon=32.0, momentum=0.5 ** (1 / steps)`, with the steps of a pass over the labeled images
    (1,000 for 128,000 of them); the second is a classifier of the labels that it predicts (`PseudoLabel.label_all`);
    the third trains that one on with the known labels alone, at a small rate.

    Logs `supervised`, the loss of the labels; `unsupervised`, that of the question; `accuracy`, of the labeled views;
    `task_accuracy`, how often the question was answered right (0.25 by chance for rotations); and with `vat_weight` or
    `entropy_weight` the terms `adversarial` and `entropy`.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`.
        augment: layer that makes one view of labeled and of unlabeled images (`keras_ssl.augment.pseudo_label`), or
            `copies` of each (`keras_ssl.augment.s4l_exemplar`).
        classes: int, the number of classes.
        task: `"rotation"` or `"exemplar"`.
        copies: int from 2, the views of each image for the exemplars (8).
        dim: int, the size of their embedding (1000).
        class_weight: float, the weight of the loss of the labels (1).
        weight: float, the weight of the question (w, 1).
        vat_weight: float, the weight of virtual adversarial training, of the unlabeled images as they are turned; see
            `VAT`.
        entropy_weight: float, the weight of the entropy of the predictions for them.
        epsilon, xi: floats > 0, see `VAT`.
        momentum: float from 0 and below 1, of the average of the weights that is evaluated; it weighs all steps of a
            beginning run alike, as in the code (without the bias towards the start). None for none.

    Example:

    >>> images, labels = np.zeros((512, 32, 32, 3), "uint8"), np.arange(512) % 10  # few of them have labels
    >>> labeled = keras_ssl.data.arrays(images[:80], 64, labels=labels[:80])
    >>> data = keras_ssl.data.with_unlabeled(labeled, keras_ssl.data.arrays(images, 64))
    >>> encoder = keras_ssl.encoders.wide_resnet((32, 32, 3))
    >>> model = keras_ssl.S4L(encoder, keras_ssl.augment.pseudo_label(32), classes=10)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.03, momentum=0.9, weight_decay=1e-3))
    >>> model.fit(data, epochs=100)
    """

    terms = (*SemiSupervised.terms, "task_accuracy")
    view_counts = (2, None)
    initializer = "glorot_uniform"
    bounds = {
        "task": checks.choice("rotation", "exemplar"),
        "copies": checks.ints(2),
        "dim": checks.ints(),
        "class_weight": checks.numbers(least=0),
        "vat_weight": checks.numbers(least=0),
        "entropy_weight": checks.numbers(least=0),
        "epsilon": checks.numbers(above=0),
        "xi": checks.numbers(above=0),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        task="rotation",
        copies=8,
        dim=1000,
        class_weight=1.0,
        vat_weight=0.0,
        entropy_weight=0.0,
        epsilon=32.0,
        xi=0.1,
        momentum=None,
        **kwargs,
    ):
        super().__init__(encoder, augment, momentum=momentum, **kwargs)
        self.task, self.copies, self.dim, self.class_weight = task, copies, dim, class_weight
        self.vat_weight, self.entropy_weight, self.epsilon, self.xi = vat_weight, entropy_weight, epsilon, xi
        turns = task == "rotation"
        self.head = heads.linear(encoder.output_shape[-1], len(RIGHT_ANGLES) if turns else dim, name="head")
        self.parts = (1, 1) if turns else (copies, copies)
        self.view_counts = (sum(self.parts),) * 2
        self.least_batch = 1 if turns else 2
        self.track(*(["adversarial"] if vat_weight else []), *(["entropy"] if entropy_weight else []))
        self.generator = keras.random.SeedGenerator() if vat_weight else None

    def pace(self):
        if not self.momentum:
            return self.momentum
        step = ops.cast(self.step, "float32") + 1.0  # so that the first steps count as much as the later ones
        return 1.0 - (1.0 - self.momentum) / (1.0 - ops.power(self.momentum, step))

    def objective(self, views, labels):
        few = len(views) - self.parts[1]
        count = self.parts[0] if self.task == "exemplar" else len(RIGHT_ANGLES)
        labeled = self.versions(views[:few])
        unlabeled = self.versions([flat(view) for view in views[few:]])
        rows = ops.shape(labeled)[0]
        features = self.encoder(ops.concatenate([labeled, unlabeled]), training=True)
        logits, answers = self.classifier(features, training=True), self.head(features, training=True)

        losses, right = zip(*(self.question(part, count) for part in (answers[:rows], answers[rows:])))
        made = self.outputs(
            logits[:rows], ops.tile(labels, [count]), sum(losses) / 2, self.weight, task_accuracy=sum(right) / 2
        )
        loss = made["loss"] + (self.class_weight - 1.0) * made["supervised"]
        clean = logits[rows:]
        if self.vat_weight:
            made["adversarial"] = adversarial(self, unlabeled, clean, self.seeds(views, count))
            loss += self.vat_weight * made["adversarial"]
        if self.entropy_weight:
            made["entropy"] = ops.mean(entropy(clean))
            loss += self.entropy_weight * made["entropy"]
        return made | {"loss": loss}

    def versions(self, views):
        """All rotations, or all views, of the images, the first of all images first."""
        return ops.concatenate(rotated(views[0], RIGHT_ANGLES) if self.task == "rotation" else views)

    def check_views(self, views):
        super().check_views(views)
        for view in views if self.task == "rotation" else ():
            height, width = view.shape[-3:-1]
            if len(view.shape) > 3 and None not in (height, width) and height != width:
                raise ValueError(
                    f"S4L turns images by right angles, so its views must be square. Received: {height} x {width} "
                    "pixels. Give augment a square size, or pass task='exemplar'."
                )

    def question(self, answers, count):
        """The loss of the question, and how often it was answered right, of the outputs of the head."""
        rows = ops.shape(answers)[0] // count
        if self.task == "rotation":
            return classification(answers, ops.repeat(ops.arange(count, dtype="int32"), rows))
        each = ops.reshape(unit(answers), (count, -1, self.dim))
        return batch_hard_triplets(ops.transpose(each, (1, 0, 2)))

    def seeds(self, views, count):
        """Seeds of the versions of unlabeled images, int32 `(count * batch * ratio, 2)`."""
        rows, ratio = ops.shape(views[-1])[0], views[-1].shape[1]
        own = split(local_seeds(self.generator, rows), range(count * ratio))  # (batch, 2) each
        own = [ops.stack(own[i * ratio : (i + 1) * ratio], axis=1) for i in range(count)]  # (batch, ratio, 2) each
        return ops.reshape(ops.stack(own), (-1, 2))
