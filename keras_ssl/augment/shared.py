"""Shared: views that are drawn alike."""

import keras

from keras_ssl.augment.layer import Augmentation
from keras_ssl.augment.view import Views


@keras.saving.register_keras_serializable("keras_ssl")
class SharedViews(Views):
    """Views of each sample that all have the same draws: the same box and flip at two sizes, say, as in BEiT.

    Layers at the same place of the views draw the same numbers. They may differ in what the numbers do not decide
    (the size of a crop), and in what a view ends with.

    Args:
        views: list of views (`View`, or any augmentation layer).
        seed, name: see `Augmentation`.

    Example:
        >>> import numpy as np
        >>> views = SharedViews([RandomResizedCrop(224, flip=0.5), RandomResizedCrop(112, flip=0.5)])
        >>> large, small = views(np.zeros((4, 256, 256, 3), "uint8"))
    """

    def __init__(self, views, seed=None, name=None, **kwargs):
        if isinstance(views, Augmentation):
            raise ValueError(f"views must be a list of augmentation layers. Received: views={views}")
        super().__init__(views, None, seed=seed, name=name, **kwargs)

    @property
    def separable(self):
        return False  # of one sample it gives several

    def split(self, seeds):
        return [seeds] * len(self.views)

    def get_config(self):
        config = super().get_config()
        config.pop("count")
        return config
