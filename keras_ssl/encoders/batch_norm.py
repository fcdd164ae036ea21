"""Batch normalization over groups of the batch, in one kernel, and shared between replicas.

Groups: Momentum Contrast (He et al., 2019), https://arxiv.org/abs/1911.05722. Where positives sit in one batch, batch
statistics tell one view about the other, and the network solves the task by that leak. MoCo therefore normalizes small
groups of the batch (section 3.3, "Shuffling BN"); on one device its authors split the batch of each batch normalization
into 8 groups.

One kernel: on TensorFlow, Keras makes batch normalization of a dozen operations, each of which reads the whole feature
map, in half precision a copy of it in float32. TensorFlow has a kernel that does the same at once.
"""

import contextlib
import math

import keras
from keras import layers, ops

from keras_ssl import distribute
from keras_ssl.checks import is_int


@keras.saving.register_keras_serializable("keras_ssl")
class FusedBatchNormalization(layers.BatchNormalization):
    """Batch normalization as one kernel of TensorFlow: the same numbers as Keras's layer, trained in less time.

    A training step of a ResNet-18 on CPU takes 0.7 of the time in float32, 0.6 in bfloat16
    (`benchmarks/batch_norm.py`). The kernel takes feature maps `(batch, height, width, channels)` in training;
    everything else is left to Keras's layer: inference, other shapes, masks, statistics that replicas share, other
    backends. Files that hold this layer load with `keras_ssl.load`; `keras_ssl.export` and `with_plain_batch_norm`
    make it plain Keras.

    Args:
        **kwargs: arguments of `keras.layers.BatchNormalization`.

    Example:
    ```python
    layer = keras_ssl.encoders.FusedBatchNormalization(momentum=0.9)
    y = layer(np.random.rand(64, 8, 8, 16), training=True)
    ```
    """

    def call(self, inputs, training=None, mask=None):
        if not (training and self.trainable) or mask is not None or not self._has_kernel(inputs):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        channels, count = inputs.shape[-1], tf.size(inputs) // inputs.shape[-1]
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma) if self.scale else tf.ones(channels),
            offset=tf.convert_to_tensor(self.beta) if self.center else tf.zeros(channels),
            mean=tf.zeros(0),
            variance=tf.zeros(0),
            epsilon=self.epsilon,
        )
        # The kernel divides by count - 1, Keras by count.
        variance = variance * (tf.cast(count - 1, "float32") / tf.cast(count, "float32"))
        follow(self, mean, variance)
        return ops.cast(y, self.compute_dtype)

    def _has_kernel(self, inputs):
        return (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and not (self.synchronized and distribute.replicas() > 1)
            and not self.renorm
            and self.variable_dtype == "float32"
            and keras.backend.standardize_dtype(inputs.dtype) in ("float32", "bfloat16", "float16")
        )


