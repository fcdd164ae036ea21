r"""BYOL: Bootstrap Your Own Latent, A New Approach to Self-Supervised Learning (Grill et al., 2020).

https://arxiv.org/abs/2006.07733

Objective:
    \mathcal{L} = \left( 2 - 2 \cos(p_1, t_2) \right) + \left( 2 - 2 \cos(p_2, t_1) \right)
    where $p$ are the predictions of the online network and $t$ the projections of the target, which get no
    gradient.

Flow:
    view 1 -> encoder -> projector -> predictor -> distance, both ways
    view 2 ~> target network ~> distance, both ways
    projector ~EMA~> target network

Take it when random pairs of images are often of one kind, so that negatives would be false; it depends less on the
    batch size than SimCLR does.

Leave it when minutes are all there is: it starts slowly. Watch CollapseMonitor when you change predictor or
    momentum.
"""

import keras
import numpy as np

from keras_ssl import checks, heads, teacher
from keras_ssl.losses import cosine_regression
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class BYOL(Method):
    """The online network predicts what its slowly moving target makes of the other view; there are no negatives.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f).
        augment: layer from images to two views, which differ in blur and solarization; `keras_ssl.augment.byol`.
        hidden: int, units of the hidden layer of projector and predictor (4096).
        dim: int, size of projection and prediction (256).
        momentum: float in [0, 1], how slowly the target follows at the start (tau_base; 0.996 for 1000 epochs, 0.99
            for 100 to 300, 0.97 for 40).
        steps: int, optimizer steps of the whole run, over which the momentum rises to 1; None keeps it constant.
        random_target: whether the target is a network of other random weights that never moves: the experiment that
            led to BYOL. `momentum=1` instead keeps the target at the start of the online network.

    Raises:
        ValueError: `random_target`, and a second encoder made as this one has the same weights.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.BYOL(encoder, keras_ssl.augment.byol_cifar(32), steps=1000)
    >>> model.compile(optimizer=keras_ssl.optimizers.LARS(1.0, weight_decay=1e-5))
    """

    view_counts = (2, 2)
    least_batch = 2

    bounds = {
        "hidden": checks.ints(),
        "dim": checks.ints(),
        "momentum": checks.numbers(least=0, most=1),
        "steps": checks.ints(optional=True),
        "random_target": checks.flag(),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=4096,
        dim=256,
        momentum=0.996,
        steps=None,
        random_target=False,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.dim, self.momentum, self.steps = hidden, dim, momentum, steps
        self.random_target = random_target
        projector = heads.mlp(encoder.output_shape[-1], hidden, dim, name="projector")
        self.online = heads.attach(encoder, projector, name="online")
        self.predictor = heads.mlp(dim, hidden, dim, name="predictor")
        self.target = teacher.copy(another(self.online, encoder.name) if random_target else self.online, name="target")

    def objective(self, views):
        first, second = views
        return self.regress(first, onto=second) + self.regress(second, onto=first)

    def regress(self, view, onto):
        prediction = self.predictor(self.online(view, training=True), training=True)  # (batch, dim)
        return cosine_regression(prediction, self.target(onto, training=True))

    def after_step(self, outputs):
        if self.random_target:
            return
        teacher.follow(self.target, self.online, teacher.cosine(self.momentum, 1.0, self.step, self.steps))


def another(online, name):
    """A network of the same layers and of other random weights."""
    drawn = type(online).from_config(online.get_config())
    encoders = online.get_layer(name), drawn.get_layer(name)
    kernels = [pair for pair in zip(*(model.get_weights() for model in encoders), strict=True) if pair[0].ndim > 1]
    if kernels and all(np.array_equal(*pair) for pair in kernels):
        raise ValueError(
            "random_target needs a second encoder of other weights, and the one made of the config of "
            f"'{name}' has the same: build it with initializers that have no seed."
        )
    return drawn
