"""Augment, the peer's side: lightly's SimCLR views, measured when asked. `augment.py --peer-python` starts it.

Questions and answers are lines of JSON. Nothing runs between an answer and the next question: each measurement starts
its own loader workers and ends them.
"""

import importlib
import json
import sys
import time

import numpy as np

CORES = int(sys.argv[1])
for module in sys.argv[2:]:
    importlib.import_module(module)

import lightly  # noqa: E402
import torch  # noqa: E402
import torchvision  # noqa: E402
from lightly.transforms import SimCLRTransform  # noqa: E402
from PIL import Image  # noqa: E402


def main():
    answers = sys.stdout
    sys.stdout = sys.stderr  # what libraries print is no answer
    held = {}
    for line in sys.stdin:
        question = json.loads(line)
        if question["do"] == "versions":
            answer = {module.__name__: module.__version__ for module in (torch, torchvision, lightly)}
        else:
            key = question["do"], question["path"]
            if key not in held:
                held[key] = {"arrays": images, "files": files}[question["do"]](question["path"])
            answer = measure(held[key], question)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def images(path):
    return [Image.fromarray(image) for image in np.load(path)]


def files(path):
    with open(path) as file:
        return json.load(file)


def measure(sources, question):
    """Images per second."""
    transform = SimCLRTransform(
        input_size=question["size"],
        cj_strength=question["strength"],
        gaussian_blur=question["blur_p"],
        normalize=None,
    )
    loader = torch.utils.data.DataLoader(
        Views(sources, transform),
        batch_size=question["batch"],
        sampler=Endless(len(sources)),
        num_workers=CORES,
        drop_last=True,
    )
    iterator = iter(loader)
    seconds = question["seconds"]
    stop = time.perf_counter() + seconds / 3
    for warm in range(10**9):
        next(iterator)
        # Until all batches that the workers began beforehand are gone
        if warm >= 2 * CORES and time.perf_counter() >= stop:
            break
    start, steps = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < seconds or steps < 2:
        next(iterator)
        steps += 1
    del iterator  # ends the workers
    return steps * question["batch"] / passed


class Views(torch.utils.data.Dataset):
    def __init__(self, sources, transform):
        self.sources, self.transform = sources, transform

    def __len__(self):
        return len(self.sources)

    def __getitem__(self, number):
        image = self.sources[number]
        if isinstance(image, str):
            with Image.open(image) as file:
                image = file.convert("RGB")
        return self.transform(image)


class Endless(torch.utils.data.Sampler):
    """Random orders, one after the other."""

    def __init__(self, count):
        self.count = count

    def __iter__(self):
        while True:
            yield from torch.randperm(self.count).tolist()


if __name__ == "__main__":
    main()
