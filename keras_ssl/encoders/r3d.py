"""R3D and R(2+1)D: A Closer Look at Spatiotemporal Convolutions for Action Recognition (Tran et al., 2017).

https://arxiv.org/abs/1711.11248. Sizes, padding and order of the layers are those of torchvision, so that its
checkpoints fit.
"""

import keras
from keras import layers

from keras_ssl.checks import check_flags, check_ints, check_numbers, choice, is_int
from keras_ssl.encoders.resnet import LAST, _normalize

KINETICS = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))  # mean and deviation of the channels


def r3d18(input_shape=(16, 112, 112, 3), *, width=64, factorized=False, stem=None, pooling="avg",
          zero_init_residual=False, batch_norm_momentum=0.9, preprocessing=True, synchronized=False, name=None):
    """A residual network of 18 layers over clips: 8 blocks of two convolutions over time, height and width.

    It takes clips of 0..255 in any dtype, with a fixed number of frames: a clip that is shorter is repeated or cut out
    elsewhere before. R3D-18 has 33.2 million parameters, R(2+1)D-18, where it is `factorized`, 31.3 million.

    Args:
        input_shape: ints `(frames, height, width, channels)`; the first three may be None where `stem` is given.
        width: positive int, channels of the first stage (64); 16 is quick.
        factorized: whether a convolution of 3 x 3 x 3 is one of 1 x 3 x 3 followed by one of 3 x 1 x 1, with as many
            channels between as make the parameters equal: R(2+1)D.
        stem: `"large"`: 3 x 7 x 7, of stride 2 in height and width, as in the paper; `"small"`: 3 x 3 x 3 of stride 1;
            None: `"small"` where the shorter side is at most 64 pixels.
        pooling: `"avg"`, `"max"`, or None for the map `(batch, frames / 8, height / 16, width / 16, 8 * width)`, of
            `height / 8` and `width / 8` with the small stem.
        zero_init_residual: whether the last scale of each block starts at 0.
        batch_norm_momentum: float in [0, 1), weight of the old moving statistics.
        preprocessing: whether the first layer maps 0..255 to `(x / 255 - mean) / std`, with the statistics of Kinetics
            for 3 channels. False: the caller does it. A pair `(mean, std)` of tuples: with these.
        synchronized: whether batch statistics are shared between replicas (TensorFlow only).
        name: str, name of the model.

    Returns:
        a functional `keras.Model`: clips to features `(batch, 8 * width)`.

    Raises:
        ValueError: an argument is out of its range.

    Example:
    ```python
    encoder = keras_ssl.encoders.r3d18((16, 64, 64, 3), width=16)
    features = encoder(np.zeros((2, 16, 64, 64, 3), "uint8"))  # (2, 128)
    ```
    """
    shape = tuple(input_shape) if isinstance(input_shape, (tuple, list)) else ()
    if len(shape) != 4 or not all(is_int(side, 1) for side in shape if side is not None) or shape[-1] is None:
        raise ValueError(
            "input_shape must be (frames, height, width, channels), positive ints without the batch; the first three "
            f"may be None. Received: input_shape={input_shape!r}"
        )
    check_ints(width=width)
    check_flags(factorized=factorized, zero_init_residual=zero_init_residual, synchronized=synchronized)
    check_numbers(least=0, below=1, batch_norm_momentum=batch_norm_momentum)
    choice("large", "small", None)("stem", stem)
    choice("avg", "max", None)("pooling", pooling)
    if stem is None:
        if None in shape:
            raise ValueError(
                "stem=None chooses by the size of the frames: with an unknown size pass stem='large' or stem='small'. "
                f"Received: input_shape={shape}"
            )
        stem = "small" if min(shape[1:3]) <= 64 else "large"

    def norm(x, name, gamma="ones"):
        options = {"momentum": batch_norm_momentum, "epsilon": 1e-5, "gamma_initializer": gamma, "name": f"{name}_bn"}
        return layers.BatchNormalization(synchronized=synchronized, **options)(x)

    def conv(x, filters, stride, middle, name):
        if not factorized:
            return _conv(x, filters, (3, 3, 3), (stride,) * 3, name)
        x = _conv(x, middle, (1, 3, 3), (1, stride, stride), f"{name}_space")
        x = layers.ReLU(name=f"{name}_space_relu")(norm(x, f"{name}_space"))
        return _conv(x, filters, (3, 1, 1), (stride, 1, 1), f"{name}_time")

    def block(x, filters, stride, name):
        middle = x.shape[-1] * filters * 27 // (x.shape[-1] * 9 + 3 * filters)
        y = layers.ReLU(name=f"{name}_relu1")(norm(conv(x, filters, stride, middle, f"{name}_conv1"), f"{name}_conv1"))
        y = conv(y, filters, 1, middle, f"{name}_conv2")
        y = norm(y, f"{name}_conv2", "zeros" if zero_init_residual else "ones")
        if stride > 1:
            x = norm(_conv(x, filters, (1, 1, 1), (stride,) * 3, f"{name}_shortcut"), f"{name}_shortcut")
        return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))

    clips = keras.Input(shape, name="clips")
    x = clips
    if preprocessing:
        statistics = KINETICS if preprocessing is True and shape[-1] == 3 else preprocessing
        x = _normalize(clips, shape[-1], statistics)
    side, step = (7, 2) if stem == "large" else (3, 1)
    if factorized:
        x = _conv(x, max(1, width * 45 // 64), (1, side, side), (1, step, step), "stem_space")
        x = layers.ReLU(name="stem_space_relu")(norm(x, "stem_space"))
        x = _conv(x, width, (3, 1, 1), (1, 1, 1), "stem_time")
    else:
        x = _conv(x, width, (3, side, side), (1, step, step), "stem")
    x = layers.ReLU(name="stem_relu")(norm(x, "stem"))
    for stage in range(4):
        for i in range(2):
            stride = 2 if stage and not i else 1
            x = block(x, width * 2**stage, stride, f"stage{stage + 1}_block{i + 1}")
    if pooling == "avg":
        x = layers.GlobalAveragePooling3D(name="pool", data_format=LAST)(x)
    elif pooling == "max":
        x = layers.GlobalMaxPooling3D(name="pool", data_format=LAST)(x)
    return keras.Model(clips, x, name=name or ("r2plus1d18" if factorized else "r3d18"))


def _conv(x, filters, kernel, strides, name):
    pad = tuple(side // 2 for side in kernel)
    if any(pad):
        x = layers.ZeroPadding3D(pad, name=f"{name}_pad", data_format=LAST)(x)
    draw = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
    return layers.Conv3D(
        filters, kernel, strides, use_bias=False, kernel_initializer=draw, data_format=LAST, name=f"{name}_conv"
    )(x)
