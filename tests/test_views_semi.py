"""Views of semi-supervised methods: which images they are of, how strong they are, where their seeds come from."""

import keras
import numpy as np
import pytest

from keras_ssl import augment
from keras_ssl.augment.image import semi as layers
from keras_ssl.augment.image.policies import OPERATIONS
from tests import semi
from tests.test_views_layers import images, seeds


def test_cutout_paints_a_square_about_any_pixel():
    x = np.full((400, 12, 12, 3), 200, "float32")
    found = np.asarray(augment.Cutout(4, fill=7.0)(x, seeds=seeds(400)))
    hidden = (found == 7).all(axis=-1)
    assert set(np.unique(found)) == {7.0, 200.0}
    rows, columns = hidden.any(axis=2).sum(axis=1), hidden.any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(hidden.sum(axis=(1, 2)), rows * columns)  # a box
    assert set(rows) == set(columns) == {2, 3, 4}  # cut by the border
    first = hidden.any(axis=2).argmax(axis=1)
    assert (rows[(first > 0) & (first < 8)] == 4).all()
    odd = np.asarray(augment.Cutout(3, fill=7.0)(x[:60], seeds=seeds(60)) == 7).all(axis=-1)
    assert odd.any(axis=2).sum(axis=1).max() == 3 == odd.any(axis=1).sum(axis=1).max()
    middles = np.asarray(augment.Cutout(4).draw(seeds(400), (12, 12))["middle"])
    assert set(middles[:, 0]) == set(range(12)) == set(middles[:, 1])
    with pytest.raises(ValueError, match="size must be"):
        augment.Cutout(1)


@pytest.mark.parametrize(
    "name, lowest, highest",
    [
        ("rotate", 3, 27), ("shear_x", 0.03, 0.27), ("translate_y", 1 / 32, 9 / 32), ("contrast", 0.28, 1.72),
        ("posterize", 1, 4), ("solarize", 26, 231), ("identity", 0, 0),
    ],
)  # fmt: skip
def test_strengths_are_those_of_the_code(name, lowest, highest):
    drawn = augment.RandomPolicy(1, p=1.0, operations=(name,)).draw(seeds(600), (32, 32))
    amount = np.asarray(drawn["amount"])[:, 0]
    assert np.abs(amount).min() == pytest.approx(lowest, abs=1e-5)
    assert np.abs(amount).max() == pytest.approx(highest, abs=1e-5)
    assert len(np.unique(np.abs(amount).round(5))) == {"posterize": 4, "identity": 1}.get(name, 9)
    signed = name in ("rotate", "shear_x", "translate_y")
    assert ((amount < 0).mean() == pytest.approx(0.5, abs=0.1)) if signed else (amount >= 0).all()


@pytest.mark.parametrize(
    "name, expected",
    [
        ("posterize", [1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4]), ("translate_x", np.arange(11) * 10 / 224),
        ("solarize", [0, 25, 51, 76, 102, 128, 153, 179, 204, 230, 256]), ("solarize_add", np.arange(11) * 11),
        ("rotate", np.arange(11) * 3), ("color", 0.1 + 0.18 * np.arange(11)),
    ],
)  # fmt: skip
def test_strengths_are_those_of_the_code_for_imagenet(name, expected):
    """Level by level, from 0 to 10."""
    found = layers.strength(name, np.arange(11, dtype="float32"), np.ones(11, "float32"), "imagenet")
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    drawn = augment.RandomPolicy(1, p=1.0, operations=(name,), table="imagenet").draw(seeds(600), (32, 32))
    assert set(np.abs(drawn["amount"]).round(4).ravel()) == set(np.float32(expected).round(4))


def test_views_of_a_large_image_are_of_one_crop():
    """Those of a small one have crops of their own."""
    data = {"image": images(2, 40, 40), "unlabeled": images(6, 40, 40).reshape(2, 3, 40, 40, 3), "seed": seeds(2)}
    labeled, weak, strong = augment.fixmatch(32, p=0.0, small=False)(data)
    assert labeled.shape == (2, 32, 32, 3) and weak.shape == (2, 3, 32, 32, 3)
    np.testing.assert_array_equal(weak, strong)
    assert len(np.unique(np.asarray(weak).reshape(6, -1), axis=0)) == 6
    _, weak, strong = augment.fixmatch(32, p=1.0, small=False)(data)
    assert (np.abs(weak - strong).max(axis=(2, 3, 4)) > 1).sum() >= 4
    _, weak, strong = augment.fixmatch(32, p=0.0, cutout=0)(data)
    assert np.abs(weak - strong).max() > 1


