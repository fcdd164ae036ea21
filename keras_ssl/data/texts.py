"""Texts: files or strings -> numbers of tokens, padded, with masks."""

import collections
import gzip
import json
import re
from pathlib import Path

import numpy as np

from keras_ssl.checks import check_flags, check_ints, check_numbers, choice, is_int
from keras_ssl.data.array import arrays

UNITS = ("line", "sentence", "document", "window")
WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
# After a full stop, with what closes a quotation, and before what can begin a sentence.
SENTENCE_END = re.compile(r"""(?<=[.!?])(?<!\bMr\.)(?<!\bMrs\.)(?<!\bDr\.)(["'”’)\]]*)\s+(?=["'“‘(\[]*[^\W\da-z_])""")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class Vocabulary:
    """Words and their numbers: the same for the same texts, on every machine and in every process.

    The first five numbers are the special tokens, then come the words, the most frequent first and equally frequent
    ones in the order of their letters.

    Args:
        words: list of str, the words in the order of their numbers, without the special tokens.
        counts: list of ints, how often each of them was there, or None.
        lower: whether texts are taken in lower case.

    Attributes:
        words, counts, lower: as given.
        pad_id, unknown_id, cls_id, sep_id, mask_id: ints, the special tokens.
        special: tuple of all of them.

    Raises:
        ValueError: a word is there twice, or the counts are not as many as the words.

    Example:
        >>> vocabulary = Vocabulary.of(["the cat", "the dog"])
        >>> vocabulary.encode("The bird"), vocabulary.decode([5, 6])
        ([5, 1], 'the cat')
    """

    pad_id, unknown_id, cls_id, sep_id, mask_id = special = tuple(range(len(SPECIAL)))

    def __init__(self, words, counts=None, lower=True):
        check_flags(lower=lower)
        self.words, self.counts, self.lower = list(words), None if counts is None else list(counts), lower
        self.numbers = {word: number for number, word in enumerate(self.words, len(SPECIAL))}
        if len(self.numbers) < len(self.words):
            twice = collections.Counter(self.words).most_common(1)[0][0]
            raise ValueError(f"words must be different. Received: {twice!r} more than once")
        if self.counts is not None and len(self.counts) != len(self.words):
            raise ValueError(f"counts must be one a word. Received: {len(self.counts)} for {len(self.words)} words")

    @classmethod
    def of(cls, texts, size=None, least=1, lower=True):
        """The words of texts.

        Args:
            texts: iterable of str.
            size: int, the largest number of tokens, with the special ones; None for all. The most frequent stay.
            least: int, how often a word must be there.
            lower: whether texts are taken in lower case.
        """
        if not is_int(least, 1):  # `check_ints` has an argument of this name
            raise ValueError(f"least must be an int from 1. Received: least={least!r}")
        check_ints(least=len(SPECIAL) + 1, optional=True, size=size)
        found = collections.Counter(word for text in texts for word in split_words(text, lower))
        kept = sorted((word for word in found if found[word] >= least), key=lambda word: (-found[word], word))
        kept = kept[: None if size is None else size - len(SPECIAL)]
        return cls(kept, [found[word] for word in kept], lower)

    def __len__(self):
        return len(SPECIAL) + len(self.words)

    def encode(self, text):
        """The numbers of the words of a text: a list."""
        return [self.numbers.get(word, self.unknown_id) for word in split_words(text, self.lower)]

    def decode(self, numbers):
        """The words of numbers, with a space between two."""
        return " ".join([*SPECIAL, *self.words][number] for number in numbers)

    def token_counts(self):
        """How often each token was there, as a list: 0 for the special ones, 1 for words of unknown frequency."""
        return [0] * len(SPECIAL) + (self.counts or [1] * len(self.words))

    def save(self, path):
        """Writes a JSON file."""
        Path(path).write_text(json.dumps({"words": self.words, "counts": self.counts, "lower": self.lower}))

    @classmethod
    def load(cls, path):
        """Reads what `save` wrote."""
        return cls(**json.loads(Path(path).read_text()))


class ByteVocabulary:
    """The bytes of UTF-8 behind the five special tokens: 261 tokens, none unknown. See `Vocabulary`."""

    pad_id, unknown_id, cls_id, sep_id, mask_id = special = Vocabulary.special

    def __len__(self):
        return len(SPECIAL) + 256

    def encode(self, text):
        return [byte + len(SPECIAL) for byte in text.encode(errors="replace")]

    def decode(self, numbers):
        return bytes(x - len(SPECIAL) for x in numbers if x >= len(SPECIAL)).decode(errors="replace")


