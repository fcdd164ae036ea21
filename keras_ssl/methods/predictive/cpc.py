r"""CPC: Representation Learning with Contrastive Predictive Coding (van den Oord, Li, Vinyals, 2018).

https://arxiv.org/abs/1807.03748

Objective:
    \mathcal{L} = - \sum_{k} \operatorname{mean}_{i} \log \frac{\exp(p_{ik} \cdot t_{i + k})}
    {\sum_{j} \exp(p_{ik} \cdot t_{j})}, \quad p_{ik} = 0.1 \, W_k c_i, \quad t_j = W z_j
    where $z$ are the features of the patches of a grid, $c_i$ is the context of patch $i$, which has seen no row below
    it, $i + k$ is the patch that lies $k$ rows below, and $j$ are all patches of all images.

Flow:
    patches -> encoder -> grid of features -> context of the rows above -> one prediction a step -> InfoNCE
    grid of features -> targets -> InfoNCE

Take it when an encoder should learn from the parts of an image and their order, without views that change colors.

Leave it when the run is short or images are small: a patch must show enough to say what lies further down.
"""

import math

import keras
from keras import layers, ops

from keras_ssl import checks, distribute
from keras_ssl.encoders import patch_mean
from keras_ssl.losses import info_nce_ahead
from keras_ssl.method import Method, check_counts

LAST = "channels_last"
SCALE = 0.1  # of the predictions
DIRECTIONS = ("down", "up", "right", "left")


