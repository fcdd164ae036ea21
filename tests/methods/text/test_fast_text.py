"""FastText: arXiv 1607.04606."""

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import augment, data, encoders, inputs
from keras_ssl.encoders.words import hash_of, parts_of_word, vectors_of_words
from tests import cases, kinds
from tests.methods.text.test_word_skip_gram import COUNTS, SMALL, contrast_of_slots, sgd, subsampled, with_outputs
from tests.reference import words as reference

WORDS = [f"{stem}{end}" for stem in ("walk", "talk", "sing", "été") for end in ("", "s", "ed", "ing")][:15]


def with_parts(**options):
    return encoders.word_vectors(kinds.VOCABULARY, 6, words=WORDS, **{"buckets": 50} | options)


CASE = cases.Case(
    SMALL, with_parts, subsampled, sgd, kind=inputs.TOKENS, samples=kinds.tokens, prepare=with_outputs
)


def test_parts_of_a_word_are_the_list_by_hand():
    assert parts_of_word("where", 3, 3) == ["<wh", "whe", "her", "ere", "re>"]
    assert parts_of_word("né", 1, 3) == ["<n", "<né", "n", "né", "né>", "é", "é>"]
    assert parts_of_word("a") == ["<a>"] and parts_of_word("where", 3, 0) == []


@pytest.mark.parametrize("text", ["", "a", "foobar", "<wh", "né>", "日本"])
def test_the_hash_is_fnv_with_signed_bytes(text):
    assert hash_of(text) == reference.fnv(text)
    if text == "foobar":
        assert hash_of(text) == 0xBF9CF968  # of the list of the algorithm's authors


def test_a_word_is_the_mean_of_itself_and_its_parts():
    encoder = with_parts()
    layer = encoder.get_layer("words")
    kernel = layer.kernel.numpy()
    rows = [5 + 2, *(20 + reference.fnv(part) % 50 for part in parts_of_word("walked"))]
    np.testing.assert_allclose(layer(np.array([[7]]))[0, 0], kernel[rows].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(layer(np.array([[3]]))[0, 0], kernel[3], atol=1e-6)  # special tokens have no parts
    np.testing.assert_allclose(vectors_of_words(encoder, ["walked"])[0], kernel[rows].mean(axis=0), atol=1e-6)
    unseen = [20 + reference.fnv(part) % 50 for part in parts_of_word("walker")]
    np.testing.assert_allclose(vectors_of_words(encoder, ["walker"])[0], kernel[unseen].mean(axis=0), atol=1e-6)
    assert kernel.shape == (70, 6) and 0.16 < np.abs(kernel).max() <= 1 / 6


def test_an_encoder_with_parts_is_saved_with_its_words(tmp_path):
    encoder, columns = with_parts(), kinds.tokens(3)
    encoder.save(tmp_path / "e.keras")
    again = keras.saving.load_model(tmp_path / "e.keras")
    np.testing.assert_array_equal(again.predict(columns, verbose=0), encoder.predict(columns, verbose=0))


def test_wrong_encoders_are_refused():
    with pytest.raises(ValueError, match="words must be at most vocabulary=2"):
        encoders.word_vectors(2, 4, words=["a", "b", "c"])
    with pytest.raises(ValueError, match="word_vectors with words"):
        vectors_of_words(encoders.word_vectors(20, 4), ["a"])


@pytest.mark.parametrize("mode, name", [("skipgram", "WordSkipGram"), ("cbow", "WordCBOW")])
def test_without_parts_it_is_word2vec(mode, name):
    found = []
    for method, options in (("FastText", {"mode": mode, "power": 0.75}), (name, {})):
        keras.utils.set_random_seed(0)
        model = getattr(keras_ssl, method)(with_parts(longest=0), counts=COUNTS, **options)
        with_outputs(model)
        found.append(float(model({"views": [kinds.tokens(4)]}, training=True)["loss"]))
    assert found[0] == found[1]


def test_an_unseen_form_is_near_its_stem():
    """Sentences about what each stem is used with; the form of one stem is left out."""
    keras.utils.set_random_seed(0)
    rng, stems = np.random.default_rng(0), ["walk", "sing", "cook", "jump"]
    partners = [["road", "path"], ["song", "choir"], ["soup", "pan"], ["rope", "fence"]]
    sentences = []
    for _ in range(300):
        number = int(rng.integers(4))
        form = stems[number] + str(rng.choice(["", "s", "ed", "er"]))
        sentences.append(f"{form} {rng.choice(partners[number])} {rng.choice(partners[number])}")
    dataset = data.texts(sentences, 50, length=3)
    counts, words = dataset.vocabulary.token_counts(), dataset.vocabulary.words
    encoder = encoders.word_vectors(len(counts), 12, words=words, buckets=500)
    model = keras_ssl.FastText(encoder, augment.SubsampleTokens(counts, 1.0), counts=counts, window=2)
    model.compile(keras.optimizers.Adam(0.02))
    model.fit(dataset, epochs=12, verbose=0)
    assert "walking" not in words
    x = vectors_of_words(encoder, ["walking", *stems])
    cosines = x[1:] @ x[0] / np.linalg.norm(x[1:], axis=1) / np.linalg.norm(x[0])
    assert cosines[0] > 0.5 and cosines[0] > cosines[1:].max()


def test_words_of_one_slot_become_alike():
    before, after = contrast_of_slots("FastText", mode="cbow")
    assert after > before + 0.3
