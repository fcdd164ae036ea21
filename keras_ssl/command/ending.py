"""Ending: how a command ends other than well, and what it was given to begin with."""

import contextlib


class Stopped(Exception):
    """The training was stopped by a signal, and what it had reached is saved."""

    def __init__(self, text, signal):
        super().__init__(text)
        self.signal = signal


@contextlib.contextmanager
def running():
    """From here on an error is no longer one of usage: the exit code is 1."""
    try:
        yield
    except Exception as error:
        error.while_running = True
        raise


def saved(checkpoint):
    return f"Step {checkpoint.saved} is saved: the same command with --resume goes on."


def given(options):
    """The arguments of a command for the function of the same name."""
    return {name: value for name, value in vars(options).items() if name not in ("json", "traceback", "run")}
