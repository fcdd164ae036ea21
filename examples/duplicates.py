"""Near-duplicates and outliers in a folder of images without labels, by the neighbors of their features.

Two images are near-duplicates where the cosine of their features is above a threshold; outliers are the images farthest
from their k-th neighbor (Efficient Algorithms for Mining Outliers from Large Data Sets, Ramaswamy et al., 2000). The
features come from a checkpoint (`--encoder`), or from SimCLR (https://arxiv.org/abs/2002.05709) on the folder itself.
`--plant 20` measures it: 20 images are put in again resized, recompressed and cropped, and 10 foreign ones (digits).

    python examples/duplicates.py --quick                             # tiles of scikit-learn's two photographs
    python examples/duplicates.py --data photos/ --encoder dinov2_vits14 --size 224
    python examples/duplicates.py --data photos/ --plant 20           # SimCLR on the spot

Expected: none is published for planted copies. Resized and recompressed ones nearly all (95 % and more), cropped ones
(four fifths of each side) mostly (80 % and more); foreign ones as far as the folder's own images are alike.

Got with --quick on one CPU core in 1.5 minutes (120 tiles and what was planted): resized and recompressed 100 %,
cropped 95 %, foreign ones among the ten outliers 50 %. A third of the groups hold no copy: tiles of one sky are
near-duplicates too.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from scipy.sparse.csgraph import connected_components  # noqa: E402
from sklearn.datasets import load_digits, load_sample_images  # noqa: E402

import keras_ssl  # noqa: E402
from keras_ssl import augment, data, encoders, eval, optimizers  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a run of minutes: 300 steps")
    parser.add_argument("--data", type=Path, help="folder of images; without it --plant is 20")
    parser.add_argument("--encoder", help="name or file for keras_ssl.pretrained.load; otherwise SimCLR on the folder")
    parser.add_argument("--size", type=int, default=64, help="of the images in pixels; what the encoder takes")
    parser.add_argument("--steps", type=int, default=None, help="of SimCLR; 2000")
    parser.add_argument("--width", type=int, default=16, help="base width of SimCLR's ResNet-18")
    parser.add_argument("--threshold", type=float, default=0.9, help="cosine from which two images are near-duplicates")
    parser.add_argument("--k", type=int, default=20, help="outliers are judged by this neighbor: more than are alike")
    parser.add_argument("--plant", type=int, default=None, help="images to put in again, changed")
    parser.add_argument("--out", type=Path, default=Path("runs/duplicates"))
    options = parser.parse_args()
    options.steps = options.steps or (300 if options.quick else 2000)
    plants = (0 if options.data else 20) if options.plant is None else options.plant
    options.out.mkdir(parents=True, exist_ok=True)
    begin = time.time()

    with tempfile.TemporaryDirectory() as spare:
        folder = options.data or tiles(Path(spare), options.size)
        paths = list(data.image_folder(folder, options.size, 1, upscale=True, on_error="skip").file_paths)
        planted = plant(paths, spare, plants) if plants else {}
        paths += planted
        batches = data.files(paths, options.size, 64, upscale=True, shuffle=False)
        images = np.concatenate([batch["image"].numpy() for batch in batches])
    rows, _ = eval.features(encoder(options, images), images, batch_size=64)
    rows = rows - rows.mean(axis=0)  # what all images share says nothing
    rows /= np.linalg.norm(rows, axis=1, keepdims=True) + 1e-12
    cosines = rows @ rows.T  # for more than some 50,000 images take a library for vector search
    np.fill_diagonal(cosines, -1)
    marks = connected_components(cosines > options.threshold, directed=False)[1]
    groups = [np.flatnonzero(marks == mark).tolist() for mark in np.flatnonzero(np.bincount(marks) > 1)]
    groups.sort(key=len, reverse=True)
    outliers = np.argsort(np.sort(cosines, axis=1)[:, -min(options.k, len(paths) - 1)])[:10].tolist()

    print(f"{len(paths)} images, {len(groups)} groups of near-duplicates; the largest, and the outliers:")
    for some in (*groups[:5], outliers):
        print("  " + ", ".join(Path(paths[i]).name for i in some[:10]))
    recall = judged(paths, planted, groups, outliers)
    print("".join(f"{name:24}{value:8.1%}\n" for name, value in recall.items()))
    found = {"groups": [[paths[i] for i in group] for group in groups], "outliers": [paths[i] for i in outliers]}
    (options.out / "duplicates.json").write_text(json.dumps({**found, "recall": recall}, indent=1))
    print(f"{time.time() - begin:.0f} s. All groups: {options.out / 'duplicates.json'}")


def encoder(options, images):
    if options.encoder:
        shape = None if options.encoder.endswith(".keras") else images.shape[1:]  # such a file has its own
        return keras_ssl.pretrained.load(options.encoder, shape)
    keras.utils.set_random_seed(0)
    views = (augment.simclr_cifar if options.size <= 64 else augment.simclr)(options.size)
    network = encoders.resnet18(images.shape[1:], width=options.width, stem="imagenet")
    model = keras_ssl.SimCLR(network, views, temperature=0.2)
    model.compile(optimizer=optimizers.SGD(optimizers.warmup_cosine(0.05, options.steps), momentum=0.9))
    model.fit(data.arrays(images, min(64, len(images))).repeat().take(options.steps), verbose=2)
    keras_ssl.export(model, options.out / "encoder.keras")
    return network


def judged(paths, planted, groups, outliers):
    """The share of the planted copies in a group with their original, by kind, and of foreign images as outliers."""
    group = {paths[i]: number for number, some in enumerate(groups) for i in some}
    kinds = {kind: [(path, of) for path, (what, of) in planted.items() if what == kind] for kind, _ in planted.values()}
    recall = {kind: float(np.mean([group.get(a, -1) == group.get(b, -2) for a, b in kinds[kind]])) for kind in kinds}
    if planted:
        recall["foreign"] = float(np.mean([path in {paths[i] for i in outliers} for path, _ in kinds["foreign"]]))
        first = len(paths) - len(planted)
        recall["groups without a copy"] = float(np.mean([max(some) < first for some in groups])) if groups else 0.0
    return recall


def plant(paths, place, count):
    """Changed copies of some images, and foreign ones: their paths, each with its kind and its original."""
    planted = {}
    for i, path in enumerate(np.random.default_rng(0).choice(paths, count, replace=False).tolist()):
        image = Image.open(path).convert("RGB")
        side = np.array(image.size)
        small, inner = (side * 3 // 5).tolist(), (*(side // 10).tolist(), *(side * 9 // 10).tolist())
        copies = {"resized": (image.resize(small), 90), "recompressed": (image, 20), "cropped": (image.crop(inner), 90)}
        for kind, (copy, quality) in copies.items():
            copy.save(f"{place}/{kind}{i}.jpg", quality=quality)
            planted[f"{place}/{kind}{i}.jpg"] = kind, path
    for i, digit in enumerate(load_digits().images[:10]):
        Image.fromarray((digit * 15).astype("uint8")).resize((64, 64)).save(f"{place}/foreign{i}.jpg")
        planted[f"{place}/foreign{i}.jpg"] = "foreign", None
    return planted


def tiles(place, size):
    """The two photographs that come with scikit-learn, in tiles."""
    for number, photo in enumerate(load_sample_images().images):
        for y in range(0, photo.shape[0] - size + 1, size):
            for x in range(0, photo.shape[1] - size + 1, size):
                Image.fromarray(photo[y:y + size, x:x + size]).save(place / f"photo{number}_{y}_{x}.png")
    return place


if __name__ == "__main__":
    main()
