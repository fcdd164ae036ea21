"""Audio: what is learned from sounds without labels: words and speakers, instruments of kits that were not heard.

    python benchmarks/audio.py --digits spoken_digits.npz --drums drum_sounds/
    python benchmarks/audio.py --digits spoken_digits.npz --drums drum_sounds/ --validate  # scores of the training part

The digits are 1,500 recordings of ten words by six speakers at 8 kHz: arrays `audio`, `offset`, `digit`, `speaker` and
`take`; takes 5 to 24 are trained on, takes 0 to 4 scored. The drums are 605 hits of eight instruments of fourteen kits,
in files of OGG with a table `drums.csv` (the extra `audio` reads them); five kits are scored. A network is trained on
digits for the digits, and another on drums for the drums. Scores are accuracies of a linear classifier on frozen
features: the word, the word of a speaker whose labels are left out, the speaker, and the instrument; and of k-NN (k =
20). `supervised` is the network of Audio2Vec, trained with the words and with the instruments. Each row is kept in
`--out`, and a run that was stopped goes on with the rows that are missing. It takes about two minutes a row on one CPU
core. Choose settings with `--validate`.
"""

import argparse
import csv
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
from rows import Rows, write  # noqa: E402
from scipy.io import wavfile  # noqa: E402

import keras_ssl  # noqa: E402
from keras_ssl import augment, data, encoders, eval, optimizers  # noqa: E402

RATE, BATCH = 8000, 32
KITS = ("rumpf_kit_z01_h2", "ElectricEmpireKit", "Audiophob", "ColomboAcousticDrumkit", "circAfrique v4")
METHODS = ("TemporalGap", "Audio2VecCBoW", "Audio2VecSkipGram", "CPCAudio", "SimCLR")
BASELINES = ("log-mel statistics", "untrained", "untrained CPC", "supervised")
STEPS = {"digits": 600, "drums": 300}
COLUMNS = {
    "word": "word, %",
    "word_knn": "word, k-NN, %",
    "unseen": "word, another speaker, %",
    "speaker": "speaker, %",
    "drum": "drum, another kit, %",
    "drum_knn": "drum, k-NN, %",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digits", type=Path, required=True, help="the .npz file")
    parser.add_argument("--drums", type=Path, required=True, help="the folder")
    parser.add_argument("--out", type=Path, default=Path("runs/audio"), help="folder of the rows and of the table")
    parser.add_argument("--rows", nargs="*", default=[*BASELINES, *METHODS], choices=[*BASELINES, *METHODS])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1])
    parser.add_argument("--among", default="batch", choices=("batch", "sound", "group"), help="negatives of CPCAudio")
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate")
    parser.add_argument("--validate", action="store_true", help="score takes 5 to 9 and four kits of the training part")
    options = parser.parse_args()

    sets = {"digits": digits(options), "drums": drums(options)}
    rows = Rows(options.out / ("validation.json" if options.validate else "rows.json"))
    for seed in options.seeds:
        for name in options.rows:
            if name == "log-mel statistics" and seed != options.seeds[0]:
                continue
            learns = name in (*METHODS, "supervised")
            settings = {"steps": STEPS, "batch": BATCH, "rate": options.rate} if learns else {}
            settings |= {"among": options.among} if name == "CPCAudio" else {}
            rows.measure(name, seed, settings, lambda: measured(name, seed, sets, settings))
    if not options.validate:
        table = rows.table([*BASELINES, *METHODS], COLUMNS, **SAID, seeds=options.seeds)
        write(options.out / "audio.json", table)


SAID = {
    "title": "Digits and drums",
    "what": "Networks trained for a minute without labels (600 steps of 32 digits, 300 of 32 drums), then frozen: "
    "four blocks of Audio2Vec's (64 features), four convolutions and a GRU for CPCAudio (128 features). Log-mel "
    "statistics are mean and deviation of each of 64 bands. The other speaker was heard without labels.",
    "data": "1,500 recordings of spoken digits (Free Spoken Digit Dataset, takes 0 to 24), 605 drum hits of 14 kits "
    "(Debian's hydrogen-drumkits).",
    "command": "python benchmarks/audio.py --digits spoken_digits.npz --drums drum_sounds/",
    "machine": "one CPU core",
}


class Sounds:
    """Files to train on, and padded sounds with their labels to fit and to score."""

    def __init__(self, paths, test, seconds, **labels):
        self.test, self.labels, self.seconds = np.asarray(test), labels, seconds
        self.paths = [path for path, held in zip(paths, test) if not held]
        whole = data.audio_files(paths, RATE, seconds, 64, crop="center", shuffle=False)
        batches = [{name: batch[name].numpy() for name in ("audio", "audio_mask")} for batch in whole]
        self.sounds = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
        self.front = encoders.LogMel(RATE).fitted([{name: x[~self.test] for name, x in self.sounds.items()}])

    def pipeline(self, seconds, seed):
        return data.audio_files(self.paths, RATE, seconds, BATCH, seed=seed, groups=self.groups())

    def groups(self):
        return self.labels["group"][~self.test].tolist()


def digits(options):
    file = np.load(options.digits)
    kept = file["take"] >= (5 if options.validate else 0)
    folder, paths = options.out / "digits", []
    folder.mkdir(parents=True, exist_ok=True)
    for number in np.flatnonzero(kept):
        paths.append(folder / f"{number:04}.wav")
        if not paths[-1].exists():
            wavfile.write(paths[-1], RATE, file["audio"][file["offset"][number] : file["offset"][number + 1]])
    test = file["take"][kept] < (10 if options.validate else 5)
    labels = {"word": file["digit"][kept], "group": file["speaker"][kept]}
    return Sounds(paths, test, 2.4, **{name: x.astype("int32") for name, x in labels.items()})


