r"""BEiT: BERT Pre-Training of Image Transformers (Bao, Dong, Piao, Wei, 2021), https://arxiv.org/abs/2106.08254.

Two steps: a tokenizer learns to write images as discrete tokens (`DiscreteVAE`, or `VQTokenizer` of BEiT v2), and
`BEiT` learns to guess the tokens of hidden patches.

Objective:
    \mathcal{L} = -\frac{1}{|M|} \sum_{i \in M} \log p_i(t_i)
    where $M$ are the hidden patches and $t_i$ is the token that the tokenizer gives to patch $i$.

Flow:
    image -> patches, mask tokens where hidden -> encoder -> softmax over tokens -> cross-entropy
    image ~> tokenizer ~> cross-entropy

Take it when targets should be discrete, or a good tokenizer is at hand.

Leave it when one training is enough work: the tokenizer is trained first. MAE needs none.
"""

import math

import keras
from keras import ops

from keras_ssl import teacher
from keras_ssl.augment.image.masks import BlockMask
from keras_ssl.augment.places import partition, select
from keras_ssl.augment.rows import local_seeds
from keras_ssl.encoders import MaskToken, patch_grid, vit_stages
from keras_ssl.losses import perplexity, token_cross_entropy, token_share
from keras_ssl.methods.masked import discrete_vae, vq_tokenizer  # noqa: F401 a saved BEiT holds one of them
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class BEiT(Method):
    """The encoder sees an image with a mask token in place of blocks of patches, and names the tokens hidden there.

    The tokenizer is trained before, on the same images, and copied: it never moves. It sees the whole image, the same
    crop as the encoder, at its own size. Each image hides exactly as many patches, where the authors hide at most so
    many.

    The paper's ViT has relative positions, a scale for each layer's output (LayerScale), no bias of the keys, and
    smaller initial weights in deeper blocks; here the encoder is as it is given, and its positions come after the
    mask token, so that it knows where the patches are that it guesses.

    Terms: `accuracy`, the part of the hidden tokens that is guessed right; `commonest`, the same for the guess of
    always the most frequent token of the batch, which it should pass; `perplexity`, how many tokens the images of the
    batch use.

    Args:
        encoder: `keras_ssl.encoders.vit` with a known `input_shape` and a class token or none; with
            `initializer="truncated_normal"`, as in the paper, and `pooling="mean"`, as in its fine-tuning.
        augment: layer from images to two views, for encoder and tokenizer, or to one for both;
            `keras_ssl.augment.beit(size, token_size)`.
        tokenizer: a trained `DiscreteVAE` or `VQTokenizer`, or any built `keras.Model` with a `vocabulary` and
            `tokens(images)`: a token for each patch of the encoder, int32 `(batch, rows, columns)`.
        ratio: float in (0, 1), the part of the patches that is hidden, rounded up to whole ones (75 of 196).

    Raises:
        ValueError: the encoder has no such stages or no fixed size, the tokenizer has no tokens or not as many as the
            encoder has patches, or all or no patches would be hidden.

    Example:

    >>> tokenizer = keras_ssl.DiscreteVAE(keras_ssl.augment.mae(32), stride=4, vocabulary=512, width=64)
    >>> encoder = keras_ssl.encoders.vit(  # after tokenizer.fit(images)
    ...     (32, 32, 3), 4, width=128, depth=6, heads=4, pooling="mean", initializer="truncated_normal"
    ... )
    >>> model = keras_ssl.BEiT(encoder, keras_ssl.augment.beit(32, token_size=32), tokenizer=tokenizer)
    >>> rate = keras_ssl.optimizers.warmup_cosine(1.5e-3, steps=10000, warmup=500)
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(rate, weight_decay=0.05, global_clipnorm=3.0))
    """

    terms = ("accuracy", "commonest", "perplexity")
    view_counts = (1, 2)

    def __init__(self, encoder, augment=None, *, tokenizer, ratio=75 / 196, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.ratio = ratio
        self.stages = vit_stages(encoder)
        self.grid, _ = patch_grid(encoder)
        self.tokenizer = teacher.copy(check_tokenizer(tokenizer))
        self.mask = block_mask(self.grid, ratio)
        width = self.stages.patches.output_shape[-1]
        self.mask_token = MaskToken(width, stddev=0.0108, name="mask_token")
        self.head = keras.layers.Dense(self.tokenizer.vocabulary, kernel_initializer=cut_normal, name="head")
        self.head.build((None, None, width))
        self.draws = keras.random.SeedGenerator()

    def objective(self, views):
        images, whole = views[0], views[-1]
        rows = ops.shape(images)[0]
        tokens = self.tokens(whole)  # (batch, patches)
        masks = self.mask(images, local_seeds(self.draws, rows), training=True)  # (batch, rows, columns)
        _, hidden, _ = partition(masks, self.mask.masked)  # (batch, hidden)
        logits, answers = self.guesses(images, masks, hidden), select(tokens, hidden)
        every = ops.ones_like(hidden, dtype="float32")
        right = ops.cast(ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), answers), "float32")
        return {
            "loss": token_cross_entropy(logits, answers, every),
            "accuracy": ops.mean(right),
            "commonest": ops.max(token_share(answers, self.tokenizer.vocabulary)),
            "perplexity": perplexity(token_share(tokens, self.tokenizer.vocabulary)),
        }

    def tokens(self, images):
        tokens = ops.stop_gradient(self.tokenizer.tokens(images))
        if tuple(tokens.shape[1:]) != tuple(self.grid):
            raise ValueError(
                f"The tokenizer must give one token for each of the {self.grid[0]} x {self.grid[1]} patches of the "
                f"encoder. Received: {' x '.join(map(str, tokens.shape[1:]))} tokens of images of shape "
                f"{tuple(images.shape)}. The size of its view is the grid times its stride: "
                "keras_ssl.augment.beit(size, token_size)."
            )
        return ops.reshape(tokens, (-1, math.prod(self.grid)))

    def guesses(self, images, masks, hidden, training=True):
        """Logits `(batch, hidden, vocabulary)` of the patches at the indices `hidden`, where the masks are."""
        patches, positions, blocks = self.stages
        x = blocks(positions(self.mask_token(patches(images), masks)), training=training)
        return self.head(select(x[:, -math.prod(self.grid) :], hidden))  # without a class token


def cut_normal(shape, dtype=None):
    """The authors' initial weights: N(0, 0.02^2), cut at -0.02 and 0.02, which leaves a deviation of 0.0108."""
    chances = keras.initializers.RandomUniform(-math.erf(0.5**0.5), math.erf(0.5**0.5))(shape, dtype)
    return 0.02 * 2**0.5 * ops.erfinv(chances)


def block_mask(grid, ratio):
    mask = BlockMask(grid, ratio) if isinstance(ratio, (int, float)) and 0 < ratio < 1 else None
    if mask is None or mask.masked == math.prod(grid):
        raise ValueError(
            "ratio must be a float above 0 and below 1 that leaves at least one patch visible. Received: "
            f"ratio={ratio}, with {math.prod(grid)} patches"
        )
    return mask


def check_tokenizer(tokenizer):
    built = isinstance(tokenizer, keras.Model) and tokenizer.built
    if not built or not callable(getattr(tokenizer, "tokens", None)) or not hasattr(tokenizer, "vocabulary"):
        raise ValueError(
            "tokenizer must be a trained keras_ssl.DiscreteVAE or keras_ssl.VQTokenizer, or another built keras.Model "
            f"with `vocabulary` and `tokens(images)`. Received: tokenizer={tokenizer!r}"
        )
    return tokenizer
