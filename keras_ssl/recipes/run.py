"""Run: what a recipe may ask about the run: samples, lengths, encoders, views, optimizers."""

import dataclasses

import keras

from keras_ssl import augment, encoders, optimizers
from keras_ssl.inputs import IMAGE, Kind

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
VITS = ("vit_tiny", "vit_small", "vit_base")
PYRAMIDS = ("conv_vit",)
# Blocks of a ResNet that start as the identity, for long runs: as in the authors' code of SimCLR, BYOL, SimSiam, Barlow
# Twins, VICReg, VICRegL, PixPro and MoCo v3, and not in that of MoCo v1 and v2, SwAV, DINO and W-MSE.
IDENTITY = {"zero_init_residual": True}
# LARS as in solo-learn: the rate is a bound.
CLIPPED = {"trust": 0.02, "clipped": True}


def usual_patch(size):
    """An eighth of the image, at most 16 pixels."""
    return min(16, max(2, size // 8))


def gray_view(size, scale=(0.3, 1.0)):
    """Gray images have no hue, and a mirrored digit is another sign: crops and contrast only."""
    crop = augment.RandomResizedCrop(size, scale=scale)
    return augment.View([crop, augment.ColorJitter(0.4, 0.4, p=0.8), augment.GaussianBlur(3, p=0.5)])


@dataclasses.dataclass
class Run:
    """What a recipe may ask about the run.

    Attributes:
        shape: tuple of ints, the shape of a sample, without the batch: that of the column of its kind.
        count: int, the samples to train on.
        batch: int, samples in a batch.
        steps_per_epoch: int.
        epochs: int.
        name: str, the encoder's: one of `RESNETS`, `VITS` or `PYRAMIDS`, or another of the recipe's `ENCODERS`.
        width: int, the channels of a ResNet's first stage or the width of a transformer's tokens; None for the
            encoder's own.
        patch: int, the side of a transformer's patches.
        quick: bool, whether it is a run of minutes.
        in_order: function without arguments that returns the samples to train on, as an array or as a pipeline with
            `"index"` that does not shuffle.
        kind: `keras_ssl.inputs.Kind`, the kind of the samples.
        rate: int, samples of a sound in a second, or of a series.
        vocabulary: int, how many different tokens there are, or labels of nodes.
    """

    shape: tuple
    count: int
    batch: int
    steps_per_epoch: int
    epochs: int
    name: str
    width: int | None = None
    patch: int = 16
    quick: bool = False
    in_order: object = None
    kind: Kind = IMAGE
    rate: int | None = None
    vocabulary: int | None = None

    def train_before(self, model):
        """Trains what a recipe needs before its method, on the same samples, in batches of the run's size."""
        data = self.in_order()
        if hasattr(data, "element_spec"):  # its batches are of another size, and one class after the other
            model.fit(data.in_batches(self.batch), epochs=self.epochs, verbose=2)
        else:
            model.fit(data, batch_size=self.batch, epochs=self.epochs, verbose=2)

    def has(self, column):
        """Whether the samples carry a column beside their own, such as a mask."""
        data = None if self.in_order is None else self.in_order()
        columns = getattr(data, "element_spec", data)
        return isinstance(columns, dict) and column in columns

    @property
    def small(self):
        """Images for which papers take the recipe of CIFAR-10."""
        return min(self.shape[:2]) <= 64

    @property
    def gray(self):
        return self.shape[-1] == 1

    @property
    def transformer(self):
        return self.name in VITS

    @property
    def steps(self):
        return self.epochs * self.steps_per_epoch

    # Encoders

    def encoder(
        self, channels=None, any_size=False, resnet=None, vit=None, layer_norm=False, slopes=False, luma=False
    ):
        """The network that was asked for; `resnet` and `vit` are further options of the one kind and the other.

        A ResNet may have layer normalization in place of batch normalization. With `slopes` it sees those of the gray
        image, with `luma` the gray image of one channel; it makes them itself.
        """
        if slopes or luma:
            images = keras.Input((*((None, None) if any_size else self.shape[:2]), self.shape[-1]), name="images")
            if luma:
                network = self.encoder(channels=1, any_size=any_size, resnet=resnet, vit=vit, layer_norm=layer_norm)
                seen = keras.ops.image.rgb_to_grayscale(images, data_format="channels_last")
            else:
                plain = {"preprocessing": ((0.0, 0.0), (1.0, 1.0))}  # slopes have a mean of 0
                resnet, vit = plain | (resnet or {}), plain | (vit or {})
                network = self.encoder(channels=2, any_size=any_size, resnet=resnet, vit=vit, layer_norm=layer_norm)
                seen = augment.Sobel(name="slopes")(images)
            return keras.Model(images, network(seen), name=network.name)
        make, size = getattr(encoders, self.name), (None, None) if any_size else self.shape[:2]
        shape = (*size, channels or self.shape[-1])
        if not self.transformer:
            made = make(shape, width=self.width, stem="cifar" if self.small else "imagenet", **(resnet or {}))
            return encoders.with_layer_norm(made) if layer_norm else encoders.with_fused_batch_norm(made)
        options = {"grid": self.shape[0] // self.patch} | (vit or {})
        if self.quick:
            return encoders.vit(shape, self.patch, width=self.width or 128, depth=6, heads=4, **options)
        options |= {"width": self.width} if self.width else {}
        return make(shape, self.patch, **options)

    def mean_vit(self, **options):
        """The transformer for masked images. Its features are the mean of all patches: a class token learns nothing."""
        return self.encoder(vit={"pooling": "mean", "initializer": "xavier_fused"} | options)

    def pyramid(self):
        """ConvMAE's: the last stage has the width that was asked for, 768 in the paper; patches of 16 pixels, or 4."""
        if self.quick:
            width, strides = self.width or 128, (2, 2, 1) if self.small else (4, 2, 2)
            return encoders.conv_vit(
                self.shape, strides, width=(width // 4, width // 2, width), depth=(1, 1, 5), heads=4
            )
        width, strides = self.width or (192 if self.small else 768), (1, 2, 2) if self.small else (4, 2, 2)
        return encoders.conv_vit(
            self.shape, strides, width=(width // 3, width // 2, width), depth=(2, 2, 11), heads=max(1, width // 64)
        )

    def groups(self):
        """Slices of the batch with statistics of their own, as on the eight GPUs of MoCo."""
        return {"batch_norm_groups": 8 if self.batch % 8 == 0 else 1}

    def queue(self, size=4096):
        """Queue, momentum and temperature of MoCo: the paper's, or those of its CIFAR-10 demo, also for short runs.

        In a short run the queue holds half of the images at most.
        """
        if self.quick:
            return {"queue_size": self.short_queue(size), "momentum": 0.99, "temperature": 0.1}
        return {"queue_size": size, "momentum": 0.99, "temperature": 0.1} if self.small else {}

    def short_queue(self, size):
        """The length of a queue for a short run: `size`, and half of the images at most, but a batch at least."""
        return min(size, max(self.batch, self.count // 2))

    # Views

    def views(self, recipe, small=None, count=2):
        """Those of a recipe, or of `small` for small images; `count` is how many it makes, for gray images."""
        if self.gray:
            return augment.Views(gray_view(self.shape[0]), count)
        return (small if small and self.small else recipe)(self.shape[0])

    def multi_crop(self, recipe, small, count):
        """Two large views and `count` small ones, of 96 pixels for 224, or fewer for small images."""
        size = self.shape[0]
        side = self.fit(size / 2 if self.small else size * 96 / 224)
        count = 2 if self.quick else 4 if self.small else count
        if self.gray:
            return augment.Views([gray_view(size, (0.5, 1.0))] * 2 + [gray_view(side, (0.15, 0.5))] * count)
        return (small if self.small else recipe)(size, local_size=side, local_count=count)

    def fit(self, pixels):
        """The side nearest to it that the patches of a transformer fill."""
        patch = self.patch if self.transformer else 1
        return max(1, round(pixels / patch)) * patch

    # Optimizers of papers, with the rate for a batch of 256: its peak, and where the warm-up starts and the cosine ends

    def lars(self, rate, weight_decay, rule="linear", warmup=None, start=0.0, final=0.0, **options):
        """LARS."""
        rate, start, final = (optimizers.scale(x, self.batch, rule=rule) for x in (rate, start, final))
        return optimizers.LARS(self.schedule(rate, warmup, start, final), weight_decay=weight_decay, **options)

    def sgd(self, rate, weight_decay, warmup=None, final=0.0, constant=None, **options):
        """SGD; `constant` is a part of the paths of variables that stay at the full rate."""
        rate, final = (optimizers.scale(x, self.batch) for x in (rate, final))
        options |= {"constant_rates": {constant: rate}} if constant else {}
        rate = self.schedule(rate, warmup, final=final)
        return optimizers.SGD(rate, momentum=0.9, weight_decay=weight_decay, **options)

    def adamw(self, rate, weight_decay, warmup=None, start=0.0, final=0.0, steps=None, **options):
        """AdamW; `final` is the papers' floor, for any batch."""
        rate, start = (optimizers.scale(x, self.batch) for x in (rate, start))
        rate = self.schedule(rate, warmup, start, final, steps)
        return optimizers.AdamW(rate, weight_decay=weight_decay, **options)

    def schedule(self, peak, warmup=None, start=0.0, final=0.0, steps=None):
        """A cosine after a linear warm-up over a share of the run: that of ten epochs, at most a tenth, or `warmup`.

        It ends after `steps`, by default with the run.
        """
        share = min(10 / self.epochs, 0.1) if warmup is None else warmup
        return optimizers.warmup_cosine(peak, steps or self.steps, round(share * self.steps), final, start)

    # Optimizers of `minutes`. A warm-up of ten epochs would be most of the run, and LARS needs a long one.

    def short_sgd(self, rate):
        """SGD with the rate for a batch of 128, and a warm-up of a fifteenth of the run."""
        rate = self.schedule(optimizers.scale(rate, self.batch, base=128), warmup=1 / 15)
        return optimizers.SGD(rate, momentum=0.9, weight_decay=5e-4)

    def short_adamw(self, weight_decay, **options):
        """AdamW with a rate of 1e-3 for any batch, and a warm-up of two fifteenths of the run."""
        return optimizers.AdamW(self.schedule(1e-3, warmup=2 / 15), weight_decay=weight_decay, **options)
