r"""FastText: Enriching Word Vectors with Subword Information (Bojanowski, Grave, Joulin, Mikolov, 2016).

https://arxiv.org/abs/1607.04606

Objective:
    \mathcal{L} = -\log \sigma(u_o \cdot h) - \sum_{k=1}^{K} \log \sigma(-u_{n_k} \cdot h), \quad h =
    \frac{1}{|\mathcal{G}|} \sum_{g \in \mathcal{G}} v_g
    where $\mathcal{G}$ are a word and its parts of 3 to 6 letters, $u_o$ is the output vector of a word near it, and
    the words $n_k$ are drawn by how often they are there.

Flow:
    word -> parts -> input vectors -> mean -> negative sampling
    words near it -> output vectors -> negative sampling
    drawn words -> output vectors

Take it when words have many forms, are misspelled or new: each has a vector by its parts.

Leave it when the vocabulary is closed and small: then WordSkipGram is the same and has fewer weights.
"""

import keras

from keras_ssl import checks
from keras_ssl.methods.text.word_cbow import WordCBOW
from keras_ssl.methods.text.word_skip_gram import WordSkipGram


@keras.saving.register_keras_serializable("keras_ssl")
class FastText(WordSkipGram, WordCBOW):
    """word2vec whose words share their parts, so that related forms are alike and unseen words have a vector.

    As in the authors' code a word is the mean of its own vector and those of its parts; the paper says the sum. Without
    parts (`longest=0` of the encoder) it is `WordSkipGram`, or `WordCBOW`, but for `power` and the starting weights. A
    drawn word that is the true one does not count; the authors draw another one.

    Args:
        encoder: `keras_ssl.encoders.word_vectors` with `words`, from texts to features `(batch, dim)`.
        augment: layer from texts to one view; `keras_ssl.augment.SubsampleTokens`.
        counts: list of numbers, how often each token is there: `Vocabulary.token_counts()` of `keras_ssl.data`.
        mode: `"skipgram"`: see `WordSkipGram`, or `"cbow"`: see `WordCBOW`, where the mean is that of the vectors of
            the words; in the authors' code it is that of all their parts, so that long words count more.
        window: int, the largest number of words on each side (5).
        negatives: int, words drawn for each pair (5).
        power: float from 0, words are drawn in proportion to `count ** power` (0.5 in the authors' code).

    Example:

    >>> texts = keras_ssl.data.texts(["she walks and walked", "he talks and talked"] * 8, 8, length=8)
    >>> counts, words = texts.vocabulary.token_counts(), texts.vocabulary.words
    >>> encoder = keras_ssl.encoders.word_vectors(len(counts), dim=16, words=words, buckets=1000)
    >>> model = keras_ssl.FastText(encoder, keras_ssl.augment.SubsampleTokens(counts, 0.1), counts=counts)
    >>> model.compile(optimizer=keras.optimizers.Adam(0.01))
    """

    bounds = {"mode": checks.choice("skipgram", "cbow")}

    def __init__(self, encoder, augment=None, *, counts, mode="skipgram", window=5, negatives=5, power=0.5, **kwargs):
        super().__init__(
            encoder, augment, counts=counts, window=window, negatives=negatives, power=power, **kwargs
        )
        self.mode = mode

    def objective(self, views):
        return WordSkipGram.objective(self, views) if self.mode == "skipgram" else WordCBOW.objective(self, views)
