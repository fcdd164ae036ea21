"""A method of two players, the smallest one: a generator of features that a discriminator tells from an encoder's.

It is no method of the package: it shows that the base knows several optimizers, in every property of every method.
"""

import keras
from keras import layers, ops

import keras_ssl
from keras_ssl import heads
from tests.cases import Case, one_crop, small_encoder


@keras.saving.register_keras_serializable("tests")
class Adversary(keras_ssl.Method):
    """The discriminator is the encoder and a linear head; the generator makes images from noise."""

    players = ("discriminator", "generator")
    terms = ("gap",)
    view_counts = (1, 1)

    def __init__(self, encoder, augment=None, *, latent=4, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.latent = latent
        self.generator = keras.Sequential(
            [
                keras.Input((latent,)),
                layers.Dense(3 * 3 * 8, activation="gelu"),
                layers.Reshape((3, 3, 8)),
                layers.Conv2DTranspose(3, 4, 4, activation="sigmoid"),
                layers.Rescaling(255.0),
            ],
            name="generator",
        )
        self.discriminator = heads.attach(encoder, heads.mlp(encoder.output_shape[-1], 8, 1, batch_norm=False))
        self.average = self.add_weight((), "zeros", "float32", trainable=False, autocast=False, name="average")

    def objective(self, views):
        (view,) = views
        # The noise is a function of the images, so that every replica and every backend draws the same.
        noise = ops.sin(ops.mean(ops.cast(view, "float32"), axis=(1, 2))[:, :1] * ops.arange(1.0, self.latent + 1))
        fake = ops.cast(self.discriminator(self.generator(noise, training=True), training=True), "float32")
        real = ops.cast(self.discriminator(view, training=True), "float32")
        losses = {
            "discriminator": ops.mean(ops.softplus(-real) + ops.softplus(fake)),
            "generator": ops.mean(ops.softplus(-fake)),
        }
        return {"loss": losses, "gap": ops.mean(real) - ops.mean(fake)}

    def after_step(self, outputs):
        gap = keras_ssl.distribute.total(outputs["gap"]) / keras_ssl.distribute.replicas()
        self.average.assign(0.9 * self.average + 0.1 * gap)


def optimizers():
    return {
        "generator": keras.optimizers.Adam(1e-3, epsilon=1e-3),
        "discriminator": keras.optimizers.SGD(0.05, momentum=0.9, global_clipnorm=0.5),
    }


CASES = {
    "two players": Case({}, small_encoder, one_crop, optimizers, method=Adversary, base=True),
}
