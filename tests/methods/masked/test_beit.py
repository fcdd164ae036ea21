"""BEiT: arXiv 2106.08254."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import encoders
from keras_ssl.augment.places import partition, select
from tests import cases
from tests.reference import masked as reference


def small_tokenizer():
    return keras_ssl.DiscreteVAE(stride=4, vocabulary=12, dim=6, width=8, blocks=0)


def crop_for_both():
    return keras_ssl.augment.beit(cases.SIZE, cases.SIZE)


# The tokenizer is trained before.
LAYERS = ("down1", "down2", "logits", "start", "up1", "up2", "pixels")
STILL = ("/usage", "/step", "codebook/kernel", *(f"{x}/{weight}" for x in LAYERS for weight in ("kernel", "bias")))

CASE = cases.Case(
    {"tokenizer": small_tokenizer}, encoder=cases.vit_of_one_size, views=crop_for_both, still=STILL
)

SIZE, PATCH, VOCABULARY = 16, 4, 11


def vit(shape=(SIZE, SIZE, 3), **options):
    options = {"width": 16, "depth": 2, "heads": 2, "initializer": "truncated_normal"} | options
    return encoders.vit(shape, PATCH, **options)


def tokenizer(name="DiscreteVAE", **options):
    options = {"stride": 4, "vocabulary": VOCABULARY, "dim": 6, "width": 8, "blocks": 0} | options
    return getattr(keras_ssl, name)(**options)


def make(encoder=None, optimizer=None, **options):
    options = {"tokenizer": options.pop("tokenizer", None) or tokenizer()} | options
    model = keras_ssl.BEiT(encoder or vit(), **options)
    model.compile(optimizer or keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def pixels(count=4, size=SIZE, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (count, size // 4, size // 4, 3))
    return coarse.repeat(4, axis=1).repeat(4, axis=2).astype("float32")


def fix_masks(model, count=4):
    masks = model.mask(np.zeros((count, 1)), np.stack([np.arange(count), np.zeros(count)], 1)).numpy()
    fixed = {"masked": int(masks[0].sum()), "__call__": lambda self, images, seeds, **options: masks}
    model.mask = type("Fixed", (), fixed)()
    return masks, partition(masks, int(masks[0].sum()))[1]


@pytest.mark.parametrize("options", [{}, {"class_token": False, "pooling": "mean"}])
def test_the_loss_is_the_papers(options):
    model = make(vit(**options))
    x = pixels()
    masks, hidden = fix_masks(model)
    logits = np.zeros((4, 16, VOCABULARY))
    for row, (places, guess) in enumerate(zip(hidden.numpy(), model.guesses(x, masks, hidden).numpy())):
        logits[row, places] = guess
    tokens = model.tokenizer.tokens(x).numpy().reshape(4, 16)
    flat = masks.reshape(4, 16)
    found = {key: float(value) for key, value in model({"views": [x]}, training=True).items()}
    assert found["loss"] == pytest.approx(reference.token_cross_entropy(logits, tokens, flat)[0], rel=1e-5)
    assert found["accuracy"] == pytest.approx((logits.argmax(-1) == tokens)[flat].mean(), abs=1e-6)
    assert found["commonest"] == pytest.approx(np.bincount(tokens[flat]).max() / flat.sum(), abs=1e-6)
    assert found["perplexity"] == pytest.approx(reference.perplexity(tokens), rel=1e-4)


def test_a_guess_stands_where_its_patch_is():
    model = make()
    masks, hidden = fix_masks(model)
    map_of = model.stages.blocks(model.stages.positions(model.mask_token(model.stages.patches(pixels()), masks)))
    row, place = 2, int(hidden[2, 1])
    expected = model.head(map_of[row, 1 + place][None])[0]  # after the class token
    np.testing.assert_allclose(model.guesses(pixels(), masks, hidden)[row, 1], expected, atol=1e-5)


def test_the_loss_starts_at_log_k():
    model = make(tokenizer=tokenizer(vocabulary=500))
    assert float(model({"views": [pixels()]}, training=True)["loss"]) == pytest.approx(np.log(500), abs=0.1)


def test_initial_weights_are_cut_at_one_deviation():
    model = make(tokenizer=tokenizer(vocabulary=2000))
    kernel = np.sort(np.asarray(model.head.kernel).ravel())
    assert kernel.std() == pytest.approx(0.010791, rel=0.02)  # scipy.stats.truncnorm(-1, 1, scale=0.02).std()
    assert -0.02 <= kernel[0] < -0.0198 and 0.0198 < kernel[-1] <= 0.02
    quarter = 0.02 * 0.44177  # scipy.stats.truncnorm(-1, 1).ppf(0.75), where a uniform law has 0.5
    assert kernel[len(kernel) * 3 // 4] == pytest.approx(quarter, rel=0.03)
    assert (np.asarray(make().head.kernel) != np.asarray(make().head.kernel)).any()


def test_tokens_are_those_of_the_tokenizers_view_alone_and_no_mask_touches_them():
    seen, model = [], make()
    tokens_of = model.tokenizer.tokens
    model.tokenizer.tokens = lambda images: seen.append((np.asarray(images), tokens_of(images))) or seen[-1][1]
    x, y = pixels(), pixels(seed=1)
    model({"views": [x, y]}, training=True)
    model({"views": [x, y]}, training=True)  # with other masks
    for images, tokens in seen:
        np.testing.assert_array_equal(images, y)
        np.testing.assert_array_equal(tokens, tokens_of(y))


def test_both_views_of_the_recipe_are_the_same_crop():
    model = make(augment=keras_ssl.augment.beit(SIZE, SIZE // 2), tokenizer=tokenizer(stride=2))
    large, small = model.views({"image": pixels(8, 32), "seed": np.arange(16).reshape(8, 2).astype("int32")})
    assert large.shape == (8, SIZE, SIZE, 3) and small.shape == (8, SIZE // 2, SIZE // 2, 3)
    shrunk = np.asarray(large, "float32").reshape(8, 8, 2, 8, 2, 3).mean((2, 4))
    assert np.corrcoef(shrunk.ravel(), np.asarray(small, "float32").ravel())[0, 1] > 0.9
    assert model({"image": pixels(8, 32)}, training=True)["loss"] > 0


def test_hidden_pixels_have_no_influence():
    model = make()
    masks, hidden = fix_masks(model)
    x, where = pixels(), masks.repeat(PATCH, 1).repeat(PATCH, 2)[..., None]
    first = model.guesses(x, masks, hidden)
    np.testing.assert_array_equal(first, model.guesses(np.where(where, pixels(seed=1), x), masks, hidden))
    assert np.abs(first - model.guesses(np.where(where, x, pixels(seed=1)), masks, hidden)).max() > 1e-5


def test_masks_are_blocks_and_as_many_as_in_the_paper():
    assert keras_ssl.BEiT(vit((56, 56, 3)), tokenizer=tokenizer()).mask.masked == 75
    model = make(ratio=0.5)
    masks, _ = fix_masks(model)
    assert (masks.sum((1, 2)) == 8).all() and len(np.unique(masks, axis=0)) > 1


@pytest.mark.parametrize("name", ["DiscreteVAE", "VQTokenizer"])
def test_the_tokenizer_is_a_copy_that_never_moves(name, tmp_path):
    given = tokenizer(name)
    model = make(tokenizer=given, augment=keras_ssl.augment.beit(SIZE, SIZE))
    model.compile(keras.optimizers.SGD(0.1), jit_compile=False)
    before = [v.numpy() for v in model.tokenizer.variables]
    model.fit({"image": pixels(8)}, batch_size=4, verbose=0, shuffle=False)
    for variable, value, own in zip(model.tokenizer.variables, before, given.variables):
        np.testing.assert_array_equal(variable, value)
        assert variable is not own
    for variable, own in zip(model.tokenizer.weights, given.weights):
        np.testing.assert_array_equal(variable, own)
    assert not model.tokenizer.trainable_variables and given.trainable_variables
    model.save(tmp_path / "model.keras")
    again = keras_ssl.load(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.tokenizer.tokens(pixels()), given.tokens(pixels()))


def test_it_guesses_better_than_the_commonest_token():
    # Images of few colors: what is hidden follows from what is seen.
    colors = np.random.default_rng(0).integers(0, 256, (32, 1, 1, 3)).astype("float32")
    x = np.broadcast_to(colors, (32, SIZE, SIZE, 3))
    model = make(optimizer=keras.optimizers.Adam(3e-3), tokenizer=tokenizer("VQTokenizer", vocabulary=64))
    model.compile(keras.optimizers.Adam(3e-3), jit_compile=False)
    logs = [model.train_on_batch({"views": [x]}, return_dict=True) for _ in range(160)]
    assert logs[0]["accuracy"] < 0.3
    assert np.mean([log["accuracy"] for log in logs[-5:]]) > 1.5 * logs[-1]["commonest"]


def test_every_visible_patch_counts_no_loss():
    model = make()
    masks, hidden = fix_masks(model)
    logits = tf.Variable(np.random.default_rng(0).normal(size=(4, 16, VOCABULARY)).astype("float32"))
    model.guesses = lambda images, masks, hidden: select(tf.convert_to_tensor(logits), hidden)
    with tf.GradientTape() as tape:
        loss = model.objective([pixels()])["loss"]
    gradient = tf.convert_to_tensor(tape.gradient(loss, logits)).numpy()
    moved = np.abs(gradient).max(-1) > 0
    np.testing.assert_array_equal(moved, masks.reshape(4, 16))


def test_wrong_arguments_are_refused():
    with pytest.raises(TypeError, match="tokenizer"):
        keras_ssl.BEiT(vit())
    with pytest.raises(ValueError, match="tokenizer must be a trained"):
        keras_ssl.BEiT(vit(), tokenizer=encoders.resnet18((8, 8, 3), width=4))
    for ratio in (0.0, 0.99, 2):
        with pytest.raises(ValueError, match="ratio must be"):
            make(ratio=ratio)
    with pytest.raises(ValueError, match="one token for each of the 4 x 4 patches"):
        make()({"views": [pixels(), pixels(size=32)]}, training=True)
