r"""DINOv2: Learning Robust Visual Features without Supervision (Oquab et al., 2023).

https://arxiv.org/abs/2304.07193

Objective:
    \mathcal{L} = \mathcal{L}_{\text{DINO}} + \lambda \mathcal{L}_{\text{iBOT}} - \mu \sum_g \operatorname{mean}_b \log
    \min_{a \ne b} \left\| x_{ga} - x_{gb} \right\|
    where the first part is of class tokens and the second of hidden patches, with targets that use all outputs alike,
    and $x_{gb}$ is the student's class token of the global view $g$ of image $b$, as a unit vector.

Flow:
    whole views ~> teacher ~> Sinkhorn ~> views and patches
    masked views -> student -> two heads -> views and patches
    student -> class tokens -> KoLeo
    two heads ~EMA~> teacher

Take it when a vision transformer is trained for long and for every use: its features serve frozen, whole images and
    patches alike.

Leave it when the run is short: it has more parts that need many steps than any other method here.
"""

import keras
from keras import ops

from keras_ssl import checks, distribute, heads, teacher
from keras_ssl.augment.image.masks import BlockMask
from keras_ssl.augment.places import masked_indices, select
from keras_ssl.augment.random import uniform
from keras_ssl.augment.rows import local_seeds
from keras_ssl.losses import koleo, masked_cross_entropy, sinkhorn, swapped_prediction
from keras_ssl.method import arguments
from keras_ssl.methods.distillation.ibot import IBOT, on_each


