"""WordSkipGram: arXiv 1310.4546."""

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import augment, data, encoders, inputs, losses, recipes
from keras_ssl.methods.text.words import distances, neighbors, shares, within
from keras_ssl.recipes.text import word_skip_gram
from tests import cases, kinds
from tests.reference import words as reference
from tests.reference.losses import gradient
from tests.test_redundancy import value_and_gradient, vectors

COUNTS = [0, *range(1, kinds.VOCABULARY)]
SMALL = {"window": 2, "negatives": 2, "counts": COUNTS}


def small_encoder(**options):
    return encoders.word_vectors(kinds.VOCABULARY, 6, **options)


def subsampled():
    return augment.SubsampleTokens(COUNTS, 0.05)


def with_outputs(model):
    """They start at 0, where input vectors get no gradient."""
    model.output_vectors.assign(vectors(*model.output_vectors.shape))


def sgd():
    return keras.optimizers.SGD(1.0, momentum=0.9)


CASE = cases.Case(
    SMALL, small_encoder, subsampled, sgd, kind=inputs.TOKENS, samples=kinds.tokens, prepare=with_outputs
)


# The loss


def test_the_loss_is_the_loop():
    scores, others = vectors(2, 3, 4), vectors(2, 3, 4, 5, seed=1)
    mask, kept = vectors(2, 3, 4, seed=2) > 0, vectors(2, 3, 4, 5, seed=3) > -1

    def loop(scores, others):
        total = [-reference.log_sigmoid(scores[i]) - reference.log_sigmoid(-others[i][kept[i]]).sum()
                 for i in np.ndindex(*scores.shape) if mask[i]]  # fmt: skip
        return np.mean(total)

    value, slopes = value_and_gradient(lambda a, b: losses.negative_sampling(a, b, mask, kept), scores, others)
    assert float(value) == pytest.approx(loop(scores, others), rel=1e-9)
    np.testing.assert_allclose(slopes[0], gradient(lambda x: loop(x, others), scores), atol=1e-7)
    np.testing.assert_allclose(slopes[1], gradient(lambda x: loop(scores, x), others), atol=1e-7)
    assert losses.negative_sampling(scores.astype("float16"), others.astype("float16"), mask).dtype == "float32"


def test_the_loss_of_the_model_is_that_of_its_pairs():
    model = cases.new("WordSkipGram")
    columns = kinds.tokens(4)
    tokens, lengths = columns["token_ids"], columns["padding_mask"].sum(axis=1)
    state = model.draws.state.numpy()
    reach, drawn = (np.asarray(x) for x in model.draw(tokens, 4))
    model.draws.state.assign(state)
    found = float(model({"views": [columns]}, training=True)["loss"])
    of_words, output = np.float64(model.words(tokens)), np.float64(model.output_vectors)
    expected = reference.skip_gram(of_words, output, tokens, lengths, reach, drawn, window=2)
    assert found == pytest.approx(expected, rel=1e-4)


# Windows and drawn words


def test_neighbors_are_those_of_the_text():
    x = np.arange(1, 6)[None]
    expected = [[0, 0, 2, 3], [0, 1, 3, 4], [1, 2, 4, 5], [2, 3, 5, 0], [3, 4, 0, 0]]
    assert neighbors(x, 2).numpy()[0].tolist() == expected
    assert distances(2).tolist() == [2, 1, 1, 2]
    mask, reach = np.array([[True, True, True, False]]), np.array([[1, 2, 1, 2]], "int32")
    assert within(mask, reach, 2).numpy()[0].astype(int).tolist() == [
        [0, 0, 1, 0], [0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0],
    ]  # fmt: skip


def test_windows_are_uniform_and_words_are_drawn_by_their_power():
    model = keras_ssl.WordSkipGram(small_encoder(), counts=COUNTS, window=4, negatives=4, power=0.5)
    reach, drawn = (np.asarray(x) for x in model.draw(np.zeros((200, 50), "int32"), 2))
    shares_of = np.bincount(reach.ravel(), minlength=6)[1:] / reach.size
    np.testing.assert_allclose(shares_of, [0.25] * 4 + [0], atol=0.02)
    expected = np.sqrt(COUNTS) / np.sqrt(COUNTS).sum()
    np.testing.assert_allclose(np.bincount(drawn.ravel(), minlength=20) / drawn.size, expected, atol=0.005)
    assert shares([1, 0, 2, 0], 0.0, 4).tolist() == [0.5, 0.5, 2.0, 2.0]


@pytest.mark.parametrize("counts", [COUNTS[:-1], [-1, *COUNTS[1:]], [0] * 20, [np.nan] * 20])
def test_wrong_counts_are_refused(counts):
    with pytest.raises(ValueError, match="counts must be numbers from 0, (one for each of the 20|not all 0)"):
        keras_ssl.WordSkipGram(small_encoder(), counts=counts)


def test_other_encoders_are_refused():
    with pytest.raises(ValueError, match="WordSkipGram needs a word_vectors"):
        keras_ssl.WordSkipGram(kinds.token_encoder(), counts=COUNTS)


def test_input_and_output_are_two_tables_that_start_as_in_the_authors_code():
    model = keras_ssl.WordSkipGram(encoders.word_vectors(20, 50), counts=COUNTS)
    assert not np.any(model.output_vectors) and model.words.kernel is not model.output_vectors
    assert 0.0099 < np.abs(model.words.kernel).max() <= 0.01 and len(model.trainable_variables) == 2
    assert float(model({"views": [kinds.tokens(2)]}, training=True)["loss"]) == pytest.approx(6 * np.log(2), rel=0.05)


# The view


