"""Series: what is learned from the sensors of phones without labels, for people who were not seen.

    python benchmarks/series.py --data phone_activity.npz
    python benchmarks/series.py --data phone_activity.npz --validate  # users of the training part are held out

The data are recordings of eight people with accelerometer and gyroscope, 50 steps a second, in five activities: arrays
`signal`, `scale`, `recording_offset`, `recording_user`, and windows of 128 steps, `window_start`, `window_label` and
`window_user`. Encoders are trained on windows over the whole recordings of five people, also where nothing is labeled,
and scored on the labeled windows of the others, users 3, 6 and 8: macro F1 and Cohen's kappa of a linear classifier on
frozen features, once with all labels of the five people and once with ten an activity (means over five draws), and
k-NN. Each row is kept in `--out`, and a run that was stopped goes on with the rows that are missing. It takes about a
minute a row on one CPU core. Choose settings with `--validate`.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
from rows import Rows, write  # noqa: E402

import keras_ssl  # noqa: E402
from keras_ssl import augment, data, encoders, eval, optimizers  # noqa: E402

WINDOW, CHANNELS = 128, 6
BATCH, EPOCHS = {"TPN": 64, "SimCLR": 128}, {"TPN": 5, "SimCLR": 16}  # a minute or two each
TEST, VALIDATION = (3, 6, 8), (5, 7)
SHOTS, DRAWS = 10, 5
ACTIVITY = (0.3, 0.3, 0.3, 0.0, 0.3, 0.3, 0.3, 0.0)  # how often SimCLR's views are changed by each transformation
METHODS = ("TPN", "SimCLR")
BASELINES = ("raw values", "untrained", "supervised")
COLUMNS = {
    "f1": "linear, F1 %", "kappa": "linear, kappa %", "few": "10 labels each, F1 %", "knn": "k-NN, accuracy %",
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the .npz file")
    parser.add_argument("--out", type=Path, default=Path("runs/series"), help="folder of the rows and of the table")
    parser.add_argument("--rows", nargs="*", default=[*BASELINES, *METHODS], choices=[*BASELINES, *METHODS])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1])
    parser.add_argument("--epochs", type=int, help="of the methods")
    parser.add_argument("--p", nargs="*", type=float, default=list(ACTIVITY), help="of the views of SimCLR")
    parser.add_argument("--validate", action="store_true", help=f"train without users {VALIDATION}, score these")
    options = parser.parse_args()

    phones = Phones(options.data, VALIDATION if options.validate else TEST, options.validate)
    rows = Rows(options.out / ("validation.json" if options.validate else "rows.json"))
    for seed in options.seeds:
        for name in options.rows:
            if name == "raw values" and seed != options.seeds[0]:
                continue
            settings = {}
            if name in METHODS:
                settings = {"epochs": options.epochs or EPOCHS[name], "batch": BATCH[name]}
            settings |= {"p": options.p} if name == "SimCLR" else {}
            rows.measure(name, seed, settings, lambda: measured(name, seed, phones, settings))
    if not options.validate:
        table = rows.table([*BASELINES, *METHODS], COLUMNS, **SAID, seeds=options.seeds)
        write(options.out / "series.json", table)


SAID = {
    "title": "Sensors of phones",
    "what": "The network of TPN (86,720 weights), trained for a minute or two without labels on windows of the "
    "recordings of five people, then frozen; scores are of three other people. Supervised is the same network trained "
    "with all labels of the five people, or with ten of each activity.",
    "data": "accelerometer and gyroscope of phones, eight people, five activities, 3,278 labeled windows of 128 steps "
    "(DiFronzo/LSTM-for-Human-Activity-Recognition-classification).",
    "command": "python benchmarks/series.py --data phone_activity.npz",
    "machine": "one CPU core",
}


class Phones:
    """The recordings to train on, and the labeled windows to fit and to score."""

    def __init__(self, path, held_out, validate):
        file = np.load(path)
        signal, offset, users = file["signal"] * file["scale"], file["recording_offset"], file["recording_user"]
        recordings = [signal[begin:end] for begin, end in zip(offset[:-1], offset[1:])]
        kept = [user not in TEST for user in users] if validate else [True] * len(users)
        recordings, users = [x for x, k in zip(recordings, kept) if k], users[np.array(kept)]
        train, _ = data.split_groups(users, held_out)
        self.recordings = [recordings[number] for number in train]
        self.normalize = data.series_statistics(self.recordings)
        windows = np.stack([signal[start : start + WINDOW] for start in file["window_start"]])
        windows = ((windows - self.normalize[0]) / self.normalize[1]).astype("float32")
        labels, own = file["window_label"].astype("int32"), file["window_user"]
        test = np.isin(own, held_out)
        fit = ~test & ~(np.isin(own, TEST) & validate)
        self.train, self.test = (windows[fit], labels[fit]), (windows[test], labels[test])

    def pipeline(self, seed, batch):
        return data.series(self.recordings, WINDOW, batch, normalize=self.normalize, seed=seed)


def measured(name, seed, phones, settings):
    keras.utils.set_random_seed(seed)
    if name == "supervised":
        return supervised(seed, phones)
    if name == "raw values":
        return scores(lambda x: x.reshape(len(x), -1), phones)
    encoder = encoders.sensor_cnn((WINDOW, CHANNELS))
    if name in METHODS:
        train(name, encoder, phones.pipeline(seed, settings["batch"]), settings)
    return scores(lambda x: encoder.predict(x, batch_size=512, verbose=0), phones)


def train(name, encoder, windows, settings):
    if name == "TPN":
        model = keras_ssl.TPN(encoder, augment.tpn())
    else:
        views = augment.simclr_activity(tuple(settings["p"]))
        model = keras_ssl.SimCLR(encoder, views, hidden=256, dim=64, temperature=0.1)
    steps = len(windows) * settings["epochs"]
    rate = optimizers.warmup_cosine(1e-3, steps=steps, warmup=steps // 15)
    model.compile(optimizer=optimizers.Adam(rate))
    model.fit(windows, epochs=settings["epochs"], verbose=2)


# Scores


def scores(features, phones):
    (train, labels), (test, expected) = phones.train, phones.test
    train, test = features(train), features(test)
    whole = classified(train, labels, test)
    few = [f1(expected, classified(train[part], labels[part], test)) for part in draws(labels)]
    return {
        "f1": percent(f1(expected, whole)),
        "kappa": percent(kappa(expected, whole)),
        "few": percent(np.mean(few)),
        "knn": percent(float(eval.knn_features(train, labels, test, expected, k=20))),
    }


def supervised(seed, phones):
    (train, labels), (test, expected) = phones.train, phones.test

    def trained(part, epochs):
        keras.utils.set_random_seed(seed)
        encoder = encoders.sensor_cnn((WINDOW, CHANNELS))
        model = keras.Sequential([encoder, keras.layers.Dense(int(labels.max()) + 1)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss)
        model.fit(train[part], labels[part], batch_size=32, epochs=epochs, verbose=0)
        return model.predict(test, batch_size=512, verbose=0).argmax(axis=1)

    whole = trained(np.arange(len(labels)), 15)
    few = [f1(expected, trained(part, 100)) for part in draws(labels)]
    return {
        "f1": percent(f1(expected, whole)), "kappa": percent(kappa(expected, whole)), "few": percent(np.mean(few)),
    }  # fmt: skip


def draws(labels):
    return [data.class_balanced(labels, SHOTS * (int(labels.max()) + 1), seed=seed) for seed in range(DRAWS)]


def classified(train, labels, test):
    """What multinomial logistic regression says of standardized features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return model.fit(train, labels).predict(test)


def f1(expected, found):
    """The mean of the F-scores of all classes."""
    each = []
    for label in np.unique(expected):
        right = np.sum((expected == label) & (found == label))
        each.append(2 * right / max(1, np.sum(expected == label) + np.sum(found == label)))
    return np.mean(each)


def kappa(expected, found):
    """Cohen's kappa: 0 is what chance agrees on."""
    agreed = np.mean(expected == found)
    chance = sum(np.mean(expected == label) * np.mean(found == label) for label in np.unique(expected))
    return (agreed - chance) / (1 - chance)


def percent(value):
    return round(100 * float(value), 2)


if __name__ == "__main__":
    main()
