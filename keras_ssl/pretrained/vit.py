"""Vision transformers of DINO, DINOv2, MAE, MoCo v3, iBOT and timm, and those that transformers publishes.

Layer scale (https://arxiv.org/abs/2103.17239) is multiplied into the layer before it: the function is the same, with
fewer operations. The position of the class token is added to that token.
"""

import math

import numpy as np

from keras_ssl import encoders
from keras_ssl.pixels import cubic
from keras_ssl.pretrained.layout import Layout


def build(weights, options, input_shape, pooling):
    """An encoder of the size that the weights have, and what is left to do to the weights.

    Args:
        weights: dict from `layout.convert`. Positions are brought to the grid of `input_shape`, in place.
        options: dict with any of `heads`; `offset`, `antialias`: how the paper's code interpolates positions, see
            `resize_matrix`; `class_row`, see `split_positions`; and arguments of `encoders.vit`.
        input_shape: ints `(height, width, 3)`, where height and width may be None, or None: as in pretraining. It also
            tells the grid of positions that are not those of a square, see `split_positions`.
        pooling: as for `encoders.vit`; "auto" is "token".
    """
    patch, _, channels, width = weights["patches/kernel"].shape
    hidden = weights["block1_hidden/kernel"].shape[-1]
    depth = max(int(name[5:].split("_")[0]) for name in weights if name.startswith("block"))
    options = {"heads": max(width // 64, 1), "offset": 0.0, "antialias": False, "class_row": None} | options
    offset, antialias, class_row = (options.pop(name) for name in ("offset", "antialias", "class_row"))
    if "registers/kernel" in weights:
        options["registers"] = weights["registers/kernel"].size // width
    weights.setdefault("patches/bias", np.zeros(width, "float32"))
    fold_layer_scale(weights)
    known = input_shape is not None and None not in input_shape[:2]
    asked = tuple(length // patch for length in input_shape[:2]) if known else None
    grid = split_positions(weights, asked, class_row)
    if input_shape is None:
        input_shape = (grid[0] * patch, grid[1] * patch, channels)
    elif asked not in (None, grid):
        weights["table/kernel"] = resize(weights["table/kernel"], grid, asked, offset, antialias)
        grid = asked
    return encoders.vit(
        input_shape, patch, width=width, depth=depth, mlp_ratio=hidden / width, grid=grid, positions="learned",
        pooling="token" if pooling == "auto" else pooling, **options,
    )


def fold_layer_scale(weights):
    """`scale * (x @ kernel + bias)` as `x @ (scale * kernel) + scale * bias`."""
    for name in [name for name in weights if name.endswith("/scale")]:
        scale, layer = weights.pop(name), name.removesuffix("/scale")
        for part in ("kernel", "bias"):
            if f"{layer}/{part}" in weights:
                weights[f"{layer}/{part}"] = weights[f"{layer}/{part}"] * scale


def split_positions(weights, asked=None, class_row=None):
    """Leaves the patches' rows of the table, and returns their grid.

    The first row is the class token's, but some files have added it to the token. With it, a grid of n - 1 by n + 1
    patches has as many rows as a square of n by n without it (6 x 8 + 1 = 7 x 7), so a file cannot tell: the grid that
    is asked for does, and files with registers, whose squares have no such row in timm. A square with the class token's
    row is always taken for one.

    Args:
        weights: dict with `"table/kernel"` and `"class_token/kernel"`; both are changed in place.
        asked: ints `(rows, columns)`, the grid of the images that the encoder is to take, or None.
        class_row: False where the first row is known not to be the class token's, so the patches are those of a square.

    Raises:
        ValueError: the positions may be those of several grids, or are those of a grid that is not asked for.
    """
    table = weights["table/kernel"]
    count, side = len(table), math.isqrt(len(table))
    patches = None if asked is None else math.prod(asked)
    if class_row is False and side**2 == count:
        grid, own_row = (side, side), False
    elif math.isqrt(count - 1) ** 2 == count - 1:
        grid, own_row = (math.isqrt(count - 1),) * 2, True
    elif patches == count - 1:
        grid, own_row = asked, True
    elif side**2 == count and "registers/kernel" in weights:
        grid, own_row = (side, side), False
    elif patches == count:
        grid, own_row = asked, False
    else:
        which = f"{side} x {side} patches, or {side - 1} x {side + 1} and a class token" if side**2 == count else (
            "patches that are no square"
        )  # fmt: skip
        raise ValueError(
            f"The file has {count} positions, of {which}: pass the input_shape of pretraining, which tells. Received: "
            f"{'no input_shape' if asked is None else f'an input_shape of {asked[0]} x {asked[1]} patches'}"
        )
    if own_row:
        weights["class_token/kernel"] = weights["class_token/kernel"] + table[:1]
        weights["table/kernel"] = table[1:]
    return grid


def resize(table, old, grid, offset=0.0, antialias=False):
    """Positions of a grid `old`, `(rows * columns, width)`, for another one, as PyTorch interpolates them.

    Args:
        table: array `(rows * columns, width)`.
        old: ints `(rows, columns)`, or one int for a square.
        grid: ints `(rows, columns)`, the new ones.
        offset, antialias: see `resize_matrix`.
    """
    old = (old, old) if isinstance(old, int) else tuple(old)
    rows, columns = (resize_matrix(side, new, offset, antialias) for side, new in zip(old, grid))
    square = table.reshape(*old, -1).astype("float64")
    new = np.einsum("ri,cj,ijw->rcw", rows, columns, square, optimize=True)
    return new.reshape(math.prod(grid), -1).astype("float32")


def resize_matrix(old, new, offset=0.0, antialias=False):
    """Weights `(new, old)` of bicubic interpolation along one axis.

    DINO's code adds 0.1 to the new number of patches where it computes the scale (`offset`). PyTorch's cubic has the
    parameter -0.75 and repeats the border; with `antialias` it is -0.5, the border is cut off, and the cubic is as
    much wider as there are fewer patches.
    """
    scale = old / (new + offset)
    center = scale * (np.arange(new) + 0.5)
    if antialias:
        distance = np.abs(np.arange(old) + 0.5 - center[:, None]) / max(scale, 1)
        weights = cubic(distance, -0.5)
        return weights / weights.sum(axis=1, keepdims=True)
    weights = np.zeros((new, old))
    first = np.floor(center - 0.5).astype(int)
    for place in (first - 1, first, first + 1, first + 2):
        share = cubic(np.abs(place + 0.5 - center), -0.75)
        np.add.at(weights, (np.arange(new), np.clip(place, 0, old - 1)), share)
    return weights


def linear(key, layer):
    """A layer with weight and bias."""
    return {f"{key}.weight": f"{layer}/kernel", f"{key}.bias": f"{layer}/bias"}


def norm(key, layer):
    return {f"{key}.weight": f"{layer}/gamma", f"{key}.bias": f"{layer}/beta"}


def joined(key, *layers, between="."):
    """Layers of equal size in one."""
    return {
        f"{key}{between}weight": " ".join(f"{layer}/kernel" for layer in layers),
        f"{key}{between}bias": " ".join(f"{layer}/bias" for layer in layers),
    }


REQUIRED = ("patches/kernel", "class_token/kernel", "table/kernel", "block1_hidden/kernel")
QUERY_KEY_VALUE = ("block{}_query", "block{}_key", "block{}_value")

PLAIN = Layout(
    "vit",
    "patch_embed.proj.weight",
    {
        "cls_token": "class_token/kernel",
        "pos_embed": "table/kernel",
        "register_tokens": "registers/kernel",
        "reg_token": "registers/kernel",
        **linear("patch_embed.proj", "patches"),
        **norm("blocks.{}.norm1", "block{}_norm1"),
        **joined("blocks.{}.attn.qkv", *QUERY_KEY_VALUE),
        **linear("blocks.{}.attn.proj", "block{}_projection"),
        "blocks.{}.ls1.gamma": "block{}_projection/scale",
        **norm("blocks.{}.norm2", "block{}_norm2"),
        **linear("blocks.{}.mlp.fc1", "block{}_hidden"),
        **linear("blocks.{}.mlp.fc2", "block{}_output"),
        "blocks.{}.ls2.gamma": "block{}_output/scale",
        **norm("norm", "norm"),
    },
    r"head\.|mask_token$|masked_embed$|decoder_",
    REQUIRED,
    build,
)

TRANSFORMERS = Layout(
    "vit_transformers",
    "embeddings.patch_embeddings.projection.weight",
    {
        "embeddings.cls_token": "class_token/kernel",
        "embeddings.position_embeddings": "table/kernel",
        "embeddings.register_tokens": "registers/kernel",
        **linear("embeddings.patch_embeddings.projection", "patches"),
        **linear("encoder.layer.{}.attention.attention.query", "block{}_query"),
        **linear("encoder.layer.{}.attention.attention.key", "block{}_key"),
        **linear("encoder.layer.{}.attention.attention.value", "block{}_value"),
        **linear("encoder.layer.{}.attention.output.dense", "block{}_projection"),
        **norm("encoder.layer.{}.layernorm_before", "block{}_norm1"),  # ViT, ViT-MAE
        **norm("encoder.layer.{}.layernorm_after", "block{}_norm2"),
        **linear("encoder.layer.{}.intermediate.dense", "block{}_hidden"),
        **linear("encoder.layer.{}.output.dense", "block{}_output"),
        **norm("encoder.layer.{}.norm1", "block{}_norm1"),  # DINOv2
        **norm("encoder.layer.{}.norm2", "block{}_norm2"),
        **linear("encoder.layer.{}.mlp.fc1", "block{}_hidden"),
        **linear("encoder.layer.{}.mlp.fc2", "block{}_output"),
        "encoder.layer.{}.layer_scale1.lambda1": "block{}_projection/scale",
        "encoder.layer.{}.layer_scale2.lambda1": "block{}_output/scale",
        **norm("layernorm", "norm"),
    },
    r"embeddings\.mask_token$|pooler\.|classifier\.|decoder\.",
    REQUIRED,
    build,
)

LAYOUTS = (PLAIN, TRANSFORMERS)
