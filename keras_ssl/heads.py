"""Heads: the small networks after the encoder that a method trains with and throws away."""

import keras
from keras import ops

from keras_ssl import distribute, inputs
from keras_ssl.checks import check_flags, check_ints, check_numbers


def mlp(
    inputs,
    hidden,
    dim,
    depth=2,
    batch_norm=True,
    hidden_bias=True,
    output_bias=False,
    output_norm=None,
    name=None,
    activation="relu",
    initializer="glorot_uniform",
):
    """A multi-layer perceptron: `depth - 1` times Dense - BatchNormalization - ReLU, then Dense.

    Args:
        inputs: int, size of the features it gets; or a tuple that ends with it, for features at each place of a map:
            `(None, None, 512)`. All places share the weights, as in convolutions of one pixel.
        hidden: int, units of the hidden layers.
        dim: int, units of the last layer.
        depth: int >= 1, number of Dense layers. For a single one see `linear`.
        batch_norm: whether the hidden layers are batch-normalized.
        hidden_bias: whether the hidden Dense layers have a bias.
        output_bias: whether the last Dense layer has a bias.
        output_norm: a layer after the last Dense, for example `batch_normalization(center=False)`, or None.
        name: str.
        activation: of the hidden layers: `"relu"`, or another name that Keras knows, such as `"gelu"`.
        initializer: name of an initializer, or a `keras.initializers.Initializer`, of the Dense kernels.

    Returns:
        `keras.Model` from `(batch, inputs)` to `(batch, dim)`; of maps to `(batch, rows, columns, dim)`.

    Example:

    >>> projector = mlp(512, hidden=2048, dim=128, name="projector")
    >>> projector.output_shape
    (None, 128)
    """
    shape = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    check_ints(depth=depth, inputs=shape[-1] if shape else None, dim=dim)
    for side in shape[:-1]:
        check_ints(optional=True, inputs=side)
    if depth > 1:
        check_ints(hidden=hidden)
    check_flags(batch_norm=batch_norm, hidden_bias=hidden_bias, output_bias=output_bias)
    layers = [keras.Input(shape)]

    def dense(units, bias):
        draw = keras.initializers.get(initializer)  # an instance draws the same numbers at every call: clone it
        return keras.layers.Dense(units, use_bias=bias, kernel_initializer=draw.clone())

    for _ in range(depth - 1):
        layers.append(dense(hidden, hidden_bias))
        if batch_norm:
            layers.append(batch_normalization())
        layers.append(keras.layers.ReLU() if activation == "relu" else keras.layers.Activation(activation))
    layers.append(dense(dim, output_bias))
    if output_norm is not None:
        layers.append(output_norm)
    return keras.Sequential(layers, name=name)


def linear(inputs, dim, bias=True, initializer="glorot_uniform", name=None):
    """A linear head: one Dense layer.

    Args:
        inputs: int, size of the features it gets.
        dim: int, size of what it makes.
        bias: whether it has a bias.
        initializer: name of an initializer, or a `keras.initializers.Initializer`, of the kernel.
        name: str.

    Returns:
        `keras.Model` from `(batch, inputs)` to `(batch, dim)`.

    Example:

    >>> linear(512, 128, name="head").output_shape
    (None, 128)
    """
    return mlp(inputs, None, dim, depth=1, output_bias=bias, name=name, initializer=initializer)


def dino_head(inputs, hidden=2048, dim=256, batch_norm=False, name=None):
    """The head of DINO (arXiv 2104.14294) up to its last layer, `Prototypes`: three Dense, GELU between them, then l2.

    Args:
        inputs: int, size of the features it gets.
        hidden: int, units of the two hidden layers (2048).
        dim: int, units of the third, the bottleneck (256).
        batch_norm: whether the hidden layers are batch-normalized; not with a ViT.
        name: str.

    Returns:
        `keras.Model` from `(batch, inputs)` to unit vectors `(batch, dim)`, float32.

    Example:

    >>> dino_head(384).output_shape
    (None, 256)
    """
    return mlp(
        inputs,
        hidden,
        dim,
        depth=3,
        batch_norm=batch_norm,
        output_bias=True,
        output_norm=keras.layers.UnitNormalization(dtype="float32"),
        name=name,
        activation="gelu",
        initializer=keras.initializers.RandomNormal(stddev=0.02),  # the authors cut it at 100 deviations
    )


