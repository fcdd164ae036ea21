"""CLIP: arXiv 2103.00020, and its text transformer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from keras_ssl import encoders, losses
from keras_ssl.methods.contrastive.clip import equal_texts
from tests import cases
from tests.reference import losses as loops
from tests.reference import nce as reference
from tests.test_bank_methods import encoder, pixels, unit
from tests.test_distribute import on_replicas
from tests.test_losses import value_and_gradient, vectors


def text_encoder():
    return keras_ssl.encoders.text_transformer(12, 6, 8, depth=1, heads=2)


def texts(count):
    """A few different token ids for each image."""
    return {"text": np.random.default_rng(0).integers(0, 12, (count, 6)).astype("int32")}


CASE = cases.Case({"dim": 8, "text_encoder": text_encoder}, views=cases.one_crop, columns=texts)

LENGTH = 7


def tower(depth=2, length=LENGTH):
    return encoders.text_transformer(vocabulary=20, length=length, width=8, depth=depth, heads=2)


def make(learning_rate=0.1, **options):
    model = keras_ssl.CLIP(encoder(), text_encoder=tower(), dim=4, **options)
    model.compile(optimizer=keras.optimizers.SGD(learning_rate), run_eagerly=True)
    return model


def tokens(batch=4, seed=0):
    """A start, words, the end (19), and zeros."""
    rng = np.random.default_rng(seed)
    found = rng.integers(1, 18, (batch, LENGTH)).astype("int32")
    for row, end in zip(found, rng.integers(2, LENGTH - 1, batch)):
        row[end], row[end + 1 :] = 19, 0
    return found


def images(batch=4, seed=0):
    return pixels(batch, 8, 8, 3, seed=seed)


@pytest.mark.parametrize("batch, scale", [(2, 1.0), (5, 14.3)])
def test_symmetric_info_nce(batch, scale):
    a, b, c = vectors(batch, 4), vectors(batch, 4, seed=1), np.array(scale)
    value, slopes = value_and_gradient(losses.symmetric_info_nce, a, b, c)
    assert value == pytest.approx(reference.symmetric_info_nce(a, b, c), rel=1e-5)
    arguments = [a, b, c]
    for i, slope in enumerate(slopes):
        function = lambda x: reference.symmetric_info_nce(*arguments[:i], x, *arguments[i + 1 :])
        np.testing.assert_allclose(slope, loops.gradient(function, arguments[i]), atol=1e-4)
    assert float(losses.symmetric_info_nce(b, a, c)) == pytest.approx(value, rel=1e-6)


def test_symmetric_info_nce_of_two_replicas_is_that_of_the_whole_batch(two_replicas):
    first, second = (vectors(6, 4, seed=seed).astype("float32") for seed in (0, 1))

    def value_and_slopes(a, b):
        scale = tf.constant(5.0)
        with tf.GradientTape() as tape:
            tape.watch((a, b, scale))
            loss = losses.symmetric_info_nce(a, b, scale) / keras_ssl.distribute.replicas()
        return loss, *tape.gradient(loss, (a, b, scale))

    loss, *slopes, of_scale = value_and_slopes(tf.constant(first), tf.constant(second))
    (one, *ones, scale_one), (two, *twos, scale_two) = on_replicas(two_replicas, value_and_slopes, first, second)
    assert one + two == pytest.approx(float(loss), rel=1e-5)
    assert scale_one + scale_two == pytest.approx(float(of_scale), rel=1e-4)
    for expected, *halves in zip(slopes, ones, twos):
        np.testing.assert_allclose(np.concatenate(halves), expected, atol=1e-5)


NAMES = np.array([0, 1, 0, 2, 1, 0])  # which captions are equal, on two replicas some of them apart


def without_duplicates(first, second, scale, names=NAMES):
    total = 0
    for queries, keys in ((first, second), (second, first)):
        for i, query in enumerate(queries):
            own = np.exp(scale * loops.cosine(query, keys[i]))
            others = [np.exp(scale * loops.cosine(query, key)) for key, n in zip(keys, names) if n != names[i]]
            total -= np.log(own / (own + sum(others))) / len(first)
    return total / 2


@pytest.mark.parametrize("diagonal", [False, True])
def test_symmetric_info_nce_without_masked_pairs(diagonal):
    arguments = [vectors(6, 4), vectors(6, 4, seed=1), np.array(3.0)]
    mask = (NAMES[:, None] == NAMES[None, :]) & (diagonal | ~np.eye(6, dtype=bool))
    value, slopes = value_and_gradient(lambda *x: losses.symmetric_info_nce(*x, mask), *arguments)
    assert value == pytest.approx(without_duplicates(*arguments), rel=1e-5)
    for i, slope in enumerate(slopes):
        function = lambda x: without_duplicates(*arguments[:i], x, *arguments[i + 1 :])
        np.testing.assert_allclose(slope, loops.gradient(function, arguments[i]), atol=1e-4)


def test_equal_captions_do_not_repel_each_other():
    plain, model = make(), make(mask_duplicates=True)
    view, text = images(6), tokens(3, seed=1)[NAMES]
    a = np.asarray(model.image_head(model.encoder(view)))
    b = np.asarray(model.text_head(model.text_encoder(text)))
    found = float(model.objective([view], text)["loss"])
    assert found == pytest.approx(without_duplicates(a, b, 1 / 0.07), rel=1e-5)
    alike = np.repeat(text[:1], 6, axis=0)
    assert float(model.objective([view], alike)["loss"]) == pytest.approx(0, abs=1e-6)
    assert float(plain.objective([view], alike)["loss"]) >= np.log(6) - 1e-4
    almost = np.repeat(text[:1], 6, axis=0)
    almost[:, 0] = np.arange(6)  # one token of seven differs
    assert float(model.objective([view], almost)["loss"]) > 1
    with pytest.raises(ValueError, match="mask_duplicates must be True or False"):
        make(mask_duplicates=1)


def test_equal_captions_of_two_replicas_do_not_repel_each_other(two_replicas):
    first, second = (vectors(6, 4, seed=seed).astype("float32") for seed in (0, 1))
    text = tokens(3)[NAMES]

    def value_and_slopes(a, b, text):
        with tf.GradientTape() as tape:
            tape.watch((a, b))
            loss = losses.symmetric_info_nce(a, b, 5.0, equal_texts(text)) / keras_ssl.distribute.replicas()
        return loss, *tape.gradient(loss, (a, b))

    loss, *slopes = value_and_slopes(tf.constant(first), tf.constant(second), text)
    assert float(loss) == pytest.approx(without_duplicates(first, second, 5.0), rel=1e-5)
    (one, *ones), (two, *twos) = on_replicas(two_replicas, value_and_slopes, first, second, text)
    assert one + two == pytest.approx(float(loss), rel=1e-5)
    for expected, *halves in zip(slopes, ones, twos):
        np.testing.assert_allclose(np.concatenate(halves), expected, atol=1e-5)


def test_clip_equals_its_paper():
    model = make(temperature=0.2)
    a = np.asarray(model.image_head(model.encoder(images())))
    b = np.asarray(model.text_head(model.text_encoder(tokens())))
    logs = model.train_on_batch({"views": (images(),), "text": tokens()}, return_dict=True)
    assert float(logs["loss"]) == pytest.approx(reference.symmetric_info_nce(a, b, 5.0), rel=1e-5)
    assert float(logs["scale"]) == pytest.approx(5.0, rel=1e-5)
    assert float(model.log_scale) != pytest.approx(np.log(5.0), abs=1e-7)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_scale_is_clipped_after_the_step(sign):
    model = make(learning_rate=1e4)
    target = model.image_head.weights[0]

    def objective(views, text):
        loss = -sign * model.log_scale + 0 * ops.sum(target)
        return {"loss": loss, "scale": ops.exp(model.log_scale)}

    model.objective = objective
    with pytest.warns(UserWarning, match="Gradients do not exist"):  # this objective leaves most weights alone
        model.train_on_batch({"views": (images(),), "text": tokens()})
    scale = np.exp(float(model.log_scale))
    assert scale == pytest.approx(100.0, rel=1e-5) if sign > 0 else scale < 1e-6


def test_what_follows_the_end_has_no_part_and_what_stands_before_it_has():
    model, text = tower(), tokens()
    features = np.asarray(model(text))
    ends = text.argmax(axis=1)
    after, before = text.copy(), text.copy()
    for row, end in zip(after, ends):
        row[end + 1 :] = 5
    before[:, 0] = (text[:, 0] + 1) % 18
    np.testing.assert_allclose(model(after), features, atol=1e-6)
    assert (np.abs(model(before) - features).max(axis=1) > 1e-3).all()


def test_the_text_transformer_equals_its_loop():
    model, text = tower(), tokens()
    weights = {v.path: v.numpy().astype("float64") for v in model.weights}
    expected = [transformer(weights, row, depth=2, heads=2) for row in text]
    np.testing.assert_allclose(model(text), expected, atol=1e-4)


def transformer(weights, row, depth, heads):
    def norm(x, name):
        x = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
        return x * weights[f"{name}/gamma"] + weights[f"{name}/beta"]

    def dense(x, name):
        return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]

    x = [weights["embedding/tokens"][t] + weights["embedding/positions"][i] for i, t in enumerate(row)]
    for block in (f"block{i + 1}" for i in range(depth)):
        queries, keys, values = zip(
            *[np.split(dense(norm(one, f"{block}_norm1"), f"{block}_query_key_value"), 3) for one in x]
        )
        for i in range(len(x)):
            found = []
            for q, k, v in zip(*(np.split(np.stack(part), heads, axis=1) for part in (queries, keys, values))):
                shares = np.exp(k[: i + 1] @ q[i] / np.sqrt(len(q[i])))
                found.append(shares @ v[: i + 1] / shares.sum())
            x[i] = x[i] + dense(np.concatenate(found), f"{block}_output")
            y = dense(norm(x[i], f"{block}_norm2"), f"{block}_mlp1")
            x[i] = x[i] + dense(y / (1 + np.exp(-1.702 * y)), f"{block}_mlp2")
    return norm(x[row.argmax()], "norm")


def test_the_text_transformer_starts_as_the_authors_does():
    model = encoders.text_transformer(vocabulary=300, length=50, width=64, depth=3, heads=4)
    expected = {"tokens": 0.02, "positions": 0.01, "query_key_value/kernel": 64**-0.5, "mlp1/kernel": 128**-0.5}
    expected |= dict.fromkeys(["output/kernel", "mlp2/kernel"], 64**-0.5 * 6**-0.5)
    for end, deviation in expected.items():
        found = [v.numpy().std() for v in model.weights if v.path.endswith(end)]
        assert found and np.allclose(found, deviation, rtol=0.05), end
    assert model.count_params() == weights_of(300, 50, 64, 3)
    # the text side of the authors' ViT-B/32 has 63,428,096, the projection of 512 x 512 among them
    assert weights_of(*encoders.text_transformer.__defaults__[:4]) == 63_428_096 - 512**2


def weights_of(vocabulary, length, width, depth):
    return (vocabulary + length) * width + depth * (12 * width**2 + 13 * width) + 2 * width


def test_the_gradient_of_the_tokens_is_dense():
    model = tower()
    with tf.GradientTape() as tape:
        loss = ops.sum(model(tokens()) ** 3)
    slopes = tape.gradient(loss, [v.value for v in model.trainable_variables])
    assert all(isinstance(slope, tf.Tensor) for slope in slopes)


def test_a_text_transformer_comes_back(tmp_path):
    model = tower()
    model.save(tmp_path / "text.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "text.keras")(tokens()), model(tokens()))


@pytest.mark.parametrize("bad", [{"vocabulary": 0}, {"length": 2.5}, {"width": -1}, {"depth": 0}, {"heads": None}])
def test_wrong_sizes_are_refused(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} must be a positive int"):
        encoders.text_transformer(**{"width": 8, "depth": 1, "heads": 2} | bad)
    with pytest.raises(ValueError, match="heads must divide width"):
        encoders.text_transformer(width=8, depth=1, heads=3)


def test_bytes():
    found = encoders.byte_tokens(["ab", "", "äbcdefg"], length=6)
    assert found.tolist() == [
        [256, 97, 98, 257, 0, 0], [256, 257, 0, 0, 0, 0], [256, 195, 164, 98, 99, 257],
    ]
    assert found.dtype == "int32"
    with pytest.raises(ValueError, match="list of str"):
        encoders.byte_tokens("ab")
    with pytest.raises(ValueError, match="at least 2"):
        encoders.byte_tokens(["ab"], length=1)


def test_zero_shot_is_the_normalized_mean_of_the_prompts():
    model = make()
    prompts = [tokens(3, seed=1), tokens(2, seed=2)]
    classifier = np.asarray(model.zero_shot(prompts))
    texts = [unit(np.asarray(model.text_head(model.text_encoder(of_class)))) for of_class in prompts]
    np.testing.assert_allclose(classifier, [unit(of_class.mean(axis=0)) for of_class in texts], atol=1e-5)
    found = np.asarray(model.classify(images(), classifier))
    logits = unit(np.asarray(model.image_head(model.encoder(images())))) @ classifier.T / 0.07
    np.testing.assert_allclose(found, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), atol=1e-4)


def test_images_find_their_words():
    """Four plain colors and a word for each are told apart after a few steps."""
    keras.utils.set_random_seed(0)
    model = make()
    model.compile(optimizer=keras.optimizers.Adam(0.02))
    colors = np.repeat(np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]], "float32"), 64, axis=0)
    colors = colors.reshape(4, 8, 8, 3)
    words = np.array([[1, 2 + i, 19] + [0] * (LENGTH - 3) for i in range(4)], "int32")
    data = tf.data.Dataset.from_tensors({"views": (colors,), "text": words}).repeat(100)
    model.fit(data, verbose=0)
    found = np.asarray(model.classify(colors, model.zero_shot(words[:, None])))
    np.testing.assert_array_equal(found.argmax(axis=1), np.arange(4))


@pytest.mark.parametrize("bad", [None, "bert", keras.Sequential([keras.layers.Dense(3)])])
def test_wrong_text_encoders_are_refused(bad):
    with pytest.raises(ValueError, match="text_encoder must be a built keras.Model"):
        keras_ssl.CLIP(encoder(), text_encoder=bad)
