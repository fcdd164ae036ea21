r"""data2vec: A General Framework for Self-supervised Learning in Speech, Vision and Language (Baevski et al., 2022).

https://arxiv.org/abs/2202.03555

Objective:
    \mathcal{L} = \frac{1}{|M|} \sum_{i \in M} \operatorname{mean}_d \, h(p_{id} - y_{id}),
    \quad y_i = \operatorname{LN} \left( \frac{1}{K} \sum_{l = L - K + 1}^{L} \operatorname{LN}(t_{li}) \right)
    where $M$ are the hidden patches, $p$ is the student's prediction, $t_l$ what leaves block $l$ of the teacher, which
    sees the whole image, $\operatorname{LN}$ normalizes each token without weights, and $h$ is quadratic up to
    $\beta$, then linear.

Flow:
    image -> patches, mask tokens where hidden -> student -> linear layer -> smooth L1
    whole image ~> teacher ~> mean of the last blocks ~> smooth L1
    student ~EMA~> teacher

Take it when a vision transformer will be fine-tuned after long training, and a tokenizer as BEiT needs is to be spared.

Leave it when the run is short, or frozen features are used as they are.
"""

import math

import keras
from keras import ops

from keras_ssl import checks, heads, teacher
from keras_ssl.augment.places import partition, select
from keras_ssl.augment.rows import local_seeds
from keras_ssl.encoders import MaskToken, patch_grid, vit_stages
from keras_ssl.encoders.vit import has_class_token
from keras_ssl.losses import batch_std, smooth_l1
from keras_ssl.losses.vectors import layer_norm
from keras_ssl.method import Method
from keras_ssl.methods.masked.beit import block_mask
from keras_ssl.methods.masked.taps import depth_of, tapped

STDDEV = 0.0108  # the authors' initial weights are of N(0, 0.02^2), cut at -0.02 and 0.02


