r"""DIM: Learning deep representations by mutual information estimation and maximization (Hjelm et al., 2018).

https://arxiv.org/abs/1808.06670

Objective:
    \mathcal{L} = \alpha \, L(s^{global}) + \beta \, L(s^{local}) + \gamma \operatorname{mean}_i
    \operatorname{softplus}(-D(\sigma(y_i))), \quad L(s) = \operatorname{mean}_{j \neq i, l}
    \operatorname{softplus}(s_{ijl}) - \operatorname{mean}_{i, l} (-\operatorname{softplus}(-s_{iil})) - 2 \log 2,
    \quad \mathcal{L}_D = \operatorname{mean} \operatorname{softplus}(-D(u)) + \operatorname{mean}
    \operatorname{softplus}(D(\sigma(y))) + \frac{1}{2} \operatorname{mean} \left( |\nabla D(u)|^2 + |\nabla
    D(\sigma(y))|^2 \right)
    where $y_i$ is the summary of image $i$, $s_{ijl}$ the score of it and of place $l$ in the map of image $j$ (or of
    its whole map), $u$ is uniform, and $D$ the discriminator. $L$ is shown for `"jsd"`.

Flow:
    image -> encoder -> local map -> local network -> scores of all pairs -> mutual information
    encoder -> summary -> summary network -> scores of all pairs
    summary -> sigmoid -> discriminator -> prior
    uniform noise -> discriminator

Take it when there are no views that fit the data: it compares parts of one image with the whole, unchanged.

Leave it when views are known that keep what counts: methods that compare two views learn more from them.
"""

import keras
from keras import layers, ops

from keras_ssl import checks, distribute, heads
from keras_ssl.augment.random import uniform
from keras_ssl.augment.rows import local_seeds
from keras_ssl.losses import information_dv, information_jsd, information_nce
from keras_ssl.losses.vectors import precise
from keras_ssl.method import Method

ESTIMATORS = {"jsd": information_jsd, "nce": information_nce, "dv": information_dv}


