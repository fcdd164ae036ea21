"""Volume losses: how many directions the embeddings of a batch fill, read off the spectrum of their Gram matrix.

The statistics are those of the global batch, apart for each view.
"""

from keras import ops

from keras_ssl import distribute
from keras_ssl.losses.gaussian import with_all_rows
from keras_ssl.losses.vectors import precise, unit


def coding_rate(embeddings, epsilon=0.2):
    """The bits that it takes to tell the embeddings apart, to within a distortion: the larger, the more they spread.

    `R(Z) = 1/2 log det(I + d / (N e) Z^T Z)`, where Z are the N embeddings of size d, as unit vectors. Of all equal
    embeddings it is `1/2 log(1 + d / e)`, of d orthogonal ones `d/2 log(1 + 1 / e)`.

    Args:
        embeddings: `(..., batch, dim)`, one set of embeddings for each view; any length, normalized here, in float32.
        epsilon: float > 0 (e, 0.2), the square of the distortion in the paper.

    Returns:
        float32 scalar, of the global batch, the mean over the views.

    Reference: EMP-SSL: Towards Self-Supervised Learning in One Training Epoch (Tong, Chen, Ma, LeCun, 2023),
    https://arxiv.org/abs/2304.03977

    Example:

    >>> round(float(coding_rate(np.eye(4), epsilon=1.0)), 4)  # 4 / 2 log(2)
    1.3863
    """
    embeddings = with_all_rows(unit(embeddings))
    rows, dim = ops.shape(embeddings)[-2], embeddings.shape[-1]
    scale = dim / (epsilon * ops.cast(rows, embeddings.dtype))
    return ops.mean(log_determinant(scale * smaller_gram(embeddings))) / 2.0


def log_determinant(gram):
    """`log det(I + G)` of positive semi-definite matrices `(..., n, n)`; not a number where they hold one."""
    identity = ops.eye(gram.shape[-1] or ops.shape(gram)[-1], dtype=gram.dtype)
    finite = ops.all(ops.isfinite(gram))  # Cholesky would end the run, or not end at all
    factor = ops.cholesky(ops.where(finite, gram, 0.0) + identity)
    found = 2.0 * ops.sum(ops.log(ops.diagonal(factor, axis1=-2, axis2=-1)), axis=-1)
    return ops.where(finite, found, ops.sum(gram, axis=(-2, -1)))


def frobenius_entropy(embeddings):
    """The log of the squared Frobenius norm of each view's second moment, by its trace: `2 log ||Z^T Z / tr||_F`.

    Z are the embeddings of a view whose columns have unit length over the batch. It is the negative of an entropy of
    the eigenvalues, from `-log min(N, d)`, where they all are equal, to 0, where one direction has everything.

    Args:
        embeddings: list of `(batch, dim)`, of the whole batch, columns of unit length; float32 inside.

    Returns:
        float32 scalar, the sum over the views.
    """
    total = 0.0
    for z in embeddings:
        gram = smaller_gram(precise(z))
        trace = ops.stop_gradient(ops.sum(ops.square(precise(z))))  # the number of columns that are not 0
        total += ops.log(ops.sum(ops.square(gram / trace)))
    return total


def frossl(embeddings, invariance_weight=1.0, centered=True):
    """The loss of FroSSL: each view fills all directions evenly, and all views meet their mean.

    `L = sum_v 2 log ||Z_v^T Z_v / d||_F + w V d mean (Z_v - Z)^2` over the V views. The columns of `Z_v` are those of
    the view's embeddings, centered and divided by their length over the batch; Z is the mean of the views.

    Args:
        embeddings: list of two or more `(batch, dim)` in the same order, one for each view; float32 inside.
        invariance_weight: float >= 0 (w, 1), beside the factors V and d.
        centered: whether the columns are centered (True).

    Returns:
        three float32 scalars, of the global batch: the loss and its two terms, the second without its weight. Not a
            number where all embeddings of a view are exactly equal.

    Reference: FroSSL: Frobenius Norm Minimization for Efficient Multiview Self-Supervised Learning (Skean, Dhakal,
    Jacobs, Giraldo, 2023), https://arxiv.org/abs/2310.02903
    """
    views = [with_all_rows(precise(z)) for z in embeddings]
    views = [unit_columns(z - ops.mean(z, axis=0) if centered else z) for z in views]
    mean = sum(views) / len(views)
    dim = views[0].shape[-1]
    apart = len(views) * dim * sum(ops.mean(ops.square(z - mean)) for z in views)
    entropy = frobenius_entropy(views)
    return entropy + invariance_weight * apart, entropy, apart


