"""Command: `python -m keras_ssl`, thin over the public functions of the package. One file a subcommand.

A subcommand's file has `HELP`, `DESCRIPTION`, `add(parser)`, which adds its arguments, and `run(options)`, which
returns what it did as a dict for `--json` and as text. Nothing heavy is imported before it is needed.
"""

import argparse
import contextlib
import os
import re
import sys
import traceback
import warnings

import keras_ssl
from keras_ssl import runs
from keras_ssl.command import convert, embed, evaluate, export, pretrain, report
from keras_ssl.command.ending import Stopped

DESCRIPTION = """Self-supervised learning for images: from a folder of images to an encoder.

  python -m keras_ssl pretrain --data photos/ --method BYOL --size 96 --epochs 100 --out runs/byol
  python -m keras_ssl evaluate runs/byol --train labeled/train --test labeled/test --protocol knn linear
  python -m keras_ssl report runs/byol
  python -m keras_ssl embed runs/byol --data photos/ --out features.npz
  python -m keras_ssl export runs/byol --out encoder.tflite

`python -m keras_ssl COMMAND --help` explains each with examples.
"""
EPILOG = """Results go to stdout, everything else to stderr; with --json the result is one JSON document.
Exit codes: 0 done; 1 failed; 2 wrong usage; 130 and 143 stopped by Ctrl-C and by SIGTERM."""


def main(arguments=None):
    """Runs one command.

    Args:
        arguments: list of strings, None for those of the process.

    Returns:
        int, the exit code: 0 done, 1 failed, 2 wrong usage, 128 + the number of the signal that stopped it.
    """
    try:
        options = parser().parse_args(arguments)
    except SystemExit as end:  # argparse has printed what is wrong, or the help
        return end.code
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        # Keras prints to stdout, which belongs to the result.
        with contextlib.redirect_stdout(sys.stderr), short_warnings():
            document, text = options.run(options)
    except Stopped as stop:
        say(stop)
        return 128 + stop.signal
    except KeyboardInterrupt:
        say("Stopped.")
        return 130
    except Exception as error:
        code, reason = judge(error)
        if options.traceback or reason is None:
            traceback.print_exc()
        if reason is not None:
            say(f"error: {reason}")
        return code
    print(runs.as_json(document) if options.json else text)
    return 0


def parser():
    form = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser("python -m keras_ssl", description=DESCRIPTION, epilog=EPILOG, formatter_class=form)
    made.add_argument("--version", action="version", version=f"keras_ssl {keras_ssl.__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print the result as one JSON document")
    common.add_argument("--traceback", action="store_true", help="show where in the code an error was raised")
    commands = made.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for command in (pretrain, evaluate, embed, export, convert, report):
        name = command.__name__.split(".")[-1]
        texts = {"help": command.HELP, "description": command.DESCRIPTION}
        one = commands.add_parser(name, parents=[common], formatter_class=form, **texts)
        command.add(one)
        one.set_defaults(run=command.run)
    return made


def judge(error):
    """The exit code, and one line that says what is wrong; None where only a traceback does."""
    if isinstance(error, (ValueError, TypeError, FileNotFoundError, FileExistsError, NotADirectoryError)):
        return (1 if getattr(error, "while_running", False) else 2), first_line(error)
    if isinstance(error, (FloatingPointError, ImportError, OSError)):
        return 1, first_line(error)
    # TensorFlow wraps what a pipeline raises, such as the name of a file that is no image.
    inside = re.search(r"ValueError: (.+)", str(error))
    return 1, inside[1] if inside and type(error).__module__.startswith("tensorflow") else None


def first_line(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


@contextlib.contextmanager
def short_warnings():
    """Warnings as one line each, without the place in the code."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *place, **more: say(f"warning: {message}")
        yield


def say(text):
    print(text, file=sys.stderr, flush=True)
