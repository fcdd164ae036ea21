"""Teacher: a twin of the student that follows it without a gradient (EMA), and how fast it follows."""

import math

import keras
from keras import ops

from keras_ssl import distribute, inputs


def copy(model, name=None):
    """A twin with equal weights that the optimizer leaves alone.

    Its weights are frozen one by one: `twin.trainable = False` would also force its batch normalization to
    inference, and MoCo, BYOL and DINO run it in training mode, with the batch's statistics.

    Args:
        model: built `keras.Model`.
        name: str, the name of the twin, or None for that of the model.

    Returns:
        `keras.Model` without trainable variables; call it with `training=True`.
    """
    twin = type(model).from_config(model.get_config() | ({} if name is None else {"name": name}))
    twin.set_weights(model.get_weights())
    twin.stays_frozen = True  # `compile` freezes it again after somebody has set `trainable` of the whole model
    return freeze(twin)


def freeze(twin):
    """Freezes the weights of a model one by one."""
    for variable in twin.trainable_variables:
        variable.trainable = False
    return twin


def follow(teacher, student, momentum):
    """One step of the exponential moving average, `teacher <- momentum * teacher + (1 - momentum) * student`.

    The weights that the student trains move, gamma and beta of its batch normalization among them. The moving
    statistics of batch normalization do not: a teacher that runs in training mode keeps its own. Call it in
    `after_step`: inside `call`, half precision would round the weights.

    Args:
        teacher: the twin, from `copy`.
        student: the model it was copied from.
        momentum: float or scalar tensor in [0, 1]; 1 leaves the teacher where it is.
    """
    for slow, fast in pairs(teacher, student):
        rate = ops.cast(1.0 - ops.cast(momentum, "float32"), slow.dtype)
        slow.assign(slow.value + rate * (ops.cast(fast.value, slow.dtype) - slow.value))


def shuffled(twin, view, generator, gradient=False):
    """What a network makes of a batch whose rows, of all replicas, change places for the forward pass (MoCo).

    A row and its partner of the student then share no statistics of batch normalization.

    Args:
        twin: `keras.Model`, called with `training=True`; it may return several tensors.
        view: tensor `(batch, ...)`, or a dict of them.
        generator: `keras.random.SeedGenerator` that draws the order; all replicas draw the same.
        gradient: whether the gradient flows back to the weights of the network (a student) or not (a twin). None flows
            to the view.

    Returns:
        what the network returns, in the order of the rows.
    """
    rows = inputs.rows(view)
    whole = keras.tree.map_structure(lambda part: distribute.gather(part, gradient=False), view)
    order = ops.argsort(keras.random.uniform((inputs.rows(whole),), seed=generator))
    back = ops.argsort(order)

    def own(part, places):
        return ops.take(part, distribute.local(places, rows), axis=0)

    found = twin(keras.tree.map_structure(lambda part: own(part, order), whole), training=True)
    return keras.tree.map_structure(lambda part: own(distribute.gather(part, gradient=gradient), back), found)


def copy_statistics(teacher, student):
    """Gives a teacher that runs in inference mode, an average of weights, what the student does not train.

    These are the moving statistics of its batch normalization, which are averages already.

    Args:
        teacher: the twin, from `copy`.
        student: the model it was copied from.
    """
    trained = {id(v) for v in student.trainable_variables}
    for own, other in zip(teacher.weights, student.weights):
        if id(other) not in trained:
            own.assign(other.value)


def cosine(start, end, step, steps=None):
    """The momentum at a step: from `start` to `end` along half a cosine (BYOL, arXiv 2006.07733).

    `end - (end - start) * (cos(pi * step / steps) + 1) / 2`

    Args:
        start: float, the momentum at step 0 (tau_base, 0.996).
        end: float, the momentum at `steps` and after it (1).
        step: int or scalar tensor, counted from 0.
        steps: int, the length of the run in optimizer steps; None keeps `start`.

    Returns:
        float32 scalar tensor, or the float `start`.
    """
    if steps is None:
        return start
    progress = ops.clip(ops.cast(step, "float32") / steps, 0.0, 1.0)
    return end - (end - start) * (ops.cos(math.pi * progress) + 1.0) / 2.0


def linear(start, end, step, steps=None):
    """The momentum at a step: from `start` to `end` in a straight line (MSN, arXiv 2204.07141; I-JEPA, 2301.08243).

    Args and returns: as for `cosine`.
    """
    if steps is None:
        return start
    return start + (end - start) * ops.clip(ops.cast(step, "float32") / steps, 0.0, 1.0)


def pairs(teacher, student):
    """The weights that follow and those they follow, by order of construction."""
    trained = {id(v) for v in student.trainable_variables}
    return [(slow, fast) for slow, fast in zip(teacher.weights, student.weights) if id(fast) in trained]
