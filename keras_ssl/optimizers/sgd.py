"""SGD with the weight decay of the papers: a term of the gradient."""

import re

import keras

from keras_ssl.checks import check_flags
from keras_ssl.optimizers.exclusion import Exclusion, check_not_negative, check_share, fixed


@keras.saving.register_keras_serializable("keras_ssl")
class SGD(Exclusion, keras.optimizers.SGD):
    """`keras.optimizers.SGD` with coupled weight decay, which papers and PyTorch mean by "weight decay 1e-4".

    ```
    u = g + weight_decay * w
    v = momentum * v - learning_rate * u
    w = w + v                               (nesterov: w + momentum * v - learning_rate * u)
    ```
    Keras's own `SGD(weight_decay=...)` is decoupled: it subtracts `learning_rate * weight_decay * w` beside the
    momentum, so that with momentum 0.9 its steady decay is 10 times weaker. PyTorch has the learning rate outside of
    the momentum, which differs only while the learning rate changes.

    Args:
        learning_rate: float or `keras.optimizers.schedules.LearningRateSchedule`; 0.03 in MoCo.
        momentum: float in [0, 1]; 0.9 in MoCo.
        weight_decay: float >= 0, of all variables that are not excluded; 1e-4 in MoCo.
        nesterov: whether to look ahead.
        exclude: str or list of str: parts or regular expressions of paths of variables without weight decay.
        exclude_vectors: whether variables of rank 0 and 1 (biases, scales and offsets of normalization) have no
            weight decay either. False as in the papers' code.
        constant_rates: dict from str to float >= 0, learning rates that stay as they are, whatever the schedule, of
            the variables whose path has the key as a part or matches it as a regular expression; where several keys
            do, the first counts. SimSiam (https://arxiv.org/abs/2011.10566) keeps that of its predictor.
        **kwargs: arguments of every `keras.optimizers.Optimizer`.

    Raises:
        ValueError: where an argument is out of its range, or a key of `constant_rates` matches no variable.

    Example:
    ```python
    optimizer = keras_ssl.optimizers.SGD(0.03, momentum=0.9, weight_decay=1e-4)
    rate = keras_ssl.optimizers.warmup_cosine(0.05, steps=10_000)
    optimizer = keras_ssl.optimizers.SGD(rate, weight_decay=1e-4, constant_rates={"predictor": 0.05})
    ```
    """

    def __init__(self, learning_rate=0.01, momentum=0.9, weight_decay=0.0, nesterov=False, exclude=None,
                 exclude_vectors=False, name="sgd", constant_rates=None, **kwargs):
        check_share(momentum=momentum)
        check_not_negative(weight_decay=weight_decay, **fixed(learning_rate))
        check_flags(nesterov=nesterov)
        super().__init__(
            learning_rate, momentum=float(momentum), nesterov=nesterov, weight_decay=weight_decay, name=name, **kwargs
        )
        self._set_exclusion(exclude, exclude_vectors)
        self.constant_rates = _checked(constant_rates)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._constant = {}
        for pattern, rate in reversed((self.constant_rates or {}).items()):
            found = {i: rate for i, variable in enumerate(variables) if re.search(pattern, variable.path)}
            if not found:
                raise ValueError(
                    f"constant_rates has the key {pattern!r}, which no variable's path matches: take a part of a path "
                    f"of those that train. Received: constant_rates={self.constant_rates}, "
                    f"paths={[variable.path for variable in variables]}"
                )
            self._constant |= found

    def update_step(self, gradient, variable, learning_rate):
        rate = self._constant.get(self._get_variable_index(variable), learning_rate)
        super().update_step(self._with_decay(gradient, variable), variable, rate)

    def get_config(self):
        return {**super().get_config(), "constant_rates": self.constant_rates}


def _checked(constant_rates):
    if constant_rates is None:
        return None
    if not isinstance(constant_rates, dict) or not all(isinstance(key, str) and key for key in constant_rates):
        raise ValueError(
            "constant_rates must be a dict from parts or regular expressions of variables' paths to floats, or None. "
            f"Received: constant_rates={constant_rates!r}"
        )
    check_not_negative(**{f"constant_rates[{key!r}]": rate for key, rate in constant_rates.items()})
    return {key: float(rate) for key, rate in constant_rates.items()}