@keras.saving.register_keras_serializable("keras_ssl")
class Data2Vec(Method):
    """At hidden patches the student predicts the mean of the last blocks of its teacher, which sees the whole image.

    The student gets the image with a mask token in place of blocks of patches. Its teacher follows it, sees the same
    crop, and runs without dropout and drop path. What leaves each of the teacher's last blocks, before the encoder's
    last normalization, is normalized over its channels without weights, and so is the mean. The student is the result.

    This is the form for images of version 1. Version 2, whose student leaves hidden patches out and whose teacher runs
    once for many masks, is left out. The paper's ViT has relative positions, dropout of the attention, and smaller
    initial weights in deeper blocks; here the encoder is as it is given. Each image hides exactly as many patches,
    where the authors hide at most so many.

    Targets that become the same for all images are how it fails, and the loss does not show it. `target_std` is logged
    beside it, the standard deviation of the targets over the batch: it must not fall towards 0.

    Args:
        encoder: `keras_ssl.encoders.vit` with a known `input_shape` and a class token or none; with
            `initializer=0.0108`, `layer_scale=1e-4` and `drop_path=0.25`, as in the paper, and `pooling="mean"`, as in
            its fine-tuning.
        augment: layer from images to one view; `keras_ssl.augment.data2vec`.
        target_blocks: int, how many of the teacher's last blocks the target is the mean of (K, 6); None for 6, or for
            all where there are fewer.
        ratio: float in (0, 1), the part of the patches that is hidden, rounded up to whole ones (120 of 196).
        beta: float from 0, the error from which on the loss is linear (2).
        momentum: float in [0, 1], how slowly the teacher follows (0.9998 with a ViT-B).
        start_momentum: float in [0, 1], the momentum at the start of a ramp (0.999).
        ramp_steps: int from 0, optimizer steps over which the momentum rises from the one to the other in a straight
            line; 0, as for the paper's ViT-B, for none.

    Raises:
        ValueError: the encoder has no such stages, no fixed size or not so many blocks, or all or no patches would be
            hidden.

    Example:

    >>> options = {"pooling": "mean", "initializer": 0.0108, "layer_scale": 1e-4, "drop_path": 0.1}
    >>> encoder = keras_ssl.encoders.vit((32, 32, 3), 4, width=128, depth=6, heads=4, **options)
    >>> momenta = {"start_momentum": 0.99, "momentum": 0.999, "ramp_steps": 3000}
    >>> model = keras_ssl.Data2Vec(encoder, keras_ssl.augment.data2vec(32), target_blocks=3, **momenta)
    >>> rate = keras_ssl.optimizers.warmup_cosine(1e-3, steps=10000, warmup=500)
    >>> options = {"weight_decay": 0.05, "exclude": "class_token", "global_clipnorm": 3.0}
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(rate, **options))
    """

    terms = ("target_std",)
    view_counts = (1, 1)

    bounds = {
        "target_blocks": checks.ints(optional=True),
        "beta": checks.numbers(least=0),
        "momentum": checks.numbers(least=0, most=1),
        "start_momentum": checks.numbers(least=0, most=1),
        "ramp_steps": checks.ints(0),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        target_blocks=None,
        ratio=120 / 196,
        beta=2.0,
        momentum=0.9998,
        start_momentum=0.999,
        ramp_steps=0,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.target_blocks, self.ratio, self.beta = target_blocks, ratio, beta
        self.momentum, self.start_momentum, self.ramp_steps = momentum, start_momentum, ramp_steps
        self.stages = vit_stages(encoder)
        self.grid, _ = patch_grid(encoder)
        self.mask = block_mask(self.grid, ratio)
        width = self.stages.patches.output_shape[-1]
        self.mask_token = MaskToken(width, stddev=STDDEV, name="mask_token")
        self.head = heads.linear(width, width, initializer=keras.initializers.RandomNormal(stddev=STDDEV), name="head")
        self.teacher = teacher.copy(encoder)
        self.teacher_patches, self.teacher_positions, blocks = vit_stages(self.teacher)
        self.teacher_blocks = tapped(blocks, last_blocks(blocks, target_blocks), normalized=False)
        self.draws = keras.random.SeedGenerator()

    def objective(self, views):
        (images,) = views
        masks = self.mask(images, local_seeds(self.draws, ops.shape(images)[0]), training=True)
        _, hidden, _ = partition(masks, self.mask.masked)  # (batch, hidden)
        targets = self.targets(images)  # (batch, patches, width)
        loss = smooth_l1(self.predictions(images, masks, hidden), select(targets, hidden), self.beta)
        return {"loss": loss, "target_std": batch_std(targets)}

    def targets(self, images):
        """What the teacher makes of the patches of whole images, normalized, `(batch, patches, width)`."""
        tokens = self.teacher_positions(self.teacher_patches(images))
        found = keras.tree.flatten(self.teacher_blocks(tokens, training=False))  # one alone comes without a list
        return layer_norm(sum(layer_norm(self.of_patches(x)) for x in found) / len(found))

    def predictions(self, images, masks, hidden, training=True):
        """What the student says of the patches at the indices `hidden`, with these masks, `(batch, hidden, width)`."""
        patches, positions, blocks = self.stages
        tokens = blocks(positions(self.mask_token(patches(images), masks)), training=training)
        found = select(self.of_patches(tokens), hidden)
        flat = self.head(ops.reshape(found, (-1, found.shape[-1])), training=training)
        return ops.reshape(flat, (-1, *found.shape[1:]))

    def of_patches(self, tokens):
        first = int(has_class_token(self.stages))
        return tokens[:, first : first + math.prod(self.grid)]

    def after_step(self, outputs):
        momentum = self.momentum
        if self.ramp_steps:
            momentum = teacher.linear(self.start_momentum, self.momentum, self.step, self.ramp_steps)
        teacher.follow(self.teacher, self.encoder, momentum)


def last_blocks(blocks, count):
    """The numbers of the last blocks, rising."""
    depth = depth_of(blocks)
    count = min(6, depth) if count is None else count
    if count > depth:
        raise ValueError(
            f"target_blocks must be at most {depth}, the number of the encoder's blocks. "
            f"Received: target_blocks={count}"
        )
    return range(depth - count + 1, depth + 1)