class TokenizerVocabulary:
    """A `tokenizers.Tokenizer` (the extra `text`) as a vocabulary. See `Vocabulary`.

    Its special tokens are those of BERT or, where it has none, those of RoBERTa. What it cuts off or fills up by
    itself is turned off: the pipeline does so.

    Args:
        tokenizer: `tokenizers.Tokenizer`.

    Raises:
        ValueError: it has no token for padding.
    """

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        tokenizer.no_padding()
        tokenizer.no_truncation()
        names = dict(pad="<pad>", unknown="<unk>", cls="<s>", sep="</s>", mask="<mask>")
        for usual, (name, other) in zip(SPECIAL, names.items()):
            number = tokenizer.token_to_id(usual)
            setattr(self, f"{name}_id", tokenizer.token_to_id(other) if number is None else number)
        if self.pad_id is None:
            raise ValueError("The tokenizer needs a token for padding, [PAD] or <pad>. Train it with one.")
        held = (self.pad_id, self.unknown_id, self.cls_id, self.sep_id, self.mask_id)
        self.special = tuple(number for number in held if number is not None)

    def __len__(self):
        return self.tokenizer.get_vocab_size()

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, numbers):
        return self.tokenizer.decode(list(numbers))


def split_words(text, lower=True):
    """The words and signs of a text, in their order.

    Args:
        text: str.
        lower: whether in lower case.

    Example:
        >>> split_words("Don't stop, Anna!")
        ["don't", 'stop', ',', 'anna', '!']
    """
    return WORD.findall(text.lower() if lower else text)


def split_sentences(text):
    """The sentences of a text, in their order. It knows no language: a full stop before a capital letter ends one.

    Example:
        >>> split_sentences('He said "No." She left. It was 3.5 miles.')
        ['He said "No."', 'She left.', 'It was 3.5 miles.']
    """
    parts = SENTENCE_END.sub(lambda end: f"{end[1]}\n", " ".join(text.split())).split("\n")
    return [part for part in (part.strip() for part in parts) if part]


def read_texts(paths, unit="line"):
    """Texts out of files, document by document.

    Files are UTF-8, plain or compressed (`.gz`). A byte order mark goes, all kinds of line ends are one, a NUL is a
    space, and bytes that are no UTF-8 become the sign for that.

    Args:
        paths: a file, a folder, whose `.txt` and `.txt.gz` are read in the order of their names, or a list of files. A
            file is a document.
        unit: `"line"`: each line that is not empty; `"sentence"`: each sentence, which does not go over an empty line;
            `"document"` and `"window"`: the document whole.

    Returns:
        list of lists of str: for each document its lines, its sentences, or itself.

    Raises:
        FileNotFoundError: there is no such file, or none in the folder.
        ValueError: for another unit, and where there is no text in any file.

    Example:
        ```python
        documents = keras_ssl.data.read_texts("novels/", "sentence")
        ```
    """
    choice(*UNITS)("unit", unit)
    documents = []
    for path in files_of(paths):
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8-sig", errors="replace", newline=None) as file:
            text = file.read().replace("\0", " ")
        if unit == "line":
            parts = [line.strip() for line in text.split("\n")]
        elif unit == "sentence":
            parts = [sentence for block in re.split(r"\n\s*\n", text) for sentence in split_sentences(block)]
        else:
            parts = [text.strip()]
        documents.append([part for part in parts if part])
    documents = [document for document in documents if document]
    if not documents:
        raise ValueError(f"There is no text in the files. Received: paths={paths}")
    return documents


def files_of(paths):
    """The files as a list of paths."""
    if isinstance(paths, (str, Path)):
        folder = Path(paths)
        if folder.is_dir():
            paths = sorted(x for x in folder.rglob("*") if x.name.endswith((".txt", ".txt.gz")))
            if not paths:
                raise FileNotFoundError(f"There is no .txt and no .txt.gz in the folder {folder}")
        else:
            paths = [folder]
    paths = [Path(path) for path in paths]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing or not paths:
        raise FileNotFoundError(f"There is no such file: {missing}")
    return paths


def text_files(paths, batch_size, *, unit="line", **options):
    """Texts out of files as a shuffled, deterministic, resumable pipeline of batches of tokens.

    Args:
        paths, unit: see `read_texts`. With `"window"` a sample is a part of a document of `length` tokens, one part
            after the other; the last one may be shorter.
        batch_size: texts in a batch.
        **options: those of `texts`.

    Returns:
        `tf.data.Dataset`, see `texts`.

    Raises:
        FileNotFoundError, ValueError: see `read_texts` and `texts`.

    Example:
        ```python
        dataset = keras_ssl.data.text_files("novels/", 64, unit="sentence", length=48, size=10_000)
        ```
    """
    documents = read_texts(paths, unit)
    return texts([text for document in documents for text in document], batch_size, windows=unit == "window", **options)