@keras.saving.register_keras_serializable("keras_ssl")
class Prototypes(keras.layers.Layer):
    """Directions that embeddings are compared to: the score of each is the dot product with its unit vector.

    The last layer of DINO and MSN is weight-normalized with a gain of 1: the vectors have any length, their
    direction counts, and the gradient flows through the normalization. SwAV's vectors are `constrained`: unit vectors,
    made so again after each step of the optimizer, as if before each forward pass. In DINOv2 each vector has a `gain`
    that is trained, its length in the score.

    A step with `frozen` gives the vectors and gains a gradient of zero. Weight decay then still shortens vectors that
    are not constrained, but turns none; it acts on gains too, as in DINOv2. It computes in float32 under every
    dtype policy.

    Call arguments:
        embeddings: `(..., dim)`, unit vectors where the scores are to be cosines.
        frozen: bool scalar, whether the gradient of the vectors is canceled, or None.

    Args:
        dim: int, size of an embedding.
        count: int, number of prototypes (K).
        constrained: whether the vectors themselves stay unit vectors.
        gain: whether the scores have factors that are trained, one a prototype, which start at 1.
        name: str.

    Returns:
        float32 scores `(..., count)`.

    Example:

    >>> Prototypes(256, 3000)(np.zeros((4, 256))).shape
    TensorShape([4, 3000])
    """

    def __init__(self, dim, count, constrained=False, gain=False, name=None):
        super().__init__(name=name, dtype="float32")
        check_ints(dim=dim, count=count)
        check_flags(constrained=constrained, gain=gain)
        self.dim, self.count, self.constrained, self.gain = dim, count, constrained, gain
        self.build((None, dim))  # so that a twin can be copied; PyTorch knows no weights but those of `build`

    def build(self, shape):
        if self.built:
            return
        limit = self.dim**-0.5

        def draw(shape, dtype=None):
            kernel = keras.random.uniform(shape, -limit, limit, dtype=dtype)
            return unit_columns(kernel) if self.constrained else kernel

        constraint = keras.constraints.UnitNorm(axis=0) if self.constrained else None
        self.kernel = self.add_weight((self.dim, self.count), draw, constraint=constraint, name="kernel")
        self.gains = self.add_weight((1, self.count), "ones", name="gains") if self.gain else None

    def call(self, embeddings, frozen=None):
        kernel = held(self.kernel, frozen)
        scores = ops.matmul(embeddings, kernel if self.constrained else unit_columns(kernel))
        return scores * held(self.gains, frozen) if self.gain else scores

    def get_config(self):
        own = {"dim": self.dim, "count": self.count, "constrained": self.constrained, "gain": self.gain}
        return {"name": self.name, **own}


