"""Figure: Matplotlib without its global state, so it needs no display and runs in threads."""

import os

INSTALL = "pip install keras_ssl[plots]"


def figure(width, height):
    """An empty `matplotlib.figure.Figure`, size in inches."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(f"keras_ssl.visualize draws with Matplotlib: {INSTALL}") from error
    return Figure(figsize=(width, height), layout="constrained")


def finish(made, path):
    """Save the figure where there is a path, and return it."""
    if path is not None:
        made.savefig(os.fspath(path), dpi=150)
    return made
