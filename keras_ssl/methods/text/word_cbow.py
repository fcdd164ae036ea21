r"""WordCBOW: Efficient Estimation of Word Representations in Vector Space (Mikolov et al., 2013).

https://arxiv.org/abs/1301.3781

Objective:
    \mathcal{L} = -\log \sigma(u_o \cdot h) - \sum_{k=1}^{K} \log \sigma(-u_{n_k} \cdot h), \quad h = \frac{1}{C}
    \sum_{c} v_c
    where $v_c$ are the input vectors of the $C$ words around a word, $u_o$ its output vector, and the words $n_k$ are
    drawn by how often they are there, to the power 0.75. It is the mean over all words of the batch.

Flow:
    words around it -> input vectors -> mean -> negative sampling
    word -> output vectors -> negative sampling
    drawn words -> output vectors

Take it when there is much text: a step costs a tenth of one of WordSkipGram.

Leave it when there is little, or rare words count: WordSkipGram learns from each pair.
"""

import keras
from keras import ops

from keras_ssl.losses import negative_sampling
from keras_ssl.methods.text.words import WordMethod, neighbors, within


@keras.saving.register_keras_serializable("keras_ssl")
class WordCBOW(WordMethod):
    """The mean of the words around a word tells it from words drawn by chance: the CBOW of word2vec.

    The windows, the drawn words and the features are those of `WordSkipGram`; the loss is that of negative sampling,
    which came with the later paper (arXiv:1310.4546). A word without any word around it does not count.

    Args:
        encoder: `keras_ssl.encoders.word_vectors`, from texts to features `(batch, dim)`; its vectors are the input
            vectors (v).
        augment: layer from texts to one view; `keras_ssl.augment.SubsampleTokens`.
        counts: list of numbers, how often each token is there: `Vocabulary.token_counts()` of `keras_ssl.data`.
        window: int, the largest number of words on each side (5).
        negatives: int, words drawn for each word (k; 5, or up to 20 for little text).
        power: float from 0, words are drawn in proportion to `count ** power` (0.75).

    Example:

    >>> texts = keras_ssl.data.texts(["the cat sat on the mat", "the dog sat on the rug"] * 8, 8, length=8)
    >>> counts = texts.vocabulary.token_counts()
    >>> encoder = keras_ssl.encoders.word_vectors(len(counts), dim=16)
    >>> model = keras_ssl.WordCBOW(encoder, keras_ssl.augment.SubsampleTokens(counts, 0.1), counts=counts)
    >>> model.compile(optimizer=keras.optimizers.Adam(0.01))
    """

    def objective(self, views):
        tokens, mask = self.texts(views[0])
        reach, drawn = self.draw(tokens, 1)
        return {"loss": self.cbow(self.words(tokens), tokens, mask, reach, drawn[:, :, 0])}

    def cbow(self, vectors, tokens, mask, reach, drawn):
        there = within(mask, reach, self.window)  # (batch, length, 2 * window)
        weights = ops.cast(there, vectors.dtype)[..., None]
        total = ops.sum(neighbors(vectors, self.window) * weights, axis=2)
        mean = total / ops.maximum(ops.sum(weights, axis=2), 1)
        positive, negative = self.scored(mean, tokens), self.scored(mean, drawn)
        return negative_sampling(positive, negative, ops.any(there, axis=2), drawn != tokens[..., None])
