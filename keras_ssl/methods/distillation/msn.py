r"""MSN: Masked Siamese Networks for Label-Efficient Learning (Assran et al., 2022).

https://arxiv.org/abs/2204.07141

Objective:
    \mathcal{L} = -\frac{1}{A} \sum_{a=1}^{A} \sum_k q_k \log p_{ak} + \lambda \left( \log K - H(\bar{p}) \right)
    where $q$ is the target's sharpened assignment of the whole view, $p_a$ that of a masked or small view, $\bar{p}$
    their mean over the batch, and $H$ the entropy over the $K$ prototypes.

Flow:
    whole view ~> target encoder ~> prototypes ~> cross-entropy
    masked views -> encoder -> head -> prototypes -> cross-entropy
    prototypes -> mean entropy
    head ~EMA~> target encoder

Take it when very few labels will come, one to five per class.

Leave it when the encoder is no transformer, or classes are far from balanced.
"""

import math

import keras
from keras import ops

from keras_ssl import checks, heads, teacher
from keras_ssl.augment.places import select
from keras_ssl.augment.random import uniform
from keras_ssl.augment.rows import local_seeds
from keras_ssl.checks import is_number
from keras_ssl.encoders import class_token_stages
from keras_ssl.encoders.multi_crop import multi_crop
from keras_ssl.losses import mean_entropy_gap, sinkhorn, soft_cross_entropy
from keras_ssl.losses.vectors import unit
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class MSN(Method):
    """Views without a part of their patches are assigned to the prototypes that the whole view goes to.

    The first view is the target's, all others are anchors. Those of the target's size lose a part of their patches,
    which are left out of the sequence; smaller ones (focal views) stay whole. Each image loses patches of its own; in
    the authors' code a batch shares them. The target network follows the encoder and its head; both use the same
    prototypes, which learn from the anchors alone. As in the paper, the target's encoder is the result
    (`evaluated_encoder`): `predict`, `export` and the scores take it.

    Args:
        encoder: `keras_ssl.encoders.vit` with `pooling="token"`, and `input_shape=(None, None, 3)` where the views
            have several sizes. With `drop=0` it may be any encoder.
        augment: layer from images to a target view and anchors; `keras_ssl.augment.msn`.
        hidden: int, units of the head's two hidden layers (2048).
        dim: int, size of the embedding (256).
        prototype_count: int (K, 1024).
        temperature: float > 0, of the anchors (tau, 0.1).
        sharpening: float in (0, 1], the target's temperature is this part of it (T, 0.25; tau+ = 0.025).
        drop: float in [0, 1), part of the patches that anchors lose (0.15 for ViT-S, 0.3 for ViT-B, 0.7 for ViT-L).
        entropy_weight: float, weight of the mean entropy's part of the loss (lambda, 1).
        iterations: int, of Sinkhorn on the targets (3, as in the authors' code); 0 for none.
        momentum: float in [0, 1], how slowly the target network follows at the start (0.996).
        steps: int, optimizer steps of the whole run, over which the momentum rises to 1 in a straight line; None keeps
            it constant.

    Raises:
        ValueError: `drop` is not in [0, 1), or above 0 with an encoder that is no ViT with a class token.

    Example:

    >>> options = {"patch": 4, "grid": 8, "positions": "learned", "initializer": "truncated_normal"}
    >>> encoder = keras_ssl.encoders.vit_tiny((None, None, 3), **options)
    >>> model = keras_ssl.MSN(encoder, keras_ssl.augment.msn_cifar(32), prototype_count=256, steps=10000)
    >>> decay = keras_ssl.optimizers.cosine(0.04, 0.4, steps=10000)
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(1e-3, weight_decay=decay, global_clipnorm=3.0))
    """

    terms = ("cross_entropy", "entropy_gap")
    view_counts = (2, None)

    bounds = {
        "hidden": checks.ints(),
        "dim": checks.ints(),
        "prototype_count": checks.ints(),
        "temperature": checks.numbers(above=0),
        "sharpening": checks.numbers(above=0, most=1),
        "entropy_weight": checks.numbers(least=0),
        "iterations": checks.ints(0),
        "momentum": checks.numbers(least=0, most=1),
        "steps": checks.ints(optional=True),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=2048,
        dim=256,
        prototype_count=1024,
        temperature=0.1,
        sharpening=0.25,
        drop=0.15,
        entropy_weight=1.0,
        iterations=3,
        momentum=0.996,
        steps=None,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        if not is_number(drop) or not 0 <= drop < 1:
            raise ValueError(
                f"drop must be in [0, 1), the part of the patches that is left out. Received: drop={drop!r}"
            )
        self.hidden, self.dim, self.prototype_count, self.temperature = hidden, dim, prototype_count, temperature
        self.sharpening, self.drop, self.entropy_weight = sharpening, drop, entropy_weight
        self.iterations, self.momentum, self.steps = iterations, momentum, steps
        self.stages = class_token_stages(encoder) if drop else None
        self.head = heads.mlp(
            encoder.output_shape[-1], hidden, dim, depth=3, output_bias=True, name="head", activation="gelu",
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )
        self.prototypes = heads.Prototypes(dim, prototype_count, name="prototypes")
        self.anchor = heads.attach(encoder, self.head)
        self.target = teacher.copy(self.anchor)
        self.draws = keras.random.SeedGenerator()

    @property
    def evaluated_encoder(self):
        return self.target.get_layer(self.encoder.name)

    def objective(self, views):
        targets = self.assign(views[0])  # (batch, prototypes)
        large = [view for view in views[1:] if view.shape[1:] == views[0].shape[1:]]
        focal = [view for view in views[1:] if view.shape[1:] != views[0].shape[1:]]
        features = [self.partly(large)] if large else []
        features += [multi_crop(self.encoder, focal, training=True)] if focal else []
        embeddings = [self.head(x, training=True) for x in features]  # apart: batch normalization mixes no two sizes
        scores = self.prototypes(unit(ops.concatenate(embeddings)))  # (anchors * batch, prototypes)
        anchors = ops.split(scores, len(views) - 1)  # (batch, prototypes) each
        loss = sum(soft_cross_entropy(targets, anchor, self.temperature) for anchor in anchors) / len(anchors)
        gap = self.gap(scores)
        return {"loss": loss + self.entropy_weight * gap, "cross_entropy": loss, "entropy_gap": gap}

    def gap(self, scores):
        return mean_entropy_gap(scores, self.temperature)

    def assign(self, view):
        scores = self.prototypes(unit(self.target(view, training=True)))
        sharp = ops.log_softmax(ops.stop_gradient(scores) / (self.temperature * self.sharpening), axis=-1)
        return sinkhorn(sharp, 1.0, self.iterations)  # with 0 iterations the sharpened ones themselves

    def partly(self, views):
        """The features `(views * batch, features)` of what is left of each image."""
        if not self.drop:
            return multi_crop(self.encoder, views, training=True)
        patches, positions, blocks = self.stages
        tokens = ops.concatenate([self.visible(positions(patches(view))) for view in views])
        return blocks(tokens, training=True)[:, 0]

    def visible(self, tokens):
        """The class token and the patches that stay, `(batch, 1 + int((1 - drop) * patches), width)`."""
        rows, patches = ops.shape(tokens)[0], tokens.shape[1] - 1
        draws = uniform(local_seeds(self.draws, rows), patches)
        stay = ops.argsort(draws, axis=1)[:, : math.floor((1 - self.drop) * patches + 1e-6)]
        return ops.concatenate([tokens[:, :1], select(tokens[:, 1:], stay)], axis=1)

    def after_step(self, outputs):
        teacher.follow(self.target, self.anchor, teacher.linear(self.momentum, 1.0, self.step, self.steps))
