"""VQ tokenizer: of BEiT v2: Masked Image Modeling with Vector-Quantized Visual Tokenizers (Peng et al., 2022).

https://arxiv.org/abs/2208.06366, after Neural Discrete Representation Learning (van den Oord et al., 2017),
https://arxiv.org/abs/1711.00937
"""

import keras
from keras import ops

from keras_ssl import checks, distribute
from keras_ssl.clustering import follow, kmeans_in_step, nearest
from keras_ssl.losses.vectors import unit
from keras_ssl.methods.masked.tokenizer import Tokenizer


@keras.saving.register_keras_serializable("keras_ssl")
class VQTokenizer(Tokenizer):
    """Each place has a unit vector, its token is the nearest of the codes, and the codes follow what they attract.

    `L = error + commitment * mean (z - code)^2`. The gradient of the decoder goes through the choice as if it were not
    there (straight-through). The codes have no gradient: each moves towards the mean direction of the vectors it
    attracts, and codes that attract none stay. The first batch places them by k-means.

    The authors regress the features of CLIP or DINO with vision transformers; here convolutions regress the pixels, so
    that the images of the user are enough.

    Terms: see `Tokenizer`.

    Args:
        augment: layer from images to one view; `keras_ssl.augment.mae`.
        channels: int, of the images (3).
        stride: int, a power of 2 from 2, the side in pixels of a token's square (16).
        vocabulary: int, number of codes (K, 8192). For a few thousand small images 256 to 1024.
        dim: int, size of a code (32).
        width: int, channels of the convolutions.
        blocks: int from 0, residual blocks of encoder and decoder.
        commitment: float from 0, how strongly the vectors are held to their codes (1).
        decay: float in [0, 1], how slowly the codes follow (0.99). Less for a run of a thousand steps (0.9): codes that
            cannot follow the vectors fall out of use.
        iterations: int from 0, of the k-means in the first step (10); 0 leaves the codes at random directions.
        smooth: whether the error is the smooth absolute one (quadratic below 1), instead of the squared one.
        name, dtype: see `Method`.

    Raises:
        ValueError: an argument is out of its range.

    Example:

    >>> model = keras_ssl.VQTokenizer(keras_ssl.augment.mae(32), stride=4, vocabulary=512, width=64)
    >>> model.compile(optimizer=keras.optimizers.Adam(1e-3))
    >>> model.tokens(np.zeros((2, 32, 32, 3), "uint8")).shape  # after model.fit(images)
    TensorShape([2, 8, 8])
    """

    bounds = {
        "commitment": checks.numbers(least=0),
        "decay": checks.numbers(least=0, most=1),
        "iterations": checks.ints(0),
    }

    def __init__(
        self,
        augment=None,
        *,
        channels=3,
        stride=16,
        vocabulary=8192,
        dim=32,
        width=256,
        blocks=1,
        commitment=1.0,
        decay=0.99,
        iterations=10,
        smooth=False,
        name=None,
        dtype=None,
    ):
        super().__init__(augment, channels, stride, vocabulary, dim, width, blocks, smooth, name=name, dtype=dtype)
        self.commitment, self.decay, self.iterations = commitment, decay, iterations
        self.embed = keras.layers.Conv2D(dim, 1, name="embed")
        self.embed.build((None, None, None, width))
        self.codes = self.keep(
            "codes", (vocabulary, dim), lambda shape, dtype=None: unit(keras.random.normal(shape, dtype=dtype))
        )

    def objective(self, views):
        (images,) = views
        z = self.embedded(self.trunk(images, training=True))  # (batch, rows, columns, dim)
        everyone = distribute.gather(ops.reshape(z, (-1, self.dim)), gradient=False)  # of all replicas
        codes = self.current_codes(everyone)
        tokens = nearest(z, codes)  # (batch, rows, columns)
        chosen = ops.take(codes, tokens, axis=0)
        commitment = ops.mean(ops.square(z - chosen))
        error = self.error(self.decoder(z + ops.stop_gradient(chosen - z), training=True), images)
        codes = follow(codes, everyone, distribute.gather(ops.reshape(tokens, (-1,)), gradient=False), self.decay)
        return {"loss": error + self.commitment * commitment, "error": error, "codes": codes} | self.count(tokens)

    def current_codes(self, embeddings):
        codes = ops.convert_to_tensor(self.codes)
        if not self.iterations:
            return codes
        return ops.stop_gradient(
            ops.cond(self.step > 0, lambda: codes, lambda: kmeans_in_step(embeddings, codes, self.iterations))
        )

    def embedded(self, features):
        return unit(self.embed(features))

    def assign(self, features):
        return nearest(self.embedded(features), self.codes)

    def vectors(self, tokens):
        return ops.take(ops.convert_to_tensor(self.codes), tokens, axis=0)

    def after_step(self, outputs):
        super().after_step(outputs)
        self.codes.assign(outputs["codes"])
