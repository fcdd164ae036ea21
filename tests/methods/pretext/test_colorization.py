"""Colorization: arXiv 1603.08511; and the bins of color, which `CrossChannelEncoder` and `SplitBrain` have as well."""

import tarfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import losses
from keras_ssl.augment import ab_bins, color_prior
from keras_ssl.augment.image.gamut import lab, rgb_of_lab
from keras_ssl.methods.pretext.colorization import rebalanced
from tests import cases
from tests.reference import colors as reference
from tests.reference.losses import gradient
from tests.test_redundancy import value_and_gradient, vectors

PRIOR = tuple(float(x) for x in np.random.default_rng(0).dirichlet(np.full(313, 0.3)))


def of_lightness():
    return cases.small_encoder(channels=1)


CASE = cases.Case({"prior": PRIOR, "width": 4}, encoder=of_lightness, views=cases.one_crop)


def small(network=None, **options):
    keras.utils.set_random_seed(0)
    return keras_ssl.Colorization(network or of_lightness(), **{"prior": PRIOR, "width": 4} | options)


def images(count=4):
    return cases.images(count).astype("float32")


def gray(count=4):
    return np.repeat(images(count)[..., :1], 3, axis=-1)


# The bins


def test_there_are_as_many_bins_as_the_authors_have():
    bins = ab_bins()
    assert bins.shape == (313, 2) and bins[:2].tolist() == [[-90, 50], [-90, 60]]
    assert (bins % 10 == 0).all() and len(np.unique(bins, axis=0)) == 313
    assert bins.min(axis=0).tolist() == [-90, -120] and bins.max(axis=0).tolist() == [110, 100]


def test_lab_is_that_of_the_formulas_and_comes_back():
    colors = np.random.default_rng(0).integers(0, 256, (200, 3)).astype("float32")
    found = lab(colors)
    np.testing.assert_allclose(found, [reference.lab(color) for color in colors], atol=2e-3)
    np.testing.assert_allclose(rgb_of_lab(found), colors, atol=0.05)


def test_every_color_is_near_a_bin():
    """Half a cell is 5 apart, its corner 7.07."""
    colors = lab(np.random.default_rng(0).integers(0, 256, (20_000, 3)).astype("float32"))[:, 1:]
    far = np.sqrt(((colors[:, None] - ab_bins()) ** 2).sum(axis=-1)).min(axis=1)
    assert far.max() < 7.08 and far.mean() == pytest.approx(3.8, abs=0.3)


@pytest.mark.parametrize("neighbors", [5, 10])
def test_the_mean_of_the_soft_bins_is_the_color(neighbors):
    colors = lab(np.random.default_rng(0).integers(60, 200, (2000, 3)).astype("float32"))[:, 1:]
    numbers, shares = (np.asarray(x) for x in losses.soft_bins(colors, ab_bins(), neighbors))
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    mean = (ab_bins()[numbers] * shares[..., None]).sum(axis=1)
    nearest = ab_bins()[numbers[:, 0]]
    assert np.linalg.norm(mean - colors, axis=1).mean() < 1 < 3 < np.linalg.norm(nearest - colors, axis=1).mean() < 4.5


def test_the_prior_is_the_share_of_colors_smoothed():
    red, gray = np.full((1, 8, 8, 3), (220, 30, 40)), np.full((3, 8, 8, 3), 100)
    prior = color_prior(np.concatenate([red, gray]).astype("uint8"))
    assert prior.shape == (313,) and prior.sum() == pytest.approx(1, abs=1e-5) and (prior > 0).any()
    near = {name: np.linalg.norm(ab_bins() - point, axis=1) < 31 for name, point in
            (("gray", [0, 0]), ("red", lab(np.array([[220.0, 30, 40]]))[0, 1:]))}  # fmt: skip
    assert prior[near["gray"]].sum() == pytest.approx(0.75, abs=0.01)
    assert prior[near["red"]].sum() == pytest.approx(0.25, abs=0.01)


