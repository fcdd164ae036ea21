"""Progress: one line on the terminal for preparations that take long."""

import sys
import time


class Progress:
    """One line on the terminal for work that takes longer than `quiet` seconds; silent where there is no terminal."""

    def __init__(self, text, total=None, quiet=2.0):
        self.text, self.total, self.quiet = text, total, quiet
        self.begun = self.shown = time.monotonic()
        self.lines = 0

    def update(self, done):
        now = time.monotonic()
        if not sys.stderr.isatty() or now - self.begun < self.quiet or now - self.shown < 0.2:
            return
        self.shown = now
        total = "" if self.total is None else f" of {self.total}"
        sys.stderr.write(f"\r{self.text}: {done}{total}")
        sys.stderr.flush()
        self.lines += 1

    def close(self):
        if self.lines:
            sys.stderr.write("\n")
            sys.stderr.flush()
