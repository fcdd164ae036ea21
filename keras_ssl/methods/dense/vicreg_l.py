r"""VICRegL: Self-Supervised Learning of Local Visual Features (Bardes, Ponce, LeCun, 2022).

https://arxiv.org/abs/2210.01571

Objective:
    \mathcal{L} = \alpha \, \ell(z, z') + (1 - \alpha) \left( \ell(M_{\text{place}}) + \ell(M_{\text{feature}}) \right),
    \quad \ell = \lambda s + \mu v + \nu c
    where $s$, $v$ and $c$ are invariance, variance and covariance of VICReg, $z$ are the embeddings of whole views,
    $M_{\text{place}}$ the pairs of places of two maps that lie nearest, and $M_{\text{feature}}$ those whose embeddings
    are nearest.

Flow:
    views -> encoder -> expander -> VICReg of whole views
    encoder -> projector of places -> VICReg of the pairs by place
    projector of places -> VICReg of the pairs by feature
    boxes of the views ~> VICReg of the pairs by place

Take it when one encoder should serve both, whole images and what is in them: `alpha` weighs the one against the other.

Leave it when the batch is small: each of the matches has statistics of its own over the batch.
"""

import keras
from keras import ops

from keras_ssl import checks, encoders, heads
from keras_ssl.augment import select
from keras_ssl.augment.image.located import centers, distances
from keras_ssl.losses import invariance, nearest_matches, variance_covariance
from keras_ssl.losses.dense import squared_distances
from keras_ssl.method import Method
from keras_ssl.methods.dense.located import apart, as_places, check_boxes


