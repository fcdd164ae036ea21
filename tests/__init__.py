"""The tests. With this folder alone they run against an installed package, but for those of the rest of the clone."""

from pathlib import Path

IN_A_CLONE = (Path(__file__).parents[1] / "setup.cfg").exists()
