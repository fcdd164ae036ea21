"""Locks: one process at a time writes into the folder of a run."""

import os

LOCKED = {}  # folders that this process writes checkpoints into, and the numbers by which they are open


def lock(folder):
    """Whether no other process holds the folder, which this one does from now on: until `unlock`, or until it ends."""
    folder = os.path.abspath(folder)
    try:
        import fcntl
    except ImportError:  # not on Windows
        return True
    if folder in LOCKED or not os.path.isdir(folder):
        return True
    number = None
    try:
        number = os.open(folder, os.O_RDONLY)
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if number is not None:
            os.close(number)
        return not isinstance(error, BlockingIOError)  # some file systems have no locks
    LOCKED[folder] = number
    return True


def unlock(folder):
    folder = os.path.abspath(folder)
    if folder in LOCKED:
        os.close(LOCKED.pop(folder))


def is_locked(folder):
    """Whether another process holds the folder."""
    held = os.path.abspath(folder) in LOCKED
    free = lock(folder)
    if free and not held:
        unlock(folder)
    return not free
