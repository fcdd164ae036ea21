"""Layer decay: BEiT (Bao et al., 2021), https://arxiv.org/abs/2106.08254, and MAE, https://arxiv.org/abs/2111.06377.

Fine-tuning moves the layers near the images, which are the most general ones, less than those near the labels.
"""

import re

import keras

# Layers of an encoder without blocks are put together, so that a decay means about what it means for a ViT-B.
GROUPS = 12


def layer_decay(model, decay):
    """Factors of the learning rate that fall from layer to layer, from the head to the images.

    Layer i of L has the factor `decay ** (L + 1 - i)`. Number 0 is what makes tokens of an image: patch embedding,
    positions, class token. Numbers 1 to L are the blocks. All behind them, the last normalization and the head, has
    the factor 1.

    - `vit`: as above. `conv_vit`: the blocks of the transformer, the convolutions are number 0, as in ConvMAE
      (https://arxiv.org/abs/2205.03892).
    - `swin`: the blocks of all stages; what joins patches between two stages belongs to the block before it, as in
      SimMIM (https://arxiv.org/abs/2111.09886).
    - `resnet`: the four stages; the stem is number 0.
    - any other model: its layers with a kernel, in their order, in 13 groups of equal size where there are more, the
      first being number 0; the last layer has the factor 1. A normalization belongs to the layer before it.

    Freeze what shall be frozen first: the factors are those of the variables that train now.

    Args:
        model: built `keras.Model`, an encoder or a model that holds one, such as a classifier.
        decay: float in (0, 1]; 0.75 in MAE, 0.65 in BEiT-B; 1 leaves all at the full rate.

    Returns:
        list of floats, one for each of `model.trainable_variables`, for `AdamW(rates=...)`.

    Raises:
        TypeError: the model is not a `keras.Model`.
        ValueError: the decay is out of its range, or the model has no trainable variables.

    Example:
    ```python
    model = keras.Sequential([encoder, keras.layers.Dense(10)])
    model.compile(keras_ssl.optimizers.AdamW(1e-3, rates=keras_ssl.optimizers.layer_decay(model, 0.75)))
    ```
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"model must be a built keras.Model. Received: model={model!r}")
    if not isinstance(decay, (int, float)) or not 0 < decay <= 1:
        raise ValueError(f"decay must be a float in (0, 1]. Received: decay={decay!r}")
    if not model.trainable_variables:
        raise ValueError(
            "The model has no trainable variables: build it first, for example by a call, and freeze a part of it at "
            f"most. Received: model={model}"
        )
    found = list(_leaves(model))
    numbers, last = _by_blocks(found) or _by_order(found)
    # What a subclass holds beside its layers (a class token) is number 0.
    of_variables = {id(w): number for layer, number in zip(found, numbers, strict=True) for w in layer.weights}
    return [float(decay) ** (last - of_variables.get(id(w), 0)) for w in model.trainable_variables]


def _leaves(model):
    """The layers with weights, in their order, those of models inside the model too."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        elif layer.weights:
            yield layer


def _by_blocks(found):
    """A number for each layer, and that of the head; None where the names tell of no blocks."""
    names = [layer.name for layer in found]
    if any(re.match(r"block\d+_", name) for name in names):  # vit, and conv_vit with convolutions that do not match
        pattern = r"block\d+_"
    elif "patches" in names:  # swin
        pattern = r"stage\d+_block\d+_"
    else:  # resnet
        pattern = r"stage\d+_"
    blocks = [match and match[0] for match in (re.match(pattern, name) for name in names)]
    order = [None, *dict.fromkeys(block for block in blocks if block)]  # a block's place in it is its number
    if len(order) == 1:
        return None
    end = max(i for i, block in enumerate(blocks) if block)
    numbers = []
    for i, block in enumerate(blocks):
        before = numbers[-1] if i else 0
        numbers.append(order.index(block) if block else len(order) if i > end else before)
    return numbers, len(order)


def _by_order(found):
    place, places = -1, []
    for layer in found:
        place += any(len(w.shape) > 1 for w in layer.weights)
        places.append(max(place, 0))
    end = max(places, default=0)
    last = min(end, GROUPS + 1)
    return [place * last // max(end, 1) for place in places], last
