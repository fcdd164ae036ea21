r"""RotNet: Unsupervised Representation Learning by Predicting Image Rotations (Gidaris, Singh, Komodakis, 2018).

https://arxiv.org/abs/1803.07728

Objective:
    \mathcal{L} = -\operatorname{mean}_{i, k} \log p_k \left( R_k\, x_i \right)
    where $R_k$ turns an image by the k-th angle, and $p_k$ is what the network gives to this angle. Every image comes
    in all of its angles.

Flow:
    view -> all rotations -> encoder -> linear head -> cross entropy
    angles ~> cross entropy

Take it when images have an upright, objects or scenes photographed by people, and one small change to a supervised
    training loop is all you want.

Leave it when nothing says which way is up: cells, satellite images, textures. There is nothing to learn there.
"""

import keras
from keras import ops

from keras_ssl import heads, inputs
from keras_ssl.augment.image.geometry import RIGHT_ANGLES, check_degrees, inner_side, rotated
from keras_ssl.losses import classification
from keras_ssl.method import Method, check_counts


def check_angles(name, degrees):
    """Two or more angles that differ, multiples of 45 degrees."""
    angles = check_degrees(degrees)
    if len(angles) < 2 or len({angle % 360 for angle in angles}) < len(angles):
        raise ValueError(f"{name} must be two or more different angles. Received: {name}={degrees}")


@keras.saving.register_keras_serializable("keras_ssl")
class RotNet(Method):
    """An image is shown in all of its rotations, and the network says of each by how much it was turned.

    Rotations by right angles move pixels and change none. The view is cropped and mirrored before it is turned, all of
    its rotations alike: mirrored afterwards, half of the labels of 90 and 270 degrees would be wrong. A batch of n
    images is one of n times the number of angles to the encoder, which the learning rate should know.

    With an odd multiple of 45 degrees among the angles, all rotations are cut to the largest square that none of them
    leaves, 0.71 of the side, so that no corner tells the angle: the encoder gets images of that size.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`.
        augment: layer from images to one square view.
        degrees: ints, the angles, counter-clockwise. The paper's are (0, 90, 180, 270), the best; the eight multiples
            of 45; (0, 180); and (90, 270).

    Logs `accuracy`, the share of the rotated images that were told; chance is one divided by the number of angles,
    0.25 for four.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18((32, 32, 3), stem="cifar")
    >>> model = keras_ssl.RotNet(encoder, keras_ssl.augment.RandomCrop(32, padding=4, flip=0.5))
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.1, momentum=0.9, weight_decay=5e-4, nesterov=True))
    """

    terms = ("accuracy",)
    view_counts = (1, 1)
    bounds = {"degrees": check_angles}

    def __init__(self, encoder, augment=None, *, degrees=RIGHT_ANGLES, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.degrees = tuple(degrees)
        self.head = heads.linear(encoder.output_shape[-1], len(self.degrees), name="head")
        self.classifier = heads.attach(encoder, self.head, name="classifier")

    @property
    def chance(self):
        """float, the accuracy of guessing."""
        return 1 / len(self.degrees)

    def check_views(self, views):
        check_counts(self, views)
        view = views[0]
        if any(angle % 90 for angle in self.degrees):  # then the encoder's images are smaller than the view
            side = inner_side(*view.shape[1:3])
            view = view[:, :side, :side]
        inputs.check_fit(view, self.encoder, "The rotated view")

    def objective(self, views):
        (images,) = views
        logits = self.classifier(self.rotations(images), training=True)
        angles = ops.arange(len(self.degrees), dtype="int32")
        loss, accuracy = classification(logits, ops.repeat(angles, ops.shape(images)[0]))
        return {"loss": loss, "accuracy": accuracy}

    def rotations(self, images):
        """All rotations of all images: those by the first angle, then those by the second, and so on."""
        height, width = images.shape[1:3]
        if height != width and len({angle % 180 for angle in self.degrees}) > 1:
            raise ValueError(
                f"RotNet turns square views, so that all rotations have one size: crop them. Received: {height} x "
                f"{width} pixels"
            )
        return ops.concatenate(rotated(images, self.degrees))
