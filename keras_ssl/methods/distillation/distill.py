r"""Distill: Distillation v1, v2 and v3 of LightlyTrain (Lightly, 2026).

https://docs.lightly.ai/train/stable/methods/distillation.html

It has no paper. The global part is that of SEED (Fang et al., 2021), https://arxiv.org/abs/2101.04731: similarities to
a queue of the teacher's features. That student and teacher see the same strongly augmented and mixed image is advice of
Knowledge distillation: A good teacher is patient and consistent (Beyer et al., 2021), https://arxiv.org/abs/2106.05237.

Objective:
    \mathcal{L} = \frac{1}{N} \sum_{i} KL \left( \sigma(t_i Q^T) \,\|\, \sigma(s_i Q^T) \right) + \frac{\lambda}{N P}
    \sum_{i, p} KL \left( \sigma(T_{ip} T_i^T) \,\|\, \sigma(S_{ip} S_i^T) \right)
    where $t$ and $s$ are the unit features of teacher and student, $Q$ the teacher's of this and earlier batches, $T_i$
    and $S_i$ the unit features of the $P$ places of image $i$, and $\sigma$ the softmax with a temperature.

Flow:
    image -> mixing -> student -> global head -> KL over the queue
    mixing ~> frozen teacher ~> KL over the queue
    student -> local head -> KL over the places
    frozen teacher ~> KL over the places

Take it when data or compute are short, and an encoder is there that knows such images: large, public, or your own.

Leave it when no such encoder is: a student learns what its teacher knows, and little beyond.
"""

import math

import keras
import numpy as np
from keras import ops

from keras_ssl import checks, encoders, heads, inputs, memory
from keras_ssl.augment.image.geometry import Resize
from keras_ssl.augment.image.mixing import MixUp
from keras_ssl.augment.rows import local_seeds
from keras_ssl.losses import kl_divergence
from keras_ssl.losses.vectors import precise, unit
from keras_ssl.method import Method
from keras_ssl.rebuild import check_rebuildable
from keras_ssl.teacher import copy

LARGEST_QUEUE = 8192


