"""Scenes: pictures of several things on a background, with exact masks: to learn from, and to judge segmentation by.

`make` pastes cut-outs on backgrounds. `shapes` are both, drawn; `stamps` and `photos` are those of folders: cut-outs of
Tux Paint (stamps.csv, images/, masks/; Debian's tuxpaint-stamps-default) and photographs.
"""

import csv
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

GROUND = "ground"
SHAPES = ("disc", "square", "triangle", "ring", "cross")
KINDS = ("animals", "food", "plants", "vehicles", "town")


def make(things, grounds, count, size=64, seed=0, most=3):
    """Scenes, each a pure function of the seed and its number.

    Args:
        things: list of pairs of a picture `(height, width, 4)`, uint8 with alpha, and the number of its class, from 1.
        grounds: list of pictures `(height, width, 3)`, uint8, at least as large as a scene.
        count: int, scenes.
        size: int, side of a scene in pixels.
        seed: int.
        most: int, a scene has 1 to `most` things; later ones may hide parts of earlier ones.

    Returns:
        images uint8 `(count, size, size, 3)`, and masks uint8 `(count, size, size)`: 0 is the ground.
    """
    images, masks = np.zeros((count, size, size, 3), "uint8"), np.zeros((count, size, size), "uint8")
    for number in range(count):
        draw = np.random.default_rng([seed, number])
        ground = cropped(grounds[draw.integers(len(grounds))], size, draw)
        mask = np.zeros((size, size), "uint8")
        for _ in range(draw.integers(1, most + 1)):
            picture, kind = things[draw.integers(len(things))]
            paste(ground, mask, resized(picture, size * draw.uniform(0.35, 0.7), draw), kind, draw)
        images[number], masks[number] = ground, mask
    return images, masks


def cropped(ground, size, draw):
    height, width = ground.shape[:2]
    side = draw.integers(size, min(height, width) + 1)
    top, left = draw.integers(height - side + 1), draw.integers(width - side + 1)
    picture = Image.fromarray(ground[top : top + side, left : left + side]).resize((size, size), Image.BILINEAR)
    return np.array(picture)[:, :: draw.choice([-1, 1])].copy()


def resized(picture, longest, draw):
    scale = longest / max(picture.shape[:2])
    height, width = (max(4, round(side * scale)) for side in picture.shape[:2])
    found = np.array(Image.fromarray(picture).resize((width, height), Image.BILINEAR))
    return found[:, :: draw.choice([-1, 1])]


def paste(ground, mask, picture, kind, draw):
    """At a random place; a thing may be cut off by the border, but its middle is in the scene."""
    size = len(mask)
    height, width = picture.shape[:2]
    top, left = draw.integers(size) - height // 2, draw.integers(size) - width // 2
    rows = slice(max(top, 0), min(top + height, size))
    columns = slice(max(left, 0), min(left + width, size))
    part = picture[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    there = part[..., 3] >= 128
    ground[rows, columns][there] = part[..., :3][there]
    mask[rows, columns][there] = kind


# Drawn


def shapes(seed=0, each=20, size=64):
    """Things of one color and texture each, `each` of every class of `SHAPES`, and as many grounds; colors say nothing.

    Returns:
        two lists, things and grounds.
    """
    draw = np.random.default_rng(seed)
    y, x = (np.mgrid[:48, :48] + 0.5) / 24 - 1
    far = np.hypot(y, x)
    outlines = {
        "disc": far < 1, "square": np.maximum(abs(y), abs(x)) < 0.85, "triangle": (y < 0.9) & (abs(x) < (y + 1) / 2),
        "ring": (far < 1) & (far > 0.6), "cross": np.minimum(abs(y), abs(x)) < 0.3,
    }  # fmt: skip
    things = []
    for kind, name in enumerate(SHAPES, start=1):
        for _ in range(each):
            alpha = np.where(outlines[name], 255, 0)[..., None]
            things.append((np.concatenate([texture(draw, 48), alpha], axis=-1).astype("uint8"), kind))
    return things, [texture(draw, 2 * size).astype("uint8") for _ in range(5 * each)]


def texture(draw, side):
    """A color that changes slowly from place to place, and noise."""
    coarse = draw.uniform(0, 255, (1, 1, 3)) + draw.uniform(-40, 40, (4, 4, 3))
    smooth = Image.fromarray(np.clip(coarse, 0, 255).astype("uint8")).resize((side, side), Image.BILINEAR)
    return np.clip(np.array(smooth) + draw.normal(0, 8, (side, side, 1)), 0, 255)


# Of folders


def stamps(folder, test):
    """The cut-outs of `KINDS`, those to test on or the others: a quarter, by a hash of their names."""
    found = []
    for row in csv.DictReader((Path(folder) / "stamps.csv").open(encoding="utf8")):
        if row["category"] in KINDS and (zlib.crc32(row["source"].encode()) % 4 == 0) == test:
            picture = Image.open(Path(folder) / row["image"]).convert("RGB")
            picture.putalpha(Image.open(Path(folder) / row["mask"]).convert("L"))
            found.append((np.array(picture), 1 + KINDS.index(row["category"])))
    return found


def photos(folder, test, side=192):
    """Photographs with a shorter side of `side` pixels, every fourth one to test on."""
    found = []
    for number, path in enumerate(sorted(Path(folder).glob("*.jpg"))):
        if (number % 4 == 0) == test:
            picture = Image.open(path).convert("RGB")
            scale = side / min(picture.size)
            size = [max(side, round(length * scale)) for length in picture.size]
            found.append(np.array(picture.resize(size, Image.BILINEAR)))
    return found
