r"""UDA: Unsupervised Data Augmentation for Consistency Training (Xie, Dai, Hovy, Luong, Le, 2019).

https://arxiv.org/abs/1904.12848

Objective:
    \mathcal{L} = \operatorname{mean}_{b:\, p(y_b) \le \eta_t} H(y_b, p(x_b)) + \lambda \operatorname{mean}_b
    \mathbb{1}[\max q_b \ge \beta]\; \mathrm{KL}\left( \tilde q_b \,\|\, p(\mathcal{A}(u_b)) \right)
    where $q_b$ is the prediction for a weak view of an unlabeled image, without a gradient, $\tilde q_b$ the same
    sharpened by a temperature, $\mathcal{A}$ a strong view, and $\eta_t$ a bound that grows from $1/C$ to 1 where
    training signal annealing is on.

Flow:
    labeled -> network -> cross entropy
    labels ~> cross entropy
    unlabeled, strong -> network -> divergence where certain
    unlabeled, weak -> network ~> sharpened, where certain ~> divergence where certain
    network ~EMA~> average

Take it when a few images have labels and classes are close to each other: a soft target says which ones.

Leave it when `FixMatch` works: it has no temperature to choose.
"""

import keras
from keras import ops

from keras_ssl import checks
from keras_ssl.losses import annealed_threshold, confident_divergence, entropy
from keras_ssl.losses.vectors import precise
from keras_ssl.methods.semi.classifier import labeled_cross_entropy, mean_of
from keras_ssl.methods.semi.fixmatch import FixMatch


@keras.saving.register_keras_serializable("keras_ssl")
class UDA(FixMatch):
    """A classifier predicts of a strong view of an unlabeled image what it predicts, sharpened, of a weak one.

    As `FixMatch`, which came after it, with soft targets. With `annealing` a labeled image counts only while the
    network gives its class a probability below a bound that grows over the run, so that few labels are not learned by
    heart at once: the loss of the labels is the mean over those that count.

    What is evaluated is the average of the weights over time, `evaluated_classifier`. Schedule and average are those of
    the authors' code for CIFAR-10 as it is now. There all variables decay and the moving statistics are averaged, too;
    here, in the example, the kernels decay, and the statistics are those of the network.

    Logs what `FixMatch` logs, and `counted`, the share of the images with a label that count.

    Args:
        encoder, augment, classes, weight: see `FixMatch`.
        threshold: float, the probability from which a prediction counts, before it is sharpened (beta, 0.8; 0.5 on
            ImageNet).
        temperature: float > 0, of the targets (0.4).
        annealing: None, `"linear"`, `"exp"` or `"log"`: how the bound of the labels grows. `"exp"` suits the fewest
            labels, `"log"` many.
        steps: int, the length of the run in steps, for `annealing`; else None.
        entropy_weight: float, the weight of the entropy of the weak views' predictions (0).
        momentum: float from 0 and below 1, of the average of the weights that is evaluated (0.9999, for runs of some
            100,000 steps; a shorter one takes less); None, as in the first release of the code, for no average.

    Example:

    >>> images, labels = np.zeros((512, 32, 32, 3), "uint8"), np.arange(512) % 10  # few of them have labels
    >>> labeled = keras_ssl.data.arrays(images[:80], 64, labels=labels[:80])
    >>> data = keras_ssl.data.with_unlabeled(labeled, keras_ssl.data.arrays(images, 7 * 64))
    >>> encoder = keras_ssl.encoders.wide_resnet((32, 32, 3))
    >>> model = keras_ssl.UDA(encoder, keras_ssl.augment.fixmatch(32), classes=10)
    >>> rate = keras_ssl.optimizers.part_of_cosine(0.03, steps=500_000)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(rate, 0.9, 5e-4, nesterov=True, exclude_vectors=True))
    >>> model.fit(data, epochs=100)
    """

    terms = (*FixMatch.terms, "counted")
    bounds = {
        "temperature": checks.numbers(above=0),
        "annealing": checks.choice(None, "linear", "exp", "log"),
        "steps": checks.ints(optional=True),
        "entropy_weight": checks.numbers(least=0),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        threshold=0.8,
        temperature=0.4,
        annealing=None,
        steps=None,
        entropy_weight=0.0,
        momentum=0.9999,
        **kwargs,
    ):
        super().__init__(encoder, augment, threshold=threshold, momentum=momentum, **kwargs)
        if (annealing is None) != (steps is None):
            raise ValueError(
                "steps is the length of the run for annealing, and None without it. Received: "
                f"annealing={annealing!r}, steps={steps}"
            )
        self.temperature, self.annealing, self.steps = temperature, annealing, steps
        self.entropy_weight = entropy_weight

    def objective(self, views, labels):
        labeled, weak, strong = self.predictions(views)
        loss, share = confident_divergence(strong, weak, self.threshold, self.temperature)
        made = self.outputs(labeled, labels, loss, self.weight, share=share)
        made["counted"] = ops.ones_like(made["loss"])
        if self.annealing:
            counts = self.counts(labeled, labels)
            supervised, _ = labeled_cross_entropy(labeled, labels, counts)
            made["loss"] += supervised - made["supervised"]
            made |= {"supervised": supervised, "counted": mean_of(ops.cast(counts, "float32"), labels >= 0)}
        if self.entropy_weight:
            made["loss"] += self.entropy_weight * ops.mean(entropy(weak))
        return made

    def counts(self, logits, labels):
        """Which labeled images are not too certain of their class, bool `(batch,)`."""
        shares = ops.softmax(ops.stop_gradient(precise(logits)), axis=-1)
        labels = ops.maximum(ops.cast(labels, "int32"), 0)
        own = ops.take_along_axis(shares, labels[:, None], axis=-1)[:, 0]
        return own <= annealed_threshold(self.step, self.steps, self.classes, self.annealing)
