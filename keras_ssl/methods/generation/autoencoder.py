r"""Autoencoder: Reducing the Dimensionality of Data with Neural Networks (Hinton, Salakhutdinov, 2006).

https://doi.org/10.1126/science.1127647

Objective:
    \mathcal{L} = \operatorname{mean}_i \left( x_i - D(E(x))_i \right)^2
    where $x_i$ are the standardized numbers of the image, $E$ is the encoder and $D$ the decoder.

Flow:
    image -> encoder -> decoder -> squared error
    image ~> squared error

Take it when a baseline is wanted that says what a reconstruction alone teaches the same encoder.

Leave it when the classes are small in the image, or differ in details: what covers many pixels is learned first.
"""

import keras
from keras import ops

from keras_ssl import checks
from keras_ssl.encoders import conv_decoder, image_shape
from keras_ssl.losses import plain_pixels, standard_pixels
from keras_ssl.losses.vectors import precise
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class Autoencoder(Method):
    """The image comes back out of the encoder's features, through a decoder of transposed convolutions.

    The code is what the encoder returns, its pooled features: so few numbers that the image does not fit in. The paper
    trains layer by layer on the way to a deep network; here all layers learn at once.

    Args:
        encoder: `keras.Model` from images of one size to features `(batch, dim)`.
        augment: layer from images to one view; `keras_ssl.augment.simmim`, a crop and a mirror image.
        width: int, channels of the decoder's last transposed convolution, see `keras_ssl.encoders.conv_decoder`.

    Raises:
        ValueError: the encoder takes images of any size.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3), width=16)
    >>> model = keras_ssl.Autoencoder(encoder, keras_ssl.augment.simmim(32))
    >>> model.compile(optimizer=keras_ssl.optimizers.Adam(1e-3))
    """

    view_counts = (1, 1)
    bounds = {"width": checks.ints()}

    def __init__(self, encoder, augment=None, *, width=32, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.width = width
        *size, channels = image_shape(encoder)
        self.decoder = conv_decoder(encoder.output_shape[1:], size, channels, width)

    def objective(self, views):
        (images,) = views
        prediction = precise(self.decoder(self.encoder(self.corrupted(images), training=True), training=True))
        return ops.mean(ops.square(prediction - standard_pixels(images)))

    def corrupted(self, images):
        """What the encoder sees of the images: all of them."""
        return images

    def reconstructed(self, images):
        """The images as they come back, float32 of 0..255."""
        found = self.decoder(self.encoder(images, training=False), training=False)
        return ops.clip(plain_pixels(found), 0.0, 255.0)

    def pictures(self, images):
        """Images and what the model makes of them, for `keras_ssl.visualize.pictures`.

        Args:
            images: `(batch, height, width, channels)` of the encoder's size, 0..255.

        Returns:
            dict from titles to NumPy arrays `(batch, height, width, channels)`, 0..255.
        """
        made = ops.convert_to_numpy(self.reconstructed(images))
        return {"image": ops.convert_to_numpy(images), "reconstruction": made}
