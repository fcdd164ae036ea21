r"""CPCAudio: Representation Learning with Contrastive Predictive Coding (van den Oord, Li, Vinyals, 2018).

https://arxiv.org/abs/1807.03748

Objective:
    \mathcal{L} = -\operatorname{mean}_{t, k} \log \frac{\exp f_k(z_{t+k}, c_t)}{\sum_{z \in Z} \exp f_k(z, c_t)},
    \quad f_k(z, c) = \frac{1}{D} \, z^{\top} W_k \, c
    where $z$ are the latents of the convolutions, of size $D$, $c_t$ is the context, what the GRU made of those up to
    $t$, and $Z$ holds the latent $k$ places ahead and the negatives.

Flow:
    sound -> convolutions -> latents -> GRU -> context -> a prediction for each step ahead -> cross-entropy
    latents -> cross-entropy
    latents of other places and sounds -> cross-entropy

Take it when sounds are long, of any kind, and something has to be learned for every 10 ms: phones as well as speakers.

Leave it when sounds have fewer than some dozen places, or there is no time for long runs.
"""

import math

import keras
import numpy as np
from keras import ops

from keras_ssl import checks, distribute, heads
from keras_ssl.augment.places import select
from keras_ssl.augment.random import choose, fold, uniform
from keras_ssl.augment.rows import local_seeds
from keras_ssl.inputs import input_names
from keras_ssl.losses import info_nce_drawn
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class CPCAudio(Method):
    """From what was heard up to a place, the latents of the next places are told among latents of other places.

    The score is a mean over the latent's channels, as in the code of Rivière et al. (2002.02848), where the paper has
    the sum: the matrices learn their size. Each place has negatives of its own, drawn at each step, the same for all
    steps ahead; the places that are told are none of them. Where negatives come from decides what is learned: from all
    sounds, who speaks can be enough to tell them; from the same sound, only what is said is.

    Only places count from which all steps ahead are real; each sound counts alike.

    Args:
        encoder: `keras_ssl.encoders.cpc_audio`, or a functional `keras.Model` from waves to features with layers
            `"latent"` and `"context"` whose outputs are `(batch, places, channels)`.
        augment: layer from sounds to one view, such as `keras_ssl.augment.AudioCrop` (20,480 samples).
        steps: int, how many places ahead (12).
        negatives: int, how many each place has (128).
        among: where they come from: `"batch"`: any place of any sound of the batch; `"sound"`: other places of the same
            sound; `"group"`: places of sounds of the same group, of one speaker say, by the column `"group"`.

    Raises:
        ValueError: the encoder has no such layers, or takes no mask where the data has one, or a sound has too few
            places.

    Example:

    >>> encoder = keras_ssl.encoders.cpc_audio((20_480,), filters=(256,) * 5, norm="layer")
    >>> model = keras_ssl.CPCAudio(encoder, keras_ssl.augment.AudioCrop(20_480))
    >>> model.compile(optimizer=keras.optimizers.Adam(2e-4))
    >>> sounds = keras_ssl.data.arrays({"audio": np.random.normal(size=(8, 32_000))}, batch_size=4)
    >>> model.fit(sounds, epochs=1)
    """

    terms = ("accuracy",)
    view_counts = (1, 1)

    bounds = {
        "steps": checks.ints(),
        "negatives": checks.ints(),
        "among": checks.choice("batch", "sound", "group"),
    }

    def __init__(self, encoder, augment=None, *, steps=12, negatives=128, among="batch", **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.steps, self.negatives, self.among = steps, negatives, among
        self.needs = ("group",) if among == "group" else ()
        maps = [layer_of(encoder, name) for name in ("latent", "context")]
        real = [layer for layer in encoder.layers if layer.name == "real"]
        self.maps = keras.Model(encoder.input, [*maps, *[layer.output for layer in real]], name="maps")
        latent, context = (x.shape[-1] for x in maps)
        draw = Matrices(steps)
        self.predictor = heads.linear(context, steps * latent, bias=False, initializer=draw, name="predictor")
        self.draws = keras.random.SeedGenerator()

    def taken(self, view):
        if isinstance(view, dict) and "audio_mask" in view and "audio_mask" not in (input_names(self.encoder) or ()):
            raise ValueError(
                f"CPCAudio needs an encoder that takes 'audio_mask', as the data has it: padding must not be told. "
                f"Received: encoder '{self.encoder.name}'. Build it with masked=True, or leave the mask out."
            )
        return super().taken(view)

    def objective(self, views, groups=None):
        latent, context, *real = self.maps(views[0], training=True)
        latent, context = ops.cast(latent, "float32"), ops.cast(context, "float32")
        places, size = latent.shape[1:]
        if places is None or places <= self.steps:
            raise ValueError(
                "CPCAudio needs sounds of one known length, with more places than steps. Received: steps="
                f"{self.steps}, and {places} places. Take longer sounds, or fewer steps."
            )
        anchors = places - self.steps
        real = ops.cast(real[0], "int32") if real else ops.ones_like(latent[:, :, 0], dtype="int32")
        ends = ops.sum(real, axis=1)
        said = ops.cast(self.predictor(ops.reshape(context[:, :anchors], (-1, context.shape[2]))), "float32")
        said = ops.reshape(said, (-1, anchors, self.steps, size))
        ahead = ops.stack([latent[:, k : k + anchors] for k in range(1, self.steps + 1)], axis=2)
        others = self.others(latent, ends, anchors, groups)  # (batch, anchors, negatives, size)
        counts = ops.arange(anchors, dtype="int32")[None, :] < ends[:, None] - self.steps
        loss, accuracy = info_nce_drawn(said / size, ahead, others, counts)
        return {"loss": loss, "accuracy": accuracy}

    def others(self, latent, ends, anchors, groups):
        """The negatives of each place: latents of other places."""
        rows, places = self.drawn(ends, latent.shape[1], anchors, groups)
        everything = distribute.gather(latent)
        flat = ops.reshape(everything, (-1, latent.shape[2]))
        return ops.take(flat, rows * latent.shape[1] + places, axis=0)

    def drawn(self, ends, places, anchors, groups=None):
        """Which latents are negatives: the numbers of sounds, of all replicas, and of places in them.

        Args:
            ends: int32 `(batch,)`, how many places of each sound are real.
            places: int, how many there are with the padding.
            anchors: int, how many places have negatives.
            groups: int tensor `(batch,)`, or None.

        Returns:
            two int32 tensors `(batch, anchors, negatives)`.
        """
        batch = ops.shape(ends)[0]
        seeds = local_seeds(self.draws, batch)
        shape = (-1, anchors, self.negatives)
        draws = [ops.reshape(uniform(fold(seeds, i), anchors * self.negatives), shape) for i in range(2)]
        first = distribute.first_row(batch)
        own = (ops.cast(first, "int32") + ops.arange(batch, dtype="int32"))[:, None, None]
        all_ends = distribute.gather(ends)
        rows = self.sounds(draws[0], own, all_ends, groups)
        length = ops.take(all_ends, rows)
        # Of the own sound, the places from one after the last that is told, round to the one that is heard last.
        rest = ops.maximum(length - self.steps, 1)
        start = ops.arange(anchors, dtype="int32")[None, :, None] + self.steps + 1
        within = (start + ops.cast(choose(draws[1], ops.cast(rest - 1, "float32")), "int32")) % ops.maximum(length, 1)
        anywhere = ops.cast(choose(draws[1], ops.cast(ops.maximum(length - 1, 0), "float32")), "int32")
        return rows, ops.where(rows == own, within, anywhere)

    def sounds(self, draws, own, ends, groups):
        """The number of the sound of each negative."""
        if self.among == "sound":
            return ops.zeros_like(draws, dtype="int32") + own
        total = ops.shape(ends)[0]
        if self.among == "batch":
            return ops.cast(choose(draws, ops.cast(total - 1, "float32")), "int32")
        groups = ops.cast(groups, "int32")
        same = groups[:, None] == distribute.gather(groups)[None, :]
        numbers = ops.arange(total, dtype="int32")
        order = ops.argsort(ops.where(same, numbers, numbers + total), axis=1)  # those of the group first
        last = ops.sum(ops.cast(same, "float32"), axis=1) - 1
        place = ops.cast(choose(draws, last[:, None, None]), "int32")
        flat = ops.reshape(place, (-1, place.shape[1] * place.shape[2]))
        return ops.reshape(select(ops.cast(order, "int32"), flat), (-1, *place.shape[1:]))


class Matrices(keras.initializers.Initializer):
    """How each step's own matrix starts: Glorot's way; or large where the latent has more channels than the context.

    There, as in the code of Rivière et al., as many channels as the context has are drawn from N(0, 1), and the others
    from N(0, 0.01^2).
    """

    def __init__(self, steps):
        self.steps = steps

    def __call__(self, shape, dtype=None):
        context, latent = shape[0], shape[1] // self.steps
        if latent <= context:
            limit = math.sqrt(6 / (context + latent))
            return keras.random.uniform(shape, -limit, limit, dtype=dtype)
        size = np.where(np.arange(latent) < context, 1.0, 0.01)
        return keras.random.normal(shape, dtype=dtype) * np.tile(size, self.steps).astype(dtype or "float32")

    def get_config(self):
        return {"steps": self.steps}


def layer_of(encoder, name):
    """The output of a layer of the encoder."""
    found = [layer for layer in encoder.layers if layer.name == name]
    shape = found[0].output.shape if found else ()
    if len(shape) != 3 or shape[-1] is None:
        raise ValueError(
            f"CPCAudio needs an encoder with a layer '{name}', whose output is (batch, places, channels), such as "
            f"keras_ssl.encoders.cpc_audio. Received: encoder '{encoder.name}' with {[x.name for x in encoder.layers]}"
        )
    return found[0].output
