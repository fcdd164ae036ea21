r"""TPN: Multi-task Self-Supervised Learning for Human Activity Detection (Saeed, Ozcelebi, Lukkien, 2019).

https://arxiv.org/abs/1907.11879

Objective:
    \mathcal{L} = -\sum_{t=1}^{T} \frac{1}{2} \operatorname{mean} \left[ \log \left( 1 - p_t(x) \right) +
    \log p_t(f_t(x)) \right]
    where $f_t$ is the transformation of task $t$, and $p_t$ what its head says of the features: the probability that
    the series was transformed.

Flow:
    series -> encoder -> a head for each task -> cross-entropy of each task
    one series for each transformation -> encoder

Take it when sensors are worn or mounted, recordings are long, labels are few, and the encoder must be small: it has no
    teacher and no negatives, and any batch will do.

Leave it when what a transformation changes has no direction in the data (a sign, an order): its task cannot be solved
    then, and teaches nothing.
"""

import keras
from keras import ops

from keras_ssl import checks, heads, inputs
from keras_ssl.method import Method

TASKS = ("noise", "scale", "rotation", "negation", "reversal", "permutation", "warp", "channels")


def names(name, value):
    """One or more different strings."""
    fine = isinstance(value, (tuple, list)) and value and all(isinstance(x, str) and x for x in value)
    if not fine or len(set(value)) < len(value):
        raise ValueError(f"{name} must be one or more different names. Received: {name}={value!r}")


@keras.saving.register_keras_serializable("keras_ssl")
class TPN(Method):
    """One small head for each transformation tells whether a series was transformed by it, or is as it was.

    The heads share the encoder. Each sees the series as they are and those of its own transformation, never those of
    another. The accuracy of each is logged as `accuracy_` and its name, and their mean as `accuracy`: 0.5 is chance.

    Args:
        encoder: `keras.Model` from series to features `(batch, dim)`; `keras_ssl.encoders.sensor_cnn` is the paper's.
        augment: layer from series to the series as they are and one view for each task, in their order;
            `keras_ssl.augment.tpn`.
        tasks: strings, the names of the tasks, as many as there are transformations (the eight of the paper).
        hidden: int, units of a head's hidden layer (256).

    Example:

    >>> encoder = keras_ssl.encoders.sensor_cnn((400, 6))
    >>> model = keras_ssl.TPN(encoder, keras_ssl.augment.tpn())
    >>> model.compile(optimizer=keras.optimizers.Adam(3e-4))
    >>> windows = keras_ssl.data.series(np.random.normal(size=(4, 2000, 6)), window=400, batch_size=16)
    >>> model.fit(windows, epochs=1)
    """

    terms = ("accuracy",)
    view_counts = (2, None)

    bounds = {"tasks": names, "hidden": checks.ints()}

    def __init__(self, encoder, augment=None, *, tasks=TASKS, hidden=256, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.tasks, self.hidden = tuple(tasks), hidden
        self.view_counts = (len(tasks) + 1, len(tasks) + 1)
        features = encoder.output_shape[-1]
        self.heads = [
            heads.mlp(features, hidden, 1, batch_norm=False, output_bias=True, name=f"head_{task}") for task in tasks
        ]
        self.track(*[f"accuracy_{task}" for task in tasks])

    def objective(self, views):
        features = self.encoder(inputs.together(views), training=True)
        original, *changed = ops.split(features, len(views))
        loss, accuracies = 0.0, {}
        for task, head, one in zip(self.tasks, self.heads, changed):
            whole, transformed = (ops.cast(head(x, training=True), "float32") for x in (original, one))
            loss += (ops.mean(ops.softplus(whole)) + ops.mean(ops.softplus(-transformed))) / 2
            right = ops.stack([whole <= 0, transformed > 0])
            accuracies[f"accuracy_{task}"] = ops.mean(ops.cast(right, "float32"))
        return {"loss": loss, "accuracy": sum(accuracies.values()) / len(self.tasks), **accuracies}