@keras.saving.register_keras_serializable("keras_ssl")
class CPC(Method):
    """From the rows of patches above, the features of patches further below are predicted and told from all others.

    The encoder sees each patch by itself. A stack of masked convolutions makes of the grid of features the contexts:
    that of a patch has seen its whole row and the rows above it. The rows right below, whose patches overlap those of
    the context's row, are not predicted: the first step is the first row without overlap. Each step has a prediction
    network of its own; negatives are all patches of all images, those of the same image among them.

    As in the paper, an image is scored by the mean of the features of its patches: that is `evaluated_encoder`, which
    `predict`, `export` and the scores take, from images of any size; `model.encoder` is that of a patch.

    Nothing in the encoder should tell a patch of the others: take no batch normalization
    (`keras_ssl.encoders.with_layer_norm`). `information` is logged, a lower bound of the mutual information of a
    context and the patch that is predicted from it, in nats: the logarithm of the number of candidates less the loss of
    a step.

    Args:
        encoder: `keras.Model` from patches `(batch, patch, patch, channels)`, or images of any size, to features
            `(batch, dim)` (z).
        augment: layer from images to one view, the patches `(batch, grid * grid, patch, patch, channels)`, rows of the
            grid first: a `keras_ssl.augment.View` with a `keras_ssl.augment.PatchGrid`.
        grid: int, rows and columns of the grid (7).
        patch: int, side of a patch in pixels (64).
        stride: int, pixels from a patch to the next (32).
        steps: int, how many rows are predicted from a context (5); None for all that are left.
        hidden: int, channels of the context network (256).
        depth: int, its residual blocks (5). The context reaches so many rows up.
        dim: int, size of the targets and predictions (64).
        directions: int, 1: downwards; 2: upwards too; 4: to both sides too, each with networks of its own.

    Raises:
        ValueError: no row of the grid is left to predict, or the view is no such grid.

    Example:

    >>> encoder = keras_ssl.encoders.with_layer_norm(keras_ssl.encoders.resnet18((None, None, 3), stem="cifar"))
    >>> crop = keras_ssl.augment.RandomResizedCrop(32, scale=(0.6, 1.0), flip=0.5)
    >>> patches = keras_ssl.augment.PatchGrid(7, 8, stride=4)
    >>> model = keras_ssl.CPC(encoder, keras_ssl.augment.View([crop, patches]), grid=7, patch=8, stride=4)
    >>> model.compile(optimizer=keras.optimizers.Adam(2e-4))
    """

    terms = ("information",)
    view_counts = (1, 1)

    bounds = {
        "grid": checks.ints(2),
        "patch": checks.ints(),
        "stride": checks.ints(),
        "steps": checks.ints(optional=True),
        "hidden": checks.ints(),
        "depth": checks.ints(),
        "dim": checks.ints(),
        "directions": checks.choice(1, 2, 4),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        grid=7,
        patch=64,
        stride=32,
        steps=None,
        hidden=256,
        depth=5,
        dim=64,
        directions=1,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.grid, self.patch, self.stride, self.steps = grid, patch, stride, steps
        self.hidden, self.depth, self.dim, self.directions = hidden, depth, dim, directions
        self.offsets = offsets(grid, patch, stride, steps)
        self.networks = [
            prediction_network(grid, encoder.output_shape[-1], hidden, depth, dim, len(self.offsets), name=name)
            for name in DIRECTIONS[:directions]
        ]
        self.mean = patch_mean(encoder, grid, patch, stride)

    @property
    def evaluated_encoder(self):
        return self.mean

    def check_views(self, views):
        check_counts(self, views)
        found = tuple(views[0].shape)
        expected = (self.grid**2, self.patch, self.patch, self.encoder.input_shape[-1])
        if len(found) != 5 or any(None not in pair and pair[0] != pair[1] for pair in zip(found[1:], expected)):
            raise ValueError(
                f"The view must fit the encoder '{self.encoder.name}' and the grid, as patches of shape (batch, "
                f"{', '.join(map(str, expected))}): patches, height, width, channels. Put "
                f"keras_ssl.augment.PatchGrid({self.grid}, {self.patch}, stride={self.stride}) behind a crop. "
                f"Received: shape={found}"
            )

    def objective(self, views):
        latents = self.latents(views[0])
        losses = [
            info_nce_ahead(SCALE * ops.cast(prediction, "float32"), targets, offset)
            for number, network in enumerate(self.networks)
            for targets, *predictions in [network(turned(latents, number), training=True)]
            for offset, prediction in zip(self.offsets, predictions, strict=True)
        ]
        loss = sum(losses)
        return {"loss": loss, "information": self.log_candidates(latents) - loss / len(losses)}

    def latents(self, patches):
        """The features of all patches, on their grid: `(batch, grid, grid, features)`."""
        each = self.encoder(ops.reshape(patches, (-1, *patches.shape[2:])), training=True)
        return ops.reshape(each, (-1, self.grid, self.grid, each.shape[-1]))

    def log_candidates(self, latents):
        images = distribute.total(ops.cast(ops.shape(latents)[0], "float32"))
        return ops.log(images * self.grid**2)


def offsets(grid, patch, stride, steps):
    """The rows that are predicted, counted from the context's: those whose patches do not overlap the context's."""
    first = math.ceil(patch / stride)
    last = grid - 1 if steps is None else first + steps - 1
    if not first <= last <= grid - 1:
        raise ValueError(
            f"steps must fit the grid: of {grid} rows of patches of {patch} pixels every {stride}, "
            f"{max(0, grid - first)} do not overlap the first. Received: steps={steps}. Take more rows, smaller "
            "patches or fewer steps."
        )
    return list(range(first, last + 1))


def prediction_network(grid, features, hidden, depth, dim, steps, name):
    """From a grid of features to the targets and to the predictions of all steps, a list of grids."""
    latents = keras.Input((grid, grid, features))
    context = latents
    for _ in range(depth):
        context = context + masked_block(context, hidden)
    context = layers.ReLU()(context)
    # The predictions' product with a bias of the targets would be the same for all candidates.
    targets = convolution(dim, 1, use_bias=False)(latents)
    return keras.Model(latents, [targets, *(convolution(dim, 1)(context) for _ in range(steps))], name=name)


def masked_block(x, hidden):
    """What a place adds by its own row and by the row above it."""
    y = layers.ReLU()(convolution(hidden, 1)(x))
    y = convolution(hidden, (1, 3), padding="same")(y)
    y = layers.ZeroPadding2D(((1, 0), (0, 0)), data_format=LAST)(y)
    y = layers.ReLU()(convolution(hidden, (2, 1))(y))
    return convolution(x.shape[-1], 1)(y)


def convolution(filters, size, **options):
    return layers.Conv2D(filters, size, data_format=LAST, **options)


def turned(grid, direction):
    """The grid so that what is ahead lies below: see `DIRECTIONS`."""
    grid = ops.transpose(grid, (0, 2, 1, 3)) if direction >= 2 else grid
    return ops.flip(grid, axis=1) if direction % 2 else grid
