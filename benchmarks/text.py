"""Texts: what vectors of words and of sentences, and a language model, know after minutes without labels.

    python benchmarks/text.py --glosses text_glosses/glosses.tsv.gz --novels text_novels/novels.tsv.gz --out runs/text

`topics`: 39,492 definitions of words, of 38 topics: methods are trained on the definitions of the training part, and a
linear classifier on the features of a definition tells its topic, beside TF-IDF; and whether synonyms, of which
WordNet has the groups, are nearer than other words of the definitions. `neighbors`: sentences of novels: how well the
score of a pair tells the next sentence from one of another chapter, beside the cosine of TF-IDF. `perplexity`: how well
the next word is told, beside n-grams of the same words. It goes on where it was stopped, and writes the table
`text.json` to --out. With --validate a fifth of the training part takes the place of the test part, as when the
settings were chosen.
"""

import argparse
import collections
import gzip
import itertools
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
from quality import write  # noqa: E402
from scipy import sparse  # noqa: E402
from sklearn import (  # noqa: E402
    decomposition,
    feature_extraction,
    linear_model,
    metrics,
    pipeline,
    preprocessing,
)

import keras_ssl  # noqa: E402
from keras_ssl import augment, data, encoders, optimizers  # noqa: E402

TFIDF = "TF-IDF"
WORDS = ("WordSkipGram", "WordCBOW", "FastText")
GRAMS = ("One word by its frequency", "Two words", "Three words")
COUNTED = "Counts of words nearby, 100 components"
TRANSFORMER = "Transformer from its random start"
PAIRS = ("NextSentence", "BERTPretraining")
PARTS = {
    "topics": (TFIDF, COUNTED, "Vectors of words from their random start", *WORDS, TRANSFORMER, "CausalLM"),
    "neighbors": (TFIDF, "QuickThoughts from its random start", "QuickThoughts", *PAIRS),
    "perplexity": (*GRAMS, "CausalLM"),
}
FIXED = (TFIDF, *GRAMS)  # nothing in them is drawn
TABLE = {
    "title": "Texts",
    "what": "Topics: a linear classifier on the mean of a definition's word vectors (100 numbers, {words} epochs) or "
    "tokens (transformer, two blocks of width 96, {gloss} epochs), in per cent of 38 topics. Synonyms: how often two "
    "words of a group of WordNet have a larger cosine than two that are drawn by their frequency (AUC, %); the parts "
    "of words that FastText shares help there. Next sentence: as often a sentence is followed by its own next one as "
    "by one of another chapter; area under the ROC curve, and pairs told right by the middle score ({sentences} epochs "
    "of two encoders of the mean of word vectors, {pairs} of the transformer). Perplexity of the next of {size} words "
    "in parts of 64 ({model} epochs of the transformer); n-grams are interpolated with weights chosen on a tenth of "
    "the training part. Counts: singular vectors of the positive mutual information of words within a window of 5.",
    "data": "Definitions of WordNet by topic (31,586 to train, 7,906 to test); six novels by Jane Austen, every fifth "
    "chapter to test",
    "command": "python benchmarks/text.py --glosses text_glosses/glosses.tsv.gz --novels text_novels/novels.tsv.gz",
    "machine": "1 CPU core",
    "spread": "Trained rows are means over the seeds.",
    "columns": {
        "topics": "topic, %", "synonyms": "synonyms, AUC, %", "neighbors": "next sentence, AUC, %",
        "right": "next sentence, right, %", "perplexity": "perplexity",
    },
}  # fmt: skip
EPOCHS = {"words": 3, "gloss": 4, "sentences": 8, "pairs": 4, "model": 4}
SIZE, LENGTH, BATCH = 2000, 64, 64


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--glosses", type=Path)
    parser.add_argument("--novels", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/text"))
    parser.add_argument("--only", nargs="*", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--rows", nargs="*", help="of these alone")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1])
    parser.add_argument("--validate", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "scores.json"
    scores = json.loads(file.read_text()) if file.exists() else {}
    for part in options.only:
        train, test = split(part, options)
        for row in PARTS[part]:
            for seed in options.seeds[: 1 if row in FIXED else None]:
                key = f"{part}, {row}, {seed}"
                if key not in scores and (not options.rows or row in options.rows):
                    start = time.perf_counter()
                    keras.utils.set_random_seed(seed)
                    found = globals()[part](row, train, test, seed)
                    scores[key] = {name: round(float(x), 2) for name, x in found.items() if x is not None}
                    write(file, json.dumps(scores, indent=1))
                    print(f"{key}: {scores[key]} ({time.perf_counter() - start:.0f} s)", flush=True)
    write(options.out / "text.json", table(scores, options.seeds))


def table(scores, seeds):
    rows = []
    for row in dict.fromkeys(row for part in PARTS.values() for row in part):
        found = {"name": row}
        for part in PARTS:
            every = [scores[key] for key in (f"{part}, {row}, {seed}" for seed in seeds) if key in scores]
            for name in every[0] if every else ():
                found[name] = round(float(np.mean([one[name] for one in every])), 1)
        rows += [found] if len(found) > 1 else []
    what = TABLE["what"].format(**EPOCHS, size=f"{SIZE:,}")
    return json.dumps(TABLE | {"what": what, "seeds": seeds, "rows": rows}, indent=1)


def split(part, options):
    """Training and test part: triples of text, topic and the words that mean it, or chapters as lists of sentences."""
    path = options.glosses if part == "topics" else options.novels
    with gzip.open(path, "rt", encoding="utf8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][1:]
    if part == "topics":
        found = [[(row[3], row[1], row[2]) for row in rows if row[0] == name] for name in ("train", "test")]
    else:
        chapters = collections.defaultdict(list)
        for row in rows:
            chapters[tuple(row[:3])].append(row[4])
        found = [[x for key, x in chapters.items() if key[0] == name] for name in ("train", "test")]
    if options.validate:
        found = [x for i, x in enumerate(found[0]) if i % 5], found[0][::5]
    return found


def fit(model, columns, epochs, rate, seed, **compile):
    steps = epochs * (len(columns["token_ids"]) // BATCH)
    model.compile(keras.optimizers.Adam(optimizers.warmup_cosine(rate, steps, steps // 20)), **compile)
    batches = data.arrays(columns, BATCH, seed=seed, drop_remainder=True)
    losses = model.fit(batches, epochs=epochs, verbose=0).history["loss"]
    print(f"losses {np.round(losses, 2)}", flush=True)


# Topics


def topics(row, train, test, seed):
    texts, labels, _ = zip(*train, strict=True)
    others, expected, _ = zip(*test, strict=True)
    if row == TFIDF:
        steps = pipeline.make_pipeline(
            feature_extraction.text.TfidfVectorizer(sublinear_tf=True),
            linear_model.LogisticRegression(C=10, max_iter=300),
        )
        return {"topics": 100 * steps.fit(texts, labels).score(others, expected)}
    columns, vocabulary, _ = data.text_columns(texts, length=24, least=2)
    held_out = data.text_columns(others, length=24, vocabulary=vocabulary)[0]
    if row in (TRANSFORMER, "CausalLM"):
        encoder = causal(vocabulary, 24)
        if row == "CausalLM":
            model = keras_ssl.CausalLM(encoder, augment.Unchanged())
            fit(model, columns, EPOCHS["gloss"], 2e-3, seed, jit_compile=True)
        vectors = None
    else:
        encoder = word_encoder(row, columns, vocabulary, seed)
        vectors = np.asarray(encoder.get_layer("words")(np.arange(len(vocabulary))))
    features = [encoder.predict(part, batch_size=256, verbose=0) for part in (columns, held_out)]
    steps = pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression(max_iter=300))
    found = {"topics": 100 * steps.fit(features[0], labels).score(features[1], expected)}
    return found | ({} if vectors is None else {"synonyms": synonyms(vectors, vocabulary, [*train, *test])})


def causal(vocabulary, length):
    return encoders.text_transformer(len(vocabulary), length, 96, 2, 4, pooling="mean", dropout=0.1)


def word_encoder(row, columns, vocabulary, seed):
    counts = vocabulary.token_counts()
    words = {"words": vocabulary.words, "buckets": 20_000} if row == "FastText" else {}
    encoder = encoders.word_vectors(len(counts), 100, **words)
    if row == COUNTED:
        encoder.get_layer("words").kernel.assign(components(columns, len(counts), seed))
    if row in WORDS:
        views = augment.SubsampleTokens(counts, 1e-3)
        mode = {"mode": "cbow"} if row == "FastText" else {}
        model = getattr(keras_ssl, row)(encoder, views, counts=counts, **mode)
        fit(model, columns, EPOCHS["words"], 5e-3, seed)
    return encoder


def components(columns, size, seed, window=5, dim=100):
    """Vectors of words by counting: the positive pointwise mutual information of words nearby, in fewer numbers."""
    tokens, mask = columns["token_ids"], columns["padding_mask"]
    counts = sparse.csr_matrix((size, size), dtype="float64")
    for step in range(1, window + 1):
        both = mask[:, :-step] & mask[:, step:]
        pair = tokens[:, :-step][both], tokens[:, step:][both]
        counts += sparse.coo_matrix((np.full(len(pair[0]), (window + 1 - step) / window), pair), (size, size)).tocsr()
    counts = (counts + counts.T).tocoo()
    share = np.asarray(counts.sum(axis=1)).ravel() / counts.sum()
    values = np.log(counts.data / counts.data.sum() / share[counts.row] / share[counts.col])
    positive = sparse.coo_matrix((np.maximum(values, 0), (counts.row, counts.col)), (size, size)).tocsr()
    return decomposition.TruncatedSVD(dim, random_state=seed).fit_transform(positive)


def synonyms(vectors, vocabulary, rows, count=5000):
    """How often two words of one group are nearer than two that are drawn from all groups."""
    groups = [sorted(set(row[2].lower().split(", ")) & set(vocabulary.numbers)) for row in rows]
    pairs = sorted({pair for group in groups for pair in itertools.combinations(group, 2)})
    rng = np.random.default_rng(0)
    pairs = np.array([[vocabulary.numbers[word] for word in pair] for pair in pairs])
    pairs = pairs[rng.permutation(len(pairs))[:count]]
    others = np.stack([rng.permutation(pairs.ravel()), rng.permutation(pairs.ravel())], axis=1)
    others = others[others[:, 0] != others[:, 1]]
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    near = [np.sum(unit[part[:, 0]] * unit[part[:, 1]], axis=1) for part in (pairs, others)]
    return 100 * metrics.roc_auc_score(np.repeat([1, 0], [len(pairs), len(others)]), np.concatenate(near))


# Neighbors


def neighbors(row, train, test, seed):
    if row in PAIRS:
        return told(*transformed(row, train, test, seed))
    pairs, vocabulary, _ = data.sentence_pairs(test, length=96, vocabulary=vocabulary_of(train), negatives=0.5)
    views = [{name: np.asarray(x) for name, x in view.items()} for view in augment.SplitSegments()(pairs)]
    if row == TFIDF:
        texts = [sentence for chapter in train for sentence in chapter]
        model = feature_extraction.text.TfidfVectorizer().fit(texts)
        said = [
            [vocabulary.decode(x[mask]) for x, mask in zip(*view.values(), strict=True)] for view in ordered(views)
        ]
        scores = np.asarray(model.transform(said[0]).multiply(model.transform(said[1])).sum(axis=1)).ravel()
    else:
        one, other = (encoders.word_vectors(len(vocabulary), 100) for _ in range(2))
        model = keras_ssl.QuickThoughts(one, augment.SplitSegments(), other=other)
        if row == "QuickThoughts":
            columns = data.sentence_pairs(train, length=96, vocabulary=vocabulary)[0]
            fit(model, columns, EPOCHS["sentences"], 5e-3, seed)
        f, g = ([encoder.predict(view, batch_size=256, verbose=0) for view in views] for encoder in (one, other))
        scores = np.sum(f[0] * g[1], axis=1) + np.sum(f[1] * g[0], axis=1)
    return told(pairs["is_next"], scores)


def told(is_next, scores):
    """The area under the ROC curve, and how many pairs are told right by the middle score."""
    right = np.mean((scores > np.median(scores)) == is_next)
    return {"neighbors": 100 * metrics.roc_auc_score(is_next, scores), "right": 100 * right}


def transformed(row, train, test, seed):
    """What the transformer says of the pairs of the test part, and which of them are neighbors."""
    options = {"length": LENGTH, "vocabulary": vocabulary_of(train), "negatives": 0.5, "ends": True}
    columns, vocabulary, _ = data.sentence_pairs(train, seed=seed, **options)
    kind = {"pooling": "first", "causal": False, "segments": 2, "bert": True}
    encoder = encoders.text_transformer(len(vocabulary), LENGTH, 96, 2, 4, **kind)
    special = {"mask_id": vocabulary.mask_id, "special": vocabulary.special} if row == "BERTPretraining" else {}
    model = getattr(keras_ssl, row)(encoder, augment.Unchanged(), **special)
    fit(model, columns, EPOCHS["pairs"], 1e-3, seed, jit_compile=True)
    pairs = data.sentence_pairs(test, **options)[0]
    taken = {name: pairs[name] for name in ("token_ids", "padding_mask", "segment_ids")}
    logits = model.next_head.predict(encoder.predict(taken, batch_size=256, verbose=0), verbose=0)
    return pairs["is_next"], logits[:, 1] - logits[:, 0]


def ordered(views):
    return [{name: view[name] for name in ("token_ids", "padding_mask")} for view in views]


def vocabulary_of(chapters, size=None):
    return data.Vocabulary.of([sentence for chapter in chapters for sentence in chapter], size, least=2)


# Perplexity


def perplexity(row, train, test, seed):
    vocabulary = vocabulary_of(train, SIZE)
    columns, held_out = (
        data.text_columns([" ".join(x) for x in part], length=LENGTH, vocabulary=vocabulary, windows=True)[0]
        for part in (train, test)
    )
    if row in GRAMS:
        return {"perplexity": grams(columns, held_out, len(vocabulary), 1 + GRAMS.index(row))}
    model = keras_ssl.CausalLM(causal(vocabulary, LENGTH), augment.Unchanged())
    fit(model, columns, EPOCHS["model"], 2e-3, seed, jit_compile=True)
    total, count = 0.0, 0
    for begin in range(0, len(held_out["token_ids"]), BATCH):
        part = {name: x[begin : begin + BATCH] for name, x in held_out.items()}
        logits, tokens = np.asarray(model.scores(part))[:, :-1], part["token_ids"][:, 1:]
        chosen = np.take_along_axis(logits, tokens[..., None], axis=-1)[..., 0]
        top = logits.max(axis=-1)
        losses = np.log(np.exp(logits - top[..., None]).sum(axis=-1)) + top - chosen
        total, count = total + losses[part["padding_mask"][:, 1:]].sum(), count + part["padding_mask"][:, 1:].sum()
    return {"perplexity": np.exp(total / count)}


def grams(columns, held_out, size, order):
    """The perplexity of interpolated n-grams of at most so many words, on the same words as the model's."""
    tenth = np.arange(len(columns["token_ids"])) % 10 == 0
    inner = {name: x[~tenth] for name, x in columns.items()}
    tuning = probabilities(inner, {name: x[tenth] for name, x in columns.items()}, size, order)
    weights = np.full(order + 1, 1 / (order + 1))
    for _ in range(50):  # expectation maximization
        parts = weights * tuning
        weights = (parts / parts.sum(axis=1, keepdims=True)).mean(axis=0)
    return np.exp(-np.log(probabilities(columns, held_out, size, order) @ weights).mean())


def probabilities(columns, held_out, size, order):
    """For each word but the first of its part, its probability by chance, by its frequency, after one word, two."""
    counts = [collections.Counter() for _ in range(order + 1)]
    befores = [collections.Counter() for _ in range(order + 1)]
    for row, mask in zip(columns["token_ids"], columns["padding_mask"]):
        row = row[mask].tolist()
        for t in range(1, len(row)):
            for n in range(1, min(order, t + 1) + 1):
                counts[n][tuple(row[t - n + 1 : t + 1])] += 1
                befores[n][tuple(row[t - n + 1 : t])] += 1
    found = []
    for row, mask in zip(held_out["token_ids"], held_out["padding_mask"]):
        row = row[mask].tolist()
        for t in range(1, len(row)):
            chances = [1 / size]
            for n in range(1, order + 1):
                before = befores[n][tuple(row[max(t - n + 1, 0) : t])] if n <= t + 1 else 0
                chances.append(counts[n][tuple(row[t - n + 1 : t + 1])] / before if before else chances[-1])
            found.append(chances)
    return np.array(found)


if __name__ == "__main__":
    main()
