"""Score: an accuracy with the number of samples behind it."""

import csv
import dataclasses
import json
import os
import pathlib

import numpy as np


@dataclasses.dataclass(frozen=True)
class Score:
    """Accuracy on a test set; `float(score)` is the accuracy, `print(score)` is one readable line.

    Args:
        accuracy: float in 0..1, share of the test samples whose label was predicted.
        n: int, number of test samples.
        top5: float in 0..1, share of the test samples whose label is among the five best classes, or None where
            there are fewer than five classes.
        name: string, what was measured; opens the printed line.

    Example:
        >>> score = Score(0.5, n=100, name="coin")
        >>> print(score)
        coin: 50.00 % (95 % interval 40.38 to 59.62, n = 100)
    """

    accuracy: float
    n: int
    top5: float | None = None
    name: str = "accuracy"

    @property
    def interval(self):
        """The 95 % confidence interval (low, high) of the accuracy: Wilson's score interval, exact enough at 0 and 1.

        It covers the choice of the test samples only, not the choice of the training run's seed.
        """
        from scipy.stats import binomtest

        found = binomtest(round(self.accuracy * self.n), self.n).proportion_ci(0.95, method="wilson")
        return float(found.low), float(found.high)

    def to_dict(self):
        """The numbers as a dict of plain Python values, ready for JSON."""
        low, high = self.interval
        return {
            "name": self.name, "accuracy": self.accuracy, "low": low, "high": high, "top5": self.top5, "n": self.n,
        }

    def save(self, path):
        """Write the numbers of `to_dict` as JSON or CSV, by the ending of the path."""
        return write(path, self.to_dict(), [self.to_dict()])

    def __float__(self):
        return self.accuracy

    def __str__(self):
        low, high = self.interval
        top5 = "" if self.top5 is None else f", top-5 {100 * self.top5:.2f} %"
        return (
            f"{self.name}: {100 * self.accuracy:.2f} % "
            f"(95 % interval {100 * low:.2f} to {100 * high:.2f}, n = {self.n}){top5}"
        )


def score(votes, labels, name):
    """The `Score` of class votes.

    A class without any vote (weight 0 in k-NN) is never counted as predicted, and of classes with equal votes the
    first one wins.

    Args:
        votes: NumPy array `(n, classes)`, larger is likelier; `-inf` marks a class without a vote.
        labels: NumPy int array `(n,)`.
        name: string, see `Score`.
    """
    n, classes = votes.shape
    known = labels < classes
    own = np.where(known, votes[np.arange(n), np.where(known, labels, 0)], -np.inf)
    before = np.arange(classes) < labels[:, None]
    rank = np.sum((votes > own[:, None]) | ((votes == own[:, None]) & before), axis=1)
    voted = np.isfinite(own)
    return Score(
        accuracy=float(np.mean((rank == 0) & voted)),
        n=n,
        top5=float(np.mean((rank < 5) & voted)) if classes >= 5 else None,
        name=name,
    )


def write(path, document, rows):
    """Write `document` as JSON, or `rows`, dicts with the same keys, as CSV, by the ending of the path."""
    path = pathlib.Path(os.fspath(path))
    if path.suffix not in (".json", ".csv"):
        raise ValueError(f"path must end in .json or .csv. Received: path={str(path)!r}")
    with open(path, "w", newline="", encoding="utf-8") as file:
        if path.suffix == ".json":
            file.write(json.dumps(document, indent=2) + "\n")
        else:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return path