@keras.saving.register_keras_serializable("keras_ssl")
class VICRegL(Method):
    """VICReg of whole views, and VICReg of places of two views that lie together or look alike.

    The views of the size of the first one are large. Each large view is compared with all others. Of the pairs of the
    nearest places of two views the closest are kept, in both directions; the n-th of them is one variable, whose
    variance and covariance are those over the batch. All branches share their weights.

    The authors' code keeps fewer matches for the second of two large views, and its places of mirrored views are not
    mirrored unless it is told to (`--no-flip-grid 0`); here they are, as in the paper.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` that ends with its pooling; of images of any size
            where the views have several sizes.
        augment: `keras_ssl.augment.Located` of two views or more, the large ones first; of `keras_ssl.augment.byol`.
        hidden: int, units of the expander's hidden layers (8192).
        dim: int, size of the embedding of a view (8192).
        local_hidden: int, units of the hidden layers of the projector of places (512).
        local_dim: int, size of the embedding of a place (512).
        alpha: float in [0, 1], the share of whole views in the loss (0.75; 0.9 for better classification).
        matches: int, how many pairs by place are kept of the places of a large view (gamma, 20).
        small_matches: int, how many of the places of a small view (4).
        feature_matches: int, pairs by feature that are kept; None for all, as in the authors' code (20 in the paper).
        invariance_weight: float >= 0 (lambda, 25).
        variance_weight: float >= 0 (mu, 25).
        covariance_weight: float >= 0 (nu, 1).

    Raises:
        ValueError: the encoder has no map of features, or the views do not say where they lie.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(64, 64, 3), stem="cifar")
    >>> views = keras_ssl.augment.Located(keras_ssl.augment.byol(64))
    >>> model = keras_ssl.VICRegL(encoder, views, hidden=2048, dim=2048)
    >>> model.compile(optimizer=keras_ssl.optimizers.LARS(0.3, weight_decay=1e-6))
    """

    terms = ("global_loss", "local_loss")
    view_counts = (2, None)
    least_batch = 2

    bounds = {
        "hidden": checks.ints(),
        "dim": checks.ints(),
        "local_hidden": checks.ints(),
        "local_dim": checks.ints(),
        "alpha": checks.numbers(least=0, most=1),
        "matches": checks.ints(),
        "small_matches": checks.ints(),
        "feature_matches": checks.ints(optional=True),
        "invariance_weight": checks.numbers(least=0),
        "variance_weight": checks.numbers(least=0),
        "covariance_weight": checks.numbers(least=0),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=8192,
        dim=8192,
        local_hidden=512,
        local_dim=512,
        alpha=0.75,
        matches=20,
        small_matches=4,
        feature_matches=None,
        invariance_weight=25.0,
        variance_weight=25.0,
        covariance_weight=1.0,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.dim, self.local_hidden, self.local_dim = hidden, dim, local_hidden, local_dim
        self.alpha, self.matches, self.small_matches = alpha, matches, small_matches
        self.feature_matches = feature_matches
        self.invariance_weight, self.variance_weight = invariance_weight, variance_weight
        self.covariance_weight = covariance_weight
        self.network = self.branch(encoder)

    def branch(self, encoder):
        """From images to the embedding of the whole and those of all places."""
        images = heads.inputs_like(encoder)
        features, places = encoders.with_map(encoder)(images)
        expander = heads.mlp(features.shape[-1], self.hidden, self.dim, depth=3, name="expander")
        size = (None, None, places.shape[-1])
        projector = heads.mlp(size, self.local_hidden, self.local_dim, depth=3, name="projector")
        return keras.Model(images, [expander(features), projector(places)])

    def check_views(self, views):
        super().check_views(apart(self, views)[0])
        check_boxes(self, views)

    def objective(self, views):
        views, boxes = apart(self, views)
        wholes, maps = zip(*(self.network(view, training=True) for view in views))
        large = [view.shape[1:] == views[0].shape[1:] for view in views]
        pairs = [(i, j) for i in range(len(views)) if large[i] for j in range(len(views)) if j != i]
        global_loss = self.of_wholes(wholes, pairs)
        spots = [centers(boxes[:, i], x.shape[1:3]) for i, x in enumerate(maps)]
        counts = [self.matches if is_large else self.small_matches for is_large in large]
        places = [as_places(x) for x in maps]
        unordered = {tuple(sorted(pair)) for pair in pairs}  # both directions of a pair have the same terms
        terms = {pair: self.of_places(*([x[i] for i in pair] for x in (places, spots, counts))) for pair in unordered}
        local_loss = sum(terms[tuple(sorted(pair))] for pair in pairs) / len(pairs)
        loss = self.alpha * global_loss + (1.0 - self.alpha) * local_loss
        return {"loss": loss, "global_loss": global_loss, "local_loss": local_loss}

    def of_wholes(self, wholes, pairs):
        distance = sum(invariance(wholes[i], wholes[j]) for i, j in pairs) / len(pairs)
        variances, covariances = zip(*map(variance_covariance, wholes))
        return self.weigh(distance, sum(variances) / len(wholes), sum(covariances) / len(wholes))

    def of_places(self, places, spots, counts):
        """The local loss of two views: pairs by feature and by place, in both directions."""
        # Boxes of whole pixels make exact ties: rounded, they are ties whatever the hardware does.
        by_feature, by_place = squared_distances(*places), ops.round(distances(*spots) * 256.0)
        found = 0.0
        for matrix, kept in ((by_feature, [self.feature_matches] * 2), (by_place, counts)):
            for turn, count in enumerate(kept):
                own, other = nearest_matches(matrix if turn == 0 else ops.swapaxes(matrix, 1, 2), count)
                found = found + self.of_pairs(select(places[turn], own), select(places[1 - turn], other)) / 2.0
        return found

    def of_pairs(self, first, second):
        """VICReg of `(batch, matches, dim)` and their partners."""
        both = variance_covariance(ops.concatenate([first, second], axis=1))  # the means of the two
        return self.weigh(invariance(first, second), *both)

    def weigh(self, distance, variance, covariance):
        loss = self.invariance_weight * distance + self.variance_weight * variance
        return loss + self.covariance_weight * covariance