def drums(options):
    with open(options.drums / "drums.csv") as file:
        rows = list(csv.DictReader(file))
    kits = np.array([row["kit"] for row in rows])
    test = np.isin(kits, KITS)
    if options.validate:
        rows, kits = [row for row, held in zip(rows, test) if not held], kits[~test]
        test = np.isin(kits, np.unique(kits)[1::2])
    names, drum = np.unique([row["label"] for row in rows], return_inverse=True)
    group = np.unique(kits, return_inverse=True)[1]
    paths = [options.drums / row["file"] for row in rows]
    return Sounds(paths, test, 1.0, drum=drum.astype("int32"), group=group.astype("int32"))


def measured(name, seed, sets, settings):
    found = {}
    for title, sounds in sets.items():
        if name == "supervised":
            found |= supervised("word" if title == "digits" else "drum", title, sounds, seed, settings)
            continue
        if name == "log-mel statistics":
            features = statistics(sounds)
        else:
            encoder = trained(name, title, sounds, seed, settings)
            features = encoder.predict(sounds.sounds, batch_size=64, verbose=0)
        found |= (score_digits if title == "digits" else score_drums)(features, sounds)
    return found


def trained(name, title, sounds, seed, settings):
    keras.utils.set_random_seed(seed)
    of_cpc = name in ("CPCAudio", "untrained CPC")
    encoder = cpc() if of_cpc else encoders.audio2vec(front=sounds.front, widths=(8, 16, 32, 64), masked=True)
    if name in METHODS:
        seconds = 0.7 if title == "digits" else 1.0
        steps = settings["steps"][title]
        model = make(name, encoder, sounds.front, round(seconds * RATE), settings)
        rate = optimizers.warmup_cosine(settings["rate"], steps=steps, warmup=steps // 15)
        model.compile(optimizer=optimizers.Adam(rate))
        parts = sounds.pipeline(seconds, seed).repeat()
        history = model.fit(parts, epochs=6, steps_per_epoch=steps // 6, verbose=0).history
        print(name, title, {key: [round(x, 3) for x in values] for key, values in history.items()}, flush=True)
    return encoder


def supervised(label, title, sounds, seed, settings):
    """The accuracy of the network of Audio2Vec, trained with all labels of the training part."""
    keras.utils.set_random_seed(seed)
    encoder = encoders.audio2vec(front=sounds.front, widths=(8, 16, 32, 64), masked=True)
    labels, fit = sounds.labels[label], ~sounds.test
    logits = keras.layers.Dense(int(labels.max()) + 1)(encoder.output)
    model, steps = keras.Model(encoder.input, logits), settings["steps"][title]
    rate = optimizers.warmup_cosine(settings["rate"], steps=steps, warmup=steps // 15)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizers.Adam(rate), loss=loss)
    inputs = {name: x[fit] for name, x in sounds.sounds.items()}
    model.fit(inputs, labels[fit], batch_size=BATCH, epochs=steps * BATCH // int(fit.sum()), verbose=0)
    tested = {name: x[~fit] for name, x in sounds.sounds.items()}
    said = model.predict(tested, batch_size=64, verbose=0).argmax(axis=1)
    return {label: percent(np.mean(said == labels[~fit]))}


def cpc():
    return encoders.cpc_audio(
        filters=(64,) * 4, kernels=(10, 8, 4, 4), strides=(5, 4, 2, 2), context=128, norm="layer", masked=True
    )


def make(name, encoder, front, samples, settings):
    """The method: slices are an eighth of a second, or 12 frames."""
    if name == "SimCLR":
        views = augment.simclr_audio(round(0.6 * samples))
        return keras_ssl.SimCLR(encoder, views, hidden=64, dim=64, temperature=0.1)
    whole = augment.AudioCrop(samples)
    if name == "TemporalGap":
        return keras_ssl.TemporalGap(encoder, whole, length=RATE // 8)
    if name == "CPCAudio":
        return keras_ssl.CPCAudio(encoder, whole, steps=8, negatives=32, among=settings["among"])
    options = {"spectrogram": front, "frames": 12, "neighbors": 1, "widths": (8, 16, 32, 64)}
    return getattr(keras_ssl, name)(encoder, whole, **options)


# Scores


def statistics(sounds):
    frames = np.asarray(sounds.front(sounds.sounds["audio"]))
    real = np.asarray(sounds.front.places(sounds.sounds["audio_mask"]))
    return np.stack([np.concatenate([x[r].mean(axis=0), x[r].std(axis=0)]) for x, r in zip(frames, real)])


def accuracy(features, labels, fit, test):
    return float(eval.linear_features(features[fit], labels[fit], features[test], labels[test]))


def nearest(features, labels, fit, test):
    return float(eval.knn_features(features[fit], labels[fit], features[test], labels[test], k=20))


def score_digits(features, sounds):
    fit, word, speaker = ~sounds.test, sounds.labels["word"], sounds.labels["group"]
    unseen = [accuracy(features, word, fit & (speaker != one), speaker == one) for one in np.unique(speaker)]
    return {
        "word": percent(accuracy(features, word, fit, sounds.test)),
        "word_knn": percent(nearest(features, word, fit, sounds.test)),
        "unseen": percent(np.mean(unseen)),
        "speaker": percent(accuracy(features, speaker, fit, sounds.test)),
    }


def score_drums(features, sounds):
    drum, fit = sounds.labels["drum"], ~sounds.test
    return {
        "drum": percent(accuracy(features, drum, fit, sounds.test)),
        "drum_knn": percent(nearest(features, drum, fit, sounds.test)),
    }


def percent(value):
    return round(100 * float(value), 2)


if __name__ == "__main__":
    main()