def nuclear_norm(matrix):
    """The sum of the singular values of matrices `(..., rows, columns)`, with a gradient that is always finite.

    The gradient is `U V^T` over the singular values that are not 0 (more than 1e-5 of the largest), also where there
    are fewer of them than rows and columns, or several equal ones.

    Args:
        matrix: `(..., rows, columns)`; float32 inside.

    Returns:
        float32 `(...)`; not a number where the matrix holds one.

    Example:

    >>> float(nuclear_norm(np.diag([3.0, 4.0])))
    7.0
    """
    matrix = precise(matrix)
    value = ops.stop_gradient(matrix)
    u, s, vt = ops.svd(ops.where(ops.all(ops.isfinite(value)), value, 0.0), full_matrices=False)
    s = ops.cast(s > 1e-5 * ops.max(s, axis=-1, keepdims=True), s.dtype)
    return ops.sum(ops.stop_gradient(ops.matmul(u * s[..., None, :], vt)) * matrix, axis=(-2, -1))


def manifold_capacity(embeddings, twins=None, manifold_weight=0.0):
    """The loss of MMCR: the mean embeddings of the images fill many directions, and are long.

    `L = -||C||_* + w / N sum_i ||Z_i||_*` with the nuclear norm, the sum of singular values. C has a row for each of
    the N images, the mean of its views' unit vectors, which is long where they agree; `Z_i` are the views of one image.
    It is a sum: from `-sqrt(N min(N, d))` to about 0.

    Args:
        embeddings: `(views, batch, dim)`; any length, normalized here, in float32.
        twins: the same of a momentum encoder; C is then of the mean of both. No gradient. None for none.
        manifold_weight: float >= 0, of the size of each image's own manifold (lambda, 0).

    Returns:
        two float32 scalars, of the global batch: the loss, and the nuclear norm of C.

    Reference: Learning Efficient Coding of Natural Images with Maximum Manifold Capacity Representations (Yerxa, Kuang,
    Simoncelli, Chung, 2023), https://arxiv.org/abs/2303.03307
    """
    views = unit(embeddings)
    centroids = ops.mean(views, axis=0)  # (batch, dim)
    if twins is not None:
        other = ops.mean(ops.stop_gradient(unit(twins)), axis=0)
        centroids = (centroids + ops.cast(other, centroids.dtype)) / 2.0
    size = nuclear_norm(with_all_rows(centroids))
    if not manifold_weight:
        return -size, size
    each = nuclear_norm(ops.moveaxis(views, 1, 0))  # (batch,)
    rows = distribute.total(ops.cast(ops.shape(each)[0], each.dtype))
    return manifold_weight * distribute.replicas() * ops.sum(each) / rows - size, size


def smaller_gram(x):
    """`Z Z^T` or `Z^T Z` of `(..., rows, dim)`, whose eigenvalues other than 0 are the same: the smaller one."""
    rows, dim = x.shape[-2:]
    turned = ops.swapaxes(x, -1, -2)
    return ops.matmul(x, turned) if rows is not None and rows < dim else ops.matmul(turned, x)


def unit_columns(x):
    return ops.swapaxes(unit(ops.swapaxes(x, -1, -2)), -1, -2)
