"""LARS: Large Batch Training of Convolutional Networks (You et al., 2017), https://arxiv.org/abs/1708.03888."""

import keras
from keras import ops

from keras_ssl.checks import check_flags
from keras_ssl.optimizers.exclusion import Exclusion, check_not_negative, check_share, fixed


@keras.saving.register_keras_serializable("keras_ssl")
class LARS(Exclusion, keras.optimizers.Optimizer):
    """SGD with momentum whose step is, layer by layer, a fixed share of the norm of the weights.

    ```
    u = g + weight_decay * w
    ratio = trust * ||w|| / ||u||           (1 where a norm is 0)
    v = momentum * v + learning_rate * ratio * u
    w = w - v                               (nesterov: w - momentum * v - learning_rate * ratio * u)
    ```
    Biases and the scales and offsets of normalization get `ratio = 1` and no weight decay, as in SimCLR
    (https://arxiv.org/abs/2002.05709) and BYOL (https://arxiv.org/abs/2006.07733). The learning rate is inside the
    momentum, as in the paper and in SimCLR's code; BYOL's code multiplies by it last, which differs only while the
    learning rate changes. Norms are taken in float32 at least.

    solo-learn and the code of EMP-SSL cut the ratio off: with `clipped=True` the step of a layer is u times the smaller
    of `trust * ||w|| / ||u||` and the learning rate. The rate is then a bound and no factor; such code has a `trust` of
    0.02, or 0.005.

    Args:
        learning_rate: float or `keras.optimizers.schedules.LearningRateSchedule`. SimCLR: 0.3 * batch / 256, ten
            epochs of warm-up, then a cosine to 0; BYOL: 0.2 * batch / 256.
        momentum: float in [0, 1], the paper's m.
        weight_decay: float >= 0, the paper's beta, added to the gradient; 1e-6 in SimCLR, 1.5e-6 in BYOL.
        trust: positive float, the paper's eta; 1e-3 in all of these papers.
        nesterov: whether to look ahead.
        exclude: str or list of str: parts or regular expressions of paths of variables that get `ratio = 1` and no
            weight decay, such as `"projector"` or `"head/.*kernel"`.
        exclude_vectors: whether variables of rank 0 and 1 are excluded too.
        excluded_rate: float >= 0, factor on the learning rate of all excluded variables. Barlow Twins
            (https://arxiv.org/abs/2103.03230) trains weights at 0.2 and biases at 0.0048: 0.024.
        clipped: whether the ratio alone is the rate of a layer, and the learning rate its bound.
        **kwargs: arguments of every `keras.optimizers.Optimizer`: `clipnorm`, `use_ema`,
            `gradient_accumulation_steps`, `name` and so on.

    Raises:
        ValueError: where an argument is out of its range.

    Example:
    ```python
    rate = keras_ssl.optimizers.warmup_cosine(keras_ssl.optimizers.scale(0.3, 512), steps=10_000, warmup=1_000)
    optimizer = keras_ssl.optimizers.LARS(rate, weight_decay=1e-6)
    ```
    """

    def __init__(self, learning_rate=0.1, momentum=0.9, weight_decay=0.0, trust=1e-3, nesterov=False, exclude=None,
                 exclude_vectors=True, name="lars", excluded_rate=1.0, clipped=False, **kwargs):
        check_share(momentum=momentum)
        check_not_negative(
            weight_decay=weight_decay, trust=trust, excluded_rate=excluded_rate, **fixed(learning_rate)
        )
        check_flags(nesterov=nesterov, clipped=clipped)
        super().__init__(learning_rate, weight_decay=weight_decay, name=name, **kwargs)
        self._set_exclusion(exclude, exclude_vectors)
        self.momentum = momentum
        self.trust = trust
        self.nesterov = nesterov
        self.excluded_rate = excluded_rate
        self.clipped = clipped

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._velocities = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient, variable, learning_rate):
        dtype = keras.backend.result_type(variable.dtype, "float32")
        velocity = self._velocities[self._get_variable_index(variable)]
        w = ops.cast(variable, dtype)
        u = ops.cast(ops.convert_to_tensor(gradient), dtype)  # an embedding's sparse gradient becomes dense
        rate = ops.cast(learning_rate, dtype)
        if self._excludes(variable):
            rate = rate * self.excluded_rate
        else:
            u = u + self.weight_decay * w
            rate = self._of_layer(rate, w, u)
        step = rate * u
        v = self.momentum * ops.cast(velocity, dtype) + step
        self.assign(velocity, v)
        self.assign_sub(variable, self.momentum * v + step if self.nesterov else v)

    def get_config(self):
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "trust": self.trust,
            "nesterov": self.nesterov,
            "excluded_rate": self.excluded_rate,
            "clipped": self.clipped,
        }

    def _of_layer(self, rate, w, u):
        w_norm, u_norm = ops.sqrt(ops.sum(ops.square(w))), ops.sqrt(ops.sum(ops.square(u)))
        defined = ops.logical_and(w_norm > 0, u_norm > 0)
        ratio = self.trust * w_norm / ops.where(defined, u_norm, 1.0)
        return ops.where(defined, ops.minimum(ratio, rate) if self.clipped else ratio * rate, rate)
