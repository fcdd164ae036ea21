r"""DINOv3: Gram anchoring, the stage of DINOv3 (Simeoni et al., 2025) that keeps the features of patches good.

https://arxiv.org/abs/2508.10104

Objective:
    \mathcal{L} = \mathcal{L}_{\text{DINOv2}} + \lambda \operatorname{mean}_g \frac{1}{P^2} \left\| X_g X_g^\top - Y_g
    Y_g^\top \right\|_F^2
    where the rows of $X_g$ are the student's patches of a global view, as unit vectors, and those of $Y_g$ are the
    patches of an earlier teacher; P is their number.

Flow:
    masked views -> student -> DINOv2
    student -> distance of similarities
    whole views ~> Gram teacher ~> distance of similarities
    teacher ~copied~> Gram teacher

Take it when a long run of DINOv2 makes whole images ever better and segmentation worse: it goes on from there.

Leave it when the run is short: a short run does not harm the patches.
"""

import keras
from keras import ops

from keras_ssl import checks, teacher
from keras_ssl.encoders import vit_stages
from keras_ssl.losses import gram_anchoring
from keras_ssl.methods.distillation.dino_v2 import DINOv2


@keras.saving.register_keras_serializable("keras_ssl")
class DINOv3(DINOv2):
    """DINOv2, while the patches of an image stay as alike or unlike each other as an earlier teacher had them.

    The Gram teacher is a copy of the teacher's encoder: of the start, then of every `gram_every` steps, `gram_copies`
    times. It sees the global views whole, in inference mode. Similarities are anchored, features may turn.
    `DINOv3.after` goes on from a trained `DINOv2`.

    Of the authors' stage are left out: larger crops for the Gram teacher, without color distortion, whose patches they
    shrink; half the weight of the local views; last layers without weight normalization, and another number of outputs
    for the patches; rotary positions (RoPE), and a layer normalization of its own for the class tokens of local views.

    The authors' rate is 3e-5 * 4 * sqrt(batch / 1024), 2.4e-4 for a batch of 4096 and 6e-5 for 256. It is constant, as
    the decay of 0.04, with a `beta_2` of 0.99, a layer decay of 0.98, and gradients clipped to a norm of 30.

    Args:
        encoder: as for `DINOv2`; in the paper with four registers.
        augment: layer from images to views, the global ones first; `keras_ssl.augment.dino_v2`.
        gram_weight: float >= 0, weight of the similarities' part of the loss (2).
        gram_warmup: int, steps over which this weight rises from 0 (1,000); 0 for none.
        gram_every: int, steps between two copies of the teacher (10,000).
        gram_copies: int >= 0, how often it is copied at most, after the start (3).
        **kwargs: the other arguments of `DINOv2`.

    Raises:
        ValueError: as for `DINOv2`.

    Example:

    >>> options = {"patch": 4, "grid": 8, "positions": "learned", "initializer": "truncated_normal", "registers": 4}
    >>> encoder = keras_ssl.encoders.vit_tiny((None, None, 3), drop_path=(0.1, 0.1), layer_scale=1e-5, **options)
    >>> model = keras_ssl.DINOv2(encoder, keras_ssl.augment.dino_cifar(32), dim=4096, grid=8)  # trained for long
    >>> model = keras_ssl.DINOv3.after(model, gram_every=1000)
    >>> optimizer = keras_ssl.optimizers.AdamW(6e-5, weight_decay=0.04, beta_2=0.99, global_clipnorm=30.0)
    >>> model.compile(optimizer=optimizer)  # the rate is for a batch of 256
    """

    terms = (*DINOv2.terms, "gram_loss")
    further = ("gram_teacher",)

    bounds = {
        "gram_weight": checks.numbers(least=0),
        "gram_warmup": checks.ints(0),
        "gram_every": checks.ints(),
        "gram_copies": checks.ints(0),
    }

    def __init__(
        self, encoder, augment=None, *, gram_weight=2.0, gram_warmup=1000, gram_every=10000, gram_copies=3, **kwargs
    ):
        super().__init__(encoder, augment, **kwargs)
        self.gram_weight, self.gram_warmup = gram_weight, gram_warmup
        self.gram_every, self.gram_copies = gram_every, gram_copies
        self.gram_teacher = teacher.copy(self.evaluated_encoder)

    def objective(self, views):
        outputs = super().objective(views)
        patches, positions, blocks = vit_stages(self.gram_teacher)
        anchors = blocks(positions(patches(ops.concatenate(views[: self.global_views]))), training=False)[:, 1:]
        gram_loss = gram_anchoring(outputs["patches"], anchors)  # of all patches, also of those that were hidden
        loss = outputs["loss"] + self.current_gram_weight() * gram_loss
        return outputs | {"loss": loss, "gram_loss": gram_loss}

    def current_gram_weight(self):
        if not self.gram_warmup:
            return self.gram_weight
        return self.gram_weight * ops.minimum(ops.cast(self.step, "float32") / self.gram_warmup, 1.0)

    def after_step(self, outputs):
        super().after_step(outputs)
        made = self.step + 1
        due = (made % self.gram_every == 0) & (made <= self.gram_every * self.gram_copies)
        for own, its in zip(self.gram_teacher.weights, self.evaluated_encoder.weights):
            own.assign(ops.where(due, its.value, own.value))

    @classmethod
    def after(cls, model, augment=None, **changes):
        """Goes on from a trained `DINOv2`: its weights are where they were, steps count from 0.

        The schedules at the start of a run are over, and stay so, as in the paper: the teacher's temperature is
        `teacher_temperature`, no layer is frozen, and the momentum is 0.999 throughout.

        Args:
            model: `DINOv2`.
            augment: layer from images to views; None for that of the model.
            **changes: other arguments that change, also of these: `momentum`, `steps`, `warmup`, `freeze_steps`.

        Returns:
            `DINOv3`, not compiled yet.

        Raises:
            ValueError: the model is no `DINOv2`, or has not the weights that the changes ask for.
        """
        if not isinstance(model, DINOv2):
            raise ValueError(f"DINOv3 goes on from a DINOv2 alone, whose parts it has. Received: model={model!r}")
        constant = {"warmup": 0, "freeze_steps": 0, "steps": None, "momentum": 0.999}
        given = {"augment": model.augment if augment is None else augment}
        new = model.continued(cls, constant | given | changes)
        new.gram_teacher.set_weights(new.evaluated_encoder.get_weights())
        return new
