r"""Denoising autoencoder: Extracting and Composing Robust Features with Denoising Autoencoders (Vincent et al., 2008).

https://doi.org/10.1145/1390156.1390294

Objective:
    \mathcal{L} = \operatorname{mean}_i \left( x_i - D(E(\tilde{x}))_i \right)^2
    where $\tilde{x}$ is the image $x$ with noise, $E$ is the encoder and $D$ the decoder.

Flow:
    image -> noise -> encoder -> decoder -> squared error
    image ~> squared error

Take it when a reconstruction should need more than copying, without a transformer and its masks.

Leave it when the encoder is a transformer: `MAE` hides whole patches, and is faster.
"""

import keras
from keras import ops

from keras_ssl import checks
from keras_ssl.augment.random import normal, uniform
from keras_ssl.augment.rows import local_seeds
from keras_ssl.methods.generation.autoencoder import Autoencoder


@keras.saving.register_keras_serializable("keras_ssl")
class DenoisingAutoencoder(Autoencoder):
    """The encoder sees an image with noise, and the decoder makes the image without it.

    The error is that of all pixels, of those without noise too. The features of `predict` are of clean images.

    Args:
        encoder, augment, width: see `Autoencoder`.
        noise: `"masking"`: numbers become 0, each by itself (the paper's); `"channels"`: whole channels do;
            `"gaussian"`: normal noise is added.
        level: float in (0, 1]: how likely a number or a channel is to become 0 (nu, 0.25; 0.5 is usual for channels),
            or the deviation of the noise as a part of 255.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3), width=16)
    >>> model = keras_ssl.DenoisingAutoencoder(encoder, keras_ssl.augment.simmim(32), noise="channels", level=0.5)
    >>> model.compile(optimizer=keras_ssl.optimizers.Adam(1e-3))
    """

    bounds = {
        "noise": checks.choice("masking", "channels", "gaussian"),
        "level": checks.numbers(above=0, most=1),
    }

    def __init__(self, encoder, augment=None, *, noise="masking", level=0.25, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.noise, self.level = noise, level
        self.draws = keras.random.SeedGenerator()

    def corrupted(self, images):
        return self.with_noise(images, local_seeds(self.draws, ops.shape(images)[0]))

    def with_noise(self, images, seeds):
        images = ops.cast(images, "float32")
        height, width, channels = images.shape[1:]
        if self.noise == "channels":
            return ops.where(uniform(seeds, channels)[:, None, None, :] < self.level, 0.0, images)
        draw = normal if self.noise == "gaussian" else uniform
        draws = ops.reshape(draw(seeds, height * width * channels), (-1, height, width, channels))
        if self.noise == "gaussian":
            return images + 255.0 * self.level * draws
        return ops.where(draws < self.level, 0.0, images)

    def pictures(self, images, seed=0):
        """Images, the same with noise, and what the model makes of these, for `keras_ssl.visualize.pictures`.

        Args:
            images: `(batch, height, width, channels)` of the encoder's size, 0..255.
            seed: int, draws the noise; the model's training draws other.

        Returns:
            dict from titles to NumPy arrays `(batch, height, width, channels)`, 0..255.
        """
        images = ops.convert_to_tensor(images)
        numbers = ops.arange(images.shape[0], dtype="int32")
        noisy = self.with_noise(images, ops.stack([numbers, ops.full_like(numbers, seed)], axis=1))
        shown = {"image": images, "with noise": noisy, "reconstruction": self.reconstructed(noisy)}
        return {title: ops.convert_to_numpy(columns) for title, columns in shown.items()}