def test_frequent_tokens_are_left_out_before_the_windows_are_laid():
    counts, tokens = [0, 900, 90, 10], np.tile([1, 2, 3, 1, 0], (4000, 1)).astype("int32")
    mask = tokens > 0
    seeds = np.random.default_rng(0).integers(-(2**31), 2**31, (4000, 2)).astype("int32")
    layer = augment.SubsampleTokens(counts, 0.01)
    view = {name: np.asarray(x) for name, x in layer({"token_ids": tokens, "padding_mask": mask}, seeds=seeds).items()}
    share = np.bincount(view["token_ids"][view["padding_mask"]], minlength=4) / [1, 8000, 4000, 4000]
    ratio = np.array([1e9, 0.01 / 0.9, 0.01 / 0.09, 1.0])
    np.testing.assert_allclose(share[1:], np.minimum(1, np.sqrt(ratio) + ratio)[1:], atol=0.02)
    assert (np.diff(view["padding_mask"].astype(int), axis=1) <= 0).all()  # together, with padding on the right
    assert set(np.unique(view["token_ids"][~view["padding_mask"]])) == {0}


def test_tokens_that_were_never_there_are_left_out_but_for_special_ones():
    tokens = np.array([[2, 5, 1, 6, 1, 7]], "int32")  # 1 stands for unknown words, 2 for the start
    for special, expected in (((), [5, 6, 7]), ((2,), [2, 5, 6, 7])):
        view = augment.SubsampleTokens([0] * 5 + [1] * 3, 1.0, special=special)(tokens)
        assert np.asarray(view["token_ids"])[np.asarray(view["padding_mask"])].tolist() == expected


@pytest.mark.parametrize("name", ["WordSkipGram", "WordCBOW"])
def test_tokens_that_were_never_there_are_in_no_pair(name):
    """Whatever the view: they are never drawn, so that their vectors would only come nearer to all others."""
    model, tokens = cases.new(name), np.array([[7, 3, 7, 4, 5, 7]], "int32")
    model.counts[7] = 0.0
    with_outputs(model)
    kernel, state, found = model.words.kernel.numpy(), model.draws.state.numpy(), []
    for value in (1.0, 9.0):
        model.words.kernel.assign(np.where(np.arange(len(kernel))[:, None] == 7, value, kernel))
        model.draws.state.assign(state)
        view = {"token_ids": tokens, "padding_mask": tokens > 0}
        found.append(float(model({"views": [view]}, training=True)["loss"]))
    assert found[0] == found[1]


def test_the_recipes_leave_out_frequent_words_as_their_papers_do():
    run = recipes.Run((3,), 2, 1, 2, 1, "word_vectors", quick=True, kind=inputs.TOKENS, vocabulary=8)
    found = {name: recipes.make(name, run)[0].augment.threshold for name in ("WordSkipGram", "WordCBOW", "FastText")}
    assert found == {"WordSkipGram": 1e-3, "WordCBOW": 1e-3, "FastText": 1e-4}


@pytest.mark.parametrize("given", ["dict", "pipeline", "array"])
def test_the_recipe_counts_the_tokens_that_are_real(given):
    tokens = np.array([[5, 5, 0], [6, 0, 0]], "int32")
    columns = {"token_ids": tokens, "padding_mask": tokens > 0}
    samples = {"dict": columns, "pipeline": data.arrays(columns, 1, shuffle=False), "array": np.array([[5, 5, 6]])}
    own = {"in_order": lambda: samples[given], "kind": inputs.TOKENS, "vocabulary": 8}
    run = recipes.Run((3,), 2, 1, 2, 1, "word_vectors", **own)
    assert word_skip_gram.counts(run) == [0, 0, 0, 0, 0, 2, 1, 0]


@pytest.mark.parametrize("options", [{"counts": []}, {"counts": [0, 0]}, {"counts": [1, -1]}, {"threshold": 0}])
def test_wrong_subsampling_is_refused(options):
    with pytest.raises(ValueError, match="must be"):
        augment.SubsampleTokens(**{"counts": [1, 1], **options})


# What it learns


def templates(count=240):
    """Sentences with three slots, each filled from three words."""
    rng = np.random.default_rng(0)
    slots = [["cat", "dog", "fox"], ["eats", "sees", "finds"], ["red", "green", "blue"]]
    return ["the {} {} a {} thing".format(*(rng.choice(slot) for slot in slots)) for _ in range(count)], slots


def contrast_of_slots(name, **options):
    """How much more alike words of one slot are than words of two, before and after some training."""
    keras.utils.set_random_seed(0)
    sentences, slots = templates()
    dataset = data.texts(sentences, 40, length=6)
    counts, words = dataset.vocabulary.token_counts(), dataset.vocabulary.words
    parts = {"words": words, "buckets": 100} if name == "FastText" else {}
    encoder = encoders.word_vectors(len(counts), 12, **parts)
    view = augment.SubsampleTokens(counts, 1.0)
    model = getattr(keras_ssl, name)(encoder, view, counts=counts, window=3, negatives=5, **options)
    model.compile(keras.optimizers.Adam(0.03))

    def contrast():
        rows = np.array([dataset.vocabulary.numbers[word] for slot in slots for word in slot])
        x = np.asarray(model.words(rows))
        cosines = (x / np.linalg.norm(x, axis=1, keepdims=True)) @ (x / np.linalg.norm(x, axis=1, keepdims=True)).T
        same = np.arange(9)[:, None] // 3 == np.arange(9) // 3
        return cosines[same & ~np.eye(9, dtype=bool)].mean() - cosines[~same].mean()

    before = contrast()
    model.fit(dataset, epochs=15, verbose=0)
    return before, contrast()


def test_words_of_one_slot_become_alike():
    before, after = contrast_of_slots("WordSkipGram")
    assert before < 0.3 and after > 0.5
