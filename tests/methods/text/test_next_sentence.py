"""NextSentence: arXiv 1810.04805."""

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import augment, data, encoders, inputs
from tests import cases, kinds
from tests.methods.text.test_quick_thoughts import pairs, topical


def small_encoder(**options):
    sizes = {"width": 8, "depth": 1, "heads": 2, "pooling": "first", "causal": False, "segments": 2, "bert": True}
    return encoders.text_transformer(kinds.VOCABULARY, kinds.LENGTH, **sizes | options)


def next_of(count):
    return {"is_next": np.arange(count) % 2}


def marked(count):
    return pairs(count) | next_of(count)


def lively(model):
    """The weights of BERT start so small that the first losses of all seeds are nearly equal."""
    for weight in model.trainable_variables:
        if len(weight.shape) > 1:
            weight.assign(weight * 5)


CASE = cases.Case(
    {}, small_encoder, augment.Unchanged, kind=inputs.TOKENS, samples=pairs, columns=next_of, prepare=lively
)


def test_the_loss_is_the_cross_entropy_of_the_pooled_first_token():
    model, columns, is_next = cases.new("NextSentence"), pairs(5), next_of(5)["is_next"]
    first = np.float64(model.tokens(columns)[0])[:, 0]
    pooler, bias, kernel, last = (np.float64(x) for x in model.next_head.get_weights())
    logits = np.tanh(first @ pooler + bias) @ kernel + last
    expected = np.mean([np.log(np.exp(row).sum()) - row[y] for row, y in zip(logits, is_next)])
    found = model({"views": [columns], "is_next": is_next}, training=True)
    assert float(found["loss"]) == pytest.approx(expected, rel=1e-4)
    assert float(found["next_accuracy"]) == pytest.approx(np.mean(logits.argmax(axis=1) == is_next))


def test_segments_are_told_apart():
    encoder, columns = small_encoder(), pairs(4)
    turned = {**columns, "segment_ids": 1 - columns["segment_ids"]}
    assert np.abs(encoder(columns) - encoder(turned)).max() > 1e-3
    with pytest.raises(ValueError, match="segments go with another pooling"):
        encoders.text_transformer(20, 10, 8, 1, 2, segments=2)


def test_the_blocks_of_bert_are_the_loop():
    """Normalization behind each part, GELU, no mask but that of the padding."""
    encoder, columns = small_encoder(width=4), pairs(2)
    w = {v.path.split("/", v.path.count("/") - 1)[-1]: np.float64(v) for v in encoder.weights}
    tokens, segments, real = (columns[key] for key in ("token_ids", "segment_ids", "padding_mask"))

    def norm(x, name):
        x = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-12)
        return x * w[f"{name}/gamma"] + w[f"{name}/beta"]

    def linear(x, name):
        return x @ w[f"{name}/kernel"] + w[f"{name}/bias"]

    for row in range(2):
        x = w["embedding/tokens"][tokens[row]] + w["embedding/positions"] + w["segments/vectors"][segments[row]]
        x = norm(x, "embedding_norm")
        query, key, value = linear(x, "block1_query_key_value").reshape(-1, 3, 2, 2).transpose(1, 2, 0, 3)
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(2) + np.where(real[row], 0, -1e9)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        y = (shares / shares.sum(axis=-1, keepdims=True) @ value).transpose(1, 0, 2).reshape(-1, 4)
        x = norm(x + linear(y, "block1_output"), "block1_norm1")
        y = linear(x, "block1_mlp1")
        y = y * np.vectorize(gauss)(y)
        x = norm(x + linear(y, "block1_mlp2"), "norm")
        np.testing.assert_allclose(encoder(columns)[row], x[0], atol=1e-4)


def gauss(x):
    from math import erf

    return 0.5 * (1 + erf(x / np.sqrt(2)))


def test_the_starting_weights_are_berts():
    encoder = encoders.text_transformer(500, 8, 64, 1, 4, pooling="first", causal=False, segments=2, bert=True)
    for weight in encoder.weights:
        if len(weight.shape) > 1:
            assert np.abs(weight).max() <= 0.0401 and 0.015 < np.std(weight) < 0.02, weight.path


def accuracy_of(topics):
    """How many pairs of a held-out part are told right after some training, where documents have so many topics."""
    keras.utils.set_random_seed(0)
    documents = topical(documents=200, topics=topics, words=2)
    columns, vocabulary, _ = data.sentence_pairs(documents[:160], length=11, ends=True, negatives=0.5)
    test, *_ = data.sentence_pairs(documents[160:], length=11, vocabulary=vocabulary, ends=True, negatives=0.5)
    sizes = {"width": 32, "depth": 2, "heads": 4, "pooling": "first", "causal": False, "segments": 2, "bert": True}
    model = keras_ssl.NextSentence(encoders.text_transformer(len(vocabulary), 11, **sizes), augment.Unchanged())
    lively(model)
    model.compile(keras.optimizers.Adam(0.003))
    model.fit(data.arrays(columns, 80), epochs=12, verbose=0)
    logits = model.next_head(model.tokens({name: test[name] for name in test if name != "is_next"})[0][:, 0])
    return np.mean(np.argmax(logits, axis=-1) == test["is_next"])


def test_next_sentences_are_told_by_their_topic_and_not_without():
    assert accuracy_of(topics=8) > 0.8
    assert accuracy_of(topics=1) < 0.6