@keras.saving.register_keras_serializable("keras_ssl")
class Distill(Method):
    """A student of any architecture learns, without labels, to see images as a frozen teacher does.

    Version 1 compares features: each image's similarities to a queue of the teacher's features. Version 2 regresses the
    teacher's map of features, place by place. Version 3 is version 1, and in each image the similarities between its
    places, whatever the axes of the features: it is the default there and here. Both networks see the same view, mixed
    with that of another image, by one share for the whole batch.

    The teacher keeps its own preprocessing: it takes pixels of 0..255, as the encoders of this package do; for a
    network of `keras.applications` see `keras_ssl.encoders.pool`. Where it takes images of another size than the views
    have, it gets the views resampled, and where it takes three channels and the views have one, this one three times.

    It is copied, runs in inference mode, and never moves. `model.save` and `keras_ssl.Checkpoint` write it into their
    files, so that a run resumes without it; `keras_ssl.export` writes the student alone.

    Args:
        encoder: the student, `keras.Model` from images to features `(batch, dim)`. In versions 2 and 3 it must pool a
            map or tokens, as those of `keras_ssl.encoders`, `keras_ssl.encoders.pool` and `keras_ssl.pretrained` do.
        augment: layer from images to one view; `keras_ssl.augment.distill`.
        teacher: built `keras.Model` from images to features `(batch, dim)`, which in versions 2 and 3 must pool a map
            or tokens as well; or to a map `(batch, rows, columns, dim)`, tokens, or a list of these, which are put side
            by side, and their mean is taken for features. `keras_ssl.pretrained.load("dinov2_vits14")`; for version 2
            its last two blocks, `keras_ssl.pretrained.load("dinov2_vits14", features=[11, 12])`.
        version: 1, 2 or 3 (3).
        temperature: float > 0, of all similarities (0.07). Not of version 2.
        local_weight: float from 0, weight of the places in version 3 (lambda, 1).
        queue_size: int, number of features in the queue (8192), at least the global batch, and fewer than there are
            images: about a third of these. Not of version 2.
        alpha: float from 0, the share of an image is from the beta distribution (alpha, alpha) (1, any share alike); 0
            mixes nothing.

    Raises:
        ValueError: the teacher is no built model of features, maps or tokens, or takes images of other channels; there
            is no map in the student or the teacher; tokens do not fill the grid of the image; the teacher is a network
            of `keras.applications` without its preprocessing; or, by `fit`, the queue is not smaller than the data or
            smaller than a batch.

    Example:

    >>> teacher = keras_ssl.encoders.vit_small((32, 32, 3), patch=4)  # keras_ssl.pretrained.load("dinov2_vits14")
    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3), width=16)
    >>> model = keras_ssl.Distill(encoder, keras_ssl.augment.distill(32), teacher=teacher, queue_size=512)
    >>> rate = keras_ssl.optimizers.scale(5e-4, 256, base=1536, rule="sqrt")
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(rate, weight_decay=1e-6, global_clipnorm=1.0))
    """

    view_counts = (1, 1)

    bounds = {
        "version": checks.choice(1, 2, 3),
        "temperature": checks.numbers(above=0),
        "local_weight": checks.numbers(least=0),
        "queue_size": checks.ints(),
        "alpha": checks.numbers(least=0),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        teacher,
        version=3,
        temperature=0.07,
        local_weight=1.0,
        queue_size=LARGEST_QUEUE,
        alpha=1.0,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.version, self.temperature, self.local_weight = version, temperature, local_weight
        self.queue_size, self.alpha = queue_size, alpha
        self.teacher = copy(check_teacher(teacher, encoder))
        self.teacher_outlook = outlook(self.teacher, "teacher", maps=version > 1)
        self.outlook = outlook(encoder, "encoder", maps=version > 1)
        (_, *of_student), (wanted, *of_teacher) = (sizes(x) for x in (self.outlook, self.teacher_outlook))
        self.queue = self.head = self.local_head = None
        if version != 2:
            self.head = head(encoder.output_shape[-1], wanted, "head")
            self.queue = memory.Queue(queue_size, wanted)
            self.queue.entries.assign(ops.zeros((queue_size, wanted)))
        if version != 1:
            self.local_head = head(of_student[0], of_teacher[0], "local_head")
        if version == 3:
            self.track("global_loss", "local_loss")
        taken = getattr(teacher, "input_shape", None)
        self.resize = Resize(taken[1:3]) if is_images(taken) and None not in taken[1:3] else None
        self.mixing = MixUp(alpha, per_batch=True) if alpha else None
        self.draws = keras.random.SeedGenerator()

    def check_samples(self, count, batch=None):
        if self.queue is None or (batch or 1) <= self.queue_size < count:
            return
        take = max(min(2 ** int(math.log2(max(count / 2, 1))), LARGEST_QUEUE), batch or 1)
        raise ValueError(
            "The queue must hold a batch, and be smaller than the data, or images are compared with themselves of an "
            f"epoch before. Received: queue_size={self.queue_size} and {count} images"
            f"{f' in batches of {batch}' if batch else ''}. "
            + (f"Take queue_size={take}." if take < count else "Take more images, or smaller batches.")
        )

    def objective(self, views):
        (view,) = views
        if self.mixing is not None:
            view, *_ = self.mixing(view, local_seeds(self.draws, inputs.rows(view)))
        wanted, wanted_map = look(self.teacher_outlook, self.for_teacher(view), training=False)
        features, found_map = look(self.outlook, view, training=True)
        if self.version == 2:
            return ops.mean(ops.square(self.places(found_map, wanted_map) - ops.stop_gradient(wanted_map)))
        keys = ops.stop_gradient(unit(wanted))  # (batch, dim)
        queue = ops.transpose(self.queue.read(keys))
        prediction = unit(self.head(features, training=True))
        loss = kl_divergence(ops.matmul(prediction, queue), ops.matmul(keys, queue), self.temperature)
        if self.version == 1:
            return {"loss": loss, "keys": keys}
        local = kl_divergence(
            relations(self.places(found_map, wanted_map)), relations(wanted_map), self.temperature
        )
        return {"loss": loss + self.local_weight * local, "global_loss": loss, "local_loss": local, "keys": keys}

    def for_teacher(self, view):
        """The view in the size and with the channels that the teacher takes."""
        view = inputs.for_encoder(view, self.teacher)
        if not is_images(inputs.static_shape(view)):
            return view
        if (view.shape[-1], self.teacher.input_shape[-1]) == (1, 3):
            view = ops.repeat(view, 3, axis=-1)
        same = self.resize is None or tuple(view.shape[1:3]) == tuple(self.teacher.input_shape[1:3])
        return view if same else self.resize(view)

    def places(self, found_map, wanted_map):
        """The student's map in the teacher's space and on its grid."""
        rows, columns, dim = found_map.shape[1:]
        x = precise(self.local_head(ops.reshape(found_map, (-1, dim)), training=True))
        x = ops.reshape(x, (-1, rows, columns, x.shape[-1]))
        for axis, (old, new) in enumerate(zip((rows, columns), wanted_map.shape[1:3])):
            if old != new:
                x = ops.einsum(("bhwd,vh->bvwd", "bhwd,vw->bhvd")[axis], x, interpolation(old, new))
        return x

    def after_step(self, outputs):
        if self.queue is not None:
            self.queue.push(outputs["keys"])


def head(features, dim, name):
    return heads.linear(features, dim, initializer=keras.initializers.RandomNormal(stddev=0.02), name=name)


def relations(places):
    """Cosines of all places `(batch, rows, columns, dim)` of an image, `(batch, places, places)`."""
    x = unit(ops.reshape(places, (-1, math.prod(places.shape[1:3]), places.shape[-1])))
    return ops.matmul(x, ops.transpose(x, (0, 2, 1)))


def interpolation(old, new):
    """Weights `(new, old)` of the linear interpolation of a row of `old` places, without antialiasing."""
    where = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return np.maximum(1 - np.abs(where[:, None] - np.arange(old)), 0).astype("float32")


# What a model sees: its features, and the map that they are pooled from


def outlook(model, name, maps):
    """A model from images to features and, with `maps`, to what they are pooled from; or to its maps."""
    taken, outputs = inputs.input_tensors(model) or model.inputs[0], list(model.outputs)
    if maps and len(outputs[0].shape) == 2:
        outputs.append(pooled(model, name))
    return keras.Model(taken, outputs)


def pooled(model, name):
    """The last map or tokens on the way to a model's features."""
    x = encoders.before_pooling(model)
    if x is None:
        raise ValueError(
            f"Versions 2 and 3 compare places, and the {name} '{model.name}' has no map or tokens that it pools. Give "
            "a network that ends with its pooling, such as keras_ssl.encoders.pool(backbone), not a model around one; "
            f"or take version=1. Received: {name}={model}"
        )
    return x


def sizes(model):
    """The dims of the features and, where there are maps, of these side by side."""
    features, maps = model.outputs[0].shape, [x.shape[-1] for x in model.outputs if len(x.shape) > 2]
    whole = [sum(maps)] if maps else []
    return (features[-1] if len(features) == 2 else whole[0], *whole)


def look(model, images, training):
    """Features `(batch, dim)`, and the map `(batch, rows, columns, dim)` or None, float32."""
    found = keras.tree.flatten(model(images, training=training))
    maps = [as_map(precise(x), images.shape[1:3]) for x in found if len(x.shape) > 2]
    if len({tuple(x.shape[1:3]) for x in maps}) > 1:
        raise ValueError(
            "The teacher's maps must be of one size, to be put side by side. Received: "
            f"{' and '.join(str(tuple(x.shape)) for x in maps)}"
        )
    whole = ops.concatenate(maps, axis=-1) if maps else None
    return precise(found[0]) if len(found[0].shape) == 2 else ops.mean(whole, axis=(1, 2)), whole


def as_map(x, size):
    """Tokens `(batch, tokens, dim)` as the map of their patches, which are the last ones; a map as it is."""
    if len(x.shape) == 4:
        return x
    height, width = size
    rows, columns = (math.isqrt(x.shape[1] * a // b) for a, b in ((height, width), (width, height)))
    if not rows * columns or height % rows or width % columns:
        raise ValueError(
            f"It cannot be told which of {x.shape[1]} tokens are the patches of an image of {height} x {width} pixels: "
            f"a grid of {rows} x {columns} does not divide it. Give a network that ends with a map (batch, rows, "
            "columns, dim), without class token and registers, or take version=1."
        )
    return ops.reshape(x[:, x.shape[1] - rows * columns :], (-1, rows, columns, x.shape[-1]))


def is_images(shape):
    return isinstance(shape, tuple) and len(shape) == 4


def check_teacher(teacher, student):
    shapes = None
    if isinstance(teacher, keras.Model) and teacher.built and getattr(teacher, "inputs", None):
        shapes = [x.shape for x in teacher.outputs]
    known = shapes and (len(shapes) == 1 and len(shapes[0]) == 2 or all(len(shape) in (3, 4) for shape in shapes))
    if not known or any(shape[-1] is None for shape in shapes):
        raise ValueError(
            "teacher must be a built functional or sequential keras.Model from images to features (batch, dim), to a "
            "map (batch, rows, columns, dim) or tokens, or a list of these. Received: "
            f"teacher={teacher!r}{f' with outputs of shape {shapes}' if shapes else ''}"
        )
    taken, given = teacher.input_shape, student.input_shape
    if is_images(taken) and is_images(given) and taken[-1] != given[-1] and (given[-1], taken[-1]) != (1, 3):
        raise ValueError(
            f"teacher must take images of as many channels as the student, or three where that takes one. Received: a "
            f"teacher '{teacher.name}' of {taken[-1]} channels and a student '{student.name}' of {given[-1]}"
        )
    if encoders.lacks_preprocessing(teacher):
        raise ValueError(
            "teacher gets pixels of 0..255, and this network of keras.applications was trained on others: wrap it, as "
            f"keras_ssl.encoders.pool(teacher). Received: a teacher '{teacher.name}' without preprocessing"
        )
    check_rebuildable(teacher)
    return teacher