@keras.saving.register_keras_serializable("keras_ssl")
class DINOv2(IBOT):
    """iBOT with a head of its own for patches, targets by Sinkhorn-Knopp, and class tokens that are spread out (KoLeo).

    The teacher's targets of the global batch use all outputs alike: those of the class tokens of all global views
    among each other, and those of all hidden patches. Exactly the part `masked_views` of the global views of the batch
    is masked, with ratios that fill their range evenly. The last layers are weight-normalized with a gain that is
    trained. As in the paper, the teacher's encoder is the result (`evaluated_encoder`).

    The defaults are those of the long runs; that on ImageNet-1k has one head and centering: `separate_heads=False,
    sinkhorn_iterations=0, momentum=0.992`. There the patches' center is the mean of the hidden patches; iBOT's is that
    of all. The authors' KoLeo looks for neighbors in the batch of a GPU, here it does in the global batch. In
    `freeze_steps` the gradient of the last layers is canceled, the authors set their learning rate to 0.

    Args:
        encoder: `keras_ssl.encoders.vit` with `pooling="token"`, and `input_shape=(None, None, 3)` where the views
            have several sizes; in the paper with `layer_scale=1e-5` and `drop_path=(0.3, 0.3)`. A public encoder from
            `keras_ssl.pretrained` has no such scales, they are multiplied into its weights.
        augment: layer from images to views, the global ones first; `keras_ssl.augment.dino_v2`.
        dim: int, outputs of each head (K, 65536; 131072 in the long runs).
        teacher_temperature: float > 0, of the teacher after the warm-up (0.07).
        momentum: float in [0, 1], how slowly the teacher follows at the start (0.994).
        separate_heads: whether the patches have a head of their own; False: that of the class tokens, as in iBOT.
        patch_bottleneck: int, units of the third layer of the patches' own head (256); None for `bottleneck`.
        sinkhorn_iterations: int >= 0, rounds of Sinkhorn-Knopp (3); 0: centers are subtracted, as in DINO.
        koleo_weight: float >= 0, weight of the sum of KoLeo over the global views (0.1).
        koleo_group: int from 2, images among which KoLeo looks for the nearest one, see `keras_ssl.losses.koleo`; None
            for the global batch.
        **kwargs: the other arguments of `IBOT` and `DINO`: `grid`, `ratio`, `masked_views`, `patch_weight`, `hidden`,
            `bottleneck`, `warmup`, `steps`, `freeze_steps` and so on.

    Raises:
        ValueError: the encoder is no ViT with a class token, or the grid is not known, or not that of the views.

    Example:

    >>> options = {"patch": 4, "grid": 8, "positions": "learned", "initializer": "truncated_normal"}
    >>> encoder = keras_ssl.encoders.vit_tiny((None, None, 3), drop_path=(0.1, 0.1), layer_scale=1e-5, **options)
    >>> views = keras_ssl.augment.dino_cifar(32)
    >>> model = keras_ssl.DINOv2(encoder, views, dim=4096, grid=8, steps=10000, freeze_steps=200)
    >>> decay = keras_ssl.optimizers.cosine(0.04, 0.4, steps=10000)
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(5e-4, weight_decay=decay, global_clipnorm=3.0))
    """

    terms = ("view_loss", "patch_loss", "koleo")
    further = ()  # what only a kind that extends this one has
    least_batch = 2
    trained_gain = True

    bounds = {
        "separate_heads": checks.flag(),
        "patch_bottleneck": checks.ints(optional=True),
        "sinkhorn_iterations": checks.ints(0),
        "koleo_weight": checks.numbers(least=0),
        "koleo_group": checks.ints(2, optional=True),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        dim=65536,
        teacher_temperature=0.07,
        momentum=0.994,
        separate_heads=True,
        patch_bottleneck=None,
        sinkhorn_iterations=3,
        koleo_weight=0.1,
        koleo_group=None,
        **kwargs,
    ):
        super().__init__(
            encoder, augment, dim=dim, teacher_temperature=teacher_temperature, momentum=momentum, **kwargs
        )
        self.separate_heads, self.patch_bottleneck = separate_heads, patch_bottleneck
        self.sinkhorn_iterations = sinkhorn_iterations
        self.koleo_weight, self.koleo_group = koleo_weight, koleo_group
        self.patch_head, self.patch_prototypes = self.head, self.prototypes
        self.teacher_patch_head, self.teacher_patch_prototypes = self.teacher_head, self.teacher_prototypes
        if separate_heads:
            size = patch_bottleneck or self.bottleneck
            width = encoder.output_shape[-1]
            self.patch_head = heads.dino_head(width, self.hidden, size, self.batch_norm, name="patch_head")
            self.patch_prototypes = heads.Prototypes(size, dim, gain=True, name="patch_last_layer")
            self.teacher_patch_head = teacher.copy(self.patch_head)
            self.teacher_patch_prototypes = teacher.copy(self.patch_prototypes)

    def new_mask(self, sides):
        if not self.blocks:
            return super().new_mask(sides)
        return BlockMask(sides, self.ratio, min_patches=4, p=self.masked_views)  # smaller blocks than iBOT's

    def objective(self, views):
        whole = views[: self.global_views]
        masks = self.draw_masks(whole)  # (global views * batch, rows, columns)
        places, hidden = masked_indices(masks, max(self.mask.masked, 1))  # (global views * batch, places)
        logits, patch_logits = self.teach(whole, places)
        sharp, patch_sharp = self.targets(logits, patch_logits, hidden)
        tokens, patches, scores, patch_scores = self.study(views, masks, places)
        view_loss = swapped_prediction(ops.split(sharp, self.global_views), scores, self.temperature)
        patch_loss = masked_cross_entropy(patch_sharp, patch_scores, hidden, self.temperature)
        spread = 0.0  # never between two views of an image
        if self.koleo_weight:
            spread = sum(koleo(x, self.koleo_group) for x in tokens[: self.global_views])
        loss = view_loss + self.patch_weight * patch_loss + self.koleo_weight * spread
        terms = {"view_loss": view_loss, "patch_loss": patch_loss, "koleo": spread}
        kept = {"logits": logits, "patch_logits": patch_logits, "hidden": hidden, "patches": patches}
        return {"loss": loss, **terms, **kept}

    def draw_masks(self, views):
        rows = ops.shape(views[0])[0]
        seeds = [local_seeds(self.draws, rows) for _ in views]
        draws = [distribute.gather(uniform(own, 2), gradient=False) for own in seeds]  # of the global batch
        counts = ops.split(self.mask.even_counts(ops.concatenate(draws)), len(views))
        counts = [distribute.local(count, rows) for count in counts]
        return ops.concatenate([self.mask.masks(own, count) for own, count in zip(seeds, counts)])

    def teach(self, views, places):
        """The teacher's outputs: `(global views * batch, dim)` of the class tokens, and `(global views * batch, places,
        dim)` of the patches at these places."""
        tokens = self.teacher_tokens(views)
        logits = self.teacher_prototypes(self.teacher_head(tokens[:, 0], training=True))
        patches = on_each(self.teacher_patch_head, select(tokens[:, 1:], places))
        return ops.stop_gradient(logits), ops.stop_gradient(self.teacher_patch_prototypes(patches))

    def targets(self, logits, patch_logits, hidden):
        """What the student is to predict, of the same shapes, each row a distribution."""
        temperature, rounds = self.current_temperature(), self.sinkhorn_iterations
        if not rounds:
            centered = logits - self.center, patch_logits - self.patch_center
            return [ops.softmax(x / temperature, axis=-1) for x in centered]
        patches = ops.reshape(patch_logits, (-1, self.dim))
        patches = sinkhorn(patches, temperature, rounds, counted=ops.reshape(hidden, (-1,)))
        return sinkhorn(logits, temperature, rounds), ops.reshape(patches, ops.shape(patch_logits))

    def study(self, views, masks, places):
        """The student's class tokens `(batch, width)` of each view and its patches `(global views * batch, patches,
        width)`; its outputs for the former, `(batch, dim)` each, and for the patches at these places, `(global views *
        batch, places, dim)`."""
        tokens, patches = self.student_tokens(views, masks)
        scores = self.prototypes(self.head(tokens, training=True), frozen=self.frozen())
        embeddings = on_each(self.patch_head, select(patches, places))
        patch_scores = self.patch_prototypes(embeddings, frozen=self.frozen())
        return ops.split(tokens, len(views)), patches, ops.split(scores, len(views)), patch_scores

    def twins(self):
        own = [(self.teacher_patch_head, self.patch_head), (self.teacher_patch_prototypes, self.patch_prototypes)]
        return super().twins() + (own if self.separate_heads else [])

    def move_centers(self, outputs):
        if self.sinkhorn_iterations:
            return
        logits, weights = outputs["logits"], ops.cast(outputs["hidden"], "float32")
        self.recenter(self.center, ops.sum(logits, axis=0), ops.shape(logits)[0])
        hidden = ops.sum(weights[..., None] * outputs["patch_logits"], axis=(0, 1))  # (dim,), of hidden patches alone
        self.recenter(self.patch_center, hidden, ops.sum(weights))

    def at_resolution(self, augment, grid=None, **changes):
        """This model for views of another size, such as those of the paper's last stage, at high resolution.

        Encoder, heads, teacher and centers go on from where they are; learned positions are stretched over the new
        grid. Steps count from 0, so that the schedules fill the new stage.

        Args:
            augment: layer from images to the new views.
            grid: int or pair of ints (rows, columns), the patches along the sides of a new global view.
            **changes: other arguments that change, for example `steps`, `warmup` and `freeze_steps`.

        Returns:
            `DINOv2`, not compiled yet.

        Raises:
            ValueError: the changes ask for weights that this model does not have.

        Example:

        >>> model = keras_ssl.load("run.keras")  # trained with views of 32 pixels
        >>> model = model.at_resolution(keras_ssl.augment.dino_cifar(64), grid=16, steps=1000, warmup=0)
        """
        return self.continued(type(self), {"augment": augment, "grid": grid} | changes)

    def continued(self, kind, changes):
        """A model of this kind, of the same arguments but for the changes and the same weights, after no step."""
        given = {name: getattr(self, name) for name in arguments(type(self))}
        given["encoder"] = type(self.encoder).from_config(self.encoder.get_config())
        model = kind(**given | {"dtype": self.dtype_policy} | changes)
        further = () if isinstance(self, kind) else [getattr(model, name) for name in kind.further]
        left_out = {id(w) for layer in further for w in layer.weights}
        own = [w for w in model.weights if id(w) not in left_out]
        if [w.shape for w in own] != [w.shape for w in self.weights]:
            given = ", ".join(f"{name}={value!r}" for name, value in changes.items() if name != "augment")
            raise ValueError(
                "The model goes on with its weights, and these changes ask for others: leave out those of the encoder "
                f"and of the heads, such as dim and separate_heads. Received: {given}"
            )
        for new, its in zip(own, self.weights):
            new.assign(its)
        model.step.assign(0)
        return model