def texts(
    texts, batch_size, *, vocabulary="words", length=64, size=None, least=1, lower=True, ends=False, windows=False,
    labels=None, **options,
):  # fmt: skip
    """Texts as a shuffled, deterministic, resumable pipeline of batches of tokens.

    Args:
        texts: list of str.
        batch_size: texts in a batch.
        vocabulary: `"words"`: a `Vocabulary` is made of these texts; `"bytes"`: a `ByteVocabulary`; or one of these, as
            for further texts, or a `tokenizers.Tokenizer`.
        length: int, tokens of a text: shorter ones are padded on the right, of longer ones the rest is cut off.
        size, least, lower: see `Vocabulary.of`; they have no part where a vocabulary is given.
        ends: whether texts get [CLS] before and [SEP] behind, which are never cut off.
        windows: whether a text gives as many samples of `length` tokens as it fills, one after the other.
        labels: None, or an int for each text, added as `"label"`.
        **options: `shuffle`, `seed`, `index`, `drop_remainder`, `epoch`, `start` and `parallel_calls` of `arrays`.

    Returns:
        `tf.data.Dataset` of dicts: `"token_ids"` int32 `(batch, length)`, `"padding_mask"` bool, `"seed"`, and
        `"label"` where there are labels. It has the attributes `vocabulary` and `truncated`, the number of texts that
        were cut off.

    Raises:
        ValueError: an argument is out of its range, or there are no texts.

    Example:
        ```python
        train = keras_ssl.data.texts(["a dog barks", "two birds sing"], 2, length=8)
        test = keras_ssl.data.texts(["a bird barks"], 1, length=8, vocabulary=train.vocabulary)
        ```
    """
    columns, vocabulary, truncated = text_columns(
        texts, vocabulary=vocabulary, length=length, size=size, least=least, lower=lower, ends=ends, windows=windows
    )
    pipeline = arrays(columns, batch_size, labels=labels, **options)
    return pipeline.named(vocabulary=vocabulary, truncated=truncated)


def text_columns(
    texts, *, vocabulary="words", length=64, size=None, least=1, lower=True, ends=False, windows=False
):
    """Texts as arrays, for `arrays`, `eval` and encoders: the arguments are those of `texts`.

    Returns:
        the dict of `"token_ids"` and `"padding_mask"`, the vocabulary, and how many texts were cut off.

    Raises:
        ValueError: see `texts`.

    Example:
        >>> columns, vocabulary, truncated = text_columns(["a b", "c d e f"], length=3)
        >>> columns["token_ids"].tolist(), truncated
        ([[5, 6, 0], [7, 8, 9]], 1)
    """
    check_flags(ends=ends, windows=windows)
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts) or not len(texts):
        raise ValueError(f"texts must be a list of str, at least one. Received: {type(texts).__name__}")
    vocabulary = vocabulary_of(texts, vocabulary, size, least, lower)
    room = length - 2 * ends if isinstance(length, int) else length
    check_ints(**{"length without [CLS] and [SEP]" if ends else "length": room})
    encoded = [vocabulary.encode(text) for text in texts]
    if windows:
        encoded = [part for tokens in encoded for part in split_windows(tokens, room)]
    truncated = sum(len(tokens) > room for tokens in encoded)
    encoded = [tokens[:room] for tokens in encoded]
    if ends:
        check_ends(vocabulary)
        encoded = [[vocabulary.cls_id, *tokens, vocabulary.sep_id] for tokens in encoded]
    return pad_tokens(encoded, length, vocabulary.pad_id), vocabulary, truncated


