r"""AMDIM: Learning Representations by Maximizing Mutual Information Across Views (Bachman, Hjelm, Buchwalter, 2019).

https://arxiv.org/abs/1906.00910

Objective:
    \mathcal{L} = \sum_{(a, b)} \operatorname{mean}_{i, l} - \log \frac{\exp(c(s_{iil}))}{\exp(c(s_{iil})) +
    \sum_{j \neq i, m} \exp(c(s_{ijm}))} + \frac{\lambda}{2} \sum \operatorname{mean} s^2, \quad
    s_{ijl} = \frac{r^a_i \cdot r^b_{jl}}{\sqrt{d}}, \quad c(s) = 20 \tanh \frac{s}{20}
    where $(a, b)$ are the features and the smaller map, the features and the larger map, and the smaller map with
    itself, of two views and in both directions, $i$ and $j$ are images and $l$ and $m$ places.

Flow:
    view 1 -> encoder -> features -> scores of all pairs -> InfoNCE
    view 2 -> encoder
    encoder -> two maps -> their embeddings -> scores of all pairs

Take it when a purely convolutional encoder should learn from two views, places and scales at once.

Leave it when the encoder pads its maps, as most do: places near the border then know each other by it.
"""

import keras
from keras import layers, ops

from keras_ssl import checks, distribute, heads
from keras_ssl.augment.places import select
from keras_ssl.augment.random import choose, uniform
from keras_ssl.augment.rows import local_seeds
from keras_ssl.losses import information_nce
from keras_ssl.losses.vectors import precise
from keras_ssl.method import Method
from keras_ssl.methods.mutual_information.dim import noisy_copy, plain, with_maps


@keras.saving.register_keras_serializable("keras_ssl")
class AMDIM(Method):
    """The features of one view have as much mutual information as they can with the places of two maps of the other.

    So have one random place of the smaller map and all places of the same map of the other view. The features are
    compared as they are, without a head; each map has an embedding of its own, which starts as a noisy copy. Scores are
    kept within a range by a hyperbolic tangent, and small by a penalty before it. Negatives are the places of all other
    images; other places of the same image are neither. `information`, minus the sum of the losses without the penalty,
    and `score`, the mean square of the scores, are logged.

    Args:
        encoder: functional `keras.Model` from images to features `(batch, dim)` with two feature maps inside:
            `keras_ssl.encoders.amdim_net`, the paper's.
        augment: layer from images to two views; in the paper of one flip.
        small: str, name of the encoder's layer with the smaller map (`"local5"`, 5 x 5 places).
        large: str, name of that with the larger one (`"local7"`, 7 x 7 places).
        clip: float above 0, bound of the scores (20).
        penalty: float from 0, weight of the squared scores (lambda; 0.05, or 0.04 in another version of the authors'
            code).

    Raises:
        ValueError: the encoder has no such layers.

    Example:

    >>> encoder = keras_ssl.encoders.amdim_net((32, 32, 3), width=32, dim=256)
    >>> crop = keras_ssl.augment.RandomResizedCrop(32, scale=(0.3, 1.0), ratio=(0.7, 1.4))
    >>> changed = [crop, keras_ssl.augment.ColorJitter(0.4, 0.4, 0.4, 0.2), keras_ssl.augment.Grayscale(0.25)]
    >>> two = keras_ssl.augment.Views(keras_ssl.augment.View(changed), 2)
    >>> model = keras_ssl.AMDIM(encoder, keras_ssl.augment.View([keras_ssl.augment.RandomFlip(), two]))
    >>> model.compile(optimizer=keras_ssl.optimizers.Adam(2e-4, weight_decay=1e-5, beta_1=0.8))
    """

    terms = ("information", "score")
    view_counts = (2, 2)
    least_batch = 2

    bounds = {
        "clip": checks.numbers(above=0),
        "penalty": checks.numbers(least=0),
    }

    def __init__(self, encoder, augment=None, *, small="local5", large="local7", clip=20.0, penalty=0.05, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.small, self.large, self.clip, self.penalty = small, large, clip, penalty
        self.maps = with_maps(encoder, small=small, large=large)
        of_small, of_large, (_, dim) = self.maps.output_shape
        self.embed_small = embedding(of_small[-1], dim, name="embed_small")
        self.embed_large = embedding(of_large[-1], dim, name="embed_large")
        self.draws = keras.random.SeedGenerator()

    def objective(self, views):
        first, second = (self.embeddings(view) for view in views)
        found = [self.compared(*pair) for pair in (*self.pairs(first, second), *self.pairs(second, first))]
        losses, squares = (sum(values) / 2.0 for values in zip(*found))
        return {"loss": losses + self.penalty * squares, "information": -losses, "score": squares / 3.0}

    def embeddings(self, view):
        """Features `(batch, dim)`, and the places of both maps `(batch, places, dim)`, float32."""
        small, large, features = self.maps(view, training=True)
        if None in (*small.shape[1:], *large.shape[1:]):
            raise ValueError(
                f"AMDIM needs views of one known size. Received: maps of shape {tuple(small.shape)} and "
                f"{tuple(large.shape)}. Put a crop at the end of `augment`, or cast the data with tf.ensure_shape."
            )
        dim = features.shape[-1]
        maps = [(self.embed_small, small), (self.embed_large, large)]
        return precise(features), *(ops.reshape(precise(net(x, training=True)), flat(x, dim)) for net, x in maps)

    def pairs(self, source, target):
        """What of one view is compared with which places of the other."""
        features, small, _ = source
        _, small_places, large_places = target
        return (features, small_places), (features, large_places), (self.one_place(small), small_places)

    def one_place(self, places):
        seeds = local_seeds(self.draws, ops.shape(places)[0])
        return select(places, ops.cast(choose(uniform(seeds, 1), places.shape[1] - 1), "int32"))[:, 0]

    def compared(self, queries, places):
        """InfoNCE of the clipped scores, and the mean square of the scores."""
        scores = ops.einsum("id,jld->ijl", queries, distribute.gather(places)) * queries.shape[-1] ** -0.5
        return information_nce(self.clip * ops.tanh(scores / self.clip)), ops.mean(ops.square(scores))


def flat(x, dim):
    return (-1, x.shape[1] * x.shape[2], dim)


def embedding(channels, dim, name):
    """Of each place: a noisy copy plus a perceptron that starts at 0, normalized over the batch."""
    x = keras.Input((None, None, channels))
    y = layers.ReLU()(layers.Dense(dim, use_bias=False, kernel_initializer=plain())(x))
    y = layers.Dense(dim, use_bias=False, kernel_initializer="zeros")(y)
    start = noisy_copy if dim >= channels else "glorot_uniform"
    copied = layers.Dense(dim, kernel_initializer=start, name="copy")(x)
    return keras.Model(x, heads.batch_normalization()(y + copied), name=name)
