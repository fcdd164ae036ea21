"""Texts: tokens that are hidden or left out, and parts of texts; what is padded on the right stays so."""

import keras
from keras import ops

from keras_ssl import inputs
from keras_ssl.augment.layer import Augmentation, check_probability, check_range
from keras_ssl.augment.places import some
from keras_ssl.augment.random import choose, fold, uniform
from keras_ssl.augment.steps import moved, parts, real
from keras_ssl.checks import check_flags, check_ints, check_numbers, is_int, number_list


class TokenLayer(Augmentation):
    """Base of the layers of tokens: int32 `(batch, length)`, with `padding_mask` where not all of it is real.

    Args:
        special: ints, tokens that are never hidden or left out, such as those of the start and of the end.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for special tokens that are no ints.
    """

    kind = inputs.TOKENS

    def __init__(self, special=(), seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        if not isinstance(special, (list, tuple)) or not all(is_int(token, 0) for token in special):
            raise ValueError(f"special must be a list of the numbers of tokens. Received: special={special!r}")
        self.special = tuple(special)

    def draw(self, seeds, size):
        return {"draws": uniform(seeds, size[0] + 1), "seeds": fold(seeds, 0)}

    def plain(self, sample):
        """Which tokens are real and not special, bool `(batch, length)`."""
        tokens, mask = parts(self.kind, sample)
        found = real(tokens, mask)
        for token in self.special:
            found = found & (tokens != token)
        return found

    def get_config(self):
        return {**super().get_config(), "special": self.special}


@keras.saving.register_keras_serializable("keras_ssl")
class MaskTokens(TokenLayer):
    """Tokens are hidden: of the n real ones that are not special, `ratio * n` on average and up to rounding.

    BERT (Devlin et al., 2018), arXiv:1810.04805: `MaskTokens(mask_id, 0.15, random=0.1, keep=0.1, vocabulary=30522)`,
    of the hidden tokens 80 % become `mask_id`, 10 % any token, and 10 % stay what they are.

    Args:
        mask_id: int, the token in place of those that are hidden.
        ratio: float from 0 to 1, the part that is hidden.
        random: float from 0 to 1, the probability of a hidden token to become any token but a special one.
        keep: float from 0 to 1, the probability of a hidden token to stay what it is.
        vocabulary: int, the number of tokens, where `random` is above 0.
        label: whether the layer also returns which tokens are hidden: the tuple (sample, bool `(batch, length)`).
        special, seed, name: see `TokenLayer`.

    Raises:
        ValueError: for numbers out of their range, and for `random` without a vocabulary.

    Example:
        >>> import numpy as np
        >>> MaskTokens(4, special=(2, 3))(np.ones((8, 48), "int32")).shape
        TensorShape([8, 48])
    """

    def __init__(
        self, mask_id, ratio=0.15, random=0.0, keep=0.0, vocabulary=None, label=False, special=(), seed=None,
        name=None, **kwargs,
    ):  # fmt: skip
        super().__init__(special, seed=seed, name=name, **kwargs)
        check_ints(least=0, mask_id=mask_id)
        check_ints(optional=True, vocabulary=vocabulary)
        check_flags(label=label)
        for what, value in [("ratio", ratio), ("random", random), ("keep", keep)]:
            check_probability(what, value)
        check_probability("random + keep", random + keep)
        if random and (vocabulary is None or vocabulary <= len(set(self.special))):
            raise ValueError(
                "vocabulary must be the number of tokens, more than the special ones, where hidden tokens become "
                f"random ones. Received: vocabulary={vocabulary}, random={random}"
            )
        self.mask_id, self.ratio, self.random, self.keep = mask_id, ratio, random, keep
        self.vocabulary, self.label = vocabulary, label

    @property
    def separable(self):
        return not self.label  # with it, it gives a tuple

    def transform(self, sample, draws, seeds):
        tokens, _ = parts(self.kind, sample)
        hidden = some(draws, self.plain(sample), self.ratio)
        length = ops.shape(tokens)[1]
        what = uniform(seeds, length)
        new = ops.full_like(tokens, self.mask_id)
        if self.random:
            special = sorted({token for token in self.special if token < self.vocabulary})
            count = self.vocabulary - len(special)
            other = ops.cast(choose(uniform(fold(seeds, 0), length), count - 1), "int32")
            for token in special:  # in ascending order: every number from a special one on moves up
                other = ops.where(other >= token, other + 1, other)
            new = ops.where(what < self.random, other, new)
        new = ops.where(what >= 1 - self.keep, tokens, new) if self.keep else new
        tokens = ops.where(hidden, new, tokens)
        sample = {**sample, self.kind.column: tokens} if isinstance(sample, dict) else tokens
        return (sample, hidden) if self.label else sample

    def get_config(self):
        config = {"mask_id": self.mask_id, "ratio": self.ratio, "random": self.random, "keep": self.keep}
        return {**super().get_config(), **config, "vocabulary": self.vocabulary, "label": self.label}


@keras.saving.register_keras_serializable("keras_ssl")
class DeleteTokens(TokenLayer):
    """Tokens are left out, and the others move together: of n plain ones `ratio * n` on average and up to rounding.

    At least one token stays, and special ones do.

    Args:
        ratio: float from 0 to 1, the part that is left out.
        pad_id: int, the token of the padding.
        special, seed, name: see `TokenLayer`.

    Returns:
        dict with `"token_ids"`, padded on the right, and `"padding_mask"`.

    Raises:
        ValueError: for numbers out of their range.

    Example:
        >>> import numpy as np
        >>> view = DeleteTokens(0.5)(np.array([[5, 6, 7, 8]], "int32"))
        >>> view["padding_mask"].numpy().tolist()
        [[True, True, False, False]]
    """

    def __init__(self, ratio=0.1, pad_id=0, special=(), seed=None, name=None, **kwargs):
        super().__init__(special, seed=seed, name=name, **kwargs)
        check_probability("ratio", ratio)
        check_ints(least=0, pad_id=pad_id)
        self.ratio, self.pad_id = ratio, pad_id

    @property
    def separable(self):
        return False  # of tokens alone it makes two tensors

    def transform(self, sample, draws, seeds):
        tokens, mask = parts(self.kind, sample)
        all_real = real(tokens, mask)
        plain = self.plain(sample)
        spare = ops.cast(ops.all(plain == all_real, axis=1, keepdims=True), "float32")
        return kept(self, sample, all_real & ~some(draws, plain, self.ratio, spare), self.pad_id)

    def get_config(self):
        return {**super().get_config(), "ratio": self.ratio, "pad_id": self.pad_id}


@keras.saving.register_keras_serializable("keras_ssl")
class CropTokens(TokenLayer):
    """A part of a text, from a random token on; special tokens stay.

    Args:
        ratio: pair of floats from 0 to 1, the range of the part of the plain tokens that is kept, uniform; at least
            one token is.
        pad_id: int, the token of the padding.
        special, seed, name: see `TokenLayer`.

    Returns:
        dict with `"token_ids"`, padded on the right, and `"padding_mask"`.

    Raises:
        ValueError: for numbers out of their range.

    Example:
        >>> import numpy as np
        >>> view = CropTokens((0.5, 0.5))(np.array([[5, 6, 7, 8]], "int32"))
        >>> view["padding_mask"].numpy().tolist()
        [[True, True, False, False]]
    """

    def __init__(self, ratio=(0.6, 1.0), pad_id=0, special=(), seed=None, name=None, **kwargs):
        super().__init__(special, seed=seed, name=name, **kwargs)
        check_ints(least=0, pad_id=pad_id)
        self.ratio, self.pad_id = check_range("ratio", ratio), pad_id
        if self.ratio[1] > 1:
            raise ValueError(f"ratio is a part of the text, at most 1. Received: ratio={ratio}")

    @property
    def separable(self):
        return False  # of tokens alone it makes two tensors

    def draw(self, seeds, size):
        return {"draws": uniform(seeds, 2)}

    def transform(self, sample, draws):
        tokens, mask = parts(self.kind, sample)
        plain = self.plain(sample)
        number = ops.cumsum(ops.cast(plain, "int32"), axis=1) - 1  # of each plain token
        count = ops.cast(number[:, -1:] + 1, "float32")
        low, high = self.ratio
        length = ops.maximum(ops.round((low + (high - low) * draws[:, :1]) * count), 1)
        start = ops.cast(choose(draws[:, 1:], ops.maximum(count - length, 0)), "int32")
        inside = (number >= start) & (number < start + ops.cast(length, "int32"))
        return kept(self, sample, real(tokens, mask) & (inside | ~plain), self.pad_id)

    def get_config(self):
        return {**super().get_config(), "ratio": self.ratio, "pad_id": self.pad_id}


@keras.saving.register_keras_serializable("keras_ssl")
class SubsampleTokens(TokenLayer):
    """Frequent tokens are left out, and the others move together: word2vec (Mikolov et al., 2013), arXiv:1310.4546.

    A token that makes up the part f of all is kept with the probability `sqrt(t / f) + t / f`, at most 1, as in the
    code of word2vec and of fastText; the paper says `sqrt(t / f)`. Tokens that were never there, such as the one of
    unknown words, are left out, so that windows go over them.

    Args:
        counts: list of numbers, how often each token is there: `Vocabulary.token_counts()` of `keras_ssl.data`.
        threshold: float above 0, the part of all tokens from which on a token counts as frequent (t; 1e-3 in the code
            of word2vec, 1e-5 in the paper, for billions of words, 1e-4 in fastText).
        pad_id: int, the token of the padding.
        special, seed, name: see `TokenLayer`.

    Returns:
        dict with `"token_ids"`, padded on the right, and `"padding_mask"`.

    Raises:
        ValueError: for numbers out of their range.

    Example:
        >>> import numpy as np
        >>> view = SubsampleTokens([0, 1000, 1])(np.array([[1, 2, 1, 1]], "int32"))
        >>> sorted(view)
        ['padding_mask', 'token_ids']
    """

    def __init__(self, counts, threshold=1e-3, pad_id=0, special=(), seed=None, name=None, **kwargs):
        super().__init__(special, seed=seed, name=name, **kwargs)
        check_ints(least=0, pad_id=pad_id)
        check_numbers(above=0, threshold=threshold)
        self.counts, self.threshold, self.pad_id = number_list("counts", counts), threshold, pad_id
        ratio = [threshold * sum(self.counts) / count if count else 0.0 for count in self.counts]
        self.chances = [min(1.0, part**0.5 + part) for part in ratio]

    @property
    def separable(self):
        return False  # of tokens alone it makes two tensors

    def draw(self, seeds, size):
        return {"draws": uniform(seeds, size[0])}

    def transform(self, sample, draws):
        tokens, mask = parts(self.kind, sample)
        chance = ops.take(ops.convert_to_tensor(self.chances, dtype="float32"), tokens, axis=0)
        stay = real(tokens, mask) & ((draws < chance) | ~self.plain(sample))
        return kept(self, sample, stay, self.pad_id)

    def get_config(self):
        own = {"counts": self.counts, "threshold": self.threshold, "pad_id": self.pad_id}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("keras_ssl")
class SplitSegments(TokenLayer):
    """Two views of a pair of texts: the one text, and the other.

    The sample has the column `"segment_ids"`, 0 for the tokens of the first text and 1 for those of the second, as
    `keras_ssl.data.sentence_pairs` makes them.

    Args:
        pad_id: int, the token of the padding.
        special, seed, name: see `TokenLayer`.

    Returns:
        tuple of two dicts with `"token_ids"`, padded on the right, and `"padding_mask"`.

    Raises:
        ValueError: the sample has no such column.

    Example:
        >>> import numpy as np
        >>> pair = {"token_ids": np.array([[5, 6, 7]], "int32"), "segment_ids": np.array([[0, 1, 1]], "int32")}
        >>> [view["token_ids"].numpy().tolist() for view in SplitSegments()(pair)]
        [[[5, 0, 0]], [[6, 7, 0]]]
    """

    def __init__(self, pad_id=0, special=(), seed=None, name=None, **kwargs):
        super().__init__(special, seed=seed, name=name, **kwargs)
        check_ints(least=0, pad_id=pad_id)
        self.pad_id = pad_id

    @property
    def separable(self):
        return False

    def draw(self, seeds, size):
        return {}

    def transform(self, sample):
        if not isinstance(sample, dict) or "segment_ids" not in sample:
            raise ValueError(
                "SplitSegments needs the column 'segment_ids', 0 for the first text and 1 for the second. Received: "
                f"{inputs.describe(sample)}"
            )
        tokens, mask = parts(self.kind, sample)
        there = real(tokens, mask)
        alone = {name: part for name, part in sample.items() if name != "segment_ids"}
        return tuple(
            kept(self, alone, there & (sample["segment_ids"] == number), self.pad_id) for number in range(2)
        )

    def get_config(self):
        return {**super().get_config(), "pad_id": self.pad_id}


def kept(layer, sample, stay, pad_id):
    """The tokens that stay, moved to the start of the text, and padding behind them."""
    sample = sample if isinstance(sample, dict) else {layer.kind.column: sample}
    length = ops.shape(stay)[1]
    place = ops.arange(length, dtype="int32")[None, :]
    order = ops.argsort(ops.where(stay, place, place + length), axis=1)
    mask = place < ops.sum(ops.cast(stay, "int32"), axis=1, keepdims=True)
    others = {name: part for name, part in sample.items() if name != layer.kind.also[0]}
    fill = {layer.kind.column: pad_id}
    filled = {name: ops.where(mask, part, fill.get(name, 0)) for name, part in moved(others, order).items()}
    return {**filled, layer.kind.also[0]: mask}
