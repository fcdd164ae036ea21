r"""DINO: Emerging Properties in Self-Supervised Vision Transformers (Caron et al., 2021).

https://arxiv.org/abs/2104.14294

Objective:
    \mathcal{L} = -\operatorname{mean}_{g} \operatorname{mean}_{v \ne g} \sum_k \operatorname{softmax}\left(
    \frac{t_g - c}{\tau_t} \right)_k \log \operatorname{softmax}\left( \frac{s_v}{\tau_s} \right)_k
    where $t_g$ are the teacher's scores of a global view, $s_v$ the student's of any view, and $c$ is the running
    mean of the teacher's scores.

Flow:
    global views ~> teacher ~> center and sharpen ~> cross-entropy
    all views -> student -> head -> cross-entropy
    head ~EMA~> teacher

Take it when a vision transformer is trained for long: its attention follows objects, and k-NN works without a
    classifier.

Leave it when the run is short or on a small ResNet: SimCLR is ahead by far then.
"""

import keras
from keras import ops

from keras_ssl import checks, distribute, heads, teacher
from keras_ssl.encoders.multi_crop import multi_crop
from keras_ssl.losses import swapped_prediction
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class DINO(Method):
    """The student's softmax of every view matches the centered, sharpened softmax of a teacher that follows it.

    The teacher sees the global views only. Centering alone makes all outputs alike, sharpening alone lets one dimension
    win; together they keep both from happening. With views of several sizes (multi-crop) the encoder must take
    them: `input_shape=(None, None, 3)`. Drop path and dropout of the encoder act in the student only. As in the paper,
    the teacher's encoder is the result (`evaluated_encoder`): `predict`, `export` and the scores take it.

    The schedules count steps, where the authors' code counts epochs for the temperature and the freeze. After
    `freeze_steps` Adam's bias correction goes on counting from the first step of the run, in PyTorch it starts anew:
    the first updates of the last layer are larger here, up to 6 times with a `beta_2` of 0.999.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`, a ViT or a ResNet.
        augment: layer from images to views, the global ones first; `keras_ssl.augment.dino`.
        hidden: int, units of the head's two hidden layers (2048).
        bottleneck: int, units of its third layer (256).
        dim: int, outputs (K, 65536; 4096 on CIFAR-10).
        batch_norm: whether the head's hidden layers are batch-normalized; not with a ViT.
        temperature: float > 0, of the student (tau_s, 0.1).
        teacher_temperature: float > 0, of the teacher (tau_t, 0.04; 0.07 after a warm-up).
        warmup_temperature: float > 0, of the teacher at the start of the warm-up (0.04).
        warmup: int, steps over which the teacher's temperature changes (those of 30 epochs); 0 for none.
        center_momentum: float in [0, 1], how slowly the center follows (m, 0.9); 1 leaves it at zero.
        momentum: float in [0, 1], how slowly the teacher follows at the start (lambda, 0.996; 0.9995 for a batch of
            256).
        steps: int, optimizer steps of the whole run, over which the momentum rises to 1; None keeps it constant.
        freeze_steps: int, the first steps, in which the last layer stays (those of one epoch).
        global_views: int, how many of the views are global (2).

    Example:

    >>> options = {"patch": 4, "grid": 8, "positions": "learned", "initializer": "truncated_normal"}
    >>> encoder = keras_ssl.encoders.vit_tiny((None, None, 3), drop_path=0.1, **options)
    >>> model = keras_ssl.DINO(encoder, keras_ssl.augment.dino_cifar(32), dim=4096, steps=10000, freeze_steps=200)
    >>> decay = keras_ssl.optimizers.cosine(0.04, 0.4, steps=10000)
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(5e-4, weight_decay=decay, clipnorm=3.0))
    """

    view_counts = (2, None)
    trained_gain = False  # of the last layer

    bounds = {
        "hidden": checks.ints(),
        "bottleneck": checks.ints(),
        "dim": checks.ints(),
        "batch_norm": checks.flag(),
        "temperature": checks.numbers(above=0),
        "teacher_temperature": checks.numbers(above=0),
        "warmup_temperature": checks.numbers(above=0),
        "warmup": checks.ints(0),
        "center_momentum": checks.numbers(least=0, most=1),
        "momentum": checks.numbers(least=0, most=1),
        "steps": checks.ints(optional=True),
        "freeze_steps": checks.ints(0),
        "global_views": checks.ints(),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=2048,
        bottleneck=256,
        dim=65536,
        batch_norm=False,
        temperature=0.1,
        teacher_temperature=0.04,
        warmup_temperature=0.04,
        warmup=0,
        center_momentum=0.9,
        momentum=0.996,
        steps=None,
        freeze_steps=0,
        global_views=2,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.bottleneck, self.dim, self.batch_norm = hidden, bottleneck, dim, batch_norm
        self.temperature, self.teacher_temperature = temperature, teacher_temperature
        self.warmup_temperature, self.warmup, self.center_momentum = warmup_temperature, warmup, center_momentum
        self.momentum, self.steps, self.freeze_steps = momentum, steps, freeze_steps
        self.global_views = global_views
        self.head = heads.dino_head(encoder.output_shape[-1], hidden, bottleneck, batch_norm, name="head")
        self.prototypes = heads.Prototypes(bottleneck, dim, gain=self.trained_gain, name="last_layer")
        self.student = heads.attach(encoder, self.head)
        self.teacher = without_dropout(teacher.copy(self.student))
        self.teacher_prototypes = teacher.copy(self.prototypes)
        self.center = self.keep("center", (dim,))

    @property
    def evaluated_encoder(self):
        return self.teacher.get_layer(self.encoder.name)

    def objective(self, views):
        logits = self.teach(views[: self.global_views])  # (global views * batch, dim)
        sharp = ops.softmax((logits - self.center) / self.current_temperature(), axis=-1)
        loss = swapped_prediction(ops.split(sharp, self.global_views), self.study(views), self.temperature)
        return {"loss": loss, "logits": logits}

    def teach(self, views):
        return ops.stop_gradient(self.teacher_prototypes(multi_crop(self.teacher, views, training=True)))

    def study(self, views):
        """The student's outputs `(batch, dim)` of each view."""
        embeddings = self.head(multi_crop(self.encoder, views, training=True), training=True)
        return ops.split(self.prototypes(embeddings, frozen=self.frozen()), len(views))

    def frozen(self):
        return self.step < self.freeze_steps if self.freeze_steps else None

    def current_temperature(self):
        if not self.warmup:
            return self.teacher_temperature
        progress = ops.minimum(ops.cast(self.step, "float32") / self.warmup, 1.0)
        return self.warmup_temperature + (self.teacher_temperature - self.warmup_temperature) * progress

    def after_step(self, outputs):
        momentum = teacher.cosine(self.momentum, 1.0, self.step, self.steps)
        for twin, model in self.twins():
            teacher.follow(twin, model, momentum)
        self.move_centers(outputs)

    def twins(self):
        """What follows without a gradient, and what it follows."""
        return [(self.teacher, self.student), (self.teacher_prototypes, self.prototypes)]

    def move_centers(self, outputs):
        logits = outputs["logits"]
        self.recenter(self.center, ops.sum(logits, axis=0), ops.shape(logits)[0])

    def recenter(self, center, total, count):
        """Moves a center towards the mean over the global batch, by the sum `(dim,)` and number of the local rows."""
        count = distribute.total(ops.cast(count, "float32"))
        mean = distribute.total(total) / ops.maximum(count, 1.0)
        center.assign(self.center_momentum * center + (1.0 - self.center_momentum) * mean)


def without_dropout(model):
    """Turns dropout and drop path off, also in training mode: the teacher's targets have no noise of their own."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    return model
