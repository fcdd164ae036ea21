"""ResNet: Deep Residual Learning for Image Recognition (He et al., 2015), https://arxiv.org/abs/1512.03385.

The variant known as v1.5, which all public checkpoints have: a bottleneck strides in its 3x3 convolution. The small
start for small images ("cifar") is the one SimCLR and its successors use on CIFAR-10 (https://arxiv.org/abs/2002.05709,
appendix B.9): a 3x3 convolution of stride 1 and no pooling, the rest unchanged.

Selective kernels (Li et al., 2019, https://arxiv.org/abs/1903.06586) and the stem and shortcuts of ResNet-D (He et al.,
2018, https://arxiv.org/abs/1812.01187) are those of SimCLR v2 (https://arxiv.org/abs/2006.10029) and its authors' code.
"""

import keras
from keras import layers

from keras_ssl import pixels
from keras_ssl.checks import check_flags, is_int, is_number
from keras_ssl.encoders.batch_norm import GroupedBatchNormalization

LAST = "channels_last"  # whatever keras.json says


def resnet18(input_shape=(224, 224, 3), *, width=64, stem=None, pooling="avg", zero_init_residual=False,
             batch_norm_momentum=0.9, preprocessing=True, batch_norm_groups=1, synchronized=False, name=None):
    """ResNet-18: 8 blocks of two 3x3 convolutions, 11.2 million parameters, features of size 8 * `width` (512).

    The model takes images of 0..255 in any dtype. It consists of plain Keras layers (unless `batch_norm_groups` is
    more than 1), so that a saved file loads with Keras alone. Padding, epsilon and order of the layers are those of
    torchvision, so that its checkpoints fit.

    Args:
        input_shape: ints `(height, width, channels)`; height and width may be None where `stem` is given.
        width: positive int, channels of the first stage; 64 in the paper, 128 is the "2x" of SimCLR, 16 is quick.
        stem: `"imagenet"` (7x7 convolution of stride 2, 3x3 max-pooling of stride 2), `"cifar"` (3x3 convolution of
            stride 1), or None: `"cifar"` where the shorter side is at most 64 pixels, else `"imagenet"`.
        pooling: `"avg"`, `"max"`, or None for the feature map.
        zero_init_residual: whether the last scale of each block starts at 0, so that each block starts as the
            identity (https://arxiv.org/abs/1706.02677). True in the authors' code of SimCLR, BYOL, SimSiam, Barlow
            Twins, VICReg and MoCo v3, for long runs; False in that of MoCo v1 and v2, SwAV, DINO and W-MSE, and the
            better start of a short run.
        batch_norm_momentum: float in [0, 1), weight of the old moving statistics; 0.9 in the paper's code.
        preprocessing: whether the first layer maps 0..255 to `(x / 255 - mean) / std`, with ImageNet's mean and
            standard deviation for 3 channels, 0.5 and 0.25 for any other number. False: the caller does it. A pair
            `(mean, std)` of tuples, one number a channel: with these.
        batch_norm_groups: positive int, number of slices of the batch that are normalized apart, see
            `GroupedBatchNormalization`. 1 is plain batch normalization.
        synchronized: whether batch statistics are shared between replicas (TensorFlow only).
        name: str, name of the model.

    Returns:
        a functional `keras.Model`: images `(batch, height, width, channels)` to features `(batch, 8 * width)`, or to
        the feature map `(batch, height / 32, width / 32, 8 * width)` where `pooling` is None (`/ 8` with the
        "cifar" stem).

    Raises:
        ValueError: where an argument is out of its range.

    Example:
    ```python
    encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3), width=16)
    features = encoder(np.zeros((4, 32, 32, 3), "uint8"))  # (4, 128)
    ```
    """
    return _resnet((2, 2, 2, 2), _basic_block, 1, **locals(), default_name="resnet18")


