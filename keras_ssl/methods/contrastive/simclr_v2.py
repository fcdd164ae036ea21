r"""SimCLR v2: Big Self-Supervised Models are Strong Semi-Supervised Learners (Chen et al., 2020).

https://arxiv.org/abs/2006.10029

Three steps: `SimCLRv2` learns from images without labels, its `classifier` is fine-tuned on the few that have one, and
`SimCLRv2Distiller` teaches a student what the fine-tuned network says about all of them.

Objective:
    \mathcal{L} = -\frac{1}{2N} \sum_{i=1}^{2N} \log \frac{\exp(z_i \cdot z_p / \tau)}{\sum_{j \ne i} \exp(z_i \cdot
    z_j / \tau) + \sum_{n \in Q} \exp(z_i \cdot n / \tau)}
    where $z$ are the unit embeddings of the $2N$ views, $p$ is the other view of the image of $i$, and $Q$ is the
    memory, if there is one.

Flow:
    view 1 -> encoder -> deep projector -> NT-Xent
    view 2 -> encoder
    view 1 ~> averaged twin ~> memory ~> NT-Xent
    deep projector ~EMA~> averaged twin

Take it when a few labels will come later: fine-tune from the first layer of the deep projector, then distill.

Leave it when frozen features are all that is needed: SimCLR is simpler and was ahead in our short runs.
"""

import keras
from keras import ops

from keras_ssl import checks, heads, memory
from keras_ssl.checks import is_number
from keras_ssl.inputs import together
from keras_ssl.losses import nt_xent, softmax_cross_entropy
from keras_ssl.losses.vectors import precise, unit
from keras_ssl.method import Method
from keras_ssl.teacher import copy, follow


