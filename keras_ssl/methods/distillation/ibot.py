r"""iBOT: Image BERT Pre-Training with Online Tokenizer (Zhou et al., 2021).

https://arxiv.org/abs/2111.07832

Objective:
    \mathcal{L} = \mathcal{L}_{\text{DINO}} - \lambda \operatorname{mean}_b \frac{1}{|M_b|} \sum_{i \in M_b} \sum_k
    \operatorname{softmax}\left( \frac{t_{bi} - \tilde{c}}{\tau_t} \right)_k \log \operatorname{softmax}\left(
    \frac{s_{bi}}{\tau_s} \right)_k
    where $M_b$ are the hidden patches of a view, $t_{bi}$ the teacher's scores of a patch that it sees, $s_{bi}$ the
    student's where the patch is hidden, and $\tilde{c}$ is a running mean.

Flow:
    whole views ~> teacher ~> center and sharpen ~> views and patches
    masked views -> student -> head -> views and patches
    head ~EMA~> teacher

Take it when a vision transformer should serve dense tasks: its patches are trained as well as its class token.

Leave it when the encoder has no patches, or training must be short.
"""

import keras
from keras import ops

from keras_ssl import checks
from keras_ssl.augment.image.masks import BlockMask, RandomMask
from keras_ssl.augment.places import masked_indices, select
from keras_ssl.augment.rows import local_seeds
from keras_ssl.encoders import class_token_stages, vit_stages
from keras_ssl.encoders.decoder import MaskToken
from keras_ssl.encoders.multi_crop import multi_crop
from keras_ssl.losses import masked_cross_entropy, swapped_prediction
from keras_ssl.methods.distillation.dino import DINO


