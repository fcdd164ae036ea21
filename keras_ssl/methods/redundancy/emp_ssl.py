r"""EMP-SSL: Towards Self-Supervised Learning in One Training Epoch (Tong, Chen, Ma, LeCun, 2023).

https://arxiv.org/abs/2304.03977

Objective:
    \mathcal{L} = -\lambda \operatorname{mean}_{v, i} \cos(z_{v, i}, \bar{z}_i) - \operatorname{mean}_v \frac{1}{2}
    \log \det\left( I + \frac{d}{N \epsilon} Z_v^{\top} Z_v \right)
    where $z_{v, i}$ are the unit embeddings of patch $v$ of image $i$, $\bar{z}_i$ is the mean of those of all its
    patches, $Z_v$ are those of the $N$ images of a batch, and $d$ is their size.

Flow:
    all patches -> encoder -> projector -> similarity
    projector -> mean of an image -> similarity
    projector -> coding rate

Take it when the images can be passed over a few times only: each pass shows many patches of every image.

Leave it when an image is more than the sum of its patches: each shows a quarter of it, and no view shows the whole.
"""

import keras
from keras import ops

from keras_ssl import checks, heads
from keras_ssl.encoders.multi_crop import multi_crop
from keras_ssl.losses import coding_rate
from keras_ssl.losses.vectors import unit
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class EMPSSL(Method):
    """Many patches of an image meet their mean, and the embeddings of each patch's batch spread over all directions.

    The coding rate is what prevents a collapse: it is subtracted from the loss, apart for each patch. All patches go
    through the network in one call. The square of the distortion is `epsilon`, as in the authors' code; the paper
    writes it squared.

    The authors score the hidden layer between the encoder and the projector, averaged over many patches of an image:
    see `patch_features`. `predict` and `export` take the encoder, as everywhere.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`.
        augment: layer from images to two or more patches; `keras_ssl.augment.emp_ssl` makes 20.
        hidden: int, units of the hidden layers (4096).
        dim: int, size of the embedding (d, 1024).
        similarity_weight: float >= 0, of the similarity to the mean (lambda, 200).
        epsilon: float > 0, the distortion that the coding rate allows (0.2).

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.EMPSSL(encoder, keras_ssl.augment.emp_ssl(32, count=20))
    >>> model.compile(optimizer=keras_ssl.optimizers.LARS(0.3, weight_decay=1e-4, trust=5e-3, nesterov=True))
    """

    terms = ("similarity", "coding_rate")
    view_counts = (2, None)
    least_batch = 2

    bounds = {
        "hidden": checks.ints(),
        "dim": checks.ints(),
        "similarity_weight": checks.numbers(least=0),
        "epsilon": checks.numbers(above=0),
    }

    def __init__(
        self, encoder, augment=None, *, hidden=4096, dim=1024, similarity_weight=200.0, epsilon=0.2, **kwargs
    ):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.dim, self.similarity_weight, self.epsilon = hidden, dim, similarity_weight, epsilon
        layer = [keras.layers.Dense(hidden), heads.batch_normalization(), keras.layers.ReLU()]
        layer = keras.Sequential([keras.Input((encoder.output_shape[-1],)), *layer], name="hidden")
        self.patch_encoder = heads.attach(encoder, layer, name="patch_encoder")
        self.projector = heads.mlp(hidden, hidden, dim, output_bias=True, name="projector")

    def objective(self, views):
        features = multi_crop(self.patch_encoder, views, training=True)  # (views * batch, hidden)
        embeddings = self.projector(features, training=True)
        embeddings = unit(ops.stack(ops.split(embeddings, len(views))))  # (views, batch, dim)
        similarity = ops.mean(ops.sum(embeddings * unit(ops.mean(embeddings, axis=0)), axis=-1))
        rate = coding_rate(embeddings, self.epsilon)
        return {"loss": -self.similarity_weight * similarity - rate, "similarity": similarity, "coding_rate": rate}

    def patch_features(self, views):
        """What the authors score: the hidden layer after the encoder, the mean over the patches of each image.

        Args:
            views: list of patches `(batch, height, width, channels)`, for example of `augment.emp_ssl`.

        Returns:
            float32 `(batch, hidden)`, computed as in inference.
        """
        features = multi_crop(self.patch_encoder, list(views), training=False)
        return ops.mean(ops.cast(ops.stack(ops.split(features, len(views))), "float32"), axis=0)
