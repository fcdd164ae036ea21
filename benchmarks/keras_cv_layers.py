"""Every augmentation layer of KerasCV in a view of this package: inside the model under `fit`, and mapped in `tf.data`.

    python benchmarks/keras_cv_layers.py [LAYER ...]

prints the table of docs/guides/views.md. "yes" is a batch of views of the right shape, finite and between 0 and 255;
"no: `data.views`" is the error of this package that names the other place, "no: said why" another error of this
package that names the layer.
"""

import os
import sys
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.simplefilter("ignore")

import keras  # noqa: E402
import keras_cv  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from keras_ssl import augment, data  # noqa: E402

cv = keras_cv.layers
LEVELS = (0, 255)
LAYERS = {
    "AugMix": lambda: cv.AugMix(LEVELS),
    "AutoContrast": lambda: cv.AutoContrast(LEVELS),
    "ChannelShuffle": lambda: cv.ChannelShuffle(),
    "CutMix": lambda: cv.CutMix(),
    "Equalization": lambda: cv.Equalization(LEVELS),
    "FourierMix": lambda: cv.FourierMix(),
    "Grayscale": lambda: cv.Grayscale(output_channels=3),
    "GridMask": lambda: cv.GridMask(),
    "JitteredResize": lambda: cv.JitteredResize((24, 24), (0.8, 1.25)),
    "MixUp": lambda: cv.MixUp(),
    "Mosaic": lambda: cv.Mosaic(),
    "Posterization": lambda: cv.Posterization(LEVELS, 4),
    "RandAugment": lambda: cv.RandAugment(LEVELS),
    "RandomApply": lambda: cv.RandomApply(cv.RandomSaturation(0.5)),
    "RandomAspectRatio": lambda: cv.RandomAspectRatio((0.8, 1.25)),
    "RandomAugmentationPipeline": lambda: cv.RandomAugmentationPipeline([cv.RandomSaturation(0.5)], 1),
    "RandomBrightness": lambda: cv.RandomBrightness(0.2, LEVELS),
    "RandomChannelShift": lambda: cv.RandomChannelShift(LEVELS, 0.2),
    "RandomChoice": lambda: cv.RandomChoice([cv.RandomSaturation(0.5), cv.Solarization(LEVELS)]),
    "RandomColorDegeneration": lambda: cv.RandomColorDegeneration(0.5),
    "RandomColorJitter": lambda: cv.RandomColorJitter(LEVELS, 0.2, 0.2, 0.2, 0.1),
    "RandomContrast": lambda: cv.RandomContrast(LEVELS, 0.2),
    "RandomCrop": lambda: cv.RandomCrop(24, 24),
    "RandomCropAndResize": lambda: cv.RandomCropAndResize((24, 24), (0.5, 1.0), (0.75, 1.33)),
    "RandomCutout": lambda: cv.RandomCutout(0.3, 0.3),
    "RandomFlip": lambda: cv.RandomFlip(),
    "RandomGaussianBlur": lambda: cv.RandomGaussianBlur(3, (0.5, 1.0)),
    "RandomHue": lambda: cv.RandomHue(0.2, LEVELS),
    "RandomJpegQuality": lambda: cv.RandomJpegQuality((50, 100)),
    "RandomRotation": lambda: cv.RandomRotation(0.1),
    "RandomSaturation": lambda: cv.RandomSaturation(0.5),
    "RandomSharpness": lambda: cv.RandomSharpness(0.2, LEVELS),
    "RandomShear": lambda: cv.RandomShear(0.2, 0.2),
    "RandomTranslation": lambda: cv.RandomTranslation(0.1, 0.1),
    "RandomZoom": lambda: cv.RandomZoom(0.2),
    "RepeatedAugmentation": lambda: cv.RepeatedAugmentation([cv.RandomFlip(), cv.Grayscale(output_channels=3)]),
    "Solarization": lambda: cv.Solarization(LEVELS),
}
SIZE, BATCH = 24, 8


class Trained(keras.Model):
    """The smallest model that augments under `fit`."""

    def __init__(self, view):
        super().__init__()
        self.view, self.head = view, keras.layers.Dense(2)

    def call(self, columns, training=False):
        views = self.view(columns) if training else columns["image"]
        return self.head(keras.ops.reshape(keras.ops.cast(views, "float32"), (BATCH, SIZE * SIZE * 3)))


def columns():
    draws = np.random.default_rng(0)
    images = draws.integers(0, 256, (2 * BATCH, SIZE, SIZE, 3)).astype("uint8")
    return data.arrays(images, BATCH, seed=0)


def checked(views):
    views = np.asarray(views)
    assert views.shape == (BATCH, SIZE, SIZE, 3), f"views of shape {views.shape}"
    assert np.isfinite(views).all() and views.min() > -1 and views.max() < 256, "values outside of 0 to 255"


def in_the_model(make):
    model = Trained(augment.View([make()]))
    model.compile("sgd", lambda y, x: keras.ops.mean(x**2))
    batches = columns().map(lambda batch: (batch, tf.zeros(BATCH)))
    history = model.fit(batches, epochs=1, verbose=0).history["loss"]
    assert np.isfinite(history).all()


def in_the_pipeline(make):
    for batch in data.views(columns(), augment.View([make()])):
        checked(batch["views"][0])


def outcome(place, make):
    try:
        place(make)
    except Exception as error:  # whatever a layer of another package raises is the answer
        if "asks for the value" in str(error):
            return "no: `data.views`"
        said = f"The layer {type(make()).__name__} " in str(error)
        return f"no: {'said why' if said else type(error).__name__}"
    return "yes"


def main():
    print("| KerasCV layer | in the model | in `data.views` |\n|---|---|---|")
    for name, make in LAYERS.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        found = [outcome(place, make) for place in (in_the_model, in_the_pipeline)]
        print(f"| `{name}` | {found[0]} | {found[1]} |", flush=True)


if __name__ == "__main__":
    main()