def test_the_prior_of_batches_is_that_of_the_array_and_ends_at_the_count():
    x = cases.images(20)
    batches = [{"image": x[:8]}, {"image": x[8:]}]
    np.testing.assert_allclose(color_prior(batches), color_prior(x), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(color_prior(batches, count=12), color_prior(x[:12]), rtol=1e-4, atol=1e-7)
    pairs = [(batch["image"], np.zeros(len(batch["image"]))) for batch in batches]
    np.testing.assert_allclose(color_prior(pairs), color_prior(x), rtol=1e-4, atol=1e-7)
    with pytest.raises(ValueError, match=r"must have the shape \(n, height, width, 3\)"):
        color_prior(x[..., :1])
    with pytest.raises(ValueError, match="at least one image"):
        color_prior([])


@pytest.mark.parametrize("make", [np.asarray, lambda x: keras_ssl.data.arrays(x, 10, shuffle=False)])
def test_the_prior_of_a_part_is_of_all_classes(make):
    """Images of folders come class after class."""
    red, blue = (np.full((200, 4, 4, 3), color, "uint8") for color in ((220, 30, 40), (40, 30, 220)))
    prior = color_prior(make(np.concatenate([red, blue])), count=100)
    for color in ((220.0, 30, 40), (40.0, 30, 220)):
        near = np.linalg.norm(ab_bins() - lab(np.array([color]))[0, 1:], axis=1) < 31
        assert prior[near].sum() == pytest.approx(0.5, abs=0.15)


def test_weights_have_a_mean_of_one_and_rare_colors_weigh_more():
    weights = rebalanced(PRIOR, 0.5)
    assert np.dot(PRIOR, weights) == pytest.approx(1, abs=1e-4)
    assert (np.argsort(weights) == np.argsort(PRIOR)[::-1]).mean() > 0.98
    np.testing.assert_allclose(weights * (0.5 * np.array(PRIOR) + 0.5 / 313), weights[0] * (0.5 * PRIOR[0] + 0.5 / 313),
                               rtol=1e-4)  # fmt: skip
    np.testing.assert_allclose(rebalanced(PRIOR, 1.0), 1, rtol=1e-5)


def test_bins_and_weights_of_photographs():
    """How far a color is from its nearest bin, and from the mean of its bins; and how much rare colors weigh."""
    colors = lab(photographs().reshape(-1, 3).astype("float32"))[:, 1:]
    numbers, shares = (np.asarray(x) for x in losses.soft_bins(colors, ab_bins()))
    nearest = np.linalg.norm(ab_bins()[numbers[:, 0]] - colors, axis=1)
    assert nearest.mean() == pytest.approx(3.5, abs=0.4) and nearest.max() < 7.2
    mean = np.einsum("nk,nkc->nc", shares, ab_bins()[numbers])
    assert np.linalg.norm(mean - colors, axis=1).mean() == pytest.approx(0.22, abs=0.08)
    weights = rebalanced(color_prior(photographs()), 0.5)
    assert 20 < weights.max() / weights[(ab_bins() == 0).all(axis=1)][0] < 80


def photographs(count=60, side=64):
    """Those of the archive that lies beside the repository, made small by taking every so many pixels."""
    path = Path(__file__).parents[4] / "shared" / "data" / "photos-200.tar"
    if not path.exists():
        pytest.skip("photos-200.tar is not beside the repository, in shared/data")
    found = []
    with tarfile.open(path) as archive:
        for member in archive:
            if member.name.endswith(".jpg") and len(found) < count:
                whole = tf.io.decode_jpeg(archive.extractfile(member).read(), channels=3, ratio=4).numpy()
                found.append(tf.image.resize(whole, (side, side), antialias=True).numpy())
    return np.clip(np.stack(found), 0, 255)


@pytest.mark.parametrize("prior", [np.ones(312), -np.ones(313), np.zeros(313), [np.nan] * 313, "x"])
def test_other_priors_are_refused(prior):
    with pytest.raises(ValueError, match="prior must be 313 numbers from 0"):
        small(prior=prior)


# The loss


@pytest.mark.parametrize("neighbors, weighted", [(5, True), (10, False)])
def test_the_loss_is_the_loop_and_so_is_its_gradient(neighbors, weighted):
    logits, colors = vectors(2, 2, 1, 313), 25 * vectors(2, 2, 1, 2, seed=1)
    weights = rebalanced(PRIOR, 0.5) if weighted else None
    expected = np.ones(313) if weights is None else weights

    def loop(logits):
        return reference.cross_entropy(logits, colors, ab_bins(), expected, neighbors, 5.0)

    value, (slope,) = value_and_gradient(
        lambda x: losses.color_cross_entropy(x, colors, ab_bins(), weights, neighbors), logits
    )
    assert float(value) == pytest.approx(loop(logits), rel=1e-6)
    np.testing.assert_allclose(slope[:, :, :, :20], gradient(
        lambda part: loop(np.concatenate([part, logits[..., 20:]], axis=-1)), logits[..., :20].copy()), atol=1e-7
    )  # fmt: skip


def test_gray_images_have_no_part_in_the_loss():
    logits, colors = vectors(2, 3, 3, 313), 4.9 * np.sign(vectors(2, 3, 3, 2))
    value, (slope,) = value_and_gradient(lambda x: losses.color_cross_entropy(x, colors, ab_bins()), logits)
    assert float(value) == 0 and not np.any(slope)
    colors[1, 2, 2, 0] = 5.1  # one pixel
    value, (slope,) = value_and_gradient(lambda x: losses.color_cross_entropy(x, colors, ab_bins()), logits)
    assert float(value) > 0 and not np.any(slope[0]) and np.abs(slope[1]).min() > 0


def test_the_loss_is_float32_inside_and_refuses_other_shapes():
    logits = tf.cast(vectors(1, 2, 2, 313), "bfloat16")
    assert losses.color_cross_entropy(logits, np.ones((1, 2, 2, 2)) * 20.0, ab_bins()).dtype == tf.float32
    with pytest.raises(ValueError, match="logits must be"):
        losses.color_cross_entropy(logits, np.ones((1, 3, 2, 2)), ab_bins())


# The method


def test_the_loss_of_a_view_is_that_of_its_lightness():
    model, x = small(), images()
    lightness = np.array([[reference.lab(pixel)[0] for pixel in row.reshape(-1, 3)] for row in x])
    logits = model.colors((2.55 * lightness.reshape(4, 12, 12, 1)).astype("float32"), training=True)
    truth = np.array([[reference.lab(pixel)[1:] for pixel in row[::4, ::4].reshape(-1, 3)] for row in x])
    expected = reference.cross_entropy(
        logits, truth.reshape(4, 3, 3, 2), ab_bins(), rebalanced(PRIOR, 0.5), 10, 5.0
    )
    assert float(model({"views": (x,)}, training=True)["loss"]) == pytest.approx(expected, rel=1e-4)


def test_a_batch_of_gray_images_moves_nothing():
    model, x = small(), gray()
    with tf.GradientTape() as tape:
        loss = model({"views": (x,)}, training=True)["loss"]
    assert float(loss) == 0
    assert not any(np.any(slope) for slope in tape.gradient(loss, [w.value for w in model.trainable_variables]))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_features_are_of_the_lightness_alone(channels):
    model, x = small(cases.small_encoder(channels=channels)), images()
    lightness = 2.55 * lab(x.reshape(-1, 3))[:, :1].reshape(4, 12, 12, 1)
    expected = model.network(np.repeat(lightness, channels, axis=-1))
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-3)
    assert np.isfinite(model({"views": (x,)}, training=True)["loss"])


