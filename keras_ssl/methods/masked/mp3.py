r"""MP3: Position Prediction as an Effective Pretraining Strategy (Zhai et al., 2022).

https://arxiv.org/abs/2207.07611

Objective:
    \mathcal{L} = -\operatorname{mean}_i \log p_i(\text{true place of patch } i)
    where $p_i$ is the softmax over all places of the image.

Flow:
    image -> patches without positions -> encoder -> softmax over places -> cross-entropy

Take it when the arrangement of parts says what is seen, and no decoder is wanted.

Leave it when places mean nothing, as in textures or in images from above.
"""

import math

import keras
from keras import ops

from keras_ssl import heads
from keras_ssl.augment.places import select
from keras_ssl.augment.random import uniform
from keras_ssl.augment.rows import local_seeds
from keras_ssl.checks import is_number
from keras_ssl.encoders import vit_stages
from keras_ssl.encoders.decoder import patch_grid
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class MP3(Method):
    """Where was each patch? A transformer without positions says so, with a part of the patches as its context.

    Every patch asks, and only the patches of the context answer: in each attention all tokens are queries, and the keys
    and values are of the context alone, the same in all blocks. The patches come in random order, the context first.

    To fine-tune, give the encoder positions: `keras_ssl.encoders.with_positions(model.encoder)`. A class token, if
    there is one, is a part of every context, and has no position to predict; the paper adds one to fine-tune.

    Args:
        encoder: `keras_ssl.encoders.vit` with `positions=None` and a known `input_shape`; best with
            `class_token=False, pooling="mean"`.
        augment: layer from images to one view; `keras_ssl.augment.mae`.
        ratio: float in [0, 1), part of the patches that is not in the context, rounded up (eta, 0.75). With 0 the
            task is nearly trivial.

    Raises:
        ValueError: the encoder is no ViT, has positions or takes images of any size, or the ratio is out of range.

    Example:

    >>> options = {"patch": 4, "positions": None, "class_token": False, "pooling": "mean"}
    >>> encoder = keras_ssl.encoders.vit_tiny((32, 32, 3), **options)
    >>> model = keras_ssl.MP3(encoder, keras_ssl.augment.mae(32))
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(5e-4, weight_decay=0.05))
    """

    terms = ("accuracy",)
    view_counts = (1, 1)

    def __init__(self, encoder, augment=None, *, ratio=0.75, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        if not is_number(ratio) or not 0 <= ratio < 1:
            raise ValueError(f"ratio must be in [0, 1), the part outside of the context. Received: ratio={ratio!r}")
        self.ratio = ratio
        self.patches, self.positions, blocks = stages_without_positions(encoder)
        (rows, columns), _ = patch_grid(encoder)
        self.count = rows * columns
        self.kept = self.count - math.ceil(self.count * ratio - 1e-6)
        if self.kept < 2:
            raise ValueError(
                f"A context has at least two patches. Received: ratio={ratio}, which leaves {self.kept} of {self.count}"
            )
        self.extra = 1 if any(layer.name == "class_token" for layer in self.positions.layers) else 0
        self.blocks = with_context(blocks, self.extra + self.kept)
        draw = keras.initializers.RandomNormal(stddev=0.02)  # at first no position is more likely than others
        self.head = heads.linear(blocks.output_shape[-1], self.count, initializer=draw, name="head")
        self.draws = keras.random.SeedGenerator()

    def objective(self, views):
        (images,) = views
        rows = ops.shape(images)[0]
        order = self.draw_order(rows)  # (batch, patches), the true position of each patch; those of the context first
        logits = self.predict_positions(images, order)  # (batch, patches, positions)
        loss = ops.mean(ops.sparse_categorical_crossentropy(order, logits, from_logits=True))
        found = ops.cast(ops.argmax(logits, axis=-1), "int32")
        return {"loss": loss, "accuracy": ops.mean(ops.cast(found == order, "float32"))}

    def draw_order(self, rows):
        draws = uniform(local_seeds(self.draws, rows), self.count)
        return ops.cast(ops.argsort(draws, axis=1), "int32")

    def predict_positions(self, images, order, training=True):
        """What each patch says of where it was, float32 `(batch, patches, positions)`, patches in the given order.

        Args:
            images: `(batch, height, width, channels)` of 0..255.
            order: int32 `(batch, patches)`, a permutation of each image's patches; the first `kept` are the context.
            training: whether dropout and drop path act.
        """
        tokens = self.positions(self.patches(images))
        tokens = ops.concatenate([tokens[:, : self.extra], select(tokens[:, self.extra :], order)], axis=1)
        found = self.blocks(tokens, training=training)[:, self.extra :]  # (batch, patches, width)
        logits = self.head(ops.reshape(found, (-1, found.shape[-1])), training=training)
        return ops.reshape(ops.cast(logits, "float32"), (-1, self.count, self.count))


def with_context(blocks, size):
    """The blocks of a ViT with other attention, by the same weights: the keys and values are the first `size` tokens.

    Args:
        blocks: `keras.Model` of `vit_stages`.
        size: int, number of tokens.

    Returns:
        `keras.Model` from any number of tokens `(batch, tokens, width)`, at least `size`, to as many.
    """

    def call(layer, *inputs, **options):
        if layer.name.endswith(("_key", "_value")):
            inputs = (inputs[0][:, :size], *inputs[1:])
        return layer(*inputs, **options)

    return keras.models.clone_model(blocks, clone_function=lambda layer: layer, call_function=call)


def stages_without_positions(encoder):
    stages = vit_stages(encoder)
    if any(layer.name in ("sines", "table") for layer in stages.positions.layers):
        raise ValueError(
            f"MP3 predicts positions, and the encoder '{encoder.name}' is told them: build it with positions=None, and "
            "add them to fine-tune it, by keras_ssl.encoders.with_positions."
        )
    return stages
