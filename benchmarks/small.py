"""Small: the run that the benchmarks train, and the encoders that were not trained to compare with.

It has 10,000 images of 32 pixels, 15 epochs of batch 128 (1,170 steps), and a ResNet-18 of width 16, or a transformer
of width 128 with patches of 4 pixels where a method takes no other: as many features as the ResNet has. The recipes are
the `minutes` of `keras_ssl.recipes`.
"""

from keras_ssl import recipes

SIZE, WIDTH, BATCH, EPOCHS, IMAGES = 32, 16, 128, 15, 10_000
EPOCH = IMAGES // BATCH  # steps
METHODS = recipes.names("minutes")


def run(name="SimCLR", images=None, width=WIDTH, batch=BATCH, epochs=EPOCHS):
    """The run of a method; `images` are the array to train on, where the recipe looks at it."""
    known = recipes.encoders_of(name)
    encoder = "resnet18" if "resnet18" in known else known[0]
    return recipes.Run(
        (SIZE, SIZE, 3), IMAGES, batch, IMAGES // batch, epochs, encoder, width if encoder == "resnet18" else 8 * width,
        patch=4, quick=True, in_order=lambda: images,
    )  # fmt: skip


def make(name, images=None, **changes):
    """The method, its optimizer, and callbacks, if any; `changes` are those of `run`."""
    return recipes.make(name, run(name, images, **changes))


def resnet():
    return run("SimCLR").encoder()


def vit():
    """For views of several sizes; its features are the class token."""
    return run("MSN").encoder(any_size=True, vit={"positions": "learned"})


def mean_vit(**options):
    return run("MAE").mean_vit(**options)


UNTRAINED = {"untrained": resnet, "untrained ViT": vit, "untrained ViT, mean": mean_vit}