@keras.saving.register_keras_serializable("keras_ssl")
class GroupedBatchNormalization(layers.BatchNormalization):
    """Batch normalization that, in training, normalizes each of `groups` slices of the batch with its own statistics.

    Slice i is rows `i * batch / groups` to `(i + 1) * batch / groups`. The moving statistics follow the mean over the
    slices of the slices' means and variances. At inference it is plain batch normalization, and so
    `with_plain_batch_norm` turns a trained encoder into plain Keras.

    Args:
        groups: positive int, number of slices; 8 in MoCo's CIFAR-10 code. Must divide the batch size.
        **kwargs: arguments of `keras.layers.BatchNormalization`; the axis must be the last, `synchronized` and
            `renorm` must be off.

    Raises:
        ValueError: where `groups` is no positive int or does not divide the batch, or an argument is not supported.

    Example:
    ```python
    layer = keras_ssl.encoders.GroupedBatchNormalization(groups=8, momentum=0.9)
    y = layer(np.random.rand(64, 8, 8, 16), training=True)
    ```
    """

    def __init__(self, groups, **kwargs):
        super().__init__(**kwargs)
        if not is_int(groups, 1):
            raise ValueError(f"groups must be a positive int. Received: groups={groups}")
        if self.synchronized or self.renorm:
            raise ValueError(
                "GroupedBatchNormalization has no synchronized and no renorm. "
                f"Received: synchronized={self.synchronized}, renorm={self.renorm}"
            )
        self.groups = groups

    def build(self, input_shape):
        if self.axis not in (-1, len(input_shape) - 1):
            raise ValueError(
                "GroupedBatchNormalization normalizes the last axis (channels last). "
                f"Received: axis={self.axis}, input_shape={input_shape}"
            )
        super().build(input_shape)

    def call(self, inputs, training=None, mask=None):
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        if mask is not None:
            raise ValueError("GroupedBatchNormalization does not support masks in training. Received a mask.")
        batch = inputs.shape[0]
        if batch is not None and batch % self.groups:
            raise ValueError(
                "groups must divide the batch (drop the remainder of the data set, or choose other groups). "
                f"Received: batch={batch}, groups={self.groups}"
            )
        shape = ops.shape(inputs)
        rows = shape[0] // self.groups * math.prod(shape[1:-1])
        x = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        # No -1: with a batch known at run time alone, rows of two samples would then mix where groups do not divide it.
        x = ops.reshape(x, (self.groups, rows, shape[-1]))
        mean, variance = ops.moments(x, axes=1, keepdims=True)  # (groups, 1, channels)
        follow(self, ops.mean(mean, axis=(0, 1)), ops.mean(variance, axis=(0, 1)))
        scale = ops.rsqrt(variance + self.epsilon)
        if self.scale:
            scale = scale * ops.cast(self.gamma, x.dtype)
        offset = -mean * scale
        if self.center:
            offset = offset + ops.cast(self.beta, x.dtype)
        return ops.cast(ops.reshape(x * scale + offset, shape), self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "groups": self.groups}


def follow(layer, mean, variance):
    """Moves the moving statistics of a layer towards those of a batch."""
    for moving, statistic in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(moving * layer.momentum + ops.cast(statistic, moving.dtype) * (1.0 - layer.momentum))


def with_grouped_batch_norm(encoder, groups):
    """A copy of a functional model whose batch normalization is a `GroupedBatchNormalization`.

    Args:
        encoder: functional or sequential `keras.Model`.
        groups: positive int, number of slices of the batch; must divide the batch size.

    Returns:
        a model of the same kind with equal weights.

    Raises:
        TypeError: where the model is a subclass with a `call` of its own.
        ValueError: as `GroupedBatchNormalization`.

    Example:
    ```python
    key_encoder = keras_ssl.encoders.with_grouped_batch_norm(keras_ssl.encoders.resnet18((32, 32, 3)), groups=8)
    ```
    """
    return _replace_batch_norm(encoder, GroupedBatchNormalization, synchronized=False, groups=groups)


def with_fused_batch_norm(encoder):
    """A copy of a functional model whose batch normalization is one kernel, see `FusedBatchNormalization`.

    Only Keras's own layers are replaced: one that normalizes groups, for instance, stays.

    Args, returns and errors: as for `with_plain_batch_norm`.

    Example:
    ```python
    encoder = keras_ssl.encoders.with_fused_batch_norm(keras.applications.ResNet50(include_top=False, pooling="avg"))
    ```
    """
    return _replace_batch_norm(encoder, FusedBatchNormalization, lambda layer: type(layer) is layers.BatchNormalization)


def with_plain_batch_norm(encoder):
    """A copy of a functional model whose batch normalization is plain: the way back, for export.

    Args:
        encoder: functional or sequential `keras.Model`.

    Returns:
        a model of the same kind with equal weights and, at inference, equal outputs.

    Raises:
        TypeError: where the model is a subclass with a `call` of its own.

    Example:
    ```python
    grouped = keras_ssl.encoders.resnet18((32, 32, 3), batch_norm_groups=8)
    keras_ssl.encoders.with_plain_batch_norm(grouped).save("encoder.keras")
    ```
    """
    return _replace_batch_norm(encoder, layers.BatchNormalization, synchronized=False)


