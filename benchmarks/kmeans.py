"""k-means beside scikit-learn's and faiss-cpu's, on the same arrays and from the same start: seconds and memory.

    python benchmarks/kmeans.py --out benchmarks/results/kmeans.json

50,000 rows of 128 numbers, k = 10,000, Euclidean. Each runs in a process of its own; the memory is the largest of that
process minus what it had before, with the rows in it. scikit-learn and faiss are left out where they are missing.
"""

import argparse
import importlib.util
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

PACKAGES = {"keras_ssl": "keras_ssl", "scikit-learn": "sklearn", "faiss-cpu": "faiss"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--clusters", type=int, default=10_000)
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--out", type=Path, default=None, help="a JSON file")
    parser.add_argument("--only", choices=PACKAGES, help="one of them, in this process")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options)))
        return
    found = {"settings": {key: getattr(options, key) for key in ("rows", "dim", "clusters", "iterations")}}
    found["machine"] = {"cores": os.cpu_count(), "processor": platform.processor() or platform.machine()}
    for name, package in PACKAGES.items():
        if importlib.util.find_spec(package) is None:
            print(f"{name}: not installed")
            continue
        sizes = [f"--{key}={value}" for key, value in found["settings"].items()]
        command = [sys.executable, __file__, "--only", name, *sizes]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
        print(name, found[name])
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(found, indent=1) + "\n")


def measure(options):
    """Seconds, MiB and the mean squared distance of one of them."""
    draw = np.random.default_rng(0)
    centers = draw.normal(size=(200, options.dim))
    rows = centers[draw.integers(0, 200, options.rows)] + draw.normal(size=(options.rows, options.dim))
    rows = rows.astype("float32")
    start = rows[draw.choice(options.rows, options.clusters, replace=False)].copy()
    run = {"keras_ssl": own, "scikit-learn": scikit_learn, "faiss-cpu": faiss_cpu}[options.only]
    run(rows[:2000], start[:100], 1)  # loads what is loaded at first use
    before = peak()
    began = time.perf_counter()
    version, centroids = run(rows, start, options.iterations)
    seconds = time.perf_counter() - began
    value = np.mean([np.square(row - centroids).sum(axis=1).min() for row in rows[::100]])
    return {
        "version": version, "seconds": round(seconds, 2), "MiB": round(peak() - before, 1),
        "mean square of every 100th row": round(float(value), 3),
    }  # fmt: skip


def peak():
    """The largest memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def own(rows, start, iterations):
    import keras_ssl

    found = keras_ssl.clustering.kmeans(rows, len(start), iterations=iterations, start=start)
    return keras_ssl.__version__, found.centroids


def scikit_learn(rows, start, iterations):
    import sklearn
    from sklearn.cluster import KMeans

    made = KMeans(len(start), init=start, n_init=1, max_iter=iterations, tol=0, algorithm="lloyd").fit(rows)
    return sklearn.__version__, made.cluster_centers_


def faiss_cpu(rows, start, iterations):
    import faiss

    many = 1 + len(rows) // len(start)
    made = faiss.Kmeans(
        rows.shape[1], len(start), niter=iterations, max_points_per_centroid=many, min_points_per_centroid=1
    )
    made.train(rows, init_centroids=start)
    return faiss.__version__, made.centroids


if __name__ == "__main__":
    import warnings

    warnings.filterwarnings("ignore")
    main()
