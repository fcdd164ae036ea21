"""Masked: what MAE makes of a small vision transformer on 10,000 images of CIFAR-10, and what hiding patches saves.

    python benchmarks/masked.py --data cifar10/ --out runs/masked

`speed` times the training step of MAE at several mask ratios beside an autoencoder of the same sizes that keeps all
patches, in turns, in one process. `train` pretrains for --epochs, then compares the transformer with the same one from
scratch: k-NN, a linear probe, and fine-tuning with rates that fall from layer to layer. It goes on where it was
stopped, writes `masked.json` and `reconstruction.png` (original, masked, reconstructed, of test images) to --out, and
prints the table of the README.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import ops  # noqa: E402
from quality import Save, load, scores, write  # noqa: E402

import keras_ssl  # noqa: E402
from keras_ssl import augment, data, encoders, eval, losses, optimizers, visualize  # noqa: E402

SIZE, BATCH, IMAGES = 32, 128, 10_000
DECODER = {"width": 64, "depth": 2, "heads": 4}


def vit(drop_path=0.0):
    return encoders.vit(
        (SIZE, SIZE, 3), patch=4, width=128, depth=6, heads=4, pooling="mean", drop_path=drop_path
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder, or .tar.gz of one, with train/CLASS and test/CLASS")
    parser.add_argument("--out", type=Path, default=Path("runs/masked"))
    parser.add_argument("--only", nargs="*", default=["speed", "train"], choices=["speed", "train"])
    parser.add_argument("--epochs", type=int, default=150, help="of pretraining: about half an hour on two cores")
    parser.add_argument("--tune-epochs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if "speed" in options.only:
        speed(options.rounds)
    if "train" in options.only:
        train(options)


# The time of a step


class Autoencoder(keras_ssl.Method):
    """MAE's encoder and decoder without a mask: all patches go through both."""

    def __init__(self, encoder, augment=None):
        super().__init__(encoder, augment)
        self.stages = encoders.vit_stages(encoder)
        inputs = encoder.output_shape[-1]
        self.decoder = encoders.token_decoder(inputs, SIZE // 4, outputs=48, class_token=True, **DECODER)

    def objective(self, views):
        patches, positions, blocks = self.stages
        found = self.decoder(blocks(positions(patches(views[0])), training=True), training=True)
        target = losses.patch_pixels(losses.standard_pixels(views[0]), 4, normalise=True)
        return ops.mean(ops.square(found - target))


def speed(rounds):
    views = (np.random.default_rng(0).integers(0, 256, (BATCH, SIZE, SIZE, 3)).astype("float32"),)
    models = {"autoencoder, all patches": Autoencoder(vit())}
    # A ratio of 0 would hide none: one patch of 64 is as near as MAE goes.
    for ratio in (1 / 64, 0.5, 0.75):
        models[f"MAE, {ratio:.2g} hidden"] = keras_ssl.MAE(vit(), ratio=ratio, **DECODER)
    for model in models.values():
        model.compile(optimizer=optimizers.AdamW(1e-3, weight_decay=0.05))
        model.train_on_batch({"views": views})
    times = {name: [] for name in models}
    for _ in range(rounds + 2):
        for name, model in models.items():
            start = time.perf_counter()
            model.train_on_batch({"views": views})
            times[name].append(time.perf_counter() - start)
    base = np.array(times["autoencoder, all patches"][2:])
    print("| a training step | images/s | of the autoencoder's time (quartiles) |\n|---|---|---|")
    for name, seconds in times.items():
        seconds = np.array(seconds[2:])
        low, middle, high = np.percentile(seconds / base, [25, 50, 75])
        print(f"| {name} | {BATCH / np.median(seconds):,.0f} | {middle:.2f} ({low:.2f} to {high:.2f}) |", flush=True)


# What it learns


def train(options):
    images, test, _ = load(options.data, options.out)
    steps = options.epochs * (IMAGES // BATCH)
    keras.utils.set_random_seed(0)
    encoder = vit()
    results = {"untrained": scores(encoder, images, test)}
    model = keras_ssl.MAE(encoder, augment.mae(SIZE), **DECODER)
    rate = optimizers.warmup_cosine(1.5e-3, steps, warmup=steps // 20)
    model.compile(optimizer=optimizers.AdamW(rate, weight_decay=0.05, beta_2=0.95))
    checkpoint, epoch = options.out / f"mae-{options.epochs}.keras", 0
    if checkpoint.exists():
        model = keras_ssl.load(checkpoint)
        epoch = int(model.optimizer.iterations) // (IMAGES // BATCH)
        print(f"goes on after epoch {epoch}")
    model.fit(
        data.views(data.arrays(images[0], BATCH, epoch=epoch), model.augment),
        epochs=options.epochs,
        initial_epoch=epoch,
        callbacks=[Save(checkpoint), eval.KNN(images, test, every=25)],
        verbose=2,
    )
    visualize.reconstruction(model, test[0][::1700][:6], path=options.out / "reconstruction.png")
    results["MAE"] = scores(model.encoder, images, test)
    for name, network, decay in (("untrained", encoder, 1.0), ("MAE", model.encoder, 0.75)):
        if name == "untrained":
            keras.utils.set_random_seed(0)
            network = vit()
        results[name]["fine-tuned"] = round(100 * tune(network, images, test, decay, options.tune_epochs), 2)
        write(options.out / "masked.json", json.dumps(results, indent=1))
    print("| ViT | k-NN | linear | trained with labels |\n|---|---|---|---|")
    for name, found in results.items():
        print(f"| {name} | {found['knn']:.1f} | {found['linear']:.1f} | {found['fine-tuned']:.1f} |")


def tune(encoder, images, test, decay, epochs):
    return float(
        eval.fine_tune(encoder, images, test, epochs=epochs, batch_size=BATCH, layer_decay=decay, drop_path=0.1)
    )


if __name__ == "__main__":
    main()
