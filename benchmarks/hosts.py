"""Hosts: the work of decoding that each of 1, 2 and 4 hosts does for the same batches, and whether these are the same.

    python benchmarks/hosts.py PHOTOS [--out benchmarks/results/hosts.json]

Every host is a process on this machine, under `tf.distribute.MultiWorkerMirroredStrategy` over the loopback. Each takes
its rows of the same global batches out of a folder of photographs, once as `fit` takes them (read and decoded by the
host that needs them), and once as Keras shares out a data set (every host decodes the whole batch and keeps its rows).
What is compared is what a process reads and its CPU time, as all of them run on one machine here. That time holds what
does not fall with the number of hosts, too: the collectives by which the hosts agree that there is a next batch.
"""

import argparse
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

BATCH, SIZE, PASSES = 40, 224, 4  # the first pass is a warm-up, which is not counted
HOW = {"own": "each decodes its rows", "all": "each decodes the whole batch"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of photographs")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "hosts.json")
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--worker", choices=("own", "all"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(work(options.photos, options.worker == "own")))
        return
    found = {}
    for hosts in options.hosts:
        for how in ("own", "all"):
            found[how, hosts] = launch(options.photos, hosts, how)
    whole = merged(found["own", options.hosts[0]])
    same = all(merged(workers) == whole for workers in found.values())
    result = {
        "title": "Hosts that share the decoding",
        "what": "Hosts that decode their own rows of each global batch, and hosts that decode all of it. The samples "
        f"are {'' if same else 'NOT '}those of one process.",
        "data": f"photographs, at {SIZE} pixels in batches of {BATCH}",
        "command": "python benchmarks/hosts.py PHOTOS",
        "machine": f"{os.cpu_count()} CPU cores, every host a process on them",
        "seeds": [],
        "columns": {
            "megabytes_read": "megabytes read by a host",
            "cpu_seconds": "CPU seconds of a host",
            "images_per_cpu_second": "images of all hosts per CPU second of one",
            "images_per_second": "images per second on this machine",
        },
        "rows": [row(hosts, how, workers) for (how, hosts), workers in found.items()],
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def row(hosts, how, workers):
    count = sum(worker["rows"] for worker in workers)
    each = sum(worker["cpu"] for worker in workers) / hosts
    return {
        "name": f"{hosts} host{'s' * (hosts > 1)}, {HOW[how]}",
        "megabytes_read": round(sum(worker["read"] for worker in workers) / hosts / 1e6, 1),
        "cpu_seconds": round(each, 2),
        "images_per_cpu_second": round(count / each, 1),
        "images_per_second": round(count / max(worker["wall"] for worker in workers), 1),
    }


def launch(photos, hosts, how):
    """What the workers found, in their order."""
    ports = [socket.socket() for _ in range(hosts)]
    for port in ports:
        port.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{port.getsockname()[1]}" for port in ports]
    for port in ports:
        port.close()
    workers = []
    for number in range(hosts):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": number}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(task), "CUDA_VISIBLE_DEVICES": "-1"}
        command = [sys.executable, __file__, str(photos), "--worker", how]
        workers.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    return [json.loads(worker.communicate()[0].splitlines()[-1]) for worker in workers]


def work(photos, own):
    """CPU and wall time of a host for some passes, and a digest of every sample that it saw."""
    import tensorflow as tf

    from keras_ssl import data, distribute

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    dataset = data.image_folder(photos, SIZE, BATCH, index=True, upscale=True)
    if own:
        shared = distribute.own_rows(dataset, strategy)
    else:
        shared = strategy.experimental_distribute_dataset(dataset)
    distribute.wait_for_workers(strategy)
    seen, spent = {}, np.zeros(3)
    for number in range(PASSES):
        begun = used()
        batches = list(shared)
        spent += (used() - begun) * (number > 0)
        for batch in batches:
            local = {name: strategy.experimental_local_results(column)[0].numpy() for name, column in batch.items()}
            for index, image, seed in zip(local["index"], local["image"], local["seed"]):
                seen[f"{number} {index}"] = hashlib.sha256(image.tobytes() + seed.tobytes()).hexdigest()
    distribute.wait_for_workers(strategy)
    rows = len(seen) * (PASSES - 1) / PASSES
    return {**dict(zip(("cpu", "wall", "read"), spent.tolist())), "rows": rows, "seen": seen}


def used():
    """CPU seconds, the time, and bytes read by this process so far, as Linux counts them."""
    read = int(Path("/proc/self/io").read_text().split()[1])
    return np.array([time.process_time(), time.perf_counter(), read])


def merged(workers):
    return dict(sorted(item for worker in workers for item in worker["seen"].items()))


if __name__ == "__main__":
    main()
