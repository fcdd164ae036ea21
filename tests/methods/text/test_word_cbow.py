"""WordCBOW: arXiv 1301.3781."""

import numpy as np
import pytest

from keras_ssl import inputs
from tests import cases, kinds
from tests.methods.text import test_word_skip_gram as words
from tests.reference import words as reference

CASE = cases.Case(
    words.SMALL, words.small_encoder, words.subsampled, words.sgd, kind=inputs.TOKENS, samples=kinds.tokens,
    prepare=words.with_outputs,
)  # fmt: skip


def test_the_loss_of_the_model_is_that_of_its_words():
    model = cases.new("WordCBOW")
    columns = kinds.tokens(4)
    columns["padding_mask"][0] = np.arange(kinds.LENGTH) < 1  # one word alone has nothing around it
    tokens, lengths = columns["token_ids"], columns["padding_mask"].sum(axis=1)
    state = model.draws.state.numpy()
    reach, drawn = (np.asarray(x) for x in model.draw(tokens, 1))
    model.draws.state.assign(state)
    found = float(model({"views": [columns]}, training=True)["loss"])
    of_words, output = np.float64(model.words(tokens)), np.float64(model.output_vectors)
    expected = reference.cbow(of_words, output, tokens, lengths, reach, drawn[:, :, 0])
    assert found == pytest.approx(expected, rel=1e-4)


def test_the_word_itself_has_no_part_in_the_mean():
    model = cases.new("WordCBOW")
    tokens, mask = np.array([[3, 4, 5]], "int32"), np.ones((1, 3), bool)
    reach, drawn = np.full((1, 3), 2, "int32"), np.full((1, 3, 2), 7, "int32")
    vectors = np.random.default_rng(0).normal(size=(1, 3, 6)).astype("float32")
    output = np.float64(model.output_vectors)
    around = {3: [1, 2], 4: [0, 2], 5: [0, 1]}
    expected = [reference.pair_loss(vectors[0, at].mean(axis=0), output, word, [7, 7]) for word, at in around.items()]
    assert float(model.cbow(vectors, tokens, mask, reach, drawn)) == pytest.approx(np.mean(expected), rel=1e-4)


def test_words_of_one_slot_become_alike():
    before, after = words.contrast_of_slots("WordCBOW")
    assert before < 0.3 and after > 0.5