def test_half_of_the_operations_happen():
    drawn = np.asarray(augment.RandomPolicy().draw(seeds(4000), (32, 32))["operation"])
    assert drawn.shape == (4000, 2) and (drawn < 0).mean() == pytest.approx(0.5, abs=0.03)
    counts = np.bincount(drawn[drawn >= 0], minlength=14) / (drawn >= 0).sum()
    np.testing.assert_allclose(counts, 1 / 14, atol=0.015)
    operations = augment.RandomPolicy().operations
    assert set(OPERATIONS) - set(operations) == {"invert", "solarize_add"} and len(operations) == 14
    assert set(augment.RandomPolicy(table="imagenet").operations) == set(OPERATIONS)


def test_each_image_has_draws_of_its_own():
    layer = augment.fixmatch(12)
    same = np.broadcast_to(semi.images(1), (4, 12, 12, 3))
    data = {"image": same, "unlabeled": np.broadcast_to(same[:, None], (4, 5, 12, 12, 3)), "seed": seeds(4)}
    labeled, weak, strong = (np.asarray(view) for view in layer(data))
    assert weak.shape == strong.shape == (4, 5, 12, 12, 3)
    flat = [view.reshape(-1, 12 * 12 * 3) for view in (labeled, weak, strong)]
    assert len(np.unique(np.concatenate(flat[:2]), axis=0)) > 12  # there are 2 x 9 weak views, and 24 draws
    assert len(np.unique(flat[2], axis=0)) > 18
    again = layer(data)
    for one, two in zip((labeled, weak, strong), again):
        np.testing.assert_array_equal(one, two)
    own = {**data, "unlabeled_seed": np.arange(40).reshape(4, 5, 2).astype("int32")}
    alone = {**own, "image": same[2:3], "unlabeled": own["unlabeled"][2:3], "seed": seeds(4)[2:3]}
    alone["unlabeled_seed"] = own["unlabeled_seed"][2:3]
    for one, two in zip(layer(own), layer(alone)):  # whatever the batch
        np.testing.assert_allclose(one[2:3], two, atol=1e-3)


KINDS = [
    augment.RandomPolicy(3, 0.7), augment.RandomPolicy(table="imagenet"), augment.Cutout(4), augment.fixmatch(12),
    augment.fixmatch(12, small=False),
]  # fmt: skip


@pytest.mark.parametrize("layer", KINDS)
def test_layers_are_saved_and_loaded(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    data = {"image": semi.images(4), "unlabeled": semi.groups(4), "seed": seeds(4)}
    one, two = layer(data), again(data)
    for first, second in zip(keras.tree.flatten(one), keras.tree.flatten(two)):
        np.testing.assert_array_equal(first, second)


def test_one_image_equals_a_batch():
    layer, x = augment.RandomPolicy(2, p=0.9), images(6)
    whole = np.asarray(layer(x, seeds=seeds(6)))
    for number in range(6):
        one = np.asarray(layer(x[number : number + 1], seeds=seeds(6)[number : number + 1]))
        np.testing.assert_allclose(one[0], whole[number], atol=1e-3)


def gray():
    return {"image": semi.images(2)[..., :1], "unlabeled": semi.groups(2)[..., :1]}


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: augment.SemiViews([], [augment.Cutout(4)]), "labeled must be a list of augmentation layers"),
        (lambda: augment.SemiViews([augment.Cutout(4)], augment.Cutout(4)), "unlabeled must be a list"),
        (lambda: augment.RandomPolicy(0), "count must be a positive int"),
        (lambda: augment.RandomPolicy(p=2), "must be a probability"),
        (lambda: augment.RandomPolicy(table="svhn"), "table must be one of"),
        (lambda: augment.fixmatch(12)(gray()), "leave it out for other images"),
        (lambda: augment.fixmatch(32)({"image": semi.images(2)}), "needs the column 'unlabeled'"),
        (lambda: augment.fixmatch(32)(semi.images(2)), "needs the column 'unlabeled'"),
        (lambda: augment.fixmatch(12)({"image": semi.images(2), "unlabeled": semi.images(2)}), r"Received: shape=\(2"),
        (lambda: layers.fixmatch(1), "size must be an int from 2"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
