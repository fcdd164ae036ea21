"""Adam: A Method for Stochastic Optimization (Kingma and Ba, 2014), https://arxiv.org/abs/1412.6980.

With the weight decay of the papers that train with it: a term of the gradient.
"""

import keras

from keras_ssl.checks import check_flags
from keras_ssl.optimizers.exclusion import Exclusion, check_not_negative, check_share, fixed


@keras.saving.register_keras_serializable("keras_ssl")
class Adam(Exclusion, keras.optimizers.Adam):
    """`keras.optimizers.Adam` with coupled weight decay, which papers and PyTorch mean by "Adam, weight decay 1e-6".

    Each step of Adam takes `g + weight_decay * w` for the gradient, so that the decay goes through both means.
    Keras's own `Adam(weight_decay=...)` is decoupled: it subtracts `learning_rate * weight_decay * w` beside the step,
    as `AdamW` does, which is next to nothing for the small decays of these papers.

    Args:
        learning_rate: float or `keras.optimizers.schedules.LearningRateSchedule`; 1e-3 in Debiased Contrastive
            Learning (https://arxiv.org/abs/2007.00224), 3e-3 in W-MSE (https://arxiv.org/abs/2007.06346).
        weight_decay: float >= 0, of all variables that are not excluded; 1e-6 in both.
        beta_1: float in [0, 1), decay of the mean of the gradients.
        beta_2: float in [0, 1), decay of the mean of their squares.
        epsilon: positive float. Keras adds it before the correction of the bias; most papers' code is PyTorch, with
            1e-8 after it.
        amsgrad: whether to divide by the largest mean so far.
        exclude: str or list of str: parts or regular expressions of paths of variables without weight decay.
        exclude_vectors: whether variables of rank 0 and 1 (biases, scales and offsets of normalization) have no
            weight decay either. False as in the papers' code.
        **kwargs: arguments of every `keras.optimizers.Optimizer`.

    Raises:
        ValueError: where an argument is out of its range.

    Example:
    ```python
    optimizer = keras_ssl.optimizers.Adam(1e-3, weight_decay=1e-6)
    ```
    """

    def __init__(self, learning_rate=0.001, weight_decay=0.0, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False,
                 exclude=None, exclude_vectors=False, name="adam", **kwargs):
        check_not_negative(weight_decay=weight_decay, epsilon=epsilon, **fixed(learning_rate))
        check_share(beta_1=beta_1, beta_2=beta_2)
        check_flags(amsgrad=amsgrad)
        super().__init__(
            learning_rate, weight_decay=weight_decay, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, amsgrad=amsgrad,
            name=name, **kwargs
        )
        self._set_exclusion(exclude, exclude_vectors)

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(self._with_decay(gradient, variable), variable, learning_rate)