def resnet34(input_shape=(224, 224, 3), *, width=64, stem=None, pooling="avg", zero_init_residual=False,
             batch_norm_momentum=0.9, preprocessing=True, batch_norm_groups=1, synchronized=False, name=None):
    """ResNet-34: 16 blocks of two 3x3 convolutions, 21.3 million parameters, features of size 8 * `width` (512).

    Args, returns and errors: as for `resnet18`.
    """
    return _resnet((3, 4, 6, 3), _basic_block, 1, **locals(), default_name="resnet34")


def resnet50(input_shape=(224, 224, 3), *, width=64, stem=None, pooling="avg", zero_init_residual=False,
             batch_norm_momentum=0.9, preprocessing=True, batch_norm_groups=1, synchronized=False,
             selective_kernel=False, name=None):
    """ResNet-50: 16 bottlenecks, 23.5 million parameters, features of size 32 * `width` (2048).

    The stride is in the 3x3 convolution of a bottleneck (v1.5), not in the first 1x1 as in the paper: every public
    checkpoint of the field is of this kind.

    With `selective_kernel` it is the network of SimCLR v2, of 35.2 million parameters: the 3x3 convolution of a
    bottleneck makes two maps, which are mixed channel by channel with weights that depend on both. The shortcuts then
    average 2x2 pixels where they stride, and the "imagenet" stem has three 3x3 convolutions and the padding of its
    authors' TensorFlow code, so that their checkpoints fit.

    Args:
        selective_kernel: whether bottlenecks, shortcuts and stem are those of SimCLR v2.
        **others: as for `resnet18`; returns and errors too, with 32 * `width` features.
    """
    return _resnet((3, 4, 6, 3), _bottleneck, 4, **locals(), default_name="resnet50")


def resnet101(input_shape=(224, 224, 3), *, width=64, stem=None, pooling="avg", zero_init_residual=False,
              batch_norm_momentum=0.9, preprocessing=True, batch_norm_groups=1, synchronized=False,
              selective_kernel=False, name=None):
    """ResNet-101: 33 bottlenecks, 42.5 million parameters, features of size 32 * `width` (2048).

    Args, returns and errors: as for `resnet50`.
    """
    return _resnet((3, 4, 23, 3), _bottleneck, 4, **locals(), default_name="resnet101")


def resnet152(input_shape=(224, 224, 3), *, width=64, stem=None, pooling="avg", zero_init_residual=False,
              batch_norm_momentum=0.9, preprocessing=True, batch_norm_groups=1, synchronized=False,
              selective_kernel=False, name=None):
    """ResNet-152: 50 bottlenecks, 58.1 million parameters, features of size 32 * `width` (2048).

    The largest network of SimCLR v2 is `resnet152(width=192, selective_kernel=True)`.

    Args, returns and errors: as for `resnet50`.
    """
    return _resnet((3, 8, 36, 3), _bottleneck, 4, **locals(), default_name="resnet152")


