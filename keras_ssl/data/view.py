"""View: augmentation on the host, mapped over a pipeline."""

import tensorflow as tf


def views(dataset, augment, parallel_calls=tf.data.AUTOTUNE):
    """Augment every batch on the host, while the accelerator trains on the one before.

    The same layer, given to the model instead, makes the same views on the accelerator: all draws come from the
    samples' seeds.

    Args:
        dataset: batched dataset of dicts with `"image"` and `"seed"`, as this package makes them.
        augment: layer that is called on the dict and returns a list of views (or one view).
        parallel_calls: batches augmented at once. The result does not depend on it.

    Returns:
        `tf.data.Dataset` of dicts: `"views"`, a tuple, and `"label"`, `"index"` where they were.

    Example:
        ```python
        images = keras_ssl.data.arrays(np.zeros((8, 32, 32, 3), "uint8"), 4)
        pairs = keras_ssl.data.views(images, lambda batch: [batch["image"], batch["image"][:, :, ::-1]])
        ```
    """

    def make(batch):
        made = augment(batch)
        made = tuple(made) if isinstance(made, (list, tuple)) else (made,)
        return {"views": made, **{name: batch[name] for name in ("label", "index") if name in batch}}

    made = dataset.map(make, num_parallel_calls=parallel_calls).prefetch(tf.data.AUTOTUNE)
    for name in ("epoch", "file_paths", "class_names"):
        if hasattr(dataset, name):
            setattr(made, name, getattr(dataset, name))
    return made
