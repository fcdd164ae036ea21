"""Decode: what the accurate transform of JPEG and the orientation of cameras cost, for each photograph of a folder.

    python benchmarks/decode.py PHOTOS [--out benchmarks/results/decode.json]

Milliseconds of one CPU core per file, the least of some rounds over all files that are held in memory, and how far the
pixels are from those of Pillow.
"""

import argparse
import io
import json
import os
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from keras_ssl.data.decode import decode, oriented, orientation

ROUNDS = 4


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of JPEG files")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "decode.json")
    options = parser.parse_args()
    files = [path.read_bytes() for path in sorted(options.photos.rglob("*.jpg"))]

    def jpeg(method):
        return lambda data: tf.io.decode_jpeg(data, channels=3, dct_method=method)

    ways = {
        "INTEGER_FAST": jpeg("INTEGER_FAST"),
        "INTEGER_ACCURATE": jpeg("INTEGER_ACCURATE"),
        "INTEGER_ACCURATE, upright": lambda data: oriented(jpeg("INTEGER_ACCURATE")(data), orientation(data)),
        "data.decode": lambda data: decode(data, 3),
        "data.decode, upright": lambda data: decode(data, 3, orient=True),
    }
    times = {name: [] for name in ways}
    passes = {name: tf.data.Dataset.from_tensor_slices(files).map(way) for name, way in ways.items()}
    for _ in range(ROUNDS):  # one after the other, so that a busy moment of the machine meets all
        for name, images in passes.items():
            begun = time.process_time()
            for _ in images:
                pass
            times[name].append((time.process_time() - begun) / len(files))
    wanted = [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int) for data in files[:40]]
    rows = [
        {
            "name": name,
            "milliseconds": round(1000 * min(times[name]), 3),
            "difference": int(
                max(np.abs(image - other).max() for image, other in zip(images.as_numpy_iterator(), wanted))
            ),
        }
        for name, images in passes.items()
    ]
    size = sum(map(len, files)) / len(files) / 1000
    result = {
        "title": "Decoding photographs",
        "what": "CPU time per file, and the largest difference from the pixels of Pillow, in levels of 255.",
        "data": f"{len(files)} JPEG files of {size:.1f} kB on average",
        "command": "python benchmarks/decode.py PHOTOS",
        "machine": f"1 of {os.cpu_count()} CPU cores",
        "seeds": [],
        "columns": {"milliseconds": "ms per file", "difference": "largest difference from Pillow"},
        "rows": rows,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