def _resnet(depths, block, expansion, input_shape, width, stem, pooling, zero_init_residual, batch_norm_momentum,
            preprocessing, batch_norm_groups, synchronized, name, default_name, selective_kernel=False):
    input_shape = _shape(input_shape)
    check_flags(zero_init_residual=zero_init_residual, synchronized=synchronized, selective_kernel=selective_kernel)
    _check(input_shape, width, stem, pooling, batch_norm_momentum, batch_norm_groups, synchronized)
    if stem is None:
        stem = "cifar" if min(input_shape[:2]) <= 64 else "imagenet"

    def batch_norm(x, name, gamma="ones"):
        options = {"momentum": batch_norm_momentum, "epsilon": 1e-5, "gamma_initializer": gamma, "name": name}
        if batch_norm_groups > 1:
            return GroupedBatchNormalization(batch_norm_groups, **options)(x)
        return layers.BatchNormalization(synchronized=synchronized, **options)(x)

    images = keras.Input(input_shape, name="images")
    x = _normalize(images, input_shape[-1], preprocessing) if preprocessing else images
    if stem == "imagenet" and selective_kernel:
        for i, filters in enumerate((width // 2, width // 2, width)):
            x = _conv(x, filters, 3, 1 if i else 2, name=f"stem_conv{i + 1}")
            x = layers.ReLU(name=f"stem_relu{i + 1}")(batch_norm(x, f"stem_bn{i + 1}"))
        x = layers.MaxPooling2D(3, 2, padding="same", data_format=LAST, name="stem_pool")(x)
    elif stem == "imagenet":
        x = _conv(x, width, 7, 2, name="stem_conv")
        x = layers.ReLU(name="stem_relu")(batch_norm(x, "stem_bn"))
        # Zeros are as good as torch's -inf here: after a ReLU nothing is smaller.
        x = layers.ZeroPadding2D(1, data_format=LAST, name="stem_pool_pad")(x)
        x = layers.MaxPooling2D(3, 2, data_format=LAST, name="stem_pool")(x)
    else:
        x = _conv(x, width, 3, 1, name="stem_conv")
        x = layers.ReLU(name="stem_relu")(batch_norm(x, "stem_bn"))

    for i, depth in enumerate(depths):
        for j in range(depth):
            stride = 2 if i > 0 and j == 0 else 1
            x = block(
                x, width * 2**i, width * 2**i * expansion, stride, batch_norm,
                last_gamma="zeros" if zero_init_residual else "ones", selective=selective_kernel,
                name=f"stage{i + 1}_block{j + 1}",
            )

    if pooling == "avg":
        x = layers.GlobalAveragePooling2D(data_format=LAST, name="pool")(x)
    elif pooling == "max":
        x = layers.GlobalMaxPooling2D(data_format=LAST, name="pool")(x)
    return keras.Model(images, x, name=name or default_name)


def _basic_block(x, inner, outer, stride, batch_norm, last_gamma, selective, name):
    y = _conv(x, inner, 3, stride, name=f"{name}_conv1")
    y = layers.ReLU(name=f"{name}_relu1")(batch_norm(y, f"{name}_bn1"))
    y = _conv(y, outer, 3, 1, name=f"{name}_conv2")
    y = batch_norm(y, f"{name}_bn2", last_gamma)
    return _join(x, y, stride, batch_norm, selective, name)


def _bottleneck(x, inner, outer, stride, batch_norm, last_gamma, selective, name):
    y = _conv(x, inner, 1, 1, name=f"{name}_conv1")
    y = layers.ReLU(name=f"{name}_relu1")(batch_norm(y, f"{name}_bn1"))
    y = _conv(y, 2 * inner if selective else inner, 3, stride, name=f"{name}_conv2")
    y = layers.ReLU(name=f"{name}_relu2")(batch_norm(y, f"{name}_bn2"))
    if selective:
        y = _select(y, inner, batch_norm, name)
    y = _conv(y, outer, 1, 1, name=f"{name}_conv3")
    y = batch_norm(y, f"{name}_bn3", last_gamma)
    return _join(x, y, stride, batch_norm, selective, name)


def _select(x, channels, batch_norm, name):
    """The two maps that the channels of `x` hold, mixed channel by channel: the weights of each pair sum to 1."""
    first, second = x[..., :channels], x[..., channels:]
    context = layers.GlobalAveragePooling2D(LAST, keepdims=True, name=f"{name}_select_pool")(first + second)
    context = _conv(context, max(channels // 16, 32), 1, 1, name=f"{name}_select_conv1")
    context = layers.ReLU(name=f"{name}_select_relu")(batch_norm(context, f"{name}_select_bn"))
    logits = _conv(context, 2 * channels, 1, 1, name=f"{name}_select_conv2")
    logits = layers.Reshape((2, 1, 1, channels), name=f"{name}_select_reshape")(logits)
    weights = layers.Softmax(axis=1, name=f"{name}_select")(logits)  # over the two maps
    return first * weights[:, 0] + second * weights[:, 1]


def _join(x, y, stride, batch_norm, selective, name):
    if x.shape[-1] != y.shape[-1] or stride > 1:
        if selective:
            x = layers.AveragePooling2D(2, stride, "same", data_format=LAST, name=f"{name}_shortcut_pool")(x)
        x = _conv(x, y.shape[-1], 1, 1 if selective else stride, name=f"{name}_shortcut_conv")
        x = batch_norm(x, f"{name}_shortcut_bn")
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))


def _conv(x, filters, size, stride, name):
    # "same" pads the right and lower side only where the stride is 2 and the side even; torch pads both.
    if stride > 1 and size > 1:
        x = layers.ZeroPadding2D(size // 2, data_format=LAST, name=f"{name}_pad")(x)
    return layers.Conv2D(
        filters, size, stride,
        padding="same" if stride == 1 else "valid",
        data_format=LAST,
        use_bias=False,
        # One initializer a layer: an instance draws the same numbers at every call.
        kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
        name=name,
    )(x)


def _normalize(images, channels, statistics=True):
    if statistics is not True:
        pair = tuple(statistics) if isinstance(statistics, (tuple, list)) and len(statistics) == 2 else ((), ())
        mean, std = (tuple(one) if isinstance(one, (tuple, list)) else () for one in pair)
        if len(mean) != channels or len(std) != channels or not all(map(is_number, mean + std)) or not min(std) > 0:
            raise ValueError(
                "preprocessing must be True, False or a pair (mean, std) with one number a channel, std above 0. "
                f"Received: preprocessing={statistics!r} for {channels} channels"
            )
    else:
        mean, std = pixels.statistics(channels)
    # Full precision under a mixed policy too: bfloat16 has 8 bits, and a pixel alone has as many.
    dtype = keras.backend.result_type(keras.config.dtype_policy().variable_dtype, "float32")
    return layers.Rescaling(
        # With two axes more, or a keras.json with "channels_first" would have them mean the rows.
        scale=[[[1 / (255 * s) for s in std]]],
        offset=[[[-m / s for m, s in zip(mean, std)]]],
        dtype=dtype,
        name="preprocessing",
    )(images)


def _check(input_shape, width, stem, pooling, batch_norm_momentum, batch_norm_groups, synchronized):
    if stem is None and None in input_shape:
        raise ValueError(
            "stem=None chooses by the size of the images: with an unknown height or width pass stem='imagenet' or "
            f"stem='cifar'. Received: input_shape={input_shape}"
        )
    if not is_int(width, 1):
        raise ValueError(f"width must be a positive int, the channels of the first stage. Received: width={width}")
    if stem not in (None, "imagenet", "cifar"):
        raise ValueError(f"stem must be 'imagenet', 'cifar' or None. Received: stem={stem!r}")
    if pooling not in (None, "avg", "max"):
        raise ValueError(f"pooling must be 'avg', 'max' or None. Received: pooling={pooling!r}")
    if not is_number(batch_norm_momentum) or not 0 <= batch_norm_momentum < 1:
        raise ValueError(
            f"batch_norm_momentum must be in [0, 1). Received: batch_norm_momentum={batch_norm_momentum}"
        )
    if not is_int(batch_norm_groups, 1):
        raise ValueError(f"batch_norm_groups must be a positive int. Received: batch_norm_groups={batch_norm_groups}")
    if batch_norm_groups > 1 and synchronized:
        raise ValueError(
            "batch_norm_groups normalizes less than a replica's batch, synchronized more: use one of them. "
            f"Received: batch_norm_groups={batch_norm_groups}, synchronized={synchronized}"
        )


def _shape(input_shape):
    """`input_shape` as a tuple, if it is one of images."""
    sides = tuple(input_shape) if isinstance(input_shape, (tuple, list)) else ()
    if len(sides) != 3 or not all(is_int(side, 1) for side in sides if side is not None) or sides[-1] is None:
        raise ValueError(
            "input_shape must be (height, width, channels), positive ints without the batch; height and width may be "
            f"None. Received: input_shape={input_shape!r}"
        )
    return sides


def _check_ratio(mlp_ratio):
    if not is_number(mlp_ratio) or not 0 < mlp_ratio <= 1000:
        raise ValueError(f"mlp_ratio must be positive, and at most 1000. Received: mlp_ratio={mlp_ratio!r}")
