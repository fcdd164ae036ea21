r"""WordSkipGram: Distributed Representations of Words and Phrases and their Compositionality (Mikolov et al., 2013).

https://arxiv.org/abs/1310.4546

Objective:
    \mathcal{L} = -\log \sigma(u_o \cdot v_i) - \sum_{k=1}^{K} \log \sigma(-u_{n_k} \cdot v_i)
    where $v_i$ is the input vector of a word, $u_o$ the output vector of one near it, and the words $n_k$ are drawn by
    how often they are there, to the power 0.75. It is the mean over all pairs of the batch.

Flow:
    word -> input vectors -> negative sampling
    words near it -> output vectors -> negative sampling
    drawn words -> output vectors

Take it when a vector for each word is wanted within minutes, as the start of a network or for the nearest words.

Leave it when the meaning of a word in its sentence counts (CausalLM), or when many words are rare or new (FastText).
"""

import keras

from keras_ssl.losses import negative_sampling
from keras_ssl.methods.text.words import WordMethod, neighbors, within


@keras.saving.register_keras_serializable("keras_ssl")
class WordSkipGram(WordMethod):
    """Each word tells the words near it from words drawn by chance: the skip-gram of word2vec.

    The features of a text are the mean of the vectors of its words. Frequent words are left out before the windows are
    laid, by the view, so that a window then reaches further. A drawn word that is the true one does not count. Each
    pair has drawn words of its own: a step holds `batch * length * 2 * window * negatives` vectors, so take batches of
    a few thousand words.

    Args:
        encoder: `keras_ssl.encoders.word_vectors`, from texts to features `(batch, dim)`; its vectors are the input
            vectors (v).
        augment: layer from texts to one view; `keras_ssl.augment.SubsampleTokens`.
        counts: list of numbers, how often each token is there: `Vocabulary.token_counts()` of `keras_ssl.data`.
        window: int, the largest number of words on each side (5).
        negatives: int, words drawn for each pair (k; 5, or up to 20 for little text).
        power: float from 0, words are drawn in proportion to `count ** power` (0.75).

    Example:

    >>> texts = keras_ssl.data.texts(["the cat sat on the mat", "the dog sat on the rug"] * 8, 8, length=8)
    >>> counts = texts.vocabulary.token_counts()
    >>> encoder = keras_ssl.encoders.word_vectors(len(counts), dim=16)
    >>> model = keras_ssl.WordSkipGram(encoder, keras_ssl.augment.SubsampleTokens(counts, 0.1), counts=counts)
    >>> model.compile(optimizer=keras.optimizers.Adam(0.01))
    """

    def objective(self, views):
        tokens, mask = self.texts(views[0])
        reach, drawn = self.draw(tokens, 2 * self.window)
        return {"loss": self.skip_gram(self.words(tokens), tokens, mask, reach, drawn)}

    def skip_gram(self, vectors, tokens, mask, reach, drawn):
        near = neighbors(tokens, self.window)  # (batch, length, 2 * window)
        vectors = vectors[:, :, None, :]
        positive, negative = self.scored(vectors, near), self.scored(vectors, drawn)
        return negative_sampling(positive, negative, within(mask, reach, self.window), drawn != near[..., None])
