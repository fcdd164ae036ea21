"""Result: the numbers of an evaluation, each with its 95 % confidence interval."""

import dataclasses
import math

import numpy as np

from keras_ssl.eval.score import Score, write

# Single values that a measure keeps: those of seeds and episodes, not those of every image of a large test set.
KEPT = 1000


@dataclasses.dataclass(frozen=True)
class Measure:
    """A number, the interval it is known to, and what it is a mean of; `float(measure)` is the number.

    Args:
        mean: float.
        low, high: floats, the 95 % confidence interval of the mean, or None where there is none.
        n: int, how many values the mean is of.
        over: string, what these are: `"seeds"`, `"episodes"`, `"queries"`, `"images"`.
        values: tuple of floats, the values, where there are few.

    Example:
        >>> float(Measure(0.5))
        0.5
    """

    mean: float
    low: float | None = None
    high: float | None = None
    n: int = 1
    over: str = ""
    values: tuple = ()

    @property
    def interval(self):
        """The 95 % confidence interval (low, high), or None."""
        return None if self.low is None else (self.low, self.high)

    def __float__(self):
        return self.mean


class Result:
    """Named numbers of an evaluation: `print(result)` is a table, `result[name]` a `Measure`.

    It also puts the scores of several encoders or seeds side by side.

    Args:
        name: string, what was measured.
        measures: dict from a name to a `Measure`, a `Score`, a number, or a sequence of numbers or scores, one for
            each seed. The interval of a sequence is Student's, of two or more values.
        over: string, what the values of a sequence are.
        settings: dict of what else was chosen, such as the seed; it is printed and saved.
        bounds: floats `(low, high)` that the numbers cannot leave, `(0, 1)` for shares, which cut the intervals of
            sequences; None is none. Sequences of scores have those of shares.

    Attributes:
        name, measures, settings: as given, with all measures as `Measure`.

    Raises:
        ValueError: no measures, or one without values.
        TypeError: a measure is not one of the above.

    Example:
        >>> result = Result("linear probe", {"SimCLR": [0.61, 0.63, 0.62], "BYOL": [0.66, 0.64, 0.65]})
        >>> print(result)
        linear probe
          measure    mean  95 % interval           n
          SimCLR   0.6200  0.5952 to 0.6448  3 seeds
          BYOL     0.6500  0.6252 to 0.6748  3 seeds
    """

    def __init__(self, name, measures, over="seeds", settings=None, bounds=None):
        if not measures:
            raise ValueError("A result needs one measure at least. Received: measures={}")
        self.name = name
        self.measures = {str(key): measure(value, over, bounds) for key, value in measures.items()}
        self.settings = {key: plain(value) for key, value in (settings or {}).items()}

    def rows(self):
        """The numbers as a list of flat dicts, one a measure: the rows of the CSV file and of a report's table."""
        settings = {
            key: " ".join(map(str, value)) if isinstance(value, list) else value
            for key, value in self.settings.items()
        }
        return [
            {
                "name": self.name, "measure": key, "mean": found.mean, "low": found.low, "high": found.high,
                "n": found.n, "over": found.over, **settings,
            }
            for key, found in self.measures.items()
        ]

    def to_dict(self):
        """All that is known as a dict of plain Python values, ready for JSON."""
        return {
            "name": self.name,
            "settings": self.settings,
            "measures": {
                key: {**dataclasses.asdict(found), "values": list(found.values)}
                for key, found in self.measures.items()
            },
        }

    def save(self, path):
        """Write `to_dict()` as JSON or `rows()` as CSV, by the ending of the path; returns the path."""
        return write(path, self.to_dict(), self.rows())

    def __getitem__(self, key):
        if key not in self.measures:
            raise KeyError(f"{key!r} is not one of the measures {list(self.measures)}")
        return self.measures[key]

    def __iter__(self):
        return iter(self.measures)

    def __len__(self):
        return len(self.measures)

    def __float__(self):
        return next(iter(self.measures.values())).mean

    def __str__(self):
        table = [("measure", "mean", "95 % interval", "n")]
        for key, found in self.measures.items():
            interval = "" if found.low is None else f"{shown(found.low)} to {shown(found.high)}"
            table.append((key, shown(found.mean), interval, f"{found.n} {found.over}".strip()))
        widths = [max(map(len, column)) for column in zip(*table)]
        sides = (str.ljust, str.rjust, str.ljust, str.rjust)
        lines = ["  ".join(side(part, width) for side, part, width in zip(sides, row, widths)) for row in table]
        settings = ", ".join(f"{key}={value}" for key, value in self.settings.items())
        return "\n  ".join([self.name + (f" ({settings})" if settings else ""), *lines])

    def __repr__(self):
        return f"Result({self.name!r}, {self.measures!r})"


def measure(value, over, bounds=None):
    """Anything that `Result` takes as a `Measure`."""
    if isinstance(value, Measure):
        return value
    if isinstance(value, Score):
        return Measure(value.accuracy, *value.interval, n=value.n, over="images")
    if isinstance(value, Result) or isinstance(value, (str, dict)) or np.ndim(value) > 1:
        raise TypeError(f"A measure must be a number, a Score, or a sequence of them. Received: {value!r}")
    if np.ndim(value) == 0:
        return Measure(float(value))
    values = [float(part) for part in value]
    if not values:
        raise ValueError("A measure needs one value at least. Received: []")
    mean, width = float(np.mean(values)), None
    low, high = (0.0, 1.0) if all(isinstance(part, Score) for part in value) else bounds or (-math.inf, math.inf)
    if len(values) > 1:
        width = student(len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Measure(
        mean,
        None if width is None else max(low, mean - width),
        None if width is None else min(high, mean + width),
        n=len(values),
        over=over,
        values=tuple(values) if len(values) <= KEPT else (),
    )


def student(freedom):
    """97.5 % quantile of Student's distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975))


def seeds_of(seeds):
    """The seeds of an evaluation that is repeated: a number of them, from 0, or a sequence."""
    whole = (int, np.integer)
    found = list(range(seeds)) if isinstance(seeds, whole) else list(seeds) if np.iterable(seeds) else []
    if not found or not all(isinstance(seed, whole) and seed >= 0 for seed in found):
        raise ValueError(f"seeds must be a positive int or a sequence of ints from 0. Received: seeds={seeds!r}")
    return [int(seed) for seed in found]


def plain(value):
    """A setting as JSON has it."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value


def shown(value):
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"