@keras.saving.register_keras_serializable("keras_ssl")
class IterNorm(keras.layers.Layer):
    """Whitening by Newton's iterations (https://arxiv.org/abs/1904.03441), the end of VIbCReg's projector.

    In each group of dimensions the rows of the global batch get mean 0 and a covariance close to I. With the
    covariance S of the group (biased), divided by its trace, it repeats `P <- (3 P - P^3 S) / 2` from `P = I`; the rows
    are multiplied by `P / sqrt(trace)`. Directions with little of the trace stay smaller. A scale and an offset of each
    dimension are trained.

    It computes in float32 under every dtype policy, always with the statistics of the batch: it belongs into heads,
    which are thrown away, and keeps no moving ones.

    Call arguments:
        embeddings: `(batch, dim)`.

    Args:
        dim: int, size of an embedding.
        groups: int that divides `dim`, the groups that are whitened apart (64).
        iterations: int (T, 5).
        epsilon: float > 0, added to the variances (1e-5).
        name: str.

    Example:

    >>> IterNorm(256, groups=16)(np.random.normal(size=(128, 256))).shape
    TensorShape([128, 256])
    """

    def __init__(self, dim, groups=64, iterations=5, epsilon=1e-5, name=None):
        super().__init__(name=name, dtype="float32")
        check_ints(dim=dim, groups=groups, iterations=iterations)
        check_numbers(above=0, epsilon=epsilon)
        if dim % groups:
            raise ValueError(f"groups must divide dim. Received: groups={groups}, dim={dim}")
        self.dim, self.groups, self.iterations, self.epsilon = dim, groups, iterations, epsilon
        self.build((None, dim))

    def build(self, shape):
        if self.built:
            return
        self.gamma = self.add_weight((self.dim,), "ones", name="gamma")
        self.beta = self.add_weight((self.dim,), "zeros", name="beta")
        self.built = True

    def call(self, embeddings):
        rows = self.grouped(distribute.gather(embeddings))  # (groups, rows, dim / groups)
        mean = ops.mean(rows, axis=1, keepdims=True)
        rows = rows - mean
        count = ops.cast(ops.shape(rows)[1], rows.dtype)
        identity = ops.eye(self.dim // self.groups, dtype=rows.dtype)
        covariance = ops.matmul(ops.swapaxes(rows, 1, 2), rows) / count + self.epsilon * identity
        trace = ops.sum(covariance * identity, axis=(1, 2), keepdims=True)
        power = identity
        for _ in range(self.iterations):
            cubed = ops.matmul(ops.matmul(power, power), power)
            power = 1.5 * power - 0.5 * ops.matmul(cubed, covariance / trace)
        white = ops.matmul(self.grouped(embeddings) - mean, power / ops.sqrt(trace))
        return ops.reshape(ops.swapaxes(white, 0, 1), (-1, self.dim)) * self.gamma + self.beta

    def grouped(self, embeddings):
        rows = ops.reshape(embeddings, (-1, self.groups, self.dim // self.groups))
        return ops.swapaxes(rows, 0, 1)

    def get_config(self):
        own = {"dim": self.dim, "groups": self.groups, "iterations": self.iterations, "epsilon": self.epsilon}
        return {"name": self.name, **own}


def held(weight, frozen):
    """The value of a weight, without a gradient where it is frozen."""
    value = ops.convert_to_tensor(weight)
    return value if frozen is None else ops.where(frozen, ops.stop_gradient(value), value)


def unit_columns(kernel):
    return ops.normalize(kernel, axis=0, epsilon=1e-12)


def batch_normalization(**options):
    """Batch normalization with the momentum and epsilon of the papers, its statistics shared by all replicas."""
    options = {"momentum": 0.9, "epsilon": 1e-5, "synchronized": distribute.replicas() > 1} | options
    return keras.layers.BatchNormalization(**options)


def attach(encoder, head, name=None):
    """One model of the encoder and the head after it, which share their weights with it.

    Args:
        encoder: built `keras.Model` from images, or another kind of data, to features `(batch, dim)`. It may take a
            dict of tensors, of any dtypes.
        head: `keras.Model` from `(batch, dim)` to `(batch, out)`.
        name: str.

    Returns:
        `keras.Model` from what the encoder takes to `(batch, out)`.
    """
    data = inputs_like(encoder)
    return keras.Model(data, head(encoder(data)), name=name)


def inputs_like(encoder):
    """New inputs of the shapes and dtypes that the encoder takes: a tensor, or a dict of them by their names."""
    names = inputs.input_names(encoder)
    if names:
        taken = inputs.input_tensors(encoder)
        return {name: keras.Input(taken[name].shape[1:], dtype=taken[name].dtype, name=name) for name in names}
    kind = inputs.kind_or_images(encoder)
    tensors = getattr(encoder, "inputs", None)
    dtype = tensors[0].dtype if tensors else None
    return keras.Input(encoder.input_shape[1:], dtype=dtype, name=kind.column)
