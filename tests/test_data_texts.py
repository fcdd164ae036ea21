"""Texts as data: what is read, how it becomes tokens, what is cut off, what is refused."""

import gzip
import subprocess
import sys

import numpy as np
import pytest

from keras_ssl import data
from keras_ssl.data.texts import SPECIAL, TokenizerVocabulary, split_sentences, split_words


def test_texts_are_padded_masked_and_cut_and_it_is_counted():
    dataset = data.texts(["a b", "c d e f", ""], 3, length=3, shuffle=False, labels=[1, 0, 2])
    batch = {name: x.numpy().tolist() for name, x in next(iter(dataset)).items()}
    assert batch["token_ids"] == [[5, 6, 0], [7, 8, 9], [0, 0, 0]] and batch["label"] == [1, 0, 2]
    assert batch["padding_mask"] == [[True, True, False], [True] * 3, [False] * 3]
    assert dataset.truncated == 1 and len(dataset.vocabulary) == 5 + 6


def test_ends_are_never_cut_off():
    columns, vocabulary, truncated = data.text_columns(["a b c d", ""], length=4, ends=True)
    cls, sep = vocabulary.cls_id, vocabulary.sep_id
    assert columns["token_ids"].tolist() == [[cls, 5, 6, sep], [cls, sep, 0, 0]] and truncated == 1


def test_windows_hold_every_token_once():
    columns, _, truncated = data.text_columns(["a b c d e", "f"], length=2, windows=True)
    assert columns["token_ids"].tolist() == [[5, 6], [7, 8], [9, 0], [10, 0]] and truncated == 0


def test_words_are_numbered_by_their_frequency_then_by_their_letters():
    vocabulary = data.Vocabulary.of(["b a", "a c", "C"])
    assert vocabulary.words == ["a", "c", "b"] and vocabulary.counts == [2, 2, 1]
    assert vocabulary.token_counts() == [0] * 5 + [2, 2, 1]
    assert vocabulary.encode("c x") == [6, vocabulary.unknown_id] and vocabulary.decode([5, 1]) == "a [UNK]"
    assert data.Vocabulary.of(["b a", "a c"], size=6).words == ["a"]
    assert data.Vocabulary.of(["b a", "a c"], least=2).words == ["a"]
    assert data.Vocabulary.of(["b B"], lower=False).words == ["B", "b"]


def test_a_vocabulary_is_the_same_in_every_process_and_file(tmp_path):
    code = "from keras_ssl.data import Vocabulary; print(Vocabulary.of(['ä b a', 'd c b']).words)"
    env = {"PYTHONHASHSEED": "1", "PYTHONPATH": ":".join(sys.path), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, encoding="utf-8")
    assert done.stdout.strip() == str(data.Vocabulary.of(["ä b a", "d c b"]).words) == "['b', 'a', 'c', 'd', 'ä']"
    vocabulary = data.Vocabulary.of(["ä b a"])
    vocabulary.save(tmp_path / "words.json")
    assert vars(data.Vocabulary.load(tmp_path / "words.json")) == vars(vocabulary)


def test_bytes_come_back():
    columns, vocabulary, _ = data.text_columns(["né\ud800"], length=8, vocabulary="bytes")
    assert len(vocabulary) == 261 and vocabulary.decode(columns["token_ids"][0]) == "né?"
    assert columns["padding_mask"].sum() == 4


class Tokenizer:
    """What is taken of a tokenizer of the extra `text`."""

    words = ["a", "<pad>", "<unk>", "b", "<s>", "</s>", "<mask>"]
    no_padding = no_truncation = lambda self: None

    def token_to_id(self, token):
        return self.words.index(token) if token in self.words else None

    def get_vocab_size(self):
        return len(self.words)

    def encode(self, text, add_special_tokens):
        assert not add_special_tokens
        return type("Encoding", (), {"ids": [self.token_to_id(word) for word in text.split()]})

    def decode(self, numbers):
        return " ".join(self.words[number] for number in numbers)


