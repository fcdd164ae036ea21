"""ResNets in torchvision's keys: MoCo, SwAV, Barlow Twins, VICReg, DINO, SimCLR of VISSL."""

from keras_ssl import encoders
from keras_ssl.pretrained.layout import Layout
from keras_ssl.pretrained.vit import norm

# Blocks of each stage and convolutions of a block, and what it is.
KINDS = {
    ((2, 2, 2, 2), 2): encoders.resnet18,
    ((3, 4, 6, 3), 2): encoders.resnet34,
    ((3, 4, 6, 3), 3): encoders.resnet50,
    ((3, 4, 23, 3), 3): encoders.resnet101,
    ((3, 8, 36, 3), 3): encoders.resnet152,
}
LONGEST = 36


def build(weights, options, input_shape, pooling):
    """An encoder of the size that the weights have.

    Args:
        weights: dict from `layout.convert`.
        options: dict of arguments of `encoders.resnet50`.
        input_shape: ints `(height, width, 3)`, where height and width may be None, or None: (224, 224, 3).
        pooling: "mean", "max", or None for the map; "auto" is "mean".
    """
    if pooling == "token":
        raise ValueError("A ResNet has no token: pooling must be 'mean', 'max' or None. Received: pooling='token'")
    if "heads" in options:
        raise ValueError(f"A ResNet has no attention: leave out heads. Received: heads={options['heads']}")
    first = [name for name in weights if name.endswith("_conv1/kernel")]
    depths = tuple(sum(name.startswith(f"stage{stage}_") for name in first) for stage in (1, 2, 3, 4))
    convolutions = sum(f"stage1_block1_conv{i}/kernel" in weights for i in (1, 2, 3))
    if (depths, convolutions) not in KINDS:
        raise ValueError(
            f"No ResNet here has {depths} blocks of {convolutions} convolutions: ResNet-18, 34, 50, 101 and 152 are "
            "known."
        )
    size, _, channels, width = weights["stem_conv/kernel"].shape
    return KINDS[depths, convolutions](
        (224, 224, channels) if input_shape is None else input_shape, width=width,
        stem="imagenet" if size == 7 else "cifar", pooling="avg" if pooling in ("auto", "mean") else pooling, **options,
    )


def batch_norm(key, layer):
    return {
        **norm(key, layer),
        f"{key}.running_mean": f"{layer}/moving_mean",
        f"{key}.running_var": f"{layer}/moving_variance",
    }


def block(stage, number):
    key, layer = f"layer{stage}.{number}", f"stage{stage}_block{number + 1}"
    found = {
        f"{key}.downsample.0.weight": f"{layer}_shortcut_conv/kernel",
        **batch_norm(f"{key}.downsample.1", f"{layer}_shortcut_bn"),
    }
    for i in (1, 2, 3):
        found |= {f"{key}.conv{i}.weight": f"{layer}_conv{i}/kernel", **batch_norm(f"{key}.bn{i}", f"{layer}_bn{i}")}
    return found


KEYS = {"conv1.weight": "stem_conv/kernel", **batch_norm("bn1", "stem_bn")}
for _stage in (1, 2, 3, 4):
    for _number in range(LONGEST):
        KEYS |= block(_stage, _number)

LAYOUTS = (
    Layout(
        "resnet",
        "layer1.0.conv1.weight",
        KEYS,
        r"fc\.|projection_head|prototypes|.*num_batches_tracked$",
        ("stem_conv/kernel",),
        build,
    ),
)