@keras.saving.register_keras_serializable("keras_ssl")
class DIM(Method):
    """The summary of an image has as much mutual information as it can with the places of the image's feature map.

    There is one view, and negatives are the other images of the batch. `local_weight` is that of the information
    of the summary and each place of an earlier map, `global_weight` that of the summary and the whole map. The second
    player, a discriminator, tells the summaries from uniform noise, and the encoder makes them look like it.

    The networks after map and summary start as a noisy copy of what they get, and add what a multi-layer perceptron
    makes of it. All pairs of the global batch are scored. The features are those of the encoder, before the summary.
    Whole maps are scored by a network of map and summary side by side, as in the paper. `information`, minus the losses
    of the scores, is logged: with `"nce"` it lacks the logarithm of the number of candidates, so that it is below 0.

    Args:
        encoder: functional `keras.Model` from images to features `(batch, dim)`: `keras_ssl.encoders.dim_net`, the
            paper's, or another with a feature map inside.
        augment: layer from images to one view; in the paper the image as it is, `keras_ssl.augment.CenterCrop`.
        layer: str, name of the encoder's layer whose output `(batch, height, width, channels)` is the local map:
            `"local"` in `dim_net`, `"stage3_block2_relu"` in a `resnet18`.
        summary: int, size of the summary (64).
        units: int, size of what is compared of map and summary (2048).
        hidden: int, hidden units of the network that scores whole maps (512).
        estimator: `"jsd"`, `"nce"` or `"dv"`, see `keras_ssl.losses.information_jsd` and its neighbors.
        global_weight: float from 0 (alpha; 1 for the global form, else 0).
        local_weight: float from 0 (beta; 1 for the local form, else 0).
        prior_weight: float from 0 (gamma; 0.1 for the local form, 1 for the global one).
        penalty: float from 0, weight of the discriminator's squared slope (1).

    Raises:
        ValueError: the encoder has no such layer, or nothing is maximized.

    Example:

    >>> encoder = keras_ssl.encoders.dim_net((32, 32, 3))
    >>> model = keras_ssl.DIM(encoder, keras_ssl.augment.CenterCrop(32), units=512, estimator="nce")
    >>> rate = keras.optimizers.Adam(1e-4), keras.optimizers.Adam(1e-4)
    >>> model.compile(optimizer={"encoder": rate[0], "discriminator": rate[1]})
    """

    players = ("encoder", "discriminator")
    terms = ("information", "prior")
    view_counts = (1, 1)
    least_batch = 2

    bounds = {
        "summary": checks.ints(),
        "units": checks.ints(),
        "hidden": checks.ints(),
        "estimator": checks.choice(*ESTIMATORS),
        "global_weight": checks.numbers(least=0),
        "local_weight": checks.numbers(least=0),
        "prior_weight": checks.numbers(least=0),
        "penalty": checks.numbers(least=0),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        layer="local",
        summary=64,
        units=2048,
        hidden=512,
        estimator="jsd",
        global_weight=0.0,
        local_weight=1.0,
        prior_weight=0.1,
        penalty=1.0,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        if not global_weight and not local_weight:
            raise ValueError("global_weight or local_weight must be above 0. Received: 0 for both.")
        self.layer, self.summary, self.units, self.hidden, self.estimator = layer, summary, units, hidden, estimator
        self.global_weight, self.local_weight = global_weight, local_weight
        self.prior_weight, self.penalty = prior_weight, penalty
        self.maps = with_maps(encoder, layer=layer)
        height, width, channels = self.maps.output_shape[0][1:]
        self.summarize = heads.linear(encoder.output_shape[-1], summary, name="summary")
        if local_weight:
            self.of_places = copy_and_mlp(channels, units, name="of_places")
            self.of_summary = copy_and_mlp(summary, units, name="of_summary")
        if global_weight:
            check_map_size(height, width, layer)
            self.of_map = heads.linear(height * width * channels, hidden, bias=False, name="of_map")
            self.beside_map = heads.linear(summary, hidden, name="beside_map")
            self.of_pairs = heads.mlp(hidden, hidden, 1, batch_norm=False, output_bias=True, name="of_pairs")
        self.discriminator = Discriminator(summary)
        self.draws = keras.random.SeedGenerator()

    def weights_of(self, player):
        discriminator = self.discriminator.trainable_variables
        if player == "discriminator":
            return discriminator
        others = {id(weight) for weight in discriminator}
        return [weight for weight in self.trainable_variables if id(weight) not in others]

    def objective(self, views):
        local, features = self.maps(views[0], training=True)
        summary = self.summarize(features, training=True)  # (batch, summary)
        information = 0.0
        if self.local_weight:
            information += self.local_weight * self.estimate(self.local_scores(local, summary))
        if self.global_weight:
            information += self.global_weight * self.estimate(self.global_scores(local, summary))
        made = ops.sigmoid(precise(summary))
        prior = ops.mean(ops.softplus(-self.discriminator(made)[0]))
        losses = {
            "encoder": information + self.prior_weight * prior,
            "discriminator": self.discriminator_loss(ops.stop_gradient(made)),
        }
        return {"loss": losses, "information": -information, "prior": prior}

    def estimate(self, scores):
        return ESTIMATORS[self.estimator](scores)

    def local_scores(self, local, summary):
        """Of the summaries of this replica and of all places of all images: `(batch, global batch, places)`."""
        places = local.shape[1] * local.shape[2] if None not in local.shape[1:3] else -1
        each = self.of_places(ops.reshape(local, (-1, local.shape[-1])), training=True)
        each = ops.reshape(precise(each), (ops.shape(local)[0], places, self.units))
        queries = precise(self.of_summary(summary, training=True))
        return ops.einsum("id,jld->ijl", queries, distribute.gather(each))

    def global_scores(self, local, summary):
        """Of the summaries of this replica and of the whole maps of all images: `(batch, global batch, 1)`."""
        whole = ops.reshape(local, (-1, self.of_map.input_shape[-1]))
        whole = distribute.gather(self.of_map(whole, training=True))
        pairs = ops.relu(self.beside_map(summary, training=True)[:, None] + whole[None])  # (batch, all, hidden)
        scores = self.of_pairs(ops.reshape(pairs, (-1, self.hidden)), training=True)
        return ops.reshape(scores, (ops.shape(summary)[0], ops.shape(whole)[0], 1))

    def discriminator_loss(self, made):
        seeds = local_seeds(self.draws, ops.shape(made)[0])
        real, slope_of_real = self.discriminator(uniform(seeds, self.summary))
        fake, slope_of_fake = self.discriminator(made)
        loss = ops.mean(ops.softplus(-real)) + ops.mean(ops.softplus(fake))
        return loss + self.penalty * (ops.mean(slope_of_real) + ops.mean(slope_of_fake)) / 2.0


def with_maps(encoder, **names):
    """The encoder with further outputs before its features: the feature maps of some of its layers."""
    outputs = {layer.name: getattr(layer, "output", None) for layer in getattr(encoder, "layers", ())}
    known = {name: output for name, output in outputs.items() if len(getattr(output, "shape", ())) == 4}
    for argument, layer in names.items():
        if not isinstance(layer, str) or layer not in known:
            raise ValueError(
                f"{argument} must be the name of a layer of the encoder '{encoder.name}' whose output is a feature map "
                f"(batch, height, width, channels): one of {list(known)}. Received: {argument}={layer!r}"
            )
    given = encoder.inputs[0] if len(encoder.inputs) == 1 else encoder.input
    return keras.Model(given, [*(known[layer] for layer in names.values()), encoder.outputs[0]])


def check_map_size(height, width, layer):
    if None in (height, width):
        raise ValueError(
            f"With a global_weight the map of '{layer}' must have a known size: build the encoder for images of one "
            f"size, such as input_shape=(32, 32, 3). Received: a map of {height} x {width}"
        )


def copy_and_mlp(inputs, units, name):
    """A noisy copy of the inputs plus what a multi-layer perceptron makes of them, normalized."""
    x = keras.Input((inputs,))
    y = layers.Dense(units, use_bias=False, kernel_initializer=plain())(x)
    y = layers.Dense(units, kernel_initializer=plain())(layers.ReLU()(heads.batch_normalization()(y)))
    start = noisy_copy if units >= inputs else "glorot_uniform"
    copied = layers.Dense(units, use_bias=False, kernel_initializer=start, name="copy")(x)
    return keras.Model(x, layers.LayerNormalization(epsilon=1e-5)(y + copied), name=name)


def plain():
    """How PyTorch's layers start, which the authors leave as they are."""
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


def noisy_copy(shape, dtype=None):
    noise = keras.random.uniform(shape, -0.01, 0.01, dtype=dtype)
    own = ops.eye(*shape, dtype=noise.dtype)
    return noise * (1.0 - own) + own


class Discriminator(layers.Layer):
    """Tells summaries from the prior: its scores `(batch,)`, and the squared length of their gradients by what it sees.

    The gradient of a ReLU network is a product of its kernels, in which the units that are off have no part. Written
    down here, it has itself a gradient on every backend. It computes in float32.
    """

    def __init__(self, inputs, hidden=(1000, 200)):
        super().__init__(name="discriminator", dtype="float32")
        self.inner = [layers.Dense(units, activation="relu", dtype="float32") for units in hidden]
        self.last = layers.Dense(1, dtype="float32")
        self.build((None, inputs))

    def build(self, shape):
        if not self.built:
            for layer in (*self.inner, self.last):
                layer.build(shape)
                shape = (None, layer.units)
            self.built = True

    def call(self, x):
        hidden = [x := layer(x) for layer in self.inner]
        slope = ops.transpose(ops.convert_to_tensor(self.last.kernel))  # (1, units)
        for layer, outputs in zip(reversed(self.inner), reversed(hidden)):
            slope = ops.matmul(slope * ops.cast(outputs > 0, slope.dtype), ops.transpose(layer.kernel))
        return self.last(x)[:, 0], ops.sum(ops.square(slope), axis=-1)
