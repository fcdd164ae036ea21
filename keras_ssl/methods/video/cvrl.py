r"""CVRL: Spatiotemporal Contrastive Video Representation Learning (Qian et al., 2020).

https://arxiv.org/abs/2008.03800

Objective:
    \mathcal{L} = -\frac{1}{N} \sum_{i=1}^{2N} \log \frac{\exp(z_i \cdot z_p / \tau)}{\sum_{j \ne i} \exp(z_i \cdot
    z_j / \tau)}
    where $z$ are the unit embeddings of the $2N$ clips of the batch and $p$ is the other clip of the video of $i$.

Flow:
    clip 1 -> encoder -> projector -> NT-Xent
    clip 2 -> encoder

Take it when videos show different things, and what is to be told is what goes on in a clip: it is the usual first run
    on videos, with an encoder that sees time.

Leave it when many videos come from the same fixed cameras (the background tells them apart, and nothing else is
    learned), or batches must be small.
"""

import keras
from keras import ops

from keras_ssl import checks, heads
from keras_ssl.inputs import together
from keras_ssl.losses import nt_xent
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class CVRL(Method):
    """Two clips of a video attract each other and repel all other clips of the batch.

    It is SimCLR on clips. What differs is in the views: the two clips are rarely far apart, and all frames of a clip
    have one crop, one flip and one color. As in the authors' code, the loss is the sum over both clips, not the mean,
    and the projector has three hidden layers.

    Args:
        encoder: `keras.Model` from clips to features `(batch, dim)`, such as `keras_ssl.encoders.r3d18`.
        augment: layer from videos to two clips; `keras_ssl.augment.cvrl`.
        hidden: int, units of the projector's hidden layers (2048).
        hidden_layers: int, how many there are (3).
        dim: int, size of the embedding (128).
        temperature: float > 0 (tau, 0.1).

    Example:

    >>> encoder = keras_ssl.encoders.r3d18((8, 64, 64, 3), width=16)
    >>> model = keras_ssl.CVRL(encoder, keras_ssl.augment.cvrl(64, frames=8), hidden=256)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.1, momentum=0.9, weight_decay=1e-6))
    >>> videos = np.random.randint(0, 256, (8, 24, 72, 96, 3), "uint8")
    >>> model.fit(keras_ssl.data.arrays({"video": videos}, batch_size=4), epochs=1)
    """

    view_counts = (2, 2)
    least_batch = 2

    bounds = {
        "hidden": checks.ints(),
        "hidden_layers": checks.ints(0),
        "dim": checks.ints(),
        "temperature": checks.numbers(above=0),
    }

    def __init__(self, encoder, augment=None, *, hidden=2048, hidden_layers=3, dim=128, temperature=0.1, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.hidden_layers, self.dim, self.temperature = hidden, hidden_layers, dim, temperature
        self.projector = heads.mlp(
            encoder.output_shape[-1], hidden, dim, depth=hidden_layers + 1, output_bias=True, name="projector"
        )

    def objective(self, views):
        features = self.encoder(together(views), training=True)  # (2 * batch, features)
        first, second = ops.split(self.projector(features, training=True), 2)  # (batch, dim) each
        return 2.0 * nt_xent(first, second, self.temperature)