def sentence_pairs(
    documents, *, vocabulary="words", length=64, size=None, least=1, lower=True, ends=False, negatives=0.0, seed=0
):
    """Pairs of sentences of documents as arrays: a sentence and the next one or, by chance, one of another document.

    BERT's authors fill the length with several sentences on both sides, and cut off at either end by chance.

    Args:
        documents: list of lists of str, the sentences of each document in their order: see `read_texts`.
        vocabulary, size, least, lower: see `texts`.
        length: int, tokens of a pair. Of a longer one, the longer sentence loses its last token until it fits.
        ends: whether a pair is [CLS] first [SEP] second [SEP]; the first segment ends with the first [SEP].
        negatives: float in [0, 1), the part of the pairs whose second sentence is of another document (0.5 in BERT).
        seed: int, of what is drawn.

    Returns:
        the dict of `"token_ids"` int32 `(pairs, length)`, `"padding_mask"` bool, `"segment_ids"` int32, 0 and 1, and
        `"is_next"` int32 `(pairs,)`; the vocabulary; and how many pairs were cut off.

    Raises:
        ValueError: an argument is out of its range, no document has two sentences, or `negatives` of one document.

    Example:
        >>> columns, vocabulary, _ = sentence_pairs([["a b", "c"], ["d"]], length=4)
        >>> columns["token_ids"].tolist(), columns["segment_ids"].tolist()
        ([[5, 6, 7, 0]], [[0, 0, 1, 0]])
    """
    check_flags(ends=ends)
    check_numbers(least=0, below=1, negatives=negatives)
    documents = [list(document) for document in documents if not isinstance(document, str)]
    pairs = [(d, s) for d, document in enumerate(documents) for s in range(len(document) - 1)]
    if not pairs:
        raise ValueError(
            "documents must be lists of sentences, at least one of them with two. Received: "
            f"{len(documents)} documents, none with two sentences"
        )
    others = [(d, s) for d, document in enumerate(documents) for s in range(len(document))]
    if negatives and sum(map(bool, documents)) < 2:
        raise ValueError("negatives come from another document. Received: one document that holds sentences")
    sentences = [sentence for document in documents for sentence in document]
    vocabulary = vocabulary_of(sentences, vocabulary, size, least, lower)
    if ends:
        check_ends(vocabulary)
    room = length - 3 * ends if isinstance(length, int) else length
    check_ints(least=2, **{"length without [CLS] and [SEP]" if ends else "length": room})
    encoded = [[vocabulary.encode(sentence) for sentence in document] for document in documents]
    rng, draws = np.random.default_rng(seed), []
    is_next = (rng.random(len(pairs)) >= negatives).astype("int32")
    for (d, s), following in zip(pairs, is_next):
        other = (d, s + 1)
        while not following and other[0] == d:
            other = others[rng.integers(len(others))]
        draws.append(encoded[other[0]][other[1]])
    truncated, made, segments = 0, [], []
    for (d, s), second in zip(pairs, draws):
        first, second = list(encoded[d][s]), list(second)
        truncated += len(first) + len(second) > room
        while len(first) + len(second) > room:
            (first if len(first) > len(second) else second).pop()
        if ends:
            first, second = [vocabulary.cls_id, *first, vocabulary.sep_id], [*second, vocabulary.sep_id]
        made.append(first + second)
        segments.append([0] * len(first) + [1] * len(second))
    columns = pad_tokens(made, length, vocabulary.pad_id)
    columns |= {"segment_ids": pad_tokens(segments, length)["token_ids"], "is_next": is_next}
    return columns, vocabulary, truncated


def vocabulary_of(texts, vocabulary, size=None, least=1, lower=True):
    """The vocabulary that was asked for."""
    if hasattr(vocabulary, "token_to_id"):
        return TokenizerVocabulary(vocabulary)
    if not isinstance(vocabulary, str):
        missing = [name for name in ("encode", "pad_id", "special") if not hasattr(vocabulary, name)]
        if missing:
            raise ValueError(f"vocabulary must be 'words', 'bytes' or a vocabulary. Received: {vocabulary!r}")
        return vocabulary
    choice("words", "bytes")("vocabulary", vocabulary)
    return Vocabulary.of(texts, size, least, lower) if vocabulary == "words" else ByteVocabulary()


def check_ends(vocabulary):
    missing = [name for name in ("cls_id", "sep_id") if getattr(vocabulary, name, None) is None]
    if missing:
        raise ValueError(
            f"ends=True puts a token before a text and one behind it, but the vocabulary has no {missing[0]}: train "
            "the tokenizer with [CLS] and [SEP], or pass ends=False."
        )


def split_windows(tokens, length):
    return [tokens[start : start + length] for start in range(0, len(tokens), length)] or [tokens]


def pad_tokens(tokens, length, pad_id=0):
    """Lists of tokens as an array, padded on the right, and the mask of the real ones.

    Args:
        tokens: list of lists of ints, none longer than `length`.
        length: int.
        pad_id: int, the token of the padding.

    Returns:
        dict of `"token_ids"` int32 `(texts, length)` and `"padding_mask"` bool.
    """
    columns = {
        "token_ids": np.full((len(tokens), length), pad_id, "int32"),
        "padding_mask": np.zeros((len(tokens), length), bool),
    }
    for row, numbers in enumerate(tokens):
        columns["token_ids"][row, : len(numbers)] = numbers
        columns["padding_mask"][row, : len(numbers)] = True
    return columns