def test_what_is_exported_takes_color_images(tmp_path):
    model, x = small(), images()
    keras_ssl.export(model, tmp_path / "encoder.keras")
    alone = keras.saving.load_model(tmp_path / "encoder.keras")
    np.testing.assert_allclose(alone.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-4)


def test_views_and_encoders_of_other_channels_are_refused():
    with pytest.raises(ValueError, match="The first view must fit"):
        small()({"views": (images()[..., :1],)}, training=True)
    for channels in (2, 4):
        with pytest.raises(ValueError, match="1 channel, the lightness; or 3 channels, each of them the lightness"):
            small(cases.small_encoder(channels=channels))


def test_the_head_doubles_the_map_up_to_a_fourth_of_the_image():
    encoder = keras_ssl.encoders.resnet18((32, 32, 1), width=4)
    model = small(encoder)
    assert encoder.name and model.colors.output_shape == (None, 8, 8, 313)
    assert [layer.name for layer in model.colors.layers[-1].layers] == ["features", "up1", "bn1", "relu1", "pixels"]
    assert small(encoder, stride=16).colors.output_shape == (None, 2, 2, 313)


def test_the_annealed_mean_lies_between_mean_and_mode():
    model, x = small(), images()
    model.colors.layers[-1].get_layer("pixels").kernel.assign(
        20 * model.colors.layers[-1].get_layer("pixels").kernel
    )
    lightness = np.repeat(2.55 * lab(x.reshape(-1, 3))[:, :1].reshape(4, 12, 12, 1), 1, axis=-1)
    logits = np.asarray(model.colors(lightness.astype("float32"), training=False)).reshape(-1, 313)
    mode = np.linalg.norm(ab_bins()[logits.argmax(axis=1)], axis=1).mean()
    chroma = {t: np.linalg.norm(lab(model.colorize(x, t).reshape(-1, 3))[:, 1:], axis=1).mean() for t in (1.0, 0.38)}
    assert chroma[1.0] < chroma[0.38] < mode


def trained(**options):
    """The mean chroma of colorings, of a model that learned gray images with some red and some green ones."""
    draw = np.random.default_rng(0)
    lightness = draw.uniform(40, 70, (64, 1, 1, 1)) * np.ones((64, 12, 12, 1))
    chosen = draw.random(64)[:, None, None, None]
    ab = np.where(chosen < 0.15, [50.0, 30.0], np.where(chosen < 0.3, [-40.0, 30.0], [6.0, 0.0]))
    x = np.asarray(rgb_of_lab(np.concatenate([lightness, ab * np.ones((64, 12, 12, 2))], axis=-1)))
    model = small(prior=options.get("prior", color_prior(x)))
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    model.fit({"views": (x,)}, batch_size=64, epochs=60, verbose=0)
    return np.linalg.norm(lab(model.colorize(x).reshape(-1, 3))[:, 1:], axis=1).mean()


def test_with_rebalancing_colorings_are_more_colorful():
    assert trained() > 1.2 * trained(prior=None)


def test_pictures_keep_the_lightness():
    x = images().astype("uint8")
    columns = small().pictures(x)
    assert list(columns) == ["image", "lightness", "colored"] and columns["lightness"].shape == (4, 12, 12, 1)
    assert 0 <= columns["colored"].min() and columns["colored"].max() <= 255
