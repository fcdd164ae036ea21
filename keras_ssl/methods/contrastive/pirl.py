r"""PIRL: Self-Supervised Learning of Pretext-Invariant Representations (Misra, van der Maaten, 2019).

https://arxiv.org/abs/1912.01991

Objective:
    \mathcal{L} = \lambda\, \ell(\text{patches}, b) + (1 - \lambda)\, \ell(\text{image}, b)
    where $\ell$ is the noise-contrastive loss of `InstDisc` beside the bank $b$, of the embedding of the shuffled
    patches and of that of the image.

Flow:
    view -> encoder -> image head -> NCE
    shuffled patches -> encoder -> patch head -> NCE
    bank of past embeddings ~> NCE
    image head ~write~> bank of past embeddings

Take it when features should not depend on how parts are arranged, such as for retrieval of objects.

Leave it when minutes are all there is: the bank changes slowly, and our short runs show it.
"""

import keras
from keras import ops

from keras_ssl import checks, heads, memory
from keras_ssl.losses import similarities
from keras_ssl.losses.vectors import unit
from keras_ssl.method import Method
from keras_ssl.methods.contrastive.instdisc import candidates, normalizers, tell_apart


@keras.saving.register_keras_serializable("keras_ssl")
class PIRL(Method):
    """An image and its shuffled patches both find the image's entry in a memory bank, so that shuffling is forgotten.

    The patches go through the encoder apart from the images, each by itself; one linear head embeds a patch, another
    one all of them, in the order in which they come. Only the embedding of the whole image moves the bank.

    Unlike the paper, and as in the authors' code, Z of the NCE is a constant, set by the first batch; here one for the
    images and one for the patches. The bank starts with random unit vectors, not with a first pass over the data. The
    data must hold `"index"`; how the noise is drawn: see `InstDisc`.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`. Where the patches are smaller than the images, it
            is one that takes both: `input_shape=(None, None, 3)`.
        augment: layer from images to two views: the image, and its patches `(batch, patches, height, width, channels)`
            in a random order, which may come with the order itself, as `augment.ShufflePatches` gives it.
        samples: int, number of images in the data set; their indices are 0 to `samples - 1`.
        patches: int, number of patches (9).
        dim: int, size of all embeddings (128).
        negatives: int, number of noise images of an image (N, 32000).
        temperature: float > 0 (tau, 0.07).
        momentum: float in [0, 1), share of the old entry that is kept (0.5).
        weight: float in [0, 1], weight of the patches' loss (lambda, 0.5); the image's has `1 - weight`.
        softmax: whether one softmax over the image and its noise images (InfoNCE) replaces NCE.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(None, None, 3), stem="cifar")
    >>> image = keras_ssl.augment.moco_v1(32, count=1).views
    >>> patches = [
    ...     keras_ssl.augment.RandomResizedCrop(36, scale=(0.6, 1.0), flip=0.5),
    ...     keras_ssl.augment.PatchGrid(3, 8, stride=12, jitter=(0, 4)),
    ...     keras_ssl.augment.PerPatch(keras_ssl.augment.ColorJitter(0.4, 0.4, 0.4, 0.4)),
    ...     keras_ssl.augment.ShufflePatches(),
    ... ]
    >>> augment = keras_ssl.augment.Views([image, keras_ssl.augment.View(patches)])
    >>> model = keras_ssl.PIRL(encoder, augment, samples=50_000, negatives=4096)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.03, momentum=0.9, weight_decay=1e-4))
    """

    needs = ("index",)
    view_counts = (2, 2)

    bounds = {
        "samples": checks.ints(),
        "negatives": checks.ints(),
        "patches": checks.ints(),
        "dim": checks.ints(),
        "temperature": checks.numbers(above=0),
        "momentum": checks.numbers(least=0, below=1),
        "weight": checks.numbers(least=0, most=1),
        "softmax": checks.flag(),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        samples,
        patches=9,
        dim=128,
        negatives=32000,
        temperature=0.07,
        momentum=0.5,
        weight=0.5,
        softmax=False,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.samples, self.patches, self.dim, self.negatives = samples, patches, dim, negatives
        self.temperature, self.momentum, self.weight, self.softmax = temperature, momentum, weight, softmax
        features = encoder.output_shape[-1]
        self.image_head = heads.linear(features, dim, name="image_head")  # f
        self.patch_head = heads.linear(features, dim, name="patch_head")
        self.order_head = heads.linear(patches * dim, dim, name="order_head")  # g
        self.bank = memory.Bank(samples, dim, momentum)
        self.noise = keras.random.SeedGenerator()
        self.log_z = [] if softmax else normalizers(self, 2)

    def limits(self):
        return {"index": self.samples}

    def objective(self, views, index):
        view, patches = views
        patches = patches[0] if isinstance(patches, (list, tuple)) else patches
        image = unit(self.image_head(self.encoder(view, training=True), training=True))  # (batch, dim)
        shuffled = self.embed(patches)  # (batch, dim)

        entries = self.bank.read(candidates(index, self.noise, self.negatives, self.samples))
        # Both at once, as reading so many entries takes longer than comparing them: (batch, 2, 1 + negatives).
        logits = similarities(ops.stack([image, shuffled], axis=1), entries, self.temperature)
        image_loss, image_log_z = tell_apart(logits[:, 0], self.log_z[:1], self.samples)
        patch_loss, patch_log_z = tell_apart(logits[:, 1], self.log_z[1:], self.samples)
        loss = self.weight * patch_loss + (1.0 - self.weight) * image_loss
        return {"loss": loss, "image": image, "index": index, "log_z": image_log_z + patch_log_z}

    def embed(self, patches):
        each = ops.reshape(patches, (-1, *patches.shape[2:]))  # (batch * patches, height, width, channels)
        each = self.patch_head(self.encoder(each, training=True), training=True)
        return unit(self.order_head(ops.reshape(each, (-1, self.patches * self.dim)), training=True))

    def after_step(self, outputs):
        self.bank.write(outputs["index"], outputs["image"])
        for weight, value in zip(self.log_z, outputs["log_z"], strict=True):
            weight.assign(value)
