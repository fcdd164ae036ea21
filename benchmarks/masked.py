"""Masked: what MAE makes of a small vision transformer on 10,000 images of CIFAR-10, and what hiding patches saves.

    python benchmarks/masked.py --data cifar10/ --out runs/masked

`speed` times the training step of MAE at several mask ratios beside an autoencoder of the same sizes that keeps all
patches, in turns, in one process. `train` pretrains for --epochs, then compares the transformer with the same one from
scratch: k-NN, a linear probe, and fine-tuning with rates that fall from layer to layer. It goes on where it was
stopped, writes `masked.json` and `reconstruction.png` (original, masked, reconstructed, of test images) to --out, and
prints the table of the README. `tokenizers` trains the two of BEiT and says how many of their codes the test images
use, and how well the codes give them back, beside images that were made four times smaller and large again. `claims`
shows what the papers of BEiT, MP3 and DeepMIM say of themselves, in runs of 1,170 steps: masked tokens are guessed more
often than the most frequent one comes, positions are the harder to tell the fewer patches may be looked at, and
supervision in the middle makes the blocks there better.
"""

import argparse
import json
import os
import time
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import small  # noqa: E402
from keras import ops  # noqa: E402
from quality import Save, load, scores, write  # noqa: E402

import keras_ssl  # noqa: E402
from keras_ssl import augment, data, encoders, eval, losses, optimizers, visualize  # noqa: E402