@keras.saving.register_keras_serializable("keras_ssl")
class IBOT(DINO):
    """DINO, and the same for patches: the student does not see some of them, and finds what the teacher makes of them.

    The teacher sees every global view whole; in the student's, a learned token replaces hidden patches.
    Class tokens are compared between views, as in DINO, and patches within a view. They share the head, its last
    layer and the temperatures, as in the paper's default, and have centers of their own. Half of the global views stay
    whole, and local views always do.

    The head computes those patches only that may be hidden, so that its batch normalization, if there is any, has the
    statistics of class tokens and of patches apart.

    Args:
        encoder: `keras_ssl.encoders.vit` with `pooling="token"`, and `input_shape=(None, None, 3)` where the views
            have several sizes.
        augment: layer from images to views, the global ones first; `keras_ssl.augment.ibot`.
        dim: int, outputs (K, 8192).
        grid: int or pair of ints (rows, columns), the patches along the sides of a global view. None takes them from
            the encoder's `input_shape`.
        ratio: the part of a masked view's patches that is hidden (r): a pair of floats, between which every view draws
            its own ((0.1, 0.5)), or one float.
        masked_views: float in [0, 1], the probability of a global view to be masked (0.5).
        blocks: whether blocks are hidden, as in BEiT. False: single patches at random, with a higher `ratio` as good.
        patch_weight: float >= 0, weight of the patches' part of the loss (1).
        **kwargs: the other arguments of `DINO`: `hidden`, `bottleneck`, `temperature`, `teacher_temperature` (0.04,
            and 0.07 after a warm-up), `warmup`, `momentum` (0.996), `steps`, `freeze_steps` and so on.

    Raises:
        ValueError: the encoder is no ViT with a class token, or the grid is not known, or not that of the views.

    Example:

    >>> options = {"patch": 4, "grid": 8, "positions": "learned", "initializer": "truncated_normal"}
    >>> encoder = keras_ssl.encoders.vit_tiny((None, None, 3), drop_path=0.1, **options)
    >>> views = keras_ssl.augment.dino_cifar(32)
    >>> model = keras_ssl.IBOT(encoder, views, dim=2048, grid=8, steps=10000, freeze_steps=200)
    >>> decay = keras_ssl.optimizers.cosine(0.04, 0.4, steps=10000)
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(5e-4, weight_decay=decay, clipnorm=3.0))
    """

    terms = ("view_loss", "patch_loss")

    bounds = {
        "masked_views": checks.numbers(least=0, most=1),
        "blocks": checks.flag(),
        "patch_weight": checks.numbers(least=0),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        dim=8192,
        grid=None,
        ratio=(0.1, 0.5),
        masked_views=0.5,
        blocks=True,
        patch_weight=1.0,
        **kwargs,
    ):
        super().__init__(encoder, augment, dim=dim, **kwargs)
        self.grid, self.masked_views, self.blocks, self.patch_weight = grid, masked_views, blocks, patch_weight
        self.ratio = tuple(ratio) if isinstance(ratio, list) else ratio
        self.stages = class_token_stages(encoder)
        self.teacher_head = self.teacher.layers[-1]
        self.teacher_stages = vit_stages(self.evaluated_encoder)
        self.mask = self.new_mask(known_grid(encoder) if grid is None else grid)
        self.draws = keras.random.SeedGenerator()
        self.mask_token = MaskToken(encoder.output_shape[-1], stddev=0, name="mask_token")
        self.patch_center = self.keep("patch_center", (dim,))

    def new_mask(self, sides):
        return (BlockMask if self.blocks else RandomMask)(sides, self.ratio, p=self.masked_views)

    def objective(self, views):
        masks = self.draw_masks(views[: self.global_views])  # (global views * batch, rows, columns)
        # As many of each image, because the number of hidden ones differs: those that are not hidden do not count.
        places, hidden = masked_indices(masks, max(self.mask.masked, 1))  # (global views * batch, places)
        logits, patch_logits, patch_total = self.teach(views[: self.global_views], places)
        scores, patch_scores = self.study(views, masks, places)
        temperature = self.current_temperature()
        sharp = ops.softmax((logits - self.center) / temperature, axis=-1)
        patch_sharp = ops.softmax((patch_logits - self.patch_center) / temperature, axis=-1)
        view_loss = swapped_prediction(ops.split(sharp, self.global_views), scores, self.temperature)
        patch_loss = masked_cross_entropy(patch_sharp, patch_scores, hidden, self.temperature)
        loss = view_loss + self.patch_weight * patch_loss
        terms = {"view_loss": view_loss, "patch_loss": patch_loss}
        return {"loss": loss, **terms, "logits": logits, "patch_total": patch_total}

    def draw_masks(self, views):
        rows = ops.shape(views[0])[0]
        return ops.concatenate([self.mask(view, local_seeds(self.draws, rows), training=True) for view in views])

    def teach(self, views, places):
        """The teacher's outputs: `(global views * batch, dim)` of the class tokens, `(global views * batch, places,
        dim)` of the patches at these places, and the sum over the images of the mean over all patches, `(dim,)`."""
        tokens = self.teacher_tokens(views)
        classes = self.teacher_head(tokens[:, 0], training=True)
        embeddings = on_each(self.teacher_head, tokens[:, 1:])  # (global views * batch, patches, bottleneck)
        # The last layer is linear: the mean of the outputs is the output of the mean.
        total = ops.sum(ops.mean(embeddings, axis=1), axis=0, keepdims=True)
        found = classes, select(embeddings, places), total
        logits, patch_logits, patch_total = (ops.stop_gradient(self.teacher_prototypes(x)) for x in found)
        return logits, patch_logits, patch_total[0]

    def study(self, views, masks, places):
        """The student's outputs: `(batch, dim)` of the class token of each view, and `(global views * batch, places,
        dim)` of the patches at these places."""
        classes, patches = self.student_tokens(views, masks)
        embeddings = self.head(classes, training=True)
        patch_embeddings = on_each(self.head, select(patches, places))
        scores, patch_scores = (self.prototypes(x, frozen=self.frozen()) for x in (embeddings, patch_embeddings))
        return ops.split(scores, len(views)), patch_scores

    def teacher_tokens(self, views):
        """All tokens of the global views, which the teacher sees whole: `(global views * batch, tokens, width)`."""
        patches, positions, blocks = self.teacher_stages
        return blocks(positions(patches(ops.concatenate(views))), training=True)

    def student_tokens(self, views, masks):
        """The class tokens of all views, `(views * batch, width)`, and the patches of the global ones, `(global views *
        batch, patches, width)`, some of which the student does not see."""
        patches, positions, blocks = self.stages
        whole, local = views[: self.global_views], views[self.global_views :]
        visible = patches(ops.concatenate(whole))  # (global views * batch, rows, columns, width)
        check_grid(visible, self.mask.sides)
        tokens = blocks(positions(self.mask_token(visible, masks)), training=True)
        classes = [tokens[:, 0]]
        if local:
            classes.append(multi_crop(self.encoder, local, training=True))
        return ops.concatenate(classes), tokens[:, 1:]

    def move_centers(self, outputs):
        super().move_centers(outputs)
        self.recenter(self.patch_center, outputs["patch_total"], ops.shape(outputs["logits"])[0])


def on_each(head, tokens):
    """The head's output of each token, `(batch, tokens, bottleneck)`."""
    rows = head(ops.reshape(tokens, (-1, tokens.shape[-1])), training=True)
    return ops.reshape(rows, (-1, tokens.shape[1], rows.shape[-1]))


def known_grid(encoder):
    rows, columns = encoder.get_layer("patches").output.shape[1:3]
    if None in (rows, columns):
        raise ValueError(
            f"The encoder '{encoder.name}' takes images of any size, so the number of patches to hide is not known: "
            "pass grid=(rows, columns), the patches along the sides of a global view, for example grid=8 for 32 pixels "
            "in patches of 4."
        )
    return rows, columns


def check_grid(patches, sides):
    if tuple(patches.shape[1:3]) != sides:
        raise ValueError(
            f"The global views have {patches.shape[1]} x {patches.shape[2]} patches, and the masks are for "
            f"grid={sides}: pass the grid of the views."
        )
