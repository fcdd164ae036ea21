r"""CLIP: Learning Transferable Visual Models From Natural Language Supervision (Radford et al., 2021).

https://arxiv.org/abs/2103.00020

Objective:
    \mathcal{L} = -\frac{1}{2N} \sum_{i=1}^{N} \left( \log \frac{e^{c\, s_{ii}}}{\sum_j e^{c\, s_{ij}}} + \log
    \frac{e^{c\, s_{ii}}}{\sum_j e^{c\, s_{ji}}} \right)
    where $s_{ij}$ is the cosine of image $i$ and text $j$ of the batch, and $c$ is the learned scale.

Flow:
    image -> encoder -> image head -> InfoNCE, both ways
    text -> text encoder -> text head -> InfoNCE, both ways

Take it when images have captions, and classes should be named in words afterwards.

Leave it when there are no texts, or a few thousand pairs only: fine-tune public weights instead.
"""

import math

import keras
from keras import ops

from keras_ssl import checks, distribute, heads, inputs
from keras_ssl.losses import symmetric_info_nce
from keras_ssl.losses.vectors import unit
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class CLIP(Method):
    """Images and their texts find each other in the batch; the temperature is learned.

    The data must hold `"text"`, int token ids `(batch, length)`, next to `"image"`. Equal texts of a batch count as
    wrong answers of each other, as in the paper, unless `mask_duplicates` is on.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`.
        augment: layer from images to one view. The paper's only augmentation is a random square crop.
        text_encoder: `keras.Model` from token ids `(batch, length)` to features `(batch, dim)`:
            `keras_ssl.encoders.text_transformer`.
        dim: int, size of the embeddings of both (512).
        temperature: float > 0, where the learned temperature starts (tau, 0.07).
        max_scale: float, the largest factor of the cosines, 1 / temperature (100), or None for no limit. The optimizer
            step ends with the clipping.
        mask_duplicates: whether pairs of the global batch whose token ids are equal are left out of each other's
            wrong answers, in both directions (False).

    Raises:
        ValueError: where `text_encoder` is no built model, or does not return features of rank 2.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> text_encoder = keras_ssl.encoders.text_transformer(vocabulary=258, length=32, width=64, depth=2, heads=4)
    >>> augment = keras_ssl.augment.RandomResizedCrop(32, scale=(0.5, 1.0))
    >>> model = keras_ssl.CLIP(encoder, keras_ssl.augment.Views(augment, 1), text_encoder=text_encoder)
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(5e-4, weight_decay=0.2, beta_2=0.98))

    With a vision transformer the paper's optimizer also has `epsilon=1e-6`.

    The pipelines of `keras_ssl.data` hold images only; the texts join them by their index:

    >>> tokens = keras_ssl.encoders.byte_tokens(["a red square", "a blue disc"], length=32)
    >>> images = keras_ssl.data.arrays(np.zeros((2, 32, 32, 3), "uint8"), 2, index=True)
    >>> pairs = images.map(lambda batch: {**batch, "text": tf.gather(tokens, batch["index"])})
    """

    terms = ("scale",)
    needs = ("text",)
    view_counts = (1, 1)
    least_batch = 2

    bounds = {
        "dim": checks.ints(),
        "temperature": checks.numbers(above=0),
        "max_scale": checks.numbers(above=0, optional=True),
        "mask_duplicates": checks.flag(),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        text_encoder,
        dim=512,
        temperature=0.07,
        max_scale=100.0,
        mask_duplicates=False,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.text_encoder = check_text_encoder(text_encoder)
        self.dim, self.temperature, self.max_scale = dim, temperature, max_scale
        self.mask_duplicates = mask_duplicates
        self.image_head = heads.linear(encoder.output_shape[-1], dim, bias=False, name="image_head")
        self.text_head = heads.linear(text_encoder.output_shape[-1], dim, bias=False, name="text_head")
        self.log_scale = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(math.log(1.0 / temperature)),
            constraint=max_scale and (lambda log_scale: ops.minimum(log_scale, math.log(max_scale))),
            dtype="float32",
            autocast=False,
            name="log_scale",
        )

    def limits(self):
        size = inputs.vocabulary(self.text_encoder)
        return {"text": size} if size else {}

    def objective(self, views, text):
        images, texts, scale, mask = self.embed_pairs(views, text)
        return {"loss": symmetric_info_nce(images, texts, scale, mask), "scale": scale}

    def embed_pairs(self, views, text):
        """Images and texts, `(batch, dim)` each, the factor of their cosines, and which pairs are left out or None."""
        (view,) = views
        images = self.image_head(self.encoder(view, training=True), training=True)
        texts = self.text_head(self.text_encoder(text, training=True), training=True)
        mask = equal_texts(text) if self.mask_duplicates else None
        return images, texts, ops.exp(self.log_scale), mask

    def embed_images(self, images):
        """Unit vectors `(batch, dim)` of images `(batch, height, width, channels)`."""
        return unit(self.image_head(self.encoder(images, training=False), training=False))

    def embed_texts(self, text):
        """Unit vectors `(batch, dim)` of token ids `(batch, length)`."""
        return unit(self.text_head(self.text_encoder(text, training=False), training=False))

    def zero_shot(self, prompts):
        """A linear classifier out of words: for each class the normalized mean of its prompts' embeddings.

        Args:
            prompts: list with an int array `(prompts, length)` for each class, the token ids of "a photo of a dog",
                "a sketch of a dog" and so on.

        Returns:
            float32 `(classes, dim)`, unit vectors.
        """
        return ops.stack([unit(ops.mean(self.embed_texts(of_class), axis=0)) for of_class in prompts])

    def classify(self, images, classifier):
        """Probabilities `(batch, classes)` of images by the cosines with a classifier of `zero_shot`."""
        return ops.softmax(ops.exp(self.log_scale) * ops.matmul(self.embed_images(images), ops.transpose(classifier)))


def equal_texts(text):
    """Which texts of the global batch equal each of this replica: bool `(batch, global batch)`."""
    everywhere = distribute.gather(text, gradient=False)
    return ops.all(text[:, None, :] == everywhere[None, :, :], axis=-1)


def check_text_encoder(text_encoder):
    shape = getattr(text_encoder, "output_shape", None) if getattr(text_encoder, "built", False) else None
    if not (isinstance(text_encoder, keras.Model) and isinstance(shape, tuple) and len(shape) == 2 and shape[-1]):
        raise ValueError(
            "text_encoder must be a built keras.Model from token ids (batch, length) to features (batch, dim), for "
            "example keras_ssl.encoders.text_transformer(vocabulary=258, length=32, width=64, depth=2, heads=4). "
            f"Received: {text_encoder!r}"
        )
    return text_encoder