@keras.saving.register_keras_serializable("keras_ssl")
class SimCLRv2(Method):
    """SimCLR with a deeper projector, whose first layer stays for fine-tuning, and, where wanted, a memory.

    With `queue_size` the views repel the outputs of a memory network too, a twin that follows slowly (MoCo). The paper
    has no formula for it and its code no memory; here the positive stays the other view of the batch, the keys of the
    earlier batches, both views of each image, are negatives of all views.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f);
            `keras_ssl.encoders.resnet50(selective_kernel=True)`.
        augment: layer from images to two views; `keras_ssl.augment.simclr_v2`.
        hidden: int, units of the projector's hidden layers; None for the size of the features, as in the paper.
        dim: int, size of the embedding (128).
        depth: int >= 1, number of the projector's layers (3).
        temperature: float > 0 (tau, 0.1).
        queue_size: int, number of keys in the memory (64K), or 0 for none.
        momentum: float in [0, 1], how slowly the memory network follows (0.999).

    Example:

    >>> encoder = keras_ssl.encoders.resnet50(input_shape=(32, 32, 3), width=16, selective_kernel=True)
    >>> model = keras_ssl.SimCLRv2(encoder, keras_ssl.augment.simclr_cifar(32), temperature=0.5)
    >>> model.compile(optimizer=keras_ssl.optimizers.LARS(1.0, weight_decay=1e-4))
    >>> classifier = model.classifier(10)  # after model.fit(images): a plain Keras model to fine-tune
    >>> classifier.output_shape
    (None, 10)
    """

    view_counts = (2, 2)
    least_batch = 2

    bounds = {
        "hidden": checks.ints(optional=True),
        "dim": checks.ints(),
        "depth": checks.ints(),
        "temperature": checks.numbers(above=0),
        "queue_size": checks.ints(0),
        "momentum": checks.numbers(least=0, most=1),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=None,
        dim=128,
        depth=3,
        temperature=0.1,
        queue_size=0,
        momentum=0.999,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.dim, self.depth, self.temperature = hidden, dim, depth, temperature
        self.queue_size, self.momentum = queue_size, momentum
        features = encoder.output_shape[-1]
        self.projector = heads.mlp(
            features,
            hidden or features,
            dim,
            depth=depth,
            hidden_bias=False,  # the normalization that follows has an offset
            output_norm=heads.batch_normalization(center=False),
            name="projector",
        )
        self.projected = heads.attach(encoder, self.projector)
        self.memory = self.memory_network = None
        if queue_size:
            self.memory = memory.Queue(queue_size, dim)
            self.memory_network = copy(self.projected)

    def objective(self, views):
        images = together(views)  # (2 * batch, height, width, channels)
        first, second = ops.split(self.projected(images, training=True), 2)  # (batch, dim) each
        if self.memory is None:
            return nt_xent(first, second, self.temperature)
        loss = nt_xent(first, second, self.temperature, queue=self.memory.read())
        keys = ops.stop_gradient(unit(self.memory_network(images, training=True)))
        return {"loss": loss, "keys": ops.split(keys, 2)}

    def after_step(self, outputs):
        if self.memory is not None:
            follow(self.memory_network, self.projected, self.momentum)
            for keys in outputs["keys"]:  # one after the other: the same order on any number of replicas
                self.memory.push(keys)

    def classifier(self, classes, layer=1, zero_init=True, name="classifier"):
        """The network to fine-tune: the encoder, the first layers of the projector, and a new linear layer.

        It is a copy, so that one pretrained model makes many of them. It is plain Keras: compile it with
        `SparseCategoricalCrossentropy(from_logits=True)` and fit it to images and labels. The paper only crops and
        mirrors, with LARS at `0.005 * sqrt(batch)`, without warm-up and weight decay.

        Args:
            classes: int, number of classes.
            layer: int from 0 to `depth`, how many layers of the projector are kept, each with its normalization and
                ReLU: 0 is the encoder alone, 1 the paper's choice.
            zero_init: whether the new layer starts from zero, as in the authors' commands.
            name: str, name of the model.

        Returns:
            functional `keras.Model` from images to float32 logits `(batch, classes)`.

        Raises:
            ValueError: `layer` is out of its range.
        """
        if not isinstance(layer, int) or not 0 <= layer <= self.depth:
            raise ValueError(
                f"layer must be an int from 0 (the encoder alone) to depth={self.depth}. Received: layer={layer!r}"
            )
        images = keras.Input(self.encoder.input_shape[1:], name="images")
        x = twin(self.encoder)(images)
        for part in twin(self.projector).layers[: 3 * layer]:  # Dense, BatchNormalization, ReLU; the last has no ReLU
            x = part(x)
        logits = keras.layers.Dense(
            classes,
            kernel_initializer="zeros" if zero_init else keras.initializers.RandomNormal(stddev=0.01),
            dtype=keras.backend.result_type(keras.config.dtype_policy().variable_dtype, "float32"),
            name="logits",
        )
        return keras.Model(images, logits(x), name=name)


@keras.saving.register_keras_serializable("keras_ssl")
class SimCLRv2Distiller(Method):
    """A student learns what a fine-tuned teacher says about images, most or all of which have no label.

    `L = -( (1 - alpha) sum_labeled log P(y_i | x_i) + alpha sum_i sum_y P_T(y | x_i; tau) log P(y | x_i; tau) ) / B`

    P are the student's and P_T the teacher's probabilities; the temperature divides the logits of both, and no factor
    makes up for it. The teacher sees the same view, in inference mode. `model.predict` returns the student's logits,
    and `keras_ssl.export(model, path)` writes the student.

    Args:
        encoder: the student, a built `keras.Model` from images to logits `(batch, classes)`: `SimCLRv2.classifier`, or
            `keras.Sequential([encoder, keras.layers.Dense(classes)])`.
        augment: layer from images to one view, or more; the paper only crops and mirrors:
            `keras_ssl.augment.Views(keras_ssl.augment.RandomResizedCrop(size, flip=0.5), 1)`.
        teacher: built `keras.Model` from images to logits of the same size. It is copied, and never moves.
        temperature: float > 0 (tau; 0.1 for a student of the teacher's architecture, 1 for a smaller one).
        alpha: float from 0 to 1, weight of the teacher's answers (1). Below 1 the data must hold a column "label":
            integers, -1 where an image has none. The terms `supervised` and `distillation` are then logged.

    Raises:
        ValueError: the teacher is no built model with the student's output shape, or `alpha` is out of its range.

    Example:

    >>> teacher = keras_ssl.SimCLRv2(keras_ssl.encoders.resnet50(input_shape=(32, 32, 3), width=16)).classifier(10)
    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3), width=16)
    >>> student = keras.Sequential([encoder, keras.layers.Dense(10)])
    >>> views = keras_ssl.augment.Views(keras_ssl.augment.RandomResizedCrop(32, flip=0.5), 1)
    >>> model = keras_ssl.SimCLRv2Distiller(student, views, teacher=teacher)
    >>> model.compile(optimizer=keras_ssl.optimizers.LARS(1.0, weight_decay=1e-4))
    """

    bounds = {
        "temperature": checks.numbers(above=0),
    }

    def __init__(self, encoder, augment=None, *, teacher, temperature=1.0, alpha=1.0, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        if not is_number(alpha) or not 0 <= alpha <= 1:
            raise ValueError(f"alpha must be from 0 to 1. Received: alpha={alpha}")
        self.temperature, self.alpha = temperature, alpha
        self.teacher = copy(check_teacher(teacher, encoder))
        if alpha < 1:
            self.needs = ("label",)
            self.track("supervised", "distillation")

    def objective(self, views, labels=None):
        images = together(views)  # (views * batch, height, width, channels)
        logits = precise(self.encoder(images, training=True))  # (views * batch, classes)
        answers = ops.stop_gradient(precise(self.teacher(images, training=False)))
        distillation = softmax_cross_entropy(logits / self.temperature, answers / self.temperature)
        if labels is None:
            return distillation
        labels = ops.tile(labels, [len(views)])
        losses = ops.sparse_categorical_crossentropy(ops.maximum(labels, 0), logits, from_logits=True)
        supervised = ops.mean(ops.where(labels >= 0, losses, 0.0))
        loss = (1.0 - self.alpha) * supervised + self.alpha * distillation
        return {"loss": loss, "supervised": supervised, "distillation": distillation}


def twin(model):
    """A copy that is trained, unlike that of `teacher.copy`."""
    made = type(model).from_config(model.get_config())
    made.set_weights(model.get_weights())
    return made


def check_teacher(teacher, student):
    built = isinstance(teacher, keras.Model) and teacher.built
    if not built or getattr(teacher, "output_shape", None) != student.output_shape:
        raise ValueError(
            f"teacher must be a built keras.Model from images to logits of shape {student.output_shape}, the student's "
            f"output shape. Received: {getattr(teacher, 'output_shape', teacher) if built else teacher!r}"
        )
    return teacher
