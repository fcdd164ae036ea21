"""Transfer to dense tasks: few labeled scenes, an encoder from scratch against one that saw unlabeled pictures.

Segmentation with a pyramid of maps (Kirillov et al., 2019), https://arxiv.org/abs/1901.02446, and detection of objects
as points (Zhou et al., 2019), https://arxiv.org/abs/1904.07850, after SimCLR, https://arxiv.org/abs/2002.05709. The
scenes are made of real images: two to four objects (digits, or the images of a labeled folder) at random places and
sizes on crops of photographs, so that their masks and boxes are known. SimCLR sees pictures of one object without any
label; one object a picture is how ImageNet differs from COCO, too.

    python examples/dense_transfer.py --quick                                # digits on scikit-learn's photographs
    python examples/dense_transfer.py --data cifar10/ --photos photos/ --scenes 500 --steps 5000

Expected: a ResNet-50 with a pyramid on COCO, short schedule, has a box AP of 31.0 from a random start and of 38.5 after
MoCo on ImageNet (https://arxiv.org/abs/1911.05722, table 5).

Got with --quick on one CPU core in 12 minutes, other work beside it (150 scenes of digits, mIoU / AP at 0.5):
0.124 / 0.172 from scratch, 0.107 / 0.077 with the encoder of SimCLR frozen, 0.126 / 0.265 with it fine-tuned.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
from labeled_images import add_arguments, load  # noqa: E402

import keras_ssl  # noqa: E402
from keras_ssl import augment, data, encoders, eval, optimizers  # noqa: E402

INK = 96  # from this level of 255 on a gray object covers what is below it


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--quick", action="store_true", help="a run of minutes: 150 small scenes, 150 steps")
    parser.add_argument("--photos", type=Path, help="folder of photographs for the background")
    parser.add_argument("--scenes", type=int, default=None, help="labeled scenes to train, and as many to test; 300")
    parser.add_argument("--epochs", type=int, default=40, help="passes over the scenes")
    parser.add_argument("--steps", type=int, default=None, help="of SimCLR; 3000")
    parser.add_argument("--side", type=int, default=None, help="of a scene in pixels; 64")
    parser.add_argument("--width", type=int, default=16, help="base width of the ResNet-18; the full size is 64")
    parser.add_argument("--batch", type=int, default=128, help="pictures a step of SimCLR")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/dense_transfer"))
    options = parser.parse_args()
    for name, full, quick in (("scenes", 300, 150), ("side", 64, 48), ("steps", 3000, 150)):
        setattr(options, name, getattr(options, name) or (quick if options.quick else full))
    options.out.mkdir(parents=True, exist_ok=True)
    begin = time.time()

    objects, photos = load(options), photographs(options)
    train = scenes(*objects.train, photos, options.scenes, options.side, options.seed)
    test = scenes(*objects.test, photos, options.scenes, options.side, options.seed + 1)
    pretrained = simclr(options, objects, photos)
    rows = {
        "from scratch": (encoder(options), False),
        "SimCLR, frozen": (pretrained, True),
        "SimCLR, fine-tuned": (pretrained, False),
    }
    scores = {}
    for name, (network, frozen) in rows.items():
        how = {"frozen": frozen, "epochs": options.epochs, "seed": options.seed, "flip": 0.0}  # no mirrored digits
        how |= {"batch_size": 8, "learning_rate": 2e-3, "width": 32}
        masks = eval.segment(network, train[:2], test[:2], ["background", *objects.classes], **how)
        boxes = eval.detect(network, train[::2] + train[3:], test[::2] + test[3:], objects.classes, **how)
        scores[name] = {"mIoU": masks["mIoU"].mean, "AP": boxes["AP"].mean, "AP at 0.5": boxes["AP at 0.5"].mean}
        print(f"{name}: {scores[name]}", flush=True)

    print(f"\n{options.scenes} labeled scenes{'mIoU':>12}{'AP':>12}{'AP at 0.5':>12}")
    for name, row in scores.items():
        print(f"{name:20}" + "".join(f"{value:12.3f}" for value in row.values()))
    seconds = time.time() - begin
    (options.out / "scores.json").write_text(json.dumps({"scores": scores, "seconds": seconds}, indent=1))
    print(f"\n{seconds:.0f} s")


def simclr(options, objects, photos):
    """The encoder that SimCLR made of ten pictures a labeled scene, each of one large object."""
    pictures, *_ = scenes(
        *objects.train, photos, 10 * options.scenes, options.side, options.seed + 2, number=(1, 1), scale=(0.4, 0.9)
    )
    print(f"SimCLR on {len(pictures):,} pictures without labels, {options.steps} steps", flush=True)
    crop = augment.RandomResizedCrop(options.side, scale=(0.3, 1.0))  # a mirrored digit is another sign
    jitter = augment.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8)
    view = augment.View([crop, jitter, augment.Grayscale(0.2)])
    model = keras_ssl.SimCLR(encoder(options), augment.Views(view, 2), temperature=0.2)
    rate = optimizers.warmup_cosine(0.1, options.steps, warmup=options.steps // 20)
    model.compile(optimizer=optimizers.SGD(rate, momentum=0.9, weight_decay=5e-4))
    model.fit(data.arrays(pictures, options.batch, seed=options.seed).repeat().take(options.steps), verbose=2)
    keras_ssl.export(model, options.out / "encoder.keras")
    return model.encoder


def encoder(options):
    keras.utils.set_random_seed(options.seed)
    return encoders.resnet18((options.side, options.side, 3), width=options.width, stem="cifar")


def scenes(objects, labels, photos, count, side, seed, number=(2, 4), scale=(0.25, 0.5)):
    """Images (count, side, side, 3), masks with 0 for the background, boxes in pixels and classes of the objects."""
    generator = np.random.default_rng(seed)
    images, masks = np.zeros((count, side, side, 3), "uint8"), np.zeros((count, side, side), "uint8")
    boxes, marks = [], []
    for i in range(count):
        photo = photos[generator.integers(len(photos))]
        top, left = (generator.integers(whole - side + 1) for whole in photo.shape[:2])
        images[i] = photo[top:top + side, left:left + side]
        taken, boxes_here, marks_here = np.zeros((side, side), bool), [], []
        for _ in range(generator.integers(number[0], number[1] + 1)):
            j, size = generator.integers(len(objects)), int(generator.uniform(*scale) * side)
            pixels, covers = cut(objects[j], size, generator)
            for _ in range(20):
                y, x = generator.integers(side - size + 1, size=2)
                place = slice(y, y + size), slice(x, x + size)
                if not taken[place].any():
                    break
            else:
                continue  # no room
            taken[place] = True
            images[i][place][covers], masks[i][place][covers] = pixels[covers], labels[j] + 1
            rows, columns = np.flatnonzero(covers.any(axis=1)), np.flatnonzero(covers.any(axis=0))
            boxes_here.append([x + columns[0], y + rows[0], x + columns[-1] + 1, y + rows[-1] + 1])
            marks_here.append(labels[j])
        boxes.append(np.array(boxes_here, "float32"))
        marks.append(np.array(marks_here, "int64"))
    return images, masks, boxes, marks


def cut(image, size, generator):
    """An object of some size and which of its pixels cover: the strokes of a gray one, which get a color."""
    pixels = resized(image, (size, size))
    if pixels.shape[-1] == 3:
        return pixels, np.ones((size, size), bool)
    return (pixels / 255 * generator.integers(100, 256, 3)).astype("uint8"), pixels[..., 0] >= min(INK, pixels.max())


def resized(image, size):
    made = keras.ops.image.resize(image.astype("float32"), size, antialias=True)
    return np.asarray(made).clip(0, 255).round().astype("uint8")


def photographs(options):
    """Photographs whose short side is two scenes: those of a folder, or the two that come with scikit-learn."""
    if options.photos:
        found = sorted(path for path in options.photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        images = [np.asarray(keras.utils.load_img(path), "uint8") for path in found[:200]]
    else:
        from sklearn.datasets import load_sample_images

        images = load_sample_images().images
    factors = [2 * options.side / min(image.shape[:2]) for image in images]
    sizes = [[round(side * factor) for side in image.shape[:2]] for image, factor in zip(images, factors)]
    return [resized(image, size) for image, size in zip(images, sizes)]


if __name__ == "__main__":
    main()
