"""BERTPretraining: arXiv 1810.04805."""

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import augment, data, encoders, inputs
from keras_ssl.augment.rows import local_seeds
from tests import cases, kinds
from tests.methods.text.test_causal_lm import small_encoder as causal
from tests.methods.text.test_next_sentence import lively, next_of, small_encoder
from tests.methods.text.test_quick_thoughts import pairs

SMALL = {"mask_id": 1, "special": (0, 1), "ratio": 0.4}
CASE = cases.Case(
    SMALL, small_encoder, augment.Unchanged, kind=inputs.TOKENS, samples=pairs, columns=next_of, prepare=lively
)


def masked(model, columns):
    """What the next step hides: the changed texts, and where they are hidden."""
    state = model.draws.state.numpy()
    seeds = local_seeds(model.draws, len(columns["token_ids"]))
    model.draws.state.assign(state)
    sample, hidden = model.masking.transform(columns, **model.masking.draw(seeds, columns["token_ids"].shape[1:]))
    return {name: np.asarray(x) for name, x in sample.items()}, np.asarray(hidden)


def test_the_loss_is_the_loop_over_the_hidden_tokens_and_that_of_the_pairs():
    model, columns, is_next = cases.new("BERTPretraining"), pairs(6), next_of(6)["is_next"]
    sample, hidden = masked(model, columns)
    found = {key: float(x) for key, x in model({"views": [columns], "is_next": is_next}, training=True).items()}
    features, _ = model.tokens(sample)
    logits = np.float64(model.scores(features))
    losses, right = [], []
    for row, t in zip(*hidden.nonzero()):
        own, token = logits[row, t], columns["token_ids"][row, t]
        losses.append(np.log(np.exp(own - own.max()).sum()) + own.max() - own[token])
        right.append(own.argmax() == token)
    pair = model.next_sentence(features, is_next)
    assert found["masked_loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert found["masked_accuracy"] == pytest.approx(np.mean(right), abs=1e-6)
    assert found["loss"] == pytest.approx(np.mean(losses) + float(pair["loss"]), rel=1e-4)


def test_the_output_is_tied_and_its_network_is_berts():
    model = keras_ssl.BERTPretraining(small_encoder(), **SMALL)
    names = [weight.name for weight in model.token_head.trainable_variables]
    assert names == ["kernel", "bias", "gamma", "beta"] and model.token_bias.shape == (kinds.VOCABULARY,)
    features = np.random.default_rng(0).normal(size=(1, 3, 8)).astype("float32")
    table = model.encoder.get_layer("embedding").tokens.numpy()
    np.testing.assert_allclose(model.scores(features), model.token_head(features).numpy() @ table.T, atol=1e-5)


def test_tokens_are_hidden_as_in_the_paper_and_special_ones_never():
    tokens = np.random.default_rng(0).integers(5, 400, (2000, 64)).astype("int32")
    tokens[:, 0], tokens[:, 30] = 2, 3
    encoder = encoders.text_transformer(400, 64, 8, 1, 2, pooling="first", causal=False, segments=2, bert=True)
    model = keras_ssl.BERTPretraining(encoder, mask_id=4, special=(0, 1, 2, 3, 4))
    columns = {"token_ids": tokens, "padding_mask": np.ones((2000, 64), bool), "segment_ids": tokens * 0}
    sample, hidden = masked(model, columns)
    found = sample["token_ids"]
    assert hidden.mean() == pytest.approx(0.15 * 62 / 64, abs=0.002) and hidden.sum(axis=1).max() <= model.most
    assert not hidden[:, [0, 30]].any() and (found == tokens)[~hidden].all()
    shares = [(found == 4)[hidden].mean(), (found == tokens)[hidden].mean()]
    np.testing.assert_allclose(shares, [0.8, 0.1 + 0.1 / 395], atol=0.01)
    other = found[hidden & (found != 4) & (found != tokens)]
    assert len(other) / hidden.sum() == pytest.approx(0.1, abs=0.01) and other.min() >= 5


def test_what_is_hidden_has_no_part_in_its_scores():
    model, columns = cases.new("BERTPretraining"), pairs(4)
    sample, hidden = masked(model, columns)
    shown = hidden & (sample["token_ids"] == 1)
    other = {**columns, "token_ids": np.where(shown, 2 + columns["token_ids"] % 17, columns["token_ids"])}
    again, _ = masked(model, other)
    np.testing.assert_array_equal(again["token_ids"], sample["token_ids"])
    assert shown.any() and (other["token_ids"] != columns["token_ids"]).any()


def test_other_steps_hide_other_tokens():
    model, columns = cases.new("BERTPretraining"), pairs(8)
    _, first = masked(model, columns)
    model({"views": [columns], **next_of(8)}, training=True)
    assert (masked(model, columns)[1] != first).any()


def test_wrong_arguments_are_refused():
    for options, words in (({"ratio": 0.0}, "ratio must be"), ({"mask_id": -1}, "mask_id must be")):
        with pytest.raises(ValueError, match=words):
            keras_ssl.BERTPretraining(small_encoder(), **{**SMALL, **options})
    with pytest.raises(ValueError, match="text_tokens needs a text_transformer"):
        keras_ssl.BERTPretraining(kinds.token_encoder(), **SMALL)
    assert keras_ssl.BERTPretraining(small_encoder(), **SMALL).most == 4
    for other in (causal(), small_encoder(causal=True), small_encoder(segments=None)):
        with pytest.raises(ValueError, match="sees both texts and tells them apart"):
            keras_ssl.BERTPretraining(other, **SMALL)
    for options in ({"mask_id": 20}, {"special": (0, 20)}):
        with pytest.raises(ValueError, match="tokens that the encoder knows, from 0 to 19"):
            keras_ssl.BERTPretraining(small_encoder(), **{**SMALL, **options})


def test_hidden_tokens_are_told_by_those_around_them():
    """Texts of pairs of equal tokens: the loss falls below the entropy of single tokens."""
    keras.utils.set_random_seed(0)
    doubled = np.random.default_rng(0).integers(5, 20, (512, 5)).repeat(2, axis=1)
    columns = {"token_ids": doubled, "padding_mask": np.ones((512, 10), bool), "segment_ids": doubled * 0}
    columns["is_next"] = np.arange(512) % 2
    model = keras_ssl.BERTPretraining(
        small_encoder(width=32, heads=4), augment.Unchanged(), mask_id=4, special=(0, 1, 2, 3, 4)
    )
    lively(model)
    model.compile(keras.optimizers.Adam(0.005))
    history = model.fit(data.arrays(columns, 64), epochs=25, verbose=0).history["masked_loss"]
    assert history[0] > 2.5 and history[-1] < 2.2  # log 15 = 2.7
