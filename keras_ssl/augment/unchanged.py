"""Unchanged: the sample as it is, of any kind."""

import keras

from keras_ssl.augment.layer import Augmentation


@keras.saving.register_keras_serializable("keras_ssl")
class Unchanged(Augmentation):
    """The sample as it is: the view of methods that change nothing, and one of several views where one is whole.

    Args:
        seed, name: see `Augmentation`.

    Example:
        >>> import numpy as np
        >>> Unchanged()({"token_ids": np.ones((2, 8), "int32")}).keys()
        dict_keys(['token_ids'])
    """

    def draw(self, seeds, size):
        return {}

    def transform(self, sample):
        return sample
