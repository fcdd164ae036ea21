"""AdamW: Decoupled Weight Decay Regularization (Loshchilov and Hutter, 2017), https://arxiv.org/abs/1711.05101."""

import keras
from keras import ops
from keras.optimizers import schedules

from keras_ssl.checks import check_flags
from keras_ssl.optimizers.exclusion import Exclusion, check_not_negative, check_share, fixed, pattern


@keras.saving.register_keras_serializable("keras_ssl")
class AdamW(Exclusion, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW` whose weight decay may follow a schedule and leaves biases and normalization alone.

    Before each step of Adam, `w = w - learning_rate * weight_decay * w`, as in Keras and PyTorch.

    Args:
        learning_rate: float or `keras.optimizers.schedules.LearningRateSchedule`.
        weight_decay: float >= 0 or a `LearningRateSchedule`, which is read at the same step as that of the learning
            rate; DINO (https://arxiv.org/abs/2104.14294) goes from 0.04 to 0.4 along a cosine.
        beta_1: float in [0, 1), decay of the mean of the gradients.
        beta_2: float in [0, 1), decay of the mean of their squares; 0.95 in MAE, 0.999 in DINO.
        epsilon: positive float. Keras adds it before the correction of the bias; most papers' code is PyTorch, with
            1e-8 after it.
        amsgrad: whether to divide by the largest mean so far.
        exclude: str or list of str: parts or regular expressions of paths of variables without weight decay, such as
            `"class_token"` or `"position"`.
        exclude_vectors: whether variables of rank 0 and 1 (biases, scales and offsets of normalization) have no
            weight decay either. True as in these papers' code.
        unclipped: str or list of str, as `exclude`: variables whose gradients `clipnorm`, `global_clipnorm` and
            `clipvalue` leave alone, and which are no part of the global norm. MSN's code leaves out the prototypes.
        rates: list of floats >= 0, one for each trainable variable of the model in their order, by which its learning
            rate is multiplied, or None; see `layer_decay`.
        **kwargs: arguments of every `keras.optimizers.Optimizer`.

    Raises:
        ValueError: where an argument is out of its range.

    Example:
    ```python
    decay = keras_ssl.optimizers.cosine(0.04, 0.4, steps=10_000)
    optimizer = keras_ssl.optimizers.AdamW(5e-4, weight_decay=decay, exclude=["position"])
    ```
    """

    def __init__(self, learning_rate=0.001, weight_decay=0.004, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False,
                 exclude=None, exclude_vectors=True, unclipped=None, rates=None, name="adamw", **kwargs):
        if not isinstance(weight_decay, schedules.LearningRateSchedule):
            check_not_negative(weight_decay=weight_decay)
        check_not_negative(epsilon=epsilon, **fixed(learning_rate))
        check_share(beta_1=beta_1, beta_2=beta_2)
        check_flags(amsgrad=amsgrad)
        super().__init__(
            learning_rate, weight_decay=weight_decay, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, amsgrad=amsgrad,
            name=name, **kwargs
        )
        self._set_exclusion(exclude, exclude_vectors)
        self.unclipped, self._free = unclipped, pattern("unclipped", unclipped)
        if rates is not None:
            if not isinstance(rates, (list, tuple)):
                raise ValueError(f"rates must be a list of floats, one a variable, or None. Received: rates={rates!r}")
            check_not_negative(**{f"rates[{i}]": rate for i, rate in enumerate(rates)})
        self.rates = rates

    def build(self, variables):
        if not self.built and self.rates is not None and len(self.rates) != len(variables):
            raise ValueError(
                "rates must hold one factor for each trainable variable: take them of the whole model that is trained, "
                f"after freezing. Received: {len(self.rates)} rates and {len(variables)} variables"
            )
        super().build(variables)

    def _clip_gradients(self, gradients):
        if self._free is None:
            return super()._clip_gradients(gradients)
        variables = self._trainable_variables
        if len(gradients) != len(variables):
            raise ValueError(
                "unclipped needs a gradient of every trainable variable. Received: "
                f"{len(gradients)} gradients of {len(variables)} variables"
            )
        found = list(gradients)
        bound = [i for i, variable in enumerate(variables) if not self._free.search(variable.path)]
        for i, gradient in zip(bound, super()._clip_gradients([gradients[i] for i in bound])):
            found[i] = gradient
        return found

    def update_step(self, gradient, variable, learning_rate):
        if self.rates is not None:
            learning_rate = learning_rate * self.rates[self._get_variable_index(variable)]
        if not self._excludes(variable):
            rate = ops.cast(learning_rate, variable.dtype) * ops.cast(self._current_decay(), variable.dtype)
            self.assign_sub(variable, rate * variable)
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        config = {**super().get_config(), "rates": None if self.rates is None else [float(x) for x in self.rates]}
        config["unclipped"] = self.unclipped if isinstance(self.unclipped, (str, type(None))) else list(self.unclipped)
        if isinstance(self.weight_decay, schedules.LearningRateSchedule):
            config["weight_decay"] = schedules.serialize(self.weight_decay)
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        if isinstance(config["weight_decay"], dict):
            config["weight_decay"] = schedules.deserialize(config["weight_decay"], custom_objects)
        return super().from_config(config, custom_objects)

    def _current_decay(self):
        if not isinstance(self.weight_decay, schedules.LearningRateSchedule):
            return self.weight_decay
        # Keras counts batches for the learning rate, not updates: so that one `steps` means the same in both.
        return self.weight_decay(self.iterations * (self.gradient_accumulation_steps or 1))
