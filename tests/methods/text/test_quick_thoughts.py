"""QuickThoughts: arXiv 1803.02893."""

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import augment, data, encoders, inputs
from keras_ssl.methods.text.quick_thoughts import choice
from tests import cases, kinds
from tests.reference.losses import gradient
from tests.test_distribute import on_replicas
from tests.test_redundancy import value_and_gradient, vectors


def pairs(count):
    """Two texts in one, each of three tokens at least."""
    columns = kinds.tokens(count, length=kinds.LENGTH)
    middle = columns["padding_mask"].sum(axis=1, keepdims=True) // 2
    return {**columns, "segment_ids": (np.arange(kinds.LENGTH) >= middle).astype("int32") * columns["padding_mask"]}


CASE = cases.Case(
    {"other": kinds.token_encoder}, kinds.token_encoder, augment.SplitSegments, kind=inputs.TOKENS, samples=pairs
)


def loop(looking, found):
    scores = np.float64(looking) @ np.float64(found).T
    return np.mean([np.log(np.exp(row).sum()) - row[i] for i, row in enumerate(scores)])


def test_the_choice_is_the_loop():
    looking, found = vectors(4, 3), vectors(4, 3, seed=1)
    value, slopes = value_and_gradient(lambda a, b: choice(a, b)[0], looking, found)
    assert float(value) == pytest.approx(loop(looking, found), rel=1e-9)
    np.testing.assert_allclose(slopes[0], gradient(lambda x: loop(x, found), looking), atol=1e-7)
    np.testing.assert_allclose(slopes[1], gradient(lambda x: loop(looking, x), found), atol=1e-7)
    assert float(choice(np.eye(3) * 9, np.eye(3))[1]) == 1 and float(choice(np.eye(3), np.eye(3)[[1, 2, 0]])[1]) == 0


def test_two_replicas_are_one(two_replicas):
    looking, found = vectors(6, 3), vectors(6, 3, seed=1)
    halves = on_replicas(two_replicas, lambda a, b: choice(a, b)[0], looking, found)
    assert np.mean(halves) == pytest.approx(loop(looking, found), rel=1e-5)


def test_the_loss_of_the_model_is_that_of_both_directions():
    model = cases.new("QuickThoughts")
    views = augment.SplitSegments()(pairs(5))
    f, g = ([np.asarray(encoder(view)) for view in views] for encoder in (model.encoder, model.other))
    found = float(model({"views": views}, training=True)["loss"])
    assert found == pytest.approx((loop(f[0], g[1]) + loop(f[1], g[0])) / 2, rel=1e-4)


def test_the_features_are_those_of_both_encoders():
    model, columns = cases.new("QuickThoughts"), kinds.tokens(3)
    expected = np.concatenate([model.encoder(columns), model.other(columns)], axis=1)
    np.testing.assert_allclose(model.predict(columns, verbose=0), expected, atol=1e-6)


def test_the_two_encoders_share_no_weight():
    encoder = kinds.token_encoder()
    for other in (encoder, "text", encoders.word_vectors(20, 5)):
        with pytest.raises(ValueError, match="other must be a keras.Model like the encoder"):
            keras_ssl.QuickThoughts(encoder, other=other)
    images = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(16)])
    with pytest.raises(ValueError, match="must take the same dict of columns"):
        keras_ssl.QuickThoughts(encoder, other=images)


def test_a_pair_is_split_into_its_texts():
    tokens, segments = np.array([[2, 5, 6, 3, 7, 3, 0]], "int32"), np.array([[0, 0, 0, 0, 1, 1, 0]], "int32")
    sample = {"token_ids": tokens, "padding_mask": tokens > 0, "segment_ids": segments}
    first, second = augment.SplitSegments()(sample)
    assert first["token_ids"].numpy().tolist() == [[2, 5, 6, 3, 0, 0, 0]]
    assert second["token_ids"].numpy().tolist() == [[7, 3, 0, 0, 0, 0, 0]]
    assert second["padding_mask"].numpy().sum() == 2 and set(first) == {"token_ids", "padding_mask"}
    with pytest.raises(ValueError, match="needs the column 'segment_ids'"):
        augment.SplitSegments()({"token_ids": tokens})


# The data


DOCUMENTS = [["a b c", "d e", "f"], ["g", "h i"], ["j"]]


def test_pairs_are_neighbors_of_a_document():
    columns, vocabulary, truncated = data.sentence_pairs(DOCUMENTS, length=8)
    said = [vocabulary.decode(row[mask]) for row, mask in zip(columns["token_ids"], columns["padding_mask"])]
    assert said == ["a b c d e", "d e f", "g h i"] and truncated == 0
    assert columns["segment_ids"].sum(axis=1).tolist() == [2, 1, 2] and columns["is_next"].tolist() == [1, 1, 1]


def test_longer_sentences_lose_their_end_first():
    columns, vocabulary, truncated = data.sentence_pairs(DOCUMENTS, length=7, ends=True)
    assert vocabulary.decode(columns["token_ids"][0]) == "[CLS] a b [SEP] d e [SEP]" and truncated == 1
    assert columns["segment_ids"][0].tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_half_of_the_pairs_are_of_two_documents():
    documents = [[f"d{d} s{s}" for s in range(9)] for d in range(60)]
    columns, vocabulary, _ = data.sentence_pairs(documents, length=6, negatives=0.5, seed=1)
    share = columns["is_next"].mean()
    assert 0.43 < share < 0.57
    for row, is_next in zip(columns["token_ids"], columns["is_next"]):
        one, _, other, _ = vocabulary.decode(row[:4]).split()
        assert (one == other) == is_next
    again, *_ = data.sentence_pairs(documents, length=6, negatives=0.5, seed=1)
    np.testing.assert_array_equal(again["token_ids"], columns["token_ids"])


@pytest.mark.parametrize(
    "documents, options, words",
    [
        ([["a"], ["b"]], {}, "at least one of them with two"),
        (["a b"], {}, "none with two sentences"),
        ([["a", "b"]], {"negatives": 0.5}, "another document. Received: one document"),
        ([["a", "b"], []], {"negatives": 0.5}, "another document. Received: one document"),
        (DOCUMENTS, {"negatives": 1}, "negatives must be a finite number"),
        (DOCUMENTS, {"length": 1}, "length must be an int from 2"),
        (DOCUMENTS, {"length": 4, "ends": True}, "length without"),
    ],
)
def test_wrong_documents_are_refused(documents, options, words):
    with pytest.raises(ValueError, match=words):
        data.sentence_pairs(documents, **options)


# What it learns


def topical(documents=24, topics=6, words=5):
    """Sentences whose words tell the topic of their document."""
    rng = np.random.default_rng(0)
    sentence = lambda topic: " ".join(f"t{topic}w{rng.integers(words)}" for _ in range(4))  # noqa: E731
    return [[sentence(d % topics) for _ in range(8)] for d in range(documents)]


def test_neighbors_are_found_after_a_few_steps():
    keras.utils.set_random_seed(0)
    columns, vocabulary, _ = data.sentence_pairs(topical(), length=8)
    del columns["is_next"]
    encoder, other = (encoders.word_vectors(len(vocabulary), 16) for _ in range(2))
    model = keras_ssl.QuickThoughts(encoder, augment.SplitSegments(), other=other)
    model.compile(keras.optimizers.Adam(0.03))
    history = model.fit(data.arrays(columns, 24), epochs=8, verbose=0).history["loss"]
    assert history[0] < 3.3 and history[-1] < 2.0  # log 24 = 3.2 by chance, log 4 = 1.4 with the topic known
