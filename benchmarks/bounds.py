"""Bounds: what estimates of mutual information say of Gaussians whose information is known.

    python benchmarks/bounds.py --out runs/bounds

x and y have 20 components each, correlated pair by pair so that they have 2, then 4, 6, 8 and 10 nats of information,
`--steps` steps of Adam each. For every bound a separable critic (two perceptrons of two hidden layers of 256 units,
32 outputs) is trained on it, from batches of 64; what a bound says is the mean over the last fifth of the steps of a
level, and how it varies is the standard deviation between batches there. It writes bounds.json, the table, and
bounds.png, the staircase (arXiv 1905.06922, figure 2), to `--out`.
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from keras_ssl import losses  # noqa: E402

DIM, BATCH, LEVELS, RATE = 20, 64, (2, 4, 6, 8, 10), 5e-4
BOUNDS = {
    "NWJ": losses.nwj,
    "Jensen-Shannon": losses.jensen_shannon,
    "InfoNCE": losses.info_nce_bound,
    "between, alpha 0.01": lambda scores: losses.interpolated(scores, 0.0, float(np.log(0.01 / 0.99))),
    "between, alpha 0.5": lambda scores: losses.interpolated(scores, 0.0, 0.0),
    "Donsker-Varadhan": losses.donsker_varadhan,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/bounds"))
    parser.add_argument("--steps", type=int, default=2000, help="of each level")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    curves = {name: staircase(bound, options.steps, options.seed) for name, bound in BOUNDS.items()}
    rows = [row(name, curve) for name, curve in curves.items()]
    (options.out / "bounds.json").write_text(json.dumps(rows, indent=1))
    draw(curves, options.steps, options.out / "bounds.png")
    for one in rows:
        print(one)


def staircase(bound, steps, seed):
    """What the bound says at each step of all levels."""
    keras.utils.set_random_seed(seed)
    networks = [critic(), critic()]
    weights = [weight for network in networks for weight in network.trainable_variables]
    optimizer = keras.optimizers.Adam(RATE)
    optimizer.build(weights)

    @tf.function
    def step(correlation):
        x, noise = tf.unstack(tf.random.normal((2, BATCH, DIM)))
        y = correlation * x + tf.sqrt(1 - correlation**2) * noise
        with tf.GradientTape() as tape:
            value = bound(networks[1](y) @ tf.transpose(networks[0](x)))  # row i is y_i
            loss = -value
        optimizer.apply(tape.gradient(loss, [weight.value for weight in weights]), weights)
        return value

    found = []
    for level in LEVELS:
        correlation = tf.constant(np.sqrt(1 - np.exp(-2 * level / DIM)), "float32")
        assert abs(losses.gaussian_information(float(correlation), DIM) - level) < 1e-3
        found += [float(step(correlation)) for _ in range(steps)]
    return np.array(found)


def critic():
    hidden = [keras.layers.Dense(256, activation="relu") for _ in range(2)]
    return keras.Sequential([keras.Input((DIM,)), *hidden, keras.layers.Dense(32)])


def row(name, curve):
    found = {"name": name}
    for level, part in zip(LEVELS, np.split(curve, len(LEVELS))):
        last = part[-len(part) // 5 :]
        found |= {f"at_{level}": round(float(last.mean()), 2), f"spread_{level}": round(float(last.std()), 2)}
    return found


def draw(curves, steps, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(9, 5), sharex=True, sharey=True, layout="constrained")
    truth = np.repeat(LEVELS, steps)
    for place, (name, curve) in zip(axes.flat, curves.items()):
        smooth = np.convolve(curve, np.ones(100) / 100, "valid")
        place.plot(curve, color="tab:blue", alpha=0.25, linewidth=0.5)
        place.plot(np.arange(len(smooth)) + 50, smooth, color="tab:blue")
        place.plot(truth, color="black", linewidth=1)
        place.axhline(np.log(BATCH), color="gray", linestyle=":", linewidth=1)
        place.set(title=name, ylim=(-1, 14))
    figure.supxlabel("steps")
    figure.supylabel("nats (black: the truth; dotted: log of the batch)")
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