def with_synchronized_batch_norm(encoder):
    """A copy of a functional model whose batch normalization shares statistics between replicas (TensorFlow only).

    Args:
        encoder: functional or sequential `keras.Model`.

    Returns:
        a model of the same kind with equal weights.

    Raises:
        TypeError: where the model is a subclass with a `call` of its own.
        ValueError: where the backend is not TensorFlow.

    Example:
    ```python
    encoder = keras_ssl.encoders.with_synchronized_batch_norm(keras_ssl.encoders.resnet18((32, 32, 3)))
    ```
    """
    return _replace_batch_norm(encoder, layers.BatchNormalization, synchronized=True)


def with_layer_norm(encoder):
    """A copy of a functional model with layer normalization in place of batch normalization, as in CPC v2.

    A sample is normalized over all its places and channels, by itself: nothing tells it of the others of its batch.
    The scales and offsets, one a channel, are those of the encoder.

    Args:
        encoder: functional or sequential `keras.Model`.

    Returns:
        a model of the same kind, of plain Keras layers.

    Raises:
        TypeError: where the model is a subclass with a `call` of its own.

    Reference: Data-Efficient Image Recognition with Contrastive Predictive Coding (Henaff et al., 2019),
    https://arxiv.org/abs/1905.09272

    Example:
    ```python
    encoder = keras_ssl.encoders.with_layer_norm(keras_ssl.encoders.resnet18((None, None, 3), stem="cifar"))
    ```
    """
    _check_copied(encoder)

    def clone(layer):
        config = layer.get_config()
        if not isinstance(layer, layers.BatchNormalization):
            return type(layer).from_config(config)
        kept = {key: config[key] for key in ("name", "dtype", "axis", "epsilon", "center", "scale")}
        return layers.GroupNormalization(groups=1, **kept)

    def call(layer, *args, mask=None, **kwargs):  # group normalization takes no mask
        return layer(*args, **kwargs) if mask is None else layer(*args, mask=mask, **kwargs)

    copy = keras.models.clone_model(encoder, clone_function=clone, call_function=call, recursive=True)
    for old, new in zip(encoder._flatten_layers(), copy._flatten_layers(), strict=True):
        if not list(old._flatten_layers(include_self=False)):
            new.set_weights(old.get_weights()[: len(new.weights)])  # without the moving statistics
    return copy


def _check_copied(encoder):
    if not getattr(encoder, "inputs", None):
        raise TypeError(
            "Only a functional or a built sequential model can be copied with other normalization. "
            f"Received: encoder={encoder}"
        )


def _replace_batch_norm(encoder, kind, chosen=lambda layer: isinstance(layer, layers.BatchNormalization), **options):
    _check_copied(encoder)

    def clone(layer):
        config = layer.get_config()
        if not chosen(layer):
            return type(layer).from_config(config)
        config.pop("groups", None)
        return kind.from_config({**config, **options})

    copy = keras.models.clone_model(encoder, clone_function=clone, recursive=True)
    copy.set_weights(encoder.get_weights())
    return copy


@contextlib.contextmanager
def keeping_state(model):
    """Within it, what is computed with a model changes nothing of it: no moving statistics, no random state.

    In training mode batch normalization still uses the statistics of its batch, and dropout, called several times,
    draws the same mask each time. Gradients reach the weights as ever.

    Args:
        model: built `keras.Model`.

    Example:
    ```python
    with keeping_state(encoder):
        features = encoder(images, training=True)
    ```
    """
    values = [(variable, ops.convert_to_tensor(variable)) for variable in model.variables]
    with keras.StatelessScope(state_mapping=values, initialize_variables=False):
        yield
