r"""ExemplarCNN: Discriminative Unsupervised Feature Learning with Exemplar Convolutional Neural Networks (Dosovitskiy,
Fischer, Springenberg, Riedmiller, Brox, 2014).

https://arxiv.org/abs/1406.6909

Objective:
    \mathcal{L} = -\log p_i \left( T x_i \right) \qquad \text{or} \qquad \operatorname{mean} \max \left( 0, m +
    \left\| z_i - z_i^+ \right\|^2 - \left\| z_i - z^- \right\|^2 \right)
    where $T$ is a random transformation, and image $i$ is a class of its own: by a softmax over all images, or by unit
    vectors $z$ of several views, where $z^-$ is the nearest other image that is further away than $z_i^+$.

Flow:
    view -> encoder -> linear head -> softmax over all images
    number of the image ~> softmax over all images

Take it when there are some thousand images or patches, strong changes are known that keep what they show, and one
    view a step must do.

Leave it when there are many images, or many that look alike: as classes they cannot be told apart. `InstDisc` and
    `SimCLR` are what became of the idea.
"""

import keras
from keras import ops

from keras_ssl import checks, heads
from keras_ssl.losses import classification, semi_hard_triplets
from keras_ssl.losses.vectors import unit
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class ExemplarCNN(Method):
    """Every image is a class of its own, and the network tells from a strongly changed view which image it was.

    The paper's form is a softmax over all images, which are some thousand patches: see
    `keras_ssl.data.salient_patches`. The form of "Revisiting Self-Supervised Visual Representation Learning" (arXiv
    1901.09005), for any number of images, has no classes: the views of an image shall be nearer to each other than to
    those of the others in the batch. (Its code normalizes embeddings along the batch, and compares the images of one
    device; here each embedding is normalized, and all images of the batch are compared.)

    The data must hold `"index"`. The views may be other ones at each step, or from a fixed set for each image, as in
    the paper: `keras_ssl.augment.Copies`.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`.
        augment: layer from images to one or more views of one size; two or more for the triplets (8). For instance
            `keras_ssl.augment.exemplar`.
        samples: int, number of images in the data set; their indices are 0 to `samples - 1`. Only for the softmax
            (8000; more, and they become alike).
        form: `"softmax"` or `"triplet"`.
        dim: int, size of the embedding of the triplets (1000).
        margin: float > 0, of the triplets (m, 0.5).

    Logs `accuracy`. For the softmax it is the share of the views whose image was told, where chance is one divided by
    `samples`; for the triplets, how often the nearest of all other views in the batch is one of the same image, where
    chance is (views - 1) / (views * batch - 1).

    Example:

    >>> encoder = keras_ssl.encoders.resnet18((32, 32, 3), stem="cifar")
    >>> model = keras_ssl.ExemplarCNN(encoder, keras_ssl.augment.exemplar(), samples=8000)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.01, momentum=0.9, weight_decay=5e-4))
    """

    terms = ("accuracy",)
    needs = ("index",)

    bounds = {
        "samples": checks.ints(2, optional=True),
        "form": checks.choice("softmax", "triplet"),
        "dim": checks.ints(),
        "margin": checks.numbers(above=0),
    }

    def __init__(self, encoder, augment=None, *, samples=None, form="softmax", dim=1000, margin=0.5, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        if (samples is None) == (form == "softmax"):
            raise ValueError(
                "samples must be the number of images for form='softmax', which has a class for each, and None for "
                f"form='triplet'. Received: samples={samples}, form={form!r}"
            )
        self.samples, self.form, self.dim, self.margin = samples, form, dim, margin
        if form == "triplet":
            self.view_counts, self.least_batch = (2, None), 2
        self.head = heads.linear(encoder.output_shape[-1], samples or dim, name="head")
        self.network = heads.attach(encoder, self.head, name="network")

    @property
    def chance(self):
        """float, the accuracy of guessing; None for the triplets, where it depends on the batch."""
        return None if self.samples is None else 1 / self.samples

    def limits(self):
        return {} if self.samples is None else {"index": self.samples}

    def objective(self, views, index):
        found = self.network(ops.concatenate(views), training=True)  # those of the first view first
        if self.form == "softmax":
            loss, accuracy = classification(found, ops.tile(index, [len(views)]))
        else:
            each = ops.reshape(unit(found), (len(views), -1, self.dim))
            loss, accuracy = semi_hard_triplets(ops.transpose(each, (1, 0, 2)), index, self.margin)
        return {"loss": loss, "accuracy": accuracy}
