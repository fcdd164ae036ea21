"""CausalLM: Radford et al., 2018."""

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import augment, data, encoders, inputs
from keras_ssl.encoders.text import is_causal
from tests import cases, kinds
from tests.test_distribute import on_replicas


def small_encoder(**options):
    sizes = {"width": 8, "depth": 1, "heads": 2, "pooling": "mean", "causal": True}
    return encoders.text_transformer(kinds.VOCABULARY, kinds.LENGTH, **sizes | options)


CASE = cases.Case({}, small_encoder, augment.Unchanged, kind=inputs.TOKENS, samples=kinds.tokens)


def reference(logits, tokens, lengths):
    """The mean over all next tokens that are real, one at a time."""
    found = []
    for row, numbers, length in zip(np.float64(logits), tokens, lengths):
        for t in range(length - 1):
            found.append(np.log(np.exp(row[t] - row[t].max()).sum()) + row[t].max() - row[t][numbers[t + 1]])
    return np.mean(found)


@pytest.mark.parametrize("tied", [True, False])
def test_the_loss_is_the_loop_and_padding_does_not_count(tied):
    model, columns = keras_ssl.CausalLM(small_encoder(), tied=tied), kinds.tokens(5)
    tokens, lengths = columns["token_ids"], columns["padding_mask"].sum(axis=1)
    found = model({"views": [columns]}, training=True)
    expected = reference(model.scores(columns), tokens, lengths)
    assert float(found["loss"]) == pytest.approx(expected, rel=1e-4)
    assert float(found["perplexity"]) == pytest.approx(np.exp(expected), rel=1e-4)
    other = {**columns, "token_ids": np.where(columns["padding_mask"], tokens, 7)}
    assert float(model({"views": [other]}, training=True)["loss"]) == float(found["loss"])


def test_the_perplexity_is_that_of_all_replicas(two_replicas):
    model, columns = keras_ssl.CausalLM(small_encoder()), kinds.tokens(4)
    columns["padding_mask"] = np.arange(10) < np.array([[10], [9], [2], [3]])  # few tokens on the second replica
    whole = float(model({"views": [columns]}, training=True)["perplexity"])
    names = sorted(columns)

    def perplexity(*parts):
        return model({"views": [dict(zip(names, parts))]}, training=True)["perplexity"]

    found = on_replicas(two_replicas, perplexity, *(columns[name] for name in names))
    np.testing.assert_allclose(found, whole, rtol=1e-4)


def test_the_future_has_no_part():
    model, columns = keras_ssl.CausalLM(small_encoder(depth=2)), kinds.tokens(3)
    columns["padding_mask"][:] = True
    changed = {**columns, "token_ids": columns["token_ids"].copy()}
    changed["token_ids"][:, 6:] = 3
    one, two = (np.asarray(model.scores(x)) for x in (columns, changed))
    np.testing.assert_array_equal(one[:, :6], two[:, :6])
    assert np.abs(one[:, 6:] - two[:, 6:]).max() > 1e-4


def test_encoders_that_see_the_future_are_refused():
    assert is_causal(small_encoder()) and not is_causal(small_encoder(causal=False))
    with pytest.raises(ValueError, match="whose tokens see none behind them"):
        keras_ssl.CausalLM(small_encoder(causal=False))
    for encoder in (kinds.token_encoder(), small_encoder(pooling=None)):
        with pytest.raises(ValueError, match="text_tokens needs a text_transformer|features of shape"):
            keras_ssl.CausalLM(encoder)


def test_the_tied_scores_are_those_of_the_table():
    model, columns = keras_ssl.CausalLM(small_encoder()), kinds.tokens(2)
    hidden = np.asarray(model.tokens(columns)[0])
    table = model.encoder.get_layer("embedding").tokens.numpy()
    np.testing.assert_allclose(model.scores(columns), hidden @ table.T, atol=1e-5)
    assert len(keras_ssl.CausalLM(small_encoder(), tied=False).trainable_variables) == 1 + len(
        model.trainable_variables
    )


def test_the_features_are_the_mean_of_the_tokens():
    encoder, columns = small_encoder(), kinds.tokens(3)
    tokens, features = (np.asarray(x) for x in encoders.text_tokens(encoder)(columns))
    for row, mask in enumerate(columns["padding_mask"]):
        np.testing.assert_allclose(features[row], tokens[row, mask].mean(axis=0), atol=1e-5)


def test_what_follows_is_learned():
    """Texts count up: after a few steps the next token is known, better than by how often tokens come."""
    keras.utils.set_random_seed(0)
    starts = np.random.default_rng(0).integers(0, 19, (128, 1))
    columns = {"token_ids": 1 + (starts + np.arange(10)) % 19, "padding_mask": np.ones((128, 10), bool)}
    model = keras_ssl.CausalLM(small_encoder(width=32), augment.Unchanged())
    model.compile(keras.optimizers.Adam(0.01))
    history = model.fit(data.arrays(columns, 32), epochs=8, verbose=0).history
    assert history["loss"][0] > 1.5 and history["perplexity"][-1] < 3  # 19 by their frequency
