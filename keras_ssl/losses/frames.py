"""Frames: losses of the frames of videos, several of which are positives of each other."""

from keras import ops

from keras_ssl import distribute
from keras_ssl.losses.contrastive import MASKED
from keras_ssl.losses.vectors import unit


def info_nce_frames(queries, keys, queue, temperature=0.07):
    """InfoNCE with several positives, the loss of VINCE: each frame finds each frame of its video, one at a time.

    `L = mean_{v, a, b} -log( exp(q_va.k_vb / t) / (exp(q_va.k_vb / t) + sum_n exp(q_va.n / t)) )`, a over the queries
    of video v, b over its keys, and n over the keys of all other videos of the global batch and those of the queue: the
    other keys of the own video are neither negatives nor positives of this term.

    Args:
        queries: `(batch, frames, dim)`; any length, they are normalized here, in float32.
        keys: `(batch, frames, dim)`, normalized here as well. No gradient.
        queue: `(size, dim)`, unit vectors. No gradient.
        temperature: float > 0 (t, 0.07).

    Returns:
        two float32 scalars, means over the local batch: the loss; and how often a key of the own video is nearer than
        all negatives.

    Reference: Watching the World Go By: Representation Learning from Unlabeled Videos (Gordon, Ehsani, Fox, Farhadi,
    2020), https://arxiv.org/abs/2003.07990
    """
    queries, keys = unit(queries), ops.stop_gradient(unit(keys))
    queue = ops.stop_gradient(ops.cast(queue, queries.dtype))
    videos, frames, dim = ops.shape(queries)[0], queries.shape[1], queries.shape[2]
    everyone = distribute.gather(keys, gradient=False)  # (total, frames, dim)
    right = ops.einsum("vad,vbd->vab", queries, keys) / temperature

    flat = ops.reshape(queries, (-1, dim))  # (batch * frames, dim)
    others = ops.matmul(flat, ops.transpose(ops.reshape(everyone, (-1, dim)))) / temperature
    own = ops.repeat(distribute.first_row(videos) + ops.arange(videos, dtype="int32"), frames)
    owner = ops.repeat(ops.arange(ops.shape(everyone)[0], dtype="int32"), keys.shape[1])
    others = ops.where(own[:, None] == owner[None, :], MASKED, others)
    negative = ops.concatenate([others, ops.matmul(flat, ops.transpose(queue)) / temperature], axis=1)

    wrong = ops.reshape(ops.logsumexp(negative, axis=1), (-1, frames, 1))
    loss = ops.mean(ops.logaddexp(right, wrong) - right)
    nearest = ops.reshape(ops.max(negative, axis=1), (-1, frames, 1))
    return loss, ops.mean(ops.cast(right > nearest, loss.dtype))
