r"""I-JEPA: Self-Supervised Learning from Images with a Joint-Embedding Predictive Architecture (Assran et al., 2023).

https://arxiv.org/abs/2301.08243

Objective:
    \mathcal{L} = \frac{1}{B \, |M|} \sum_{b=1}^{B} \sum_{i \in M_b} \operatorname{mean}_d \, h(p_{bid} - t_{id}),
    \quad h(x) = \begin{cases} x^2 / 2 & |x| < 1 \\ |x| - 1/2 & \text{else} \end{cases}
    where $M_b$ are the patches of target block $b$, $t$ the tokens that the target encoder makes of the whole image,
    each normalized over its channels, and $p_b$ what the predictor makes of the context and of the places in $M_b$.

Flow:
    image -> context patches -> encoder -> predictor -> smooth L1
    places of the target blocks -> predictor
    whole image ~> target encoder ~> normalized tokens of the target blocks ~> smooth L1
    encoder ~EMA~> target encoder

Take it when a vision transformer will train for long, on images whose colors or sides must not be made equal: it needs
    no views but a crop.

Leave it when the run is short, or the encoder is no transformer.
"""

import keras
from keras import ops

from keras_ssl import checks, teacher
from keras_ssl.augment import MultiBlockMask
from keras_ssl.augment.places import select
from keras_ssl.augment.rows import local_seeds
from keras_ssl.encoders import TokenPredictor, patch_grid, vit_stages
from keras_ssl.encoders.vit import has_class_token
from keras_ssl.losses import batch_std, smooth_l1
from keras_ssl.losses.vectors import layer_norm
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class IJEPA(Method):
    """A narrow predictor tells the target encoder's tokens of four blocks from one visible part of the image.

    The encoder sees the patches of the context alone. The predictor gets its tokens and the places of one target block
    at a time; the target encoder, which follows the encoder, sees the whole image. Its tokens are normalized over their
    channels, without weights, before those of the blocks are taken. The masks are those of
    `keras_ssl.augment.MultiBlockMask`, which says where they differ from the authors'. As in the paper, the target
    encoder is the result (`evaluated_encoder`): `predict`, `export` and the scores take it, with the mean of the
    patches' tokens as the features.

    The loss says little: a predictor of zeros has about 0.42, and a collapsed target encoder less. `target_std` is
    logged beside it, the standard deviation of the target encoder's tokens over the batch, before they are normalized:
    it must not fall towards 0.

    Args:
        encoder: `keras_ssl.encoders.vit` with a known `input_shape`, `class_token=False` and `pooling="mean"`; fixed
            positions (`"sincos"`, the default) and `initializer=0.02` where the paper is followed. (Its code scales the
            last weights of each block by its depth too, and then draws all of them anew.)
        augment: layer from images to one view; `keras_ssl.augment.ijepa`, a crop without even a flip.
        targets: int, number of target blocks of an image, which may overlap (4).
        scale: pair of floats, the range of a target block's area, as a part of the image's (0.15 to 0.2).
        aspect: pair of floats, the range of a target block's height / width (0.75 to 1.5).
        context: pair of floats, the range of the area of the context's square block, from which the target blocks are
            taken away (0.85 to 1).
        keep: int, number of patches of a context; None for as many as are left in every case, 76 of 196. The authors'
            contexts are cut to the shortest of the batch and have about a quarter of the patches: 51 of 196, 69 of 256
            and 13 of 64, which is harder to predict from.
        width: int, size of the predictor's tokens, a multiple of 4 and of `heads` (384).
        depth: int, blocks of the predictor (6; 12 beside a ViT-H).
        heads: int, heads of the predictor's attention; None for as many as the encoder has.
        momentum: float in [0, 1], how slowly the target encoder follows at the start (0.996).
        steps: int, optimizer steps of the whole run, over which the momentum rises to 1 in a straight line; None keeps
            it constant.

    Raises:
        ValueError: the encoder is no `vit` of a known size, or has a class token, or the masks do not fit its grid.

    Example:

    >>> options = {"patch": 4, "class_token": False, "pooling": "mean", "initializer": 0.02}
    >>> encoder = keras_ssl.encoders.vit_small((32, 32, 3), **options)
    >>> model = keras_ssl.IJEPA(encoder, keras_ssl.augment.ijepa(32), width=192, depth=4, keep=13, steps=10000)
    >>> rate = keras_ssl.optimizers.warmup_cosine(1e-3, steps=10000, warmup=1000, start=2e-4, final=1e-6)
    >>> decay = keras_ssl.optimizers.cosine(0.04, 0.4, steps=10000)
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(rate, weight_decay=decay))
    """

    terms = ("target_std",)

    bounds = {
        "width": checks.ints(),
        "depth": checks.ints(0),
        "heads": checks.ints(optional=True),
        "momentum": checks.numbers(least=0, most=1),
        "steps": checks.ints(optional=True),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        targets=4,
        scale=(0.15, 0.2),
        aspect=(0.75, 1.5),
        context=(0.85, 1.0),
        keep=None,
        width=384,
        depth=6,
        heads=None,
        momentum=0.996,
        steps=None,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.targets, self.scale, self.aspect, self.context, self.keep = targets, scale, aspect, context, keep
        self.width, self.depth, self.heads, self.momentum, self.steps = width, depth, heads, momentum, steps
        self.stages = stages_without_class_token(encoder)
        self.grid, _ = patch_grid(encoder)
        self.mask = MultiBlockMask(self.grid, targets, scale, aspect, context, keep)
        heads = heads_of(encoder) if heads is None else heads
        self.predictor = TokenPredictor(encoder.output_shape[-1], self.grid, width, depth, heads, name="predictor")
        self.target = teacher.copy(encoder)
        self.target_stages = vit_stages(self.target)
        self.draws = keras.random.SeedGenerator()

    @property
    def evaluated_encoder(self):
        return self.target

    def objective(self, views):
        images = views[0]
        seeds = local_seeds(self.draws, ops.shape(images)[0])
        context, blocks = self.mask(images, seeds, training=True)  # (batch, kept), (batch, targets, masked)
        tokens = self.target_tokens(images)
        prediction = self.predictions(images, context, blocks)
        loss = smooth_l1(prediction, select_blocks(layer_norm(tokens), blocks))
        return {"loss": loss, "target_std": batch_std(tokens)}

    def target_tokens(self, images):
        """What the target encoder makes of the patches of whole images, `(batch, patches, width)`."""
        patches, positions, blocks = self.target_stages
        return blocks(positions(patches(images)), training=False)

    def predictions(self, images, context, blocks, training=True):
        """What the predictor says of the blocks by the context's patches, `(batch, targets, masked, width)`."""
        patches, positions, transformer = self.stages
        seen = transformer(select(positions(patches(images)), context), training=training)
        return self.predictor(seen, context, blocks, training=training)

    def after_step(self, outputs):
        teacher.follow(self.target, self.encoder, teacher.linear(self.momentum, 1.0, self.step, self.steps))


def select_blocks(tokens, blocks):
    """The tokens of each block, `(batch, targets, masked, width)`."""
    targets, masked = blocks.shape[1:]
    found = select(tokens, ops.reshape(blocks, (-1, targets * masked)))
    return ops.reshape(found, (-1, targets, masked, tokens.shape[-1]))


def stages_without_class_token(encoder):
    stages = vit_stages(encoder)
    if has_class_token(stages):
        raise ValueError(
            f"IJEPA predicts and scores the tokens of patches, and the encoder '{encoder.name}' has a class token, "
            "which would learn nothing: build it with class_token=False and pooling='mean'."
        )
    return stages


def heads_of(encoder):
    return vit_stages(encoder).blocks.get_layer("block1_attention").output.shape[1]
