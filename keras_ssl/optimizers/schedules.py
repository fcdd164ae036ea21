"""Schedules of the learning rate and of weight decay, and the rules that scale a learning rate to the batch."""

import math

import keras
from keras import ops

from keras_ssl.checks import is_int, is_number
from keras_ssl.optimizers.exclusion import check_not_negative


def warmup_cosine(peak, steps, warmup=0, final=0.0, start=0.0):
    """Linear warm-up to `peak`, then half a cosine down to `final` (SGDR, https://arxiv.org/abs/1608.03983).

    Step t of the warm-up has `start + (peak - start) * t / warmup`; afterwards
    `final + (peak - final) * (1 + cos(pi * (t - warmup) / (steps - warmup))) / 2`, and `final` from `steps` on.

    Args:
        peak: positive float, the highest learning rate.
        steps: positive int, steps of the whole run, warm-up included. With `gradient_accumulation_steps` Keras
            counts batches, not updates.
        warmup: int >= 0 and less than `steps`, steps of the warm-up.
        final: float >= 0, the learning rate at the end.
        start: float from 0 to `peak`, the learning rate at step 0 of the warm-up.

    Returns:
        a `keras.optimizers.schedules.LearningRateSchedule`.

    Raises:
        ValueError: where an argument is out of its range.

    Example:
    ```python
    optimizer = keras.optimizers.SGD(keras_ssl.optimizers.warmup_cosine(0.3, steps=10_000, warmup=1_000))
    ```
    """
    _check_positive(peak=peak, steps=steps)
    check_not_negative(final=final, start=start)
    if start > peak:
        raise ValueError(f"start must be at most peak. Received: start={start}, peak={peak}")
    if not is_int(warmup, 0) or warmup >= steps:
        raise ValueError(
            f"warmup must be a number of steps, an int in [0, steps). Received: warmup={warmup}, steps={steps}. For a "
            "share of the run pass int(share * steps)."
        )
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=float(start),
        decay_steps=steps - warmup,
        alpha=final / peak,
        warmup_target=float(peak),
        warmup_steps=warmup,
        name="warmup_cosine",
    )


@keras.saving.register_keras_serializable("keras_ssl")
class PartOfCosine(keras.optimizers.schedules.LearningRateSchedule):
    """See `part_of_cosine`."""

    def __init__(self, peak, steps, share=7 / 8, warmup=0):
        super().__init__()
        self.peak, self.steps, self.share, self.warmup = peak, steps, share, warmup

    def __call__(self, step):
        step = ops.cast(step, "float32")
        done = ops.clip((step - self.warmup) / (self.steps - self.warmup), 0.0, 1.0)
        rate = self.peak * ops.cos(done * (self.share * math.pi / 2))
        return ops.where(step < self.warmup, self.peak * step / max(1, self.warmup), rate)

    def get_config(self):
        return {"peak": self.peak, "steps": self.steps, "share": self.share, "warmup": self.warmup}


def part_of_cosine(peak, steps, share=7 / 8, warmup=0):
    """A part of the quarter of a cosine that falls from 1 to 0, of FixMatch (https://arxiv.org/abs/2001.07685) and UDA.

    `peak * cos(share * pi / 2 * (t - warmup) / (steps - warmup))`: with 7/8 it ends at 0.195 of the peak, so that a run
    never stops to learn. Before, the rate grows in a straight line from 0.

    Args:
        peak: positive float, the learning rate after the warm-up.
        steps: positive int, steps of the whole run, warm-up included.
        share: float above 0 and at most 1, the part of the way from 1 to 0 of the cosine's argument.
        warmup: int >= 0 and less than `steps`, steps of the warm-up.

    Returns:
        a `keras.optimizers.schedules.LearningRateSchedule`.

    Raises:
        ValueError: where an argument is out of its range.

    Example:
    ```python
    optimizer = keras_ssl.optimizers.SGD(keras_ssl.optimizers.part_of_cosine(0.03, steps=10_000), nesterov=True)
    ```
    """
    _check_positive(peak=peak, steps=steps, share=share)
    if share > 1:
        raise ValueError(f"share must be at most 1. Received: share={share}")
    if not is_int(warmup, 0) or warmup >= steps:
        raise ValueError(f"warmup must be an int in [0, steps). Received: warmup={warmup}, steps={steps}")
    return PartOfCosine(float(peak), int(steps), float(share), int(warmup))


def cosine(start, end, steps):
    """Half a cosine from `start` to `end`, up or down: `end + (start - end) * (1 + cos(pi * t / steps)) / 2`.

    DINO (https://arxiv.org/abs/2104.14294) raises the weight decay from 0.04 to 0.4 along it.

    Args:
        start: positive float, the value at step 0.
        end: float >= 0, the value from `steps` on.
        steps: positive int, steps of the whole run.

    Returns:
        a `keras.optimizers.schedules.LearningRateSchedule`.

    Raises:
        ValueError: where an argument is out of its range.

    Example:
    ```python
    optimizer = keras_ssl.optimizers.AdamW(1e-3, weight_decay=keras_ssl.optimizers.cosine(0.04, 0.4, steps=10_000))
    ```
    """
    _check_positive(start=start, steps=steps)
    check_not_negative(end=end)
    return keras.optimizers.schedules.CosineDecay(float(start), steps, alpha=end / start, name="cosine")


def scale(learning_rate, batch_size, base=256, rule="linear"):
    """The learning rate for a batch of `batch_size`, given the one for a batch of `base`.

    `learning_rate * batch_size / base` (https://arxiv.org/abs/1706.02677), or `learning_rate *
    sqrt(batch_size / base)` with `rule="sqrt"`, which suits adaptive optimizers and which SimCLR prefers for small
    batches and short runs (table B.1 of https://arxiv.org/abs/2002.05709, where it reads `0.075 * sqrt(batch)`, that
    is `scale(1.2, batch, rule="sqrt")`).

    Args:
        learning_rate: float, the rate at `base` samples per step.
        batch_size: positive int, samples per step over all replicas.
        base: positive int, the paper's batch.
        rule: `"linear"` or `"sqrt"`.

    Returns:
        float.

    Raises:
        ValueError: where an argument is out of its range.

    Example:
    ```python
    keras_ssl.optimizers.scale(0.3, batch_size=4096)  # 4.8
    ```
    """
    _check_positive(batch_size=batch_size, base=base)
    check_not_negative(learning_rate=learning_rate)
    if rule not in ("linear", "sqrt"):
        raise ValueError(f"rule must be 'linear' or 'sqrt'. Received: rule={rule!r}")
    factor = batch_size / base
    return learning_rate * (factor if rule == "linear" else math.sqrt(factor))


def _check_positive(**arguments):
    for name, value in arguments.items():
        if not is_number(value) or not value > 0:
            raise ValueError(f"{name} must be positive and finite. Received: {name}={value!r}")