def trained():
    """A tokenizer of that package where it is installed."""
    try:
        import tokenizers
    except ImportError:
        return Tokenizer()
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({x: i for i, x in enumerate(Tokenizer.words)}, "<unk>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.enable_padding(length=9)
    return made


def test_special_tokens_are_those_of_the_tokenizer():
    columns, vocabulary, _ = data.text_columns(["b a b"], length=6, vocabulary=trained(), ends=True)
    assert columns["token_ids"].tolist() == [[4, 3, 0, 3, 5, 1]] and columns["padding_mask"].sum() == 5
    assert vocabulary.special == (1, 2, 4, 5, 6) and vocabulary.mask_id == 6 and len(vocabulary) == 7
    assert vocabulary.decode([3, 0]) == "b a"
    without = Tokenizer()
    without.words = ["a", "<pad>", "<s>"]
    for made in (data.text_columns, data.sentence_pairs):
        with pytest.raises(ValueError, match="the vocabulary has no sep_id: train the tokenizer with"):
            made(["a", "a"] if made is data.text_columns else [["a", "a"]], vocabulary=without, ends=True)
    without.words = ["a"]
    with pytest.raises(ValueError, match="needs a token for padding"):
        TokenizerVocabulary(without)


def test_words_and_sentences():
    assert split_words("Don't stop, Änna!  x_1 3.5") == ["don't", "stop", ",", "änna", "!", "x_1", "3", ".", "5"]
    assert split_sentences("Mr. Bell left. Why?  He had to (so he said.) It was 3.5 miles... and then") == [
        "Mr. Bell left.", "Why?", "He had to (so he said.)", "It was 3.5 miles... and then",
    ]  # fmt: skip
    assert split_sentences(" ") == []


HARD = b"\xef\xbb\xbfOne line.\r\n\r\n\xff two\0three\rA" + b"x" * 3000 + b"\n"


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_files_with_marks_and_bytes_of_all_kinds_are_read(tmp_path, name):
    (tmp_path / name).write_bytes(gzip.compress(HARD) if name.endswith("gz") else HARD)
    assert data.read_texts(tmp_path)[0] == ["One line.", "� two three", "A" + "x" * 3000]
    dataset = data.text_files(tmp_path, 2, length=4, shuffle=False)
    assert next(iter(dataset))["token_ids"].shape == (2, 4) and dataset.samples == 3


def test_units_of_files(tmp_path):
    (tmp_path / "b.txt").write_text("B is.\n")
    (tmp_path / "a.txt").write_text("One a. Two\nb. Three.\n\nFour\n")
    (tmp_path / "no.md").write_text("No.")
    assert data.read_texts(tmp_path, "line") == [["One a. Two", "b. Three.", "Four"], ["B is."]]
    assert data.read_texts(tmp_path, "sentence") == [["One a.", "Two b.", "Three.", "Four"], ["B is."]]
    assert data.read_texts(tmp_path / "b.txt", "document") == [["B is."]]
    windows = data.text_files(tmp_path, 2, unit="window", length=4, shuffle=False)
    assert windows.samples == 4 and windows.truncated == 0  # nine tokens and three, never both in one


@pytest.mark.parametrize(
    "options, words",
    [
        ({"texts": "abc"}, "texts must be a list of str"),
        ({"texts": []}, "at least one"),
        ({"texts": [b"a"]}, "texts must be a list of str"),
        ({"length": 0}, "length must be a positive int"),
        ({"length": 2, "ends": True}, r"length without \[CLS\] and \[SEP\] must be a positive int"),
        ({"vocabulary": "chars"}, "vocabulary must be one of"),
        ({"vocabulary": ["a"]}, "vocabulary must be 'words', 'bytes' or a vocabulary"),
        ({"size": 5}, "size must be an int from 6"),
        ({"least": 0}, "least must be an int from 1"),
        ({"windows": 1}, "windows must be True or False"),
    ],
)
def test_what_is_wrong_is_said(options, words):
    with pytest.raises(ValueError, match=words):
        data.text_columns(**{"texts": ["a b"], **options})


def test_wrong_files_and_vocabularies_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no .txt"):
        data.read_texts(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        data.read_texts([tmp_path / "a.txt"])
    (tmp_path / "a.txt").write_text(" \n")
    with pytest.raises(ValueError, match="no text in the files"):
        data.read_texts(tmp_path)
    with pytest.raises(ValueError, match="unit must be one of"):
        data.read_texts(tmp_path, "page")
    with pytest.raises(ValueError, match="'a' more than once"):
        data.Vocabulary(["a", "a"])
    with pytest.raises(ValueError, match="one a word"):
        data.Vocabulary(["a"], [1, 2])
    assert len(data.Vocabulary([])) == len(SPECIAL) and np.all(data.pad_tokens([[]], 2)["token_ids"] == 0)
