"""NIN: Network In Network (Lin, Chen, Yan, 2013), https://arxiv.org/abs/1312.4400, as RotNet's authors have it.

Their experiments on CIFAR-10 (https://arxiv.org/abs/1803.07728) pretrain four blocks and probe the second one.
"""

import keras
from keras import layers

from keras_ssl.checks import check_flags, is_int
from keras_ssl.encoders.alexnet import torch_uniform
from keras_ssl.encoders.resnet import LAST, _normalize, _shape


def nin(input_shape=(32, 32, 3), *, blocks=4, width=192, pool_third=False, preprocessing=True, name=None):
    """Network in network: blocks of one convolution of 5 x 5 or 3 x 3 and two of 1 x 1, features of size `width`.

    1.4 million parameters with four blocks. Each convolution is batch-normalized, without a bias; the first block ends
    with a maximum over 3 x 3 of stride 2, the second with a mean. The outputs of the blocks are the layers `block1`,
    `block2` and so on, for `keras_ssl.eval.layer_probes`.

    Args:
        input_shape: ints `(height, width, channels)`; height and width may be None.
        blocks: int from 3, number of blocks.
        width: positive int, channels of all layers but the last two of the first block, which have 5/6 and 1/2 of it.
        pool_third: whether the third of more than three blocks ends with a mean, too; not in the paper's experiments
            with four blocks.
        preprocessing: as for `resnet18`.
        name: str, name of the model.

    Returns:
        a functional `keras.Model`: images of 0..255 `(batch, height, width, channels)` to features `(batch, width)`.

    Raises:
        ValueError: where an argument is out of its range.

    Example:
    ```python
    encoder = keras_ssl.encoders.nin((32, 32, 3))
    features = encoder(np.zeros((4, 32, 32, 3), "uint8"))  # (4, 192)
    ```
    """
    input_shape = _shape(input_shape)
    check_flags(pool_third=pool_third)
    if not is_int(blocks, 3):
        raise ValueError(f"blocks must be an int from 3. Received: blocks={blocks!r}")
    if not is_int(width, 2):
        raise ValueError(f"width must be an int from 2. Received: width={width!r}")

    images = keras.Input(input_shape, name="images")
    x = _normalize(images, input_shape[-1], preprocessing) if preprocessing else images
    for i in range(blocks):
        filters = (width, width * 5 // 6, width // 2) if i == 0 else (width,) * 3
        for j, (channels, size) in enumerate(zip(filters, (5 if i < 2 else 3, 1, 1))):
            x = _conv(x, channels, size, f"block{i + 1}_conv{j + 1}")
        if i == 0:
            x = layers.ZeroPadding2D(1, data_format=LAST, name="block1_pad")(x)  # after a ReLU nothing is smaller
            x = layers.MaxPooling2D(3, 2, data_format=LAST, name="block1")(x)
        elif i == 1 or i == 2 and pool_third and blocks > 3:
            x = layers.ZeroPadding2D(1, data_format=LAST, name=f"block{i + 1}_pad")(x)
            x = layers.AveragePooling2D(3, 2, data_format=LAST, name=f"block{i + 1}")(x)
        else:
            x = layers.Identity(name=f"block{i + 1}")(x)
    x = layers.GlobalAveragePooling2D(data_format=LAST, name="pool")(x)
    return keras.Model(images, x, name=name or "nin")


def _conv(x, filters, size, name):
    draw = torch_uniform()
    x = layers.Conv2D(
        filters, size, padding="same", data_format=LAST, use_bias=False, kernel_initializer=draw, name=name
    )(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