SIZE, BATCH, IMAGES = 32, 128, 10_000
DECODER = {"width": 64, "depth": 2, "heads": 4}
PARTS = ("speed", "train", "tokenizers", "claims")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder, or .tar.gz of one, with train/CLASS and test/CLASS")
    parser.add_argument("--out", type=Path, default=Path("runs/masked"))
    parser.add_argument("--only", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--epochs", type=int, default=100, help="of pretraining: twenty minutes on two cores")
    parser.add_argument("--tune-epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if "speed" in options.only:
        speed(options.rounds)
    if "train" in options.only:
        train(options)
    if "tokenizers" in options.only:
        tokenizers(options)
    if "claims" in options.only:
        claims(options)


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
        target = losses.patch_pixels(losses.standard_pixels(views[0]), 4, normalize=True)
        return ops.mean(ops.square(found - target))


def speed(rounds):
    views = (np.random.default_rng(0).integers(0, 256, (BATCH, SIZE, SIZE, 3)).astype("float32"),)
    models = {"autoencoder, all patches": Autoencoder(small.mean_vit())}
    # A ratio of 0 would hide none: one patch of 64 is as near as MAE goes.
    for ratio in (1 / 64, 0.5, 0.75):
        models[f"MAE, {ratio:.2g} hidden"] = keras_ssl.MAE(small.mean_vit(), ratio=ratio, **DECODER)
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
    encoder = small.mean_vit()
    results = {"untrained": scores(encoder, images, test)}
    model = keras_ssl.MAE(encoder, augment.mae(SIZE), **DECODER)
    rate = optimizers.warmup_cosine(1.5e-3, steps, warmup=steps // 20)
    # XLA is a fifth faster for a small transformer on CPU; convolutions it would slow down.
    model.compile(optimizer=optimizers.AdamW(rate, weight_decay=0.05, beta_2=0.95), jit_compile=True)
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
            network = small.mean_vit()
        results[name]["fine-tuned"] = round(100 * tune(network, images, test, decay, options.tune_epochs), 2)
        write(options.out / "masked.json", json.dumps(results, indent=1))
    print("| ViT | k-NN | linear | trained with labels |\n|---|---|---|---|")
    for name, found in results.items():
        print(f"| {name} | {found['knn']:.1f} | {found['linear']:.1f} | {found['fine-tuned']:.1f} |")


def tune(encoder, images, test, decay, epochs):
    return float(
        eval.fine_tune(
            encoder, images, test, epochs, BATCH, learning_rate=2e-3, layer_decay=decay, drop_path=0.1
        )
    )


# BEiT's tokenizers


def tokenizers(options):
    (images, _), (test, _), _ = load(options.data, options.out)
    steps = 15 * (IMAGES // BATCH)
    tiny = ops.image.resize(test.astype("float32"), (SIZE // 4, SIZE // 4), antialias=True)
    print("| 4 pixels a token, 256 codes, 1,170 steps | squared error | codes in use (perplexity) |\n|---|---|---|")
    print(f"| 4 times smaller | {error(ops.image.resize(tiny, (SIZE, SIZE), 'bicubic'), test):.0f} | |")
    sizes = {"stride": 4, "vocabulary": 256, "width": 48}
    for name, make, rate in (
        ("VQTokenizer", lambda: keras_ssl.VQTokenizer(augment.mae(SIZE), decay=0.9, **sizes), 1e-3),
        (
            "DiscreteVAE",
            lambda: keras_ssl.DiscreteVAE(
                augment.mae(SIZE), dim=64, beta=1e-4, end_temperature=0.25, steps=steps, **sizes
            ),
            2e-3,
        ),
    ):
        keras.utils.set_random_seed(0)
        model = make()
        model.compile(optimizer=keras.optimizers.Adam(optimizers.warmup_cosine(rate, steps, warmup=30)))
        model.fit(data.views(data.arrays(images, BATCH), model.augment), epochs=15, verbose=0)
        share = np.bincount(np.ravel(model.tokens(test)), minlength=256) / (len(test) * (SIZE // 4) ** 2)
        used = np.exp(-np.sum(share[share > 0] * np.log(share[share > 0])))
        print(f"| {name} | {error(model.reconstruct(test), test):.0f} | {used:.0f} |", flush=True)


def error(found, images):
    return float(np.mean(np.square(np.asarray(found) - images.astype("float32"))))


# What the papers say


def claims(options):
    images, test, _ = load(options.data, options.out)
    parts = {"BEiT": lambda: beit(images)}
    parts |= {f"MP3, {ratio:.0%} not looked at": partial(mp3, images, ratio) for ratio in (0.0, 0.5, 0.75)}
    parts |= {name: partial(probes, images, test, name) for name in ("MAE", "DeepMIM")}
    file = options.out / "claims.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    for name, make in parts.items():
        if name not in found:
            keras.utils.set_random_seed(0)
            found[name] = make()
            write(file, json.dumps(found, indent=1))
        print(f"{name}: {found[name]}", flush=True)


def beit(images):
    last = fit(images, *small.make("BEiT", images[0]))[1]
    return f"{last['accuracy']:.1%} of the masked tokens; the most frequent is {last['commonest']:.1%} of them"


def mp3(images, ratio):
    _, optimizer = small.make("MP3")
    model = keras_ssl.MP3(small.mean_vit(positions=None, class_token=False), augment.mae(SIZE), ratio=ratio)
    return f"{fit(images, model, optimizer)[1]['accuracy']:.1%} of the positions"


def probes(images, test, name):
    model, _ = fit(images, *small.make(name))
    found = [scores(up_to(model.encoder, block), images, test)["linear"] for block in (2, 4, 6)]
    return f"linear probe {', '.join(map(str, found))} after blocks 2, 4, 6"


def fit(images, model, optimizer):
    model.compile(optimizer=optimizer)
    batches = data.views(data.arrays(images[0], BATCH), model.augment)
    return model, {key: value[-1] for key, value in model.fit(batches, epochs=15, verbose=0).history.items()}


def up_to(encoder, block):
    """The mean of the patches' tokens that leave a block of a ViT."""
    patches, positions, blocks = encoders.vit_stages(encoder)
    last = block == 6
    tokens = keras.Model(blocks.input, blocks.output if last else blocks.get_layer(f"block{block + 1}_norm1").input)
    pixels = keras.Input((SIZE, SIZE, 3))
    return keras.Model(pixels, ops.mean(tokens(positions(patches(pixels)))[:, 1:], axis=1))


if __name__ == "__main__":
    main()
