r"""CMC: Contrastive Multiview Coding (Tian, Krishnan, Isola, 2019).

https://arxiv.org/abs/1906.05849

Objective:
    \mathcal{L} = \sum_{a \ne c} \ell(z_a, b_c)
    where $\ell$ is the noise-contrastive loss of `InstDisc`, $z_a$ the embedding of one group of channels and $b_c$
    the bank of another one.

Flow:
    channels 1 -> encoder 1 -> head 1 -> NCE
    channels 2 -> encoder 2 -> head 2 -> NCE
    bank 1 ~> NCE
    bank 2 ~> NCE

Take it when an image has channels of several sensors, or lightness and color should teach each other.

Leave it when images are gray, or one small encoder is what you need: this one has an encoder for each group.
"""

import itertools

import keras
from keras import ops

from keras_ssl import checks, heads, memory
from keras_ssl.augment.image.channels import SplitChannels, ToLab
from keras_ssl.augment.layer import Augmentation
from keras_ssl.losses import similarities
from keras_ssl.losses.vectors import unit
from keras_ssl.inputs import check_fit
from keras_ssl.method import Method, check_counts, check_encoder
from keras_ssl.methods.contrastive.instdisc import candidates, normalizers, tell_apart


@keras.saving.register_keras_serializable("keras_ssl")
class CMC(Method):
    """The lightness of an image and its color, or any views of several senses, find each other in memory banks.

    Every view has an encoder and a bank of its own; the embedding of one view is compared with the banks of the others
    only. `predict`, `encoder` and `keras_ssl.export` take whole images, split them by the channels of the views and
    give the features of all encoders in a row.

    The data must hold `"index"`; how the noise is drawn: see `InstDisc`. All directions have the same noise images.

    Args:
        encoders: list of `keras.Model` from the images of a view to features `(batch, dim)`, at least two.
        augment: layer from images to as many views, each with the channels that its encoder takes;
            `keras_ssl.augment.cmc`.
        samples: int, number of images in the data set; their indices are 0 to `samples - 1`.
        convert: what `encoder` does to the images before it splits their channels: an augmentation layer without draws,
            or any Keras layer. None for `ToLab(pixels=True)` where the encoders take 1 and 2 channels, and for
            nothing elsewhere. It must be the conversion of `augment`.
        core: whether the first view is compared with each of the others ("core view"); False for all pairs of views
            ("full graph").
        dim: int, size of the embeddings (128).
        negatives: int, number of noise images of an image (m, 16384, the default of the authors' code; 4096 in the
            command of its README).
        temperature: float > 0 (tau, 0.07; 0.1 on STL-10).
        momentum: float in [0, 1), share of the old entry that is kept (0.5).
        softmax: whether one softmax over the image and its noise images (InfoNCE) replaces NCE. The
            authors found it better.

    Raises:
        ValueError: for fewer than two encoders.

    Example:

    >>> lightness = keras_ssl.encoders.resnet18(input_shape=(32, 32, 1), width=32)
    >>> color = keras_ssl.encoders.resnet18(input_shape=(32, 32, 2), width=32)
    >>> augment = keras_ssl.augment.cmc(32)
    >>> model = keras_ssl.CMC([lightness, color], augment, samples=50_000, negatives=4096)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.03, momentum=0.9, weight_decay=1e-4))
    """

    needs = ("index",)

    bounds = {
        "samples": checks.ints(),
        "negatives": checks.ints(),
        "core": checks.flag(),
        "dim": checks.ints(),
        "temperature": checks.numbers(above=0),
        "momentum": checks.numbers(least=0, below=1),
        "softmax": checks.flag(),
    }

    def __init__(
        self,
        encoders,
        augment=None,
        *,
        samples,
        convert=None,
        core=False,
        dim=128,
        negatives=16384,
        temperature=0.07,
        momentum=0.5,
        softmax=False,
        name=None,
        dtype=None,
    ):
        super().__init__(side_by_side(encoders, convert), augment, name=name, dtype=dtype)
        self.encoders, self.samples, self.convert, self.core = list(encoders), samples, convert, core
        self.view_counts = (len(self.encoders), len(self.encoders))
        self.dim, self.negatives, self.temperature = dim, negatives, temperature
        self.momentum, self.softmax = momentum, softmax
        self.heads = [
            heads.linear(encoder.output_shape[-1], dim, name=f"head_{i}")
            for i, encoder in enumerate(encoders)
        ]
        self.banks = [memory.Bank(samples, dim, momentum, name=f"bank_{i}") for i in range(len(encoders))]
        self.noise = keras.random.SeedGenerator()
        self.log_z = [] if softmax else normalizers(self, len(self.directions))

    @property
    def directions(self):
        """Pairs (anchor, bank) of the numbers of two views, in both directions."""
        pairs = itertools.permutations(range(len(self.encoders)), 2)
        return [pair for pair in pairs if not self.core or 0 in pair]

    def check_views(self, views):
        check_counts(self, views)
        for number, (view, encoder) in enumerate(zip(views, self.encoders, strict=True)):
            check_fit(view, encoder, f"View {number}")

    def limits(self):
        return {"index": self.samples}

    def objective(self, views, index):
        embeddings = [
            unit(head(encoder(view, training=True), training=True))  # (batch, dim)
            for view, encoder, head in zip(views, self.encoders, self.heads, strict=True)
        ]
        rows = candidates(index, self.noise, self.negatives, self.samples)  # (batch, 1 + negatives)
        entries = [bank.read(rows) for bank in self.banks]
        loss, log_z = 0.0, []
        for i, (anchor, other) in enumerate(self.directions):
            logits = similarities(embeddings[anchor], entries[other], self.temperature)
            one, constant = tell_apart(logits, self.log_z[i : i + 1], self.samples)
            loss, log_z = loss + one, log_z + constant
        return {"loss": loss, "embeddings": embeddings, "index": index, "log_z": log_z}

    def after_step(self, outputs):
        for bank, embedding in zip(self.banks, outputs["embeddings"], strict=True):
            bank.write(outputs["index"], embedding)
        for weight, value in zip(self.log_z, outputs["log_z"], strict=True):
            weight.assign(value)


def side_by_side(encoders, convert):
    """One model from whole images to the features of all encoders, each of its own channels."""
    if not isinstance(encoders, (list, tuple)):
        check_encoder(encoders)
        encoders = [encoders]
    if convert is not None and not isinstance(convert, keras.layers.Layer):
        raise ValueError(f"convert must be a layer or None. Received: convert={convert!r}")
    if len(encoders) < 2:
        raise ValueError(f"encoders must be a list of at least two, one for each view. Received: encoders={encoders}")
    channels = [check_encoder(encoder).input_shape[-1] for encoder in encoders]
    if convert is None and channels == [1, 2]:
        convert = ToLab(pixels=True)
    images = keras.Input((*encoders[0].input_shape[1:3], sum(channels)), name="images")
    # The formula of the layer and not the layer itself: then plain Keras can load what `export` writes.
    converted = images if convert is None else plain(convert)(images)
    parts = SplitChannels(channels).transform(converted)
    # Two encoders made alike have the same name, which Keras refuses in one model.
    named = [keras.Model(encoder.inputs, encoder.outputs[0], name=f"view_{i}") for i, encoder in enumerate(encoders)]
    features = [encoder(part) for encoder, part in zip(named, parts, strict=True)]
    return keras.Model(images, ops.concatenate(features, axis=-1))


def plain(layer):
    return layer.transform if isinstance(layer, Augmentation) else layer
