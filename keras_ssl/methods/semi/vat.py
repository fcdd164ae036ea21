r"""VAT: Virtual Adversarial Training (Miyato, Maeda, Koyama, Ishii, 2017).

https://arxiv.org/abs/1704.03976

Objective:
    \mathcal{L} = \operatorname{mean} H(y, p(x)) + \lambda \operatorname{mean} \mathrm{KL}\left( p(u + r) \,\|\, p(u)
    \right) + \lambda_e \operatorname{mean} H(p(u)), \qquad r = \operatorname{argmax}_{\|r\| = \epsilon}
    \mathrm{KL}\left( p(u + r) \,\|\, p(u) \right)
    where $u$ are all images, or the unlabeled ones alone, $r$ is found by one step of the power method, the target
    $p(u)$ has no gradient, and $H(p(u))$ is the entropy of a prediction (EntMin; Grandvalet and Bengio, 2004).

Flow:
    labeled -> network -> cross entropy
    labels ~> cross entropy
    unlabeled -> network ~> divergence
    unlabeled -> worst small change -> network -> divergence

Take it when no views are known that keep the class: it finds the changes itself, in any kind of numbers.

Leave it when views are known: `FixMatch` learns more from them, in a third of the passes.
"""

import functools
import math

import keras
from keras import ops

from keras_ssl import checks
from keras_ssl.augment.random import normal, split
from keras_ssl.augment.rows import local_seeds
from keras_ssl.losses import adversarial_direction, divergence, entropy
from keras_ssl.methods.semi.classifier import SemiSupervised, flat, unchanged

PIXELS = 127.5  # in a unit of the papers, whose images are from -1 to 1


@keras.saving.register_keras_serializable("keras_ssl")
class VAT(SemiSupervised):
    """A classifier predicts the same of an image and of its worst small change, and is certain of what it predicts.

    The change of each image has the length `epsilon`, all its pixels together, of images from -1 to 1. It is found in
    two passes of the network more, which leave moving statistics and random state alone. The step of the power method
    has the length `xi`: 1e-6 in the authors' code, where it is below what float32 tells of most pixels; here 0.1, still
    small beside `epsilon`. As in the code, the direction is found in float32 unless the network computes in half
    precision; there keep `xi` at 0.1 or more.

    The default is the code of S4L for ImageNet: labeled and unlabeled images are one batch, and all are changed. With
    `apart=True` it is that for CIFAR-10: unlabeled images pass apart, moving statistics are those of labeled images,
    and only unlabeled ones are changed.

    Logs `supervised` and `unsupervised`, the two losses, `accuracy`, of the labeled views, and `entropy`, of the
    predictions: for labeled and unlabeled images, or with `apart=True` for unlabeled ones.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`.
        augment: layer that makes a view of the labeled image and one of the unlabeled images;
            `keras_ssl.augment.pseudo_label`.
        classes: int, the number of classes.
        epsilon: float > 0, the length of the change (40 on ImageNet at 224 pixels; 6 on CIFAR-10).
        weight: float, the weight of the changed images (0.5; 0.3 on CIFAR-10).
        entropy_weight: float, the weight of the entropy (EntMin: 1 on ImageNet, 0.06 on CIFAR-10; 0 for VAT alone).
        warmup: int, the steps over which `weight` grows from 0 in a straight line, 0.4 of the run on CIFAR-10; None for
            none.
        apart: whether unlabeled images pass the network apart from labeled ones.
        xi: float > 0, the length of the step of the power method.
        iterations: int, steps of the power method (1).
        momentum: float from 0 and below 1, of the average of the weights that is evaluated (0.999 on CIFAR-10); None
            for none.

    Example:

    >>> images, labels = np.zeros((512, 32, 32, 3), "uint8"), np.arange(512) % 10  # few of them have labels
    >>> labeled = keras_ssl.data.arrays(images[:80], 64, labels=labels[:80])
    >>> data = keras_ssl.data.with_unlabeled(labeled, keras_ssl.data.arrays(images, 64))
    >>> encoder = keras_ssl.encoders.wide_resnet((32, 32, 3))
    >>> views = keras_ssl.augment.pseudo_label(32)
    >>> model = keras_ssl.VAT(encoder, views, classes=10, epsilon=6.0, weight=0.3, entropy_weight=0.06, apart=True)
    >>> model.compile(optimizer=keras.optimizers.Adam(2e-3))
    >>> model.fit(data, epochs=100)
    """

    terms = (*SemiSupervised.terms, "entropy")
    bounds = {
        "epsilon": checks.numbers(above=0),
        "entropy_weight": checks.numbers(least=0),
        "warmup": checks.ints(optional=True),
        "apart": checks.flag(),
        "xi": checks.numbers(above=0),
        "iterations": checks.ints(),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        epsilon=40.0,
        weight=0.5,
        entropy_weight=0.0,
        warmup=None,
        apart=False,
        xi=0.1,
        iterations=1,
        momentum=None,
        **kwargs,
    ):
        super().__init__(encoder, augment, weight=weight, momentum=momentum, **kwargs)
        self.epsilon, self.entropy_weight, self.warmup, self.apart = epsilon, entropy_weight, warmup, apart
        self.xi, self.iterations = xi, iterations
        self.generator = keras.random.SeedGenerator()

    def objective(self, views, labels):
        labeled, unlabeled = views[0], flat(views[1])
        rows, ratio = ops.shape(labeled)[0], views[1].shape[1]
        seeds = split(local_seeds(self.generator, rows), range(1 + ratio))
        others = ops.reshape(ops.stack(seeds[1:], axis=1), (-1, 2))
        if self.apart:
            logits = self.network(labeled, training=True)
            changed, seeds = unlabeled, others
            clean = unchanged(self.network, unlabeled)
        else:
            changed, seeds = ops.concatenate([labeled, unlabeled]), ops.concatenate([seeds[0], others])
            clean = self.network(changed, training=True)
            logits = clean[:rows]
        loss = adversarial(self, changed, clean, seeds)
        certainty = ops.mean(entropy(clean))
        made = self.outputs(logits, labels, loss, self.ramp(self.warmup), entropy=certainty)
        return made | {"loss": made["loss"] + self.entropy_weight * certainty}


def adversarial(method, images, logits, seeds):
    """The divergence of the worst small change of the images, whose logits are known: the mean over the local batch."""
    images = ops.cast(images, "float32")
    changed = unchanged(method.network, images + perturbation(method, images, logits, seeds))
    return ops.mean(divergence(changed, ops.stop_gradient(logits)))


def perturbation(method, images, logits, seeds):
    """The worst small change of each image, in pixels."""
    noise = ops.reshape(normal(seeds, math.prod(images.shape[1:])), (-1, *images.shape[1:]))
    predict = functools.partial(unchanged, method.network)
    steps = getattr(method, "iterations", 1)
    found = adversarial_direction(predict, images, logits, noise, method.xi * PIXELS, steps)
    return method.epsilon * PIXELS * found
