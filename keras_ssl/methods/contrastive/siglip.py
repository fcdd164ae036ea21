r"""SigLIP: Sigmoid Loss for Language Image Pre-Training (Zhai, Mustafa, Kolesnikov, Beyer, 2023).

https://arxiv.org/abs/2303.15343

Objective:
    \mathcal{L} = -\frac{1}{N} \sum_{i=1}^{N} \sum_{j=1}^{N} \log \sigma \left( y_{ij} (c\, s_{ij} + b) \right)
    where $s_{ij}$ is the cosine of image $i$ and text $j$ of the batch, $y_{ij}$ is 1 where $i = j$ and else -1, and
    $c$ and $b$ are the learned scale and bias.

Flow:
    image -> encoder -> image head -> sigmoid of each pair
    text -> text encoder -> text head -> sigmoid of each pair

Take it when images have captions and batches are small, or several captions fit an image: no pair competes with
another.

Leave it when classes should have probabilities that sum to one: CLIP's softmax says which of them it is.
"""

import keras
from keras import ops

from keras_ssl import checks
from keras_ssl.losses import sigmoid_pairs
from keras_ssl.methods.contrastive.clip import CLIP


@keras.saving.register_keras_serializable("keras_ssl")
class SigLIP(CLIP):
    """CLIP where every pair of an image and a text is a question of its own: do they belong together?

    There is no softmax, so the loss needs no other pairs to be defined. Most pairs do not belong together, so the bias
    starts low: else the first steps would only learn to say no. The loss is a sum over the texts, as the authors have
    it, so it grows with the batch.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`.
        augment: layer from images to one view.
        text_encoder: `keras.Model` from token ids `(batch, length)` to features `(batch, dim)`:
            `keras_ssl.encoders.text_transformer`.
        temperature: float > 0, where the learned temperature starts (0.1: t' = log 10).
        bias: float, where the learned bias starts (b, -10). The authors' example with a batch of 512 has -2.71; its
            image encoder is trained before and frozen.
        max_scale: float, the largest factor of the cosines; None for no limit, as in the authors' code.
        mask_duplicates: whether pairs of the global batch whose token ids are equal are not asked, in both directions
            (False).
        **kwargs: the other arguments of `CLIP`.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> text_encoder = keras_ssl.encoders.text_transformer(vocabulary=258, length=32, width=64, depth=2, heads=4)
    >>> augment = keras_ssl.augment.RandomResizedCrop(32, scale=(0.5, 1.0))
    >>> model = keras_ssl.SigLIP(encoder, keras_ssl.augment.Views(augment, 1), text_encoder=text_encoder, bias=-2.71)
    >>> optimizer = keras_ssl.optimizers.AdamW(1e-3, weight_decay=0.1, beta_2=0.95, global_clipnorm=1.0)
    >>> model.compile(optimizer=optimizer)

    The authors' decay of 1e-4 is not multiplied by their rate of 1e-3; here decays are, so that it is 0.1. The texts
    join the images by their index, as with `CLIP`.
    """

    terms = ("scale", "offset")
    least_batch = 1

    bounds = {"bias": checks.numbers()}

    def __init__(self, encoder, augment=None, *, text_encoder, temperature=0.1, bias=-10.0, max_scale=None, **kwargs):
        super().__init__(
            encoder, augment, text_encoder=text_encoder, temperature=temperature, max_scale=max_scale, **kwargs
        )
        self.bias = bias
        self.offset = self.add_weight((), keras.initializers.Constant(bias), "float32", autocast=False, name="offset")

    def objective(self, views, text):
        images, texts, scale, mask = self.embed_pairs(views, text)
        loss = sigmoid_pairs(images, texts, scale, self.offset, mask)
        return {"loss": loss, "scale": scale, "offset": self.offset + 0.0}

    def classify(self, images, classifier):
        """Probabilities `(batch, classes)`, each of its own, that an image belongs to a class of `zero_shot`."""
        cosines = ops.matmul(self.embed_images(images), ops.transpose(classifier))
        return ops.sigmoid(ops.exp(self.log_scale) * cosines + self.offset)
