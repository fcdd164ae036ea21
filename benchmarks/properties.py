"""Properties: a table of every method against what the tests show of it, from reports of the tests.

    seq 20 | KERAS_SSL_COMPLETE=1 xargs -I{} python -m pytest -n 2 --dist loadgroup --splits 20 --group {} \\
        --junitxml=runs/tests-{}.xml
    python benchmarks/properties.py runs/tests-*.xml > docs/properties.md

Without `KERAS_SSL_COMPLETE=1` the tests take a few methods for what the base class decides, for several processes and
for four replicas. Several reports, of parts of the tests, are joined.

A mark is a test that ran and passed, for that method by itself; an empty cell is a test that was not made for it, or
was skipped. A test that failed fails this script.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree

import keras_ssl

# Title of a column, and the test whose parameters hold the method's name and, where one is given here, another.
COLUMNS = {
    "gradients": "test_every_trainable_weight_gets_a_gradient",
    "eager = graph = XLA": "test_eager_equals_graph_equals_xla",
    "bfloat16": "test_half_precision[mixed_bfloat16",
    "float16": "test_half_precision[mixed_float16",
    "overflow": "test_an_overflow_moves_nothing",
    "overflow of one replica": "test_an_overflow_on_one_replica_is_known_to_all",
    "clipping": "test_one_replica_equals_two_where_gradients_are_clipped",
    "accumulation": "test_gradient_accumulation_moves_the_teacher_once_an_update",
    "resume": "test_resumed_run_equals_the_uninterrupted",
    "1 = 2 replicas": "test_one_replica_equals_two",
    "1 = 4 replicas": "test_four_replicas_equal_one",
    "1 = 2 processes": "test_workers_equal_one_process[two",
    "JAX, 2 devices": "test_training_equals_tensorflow[jax",
    "PyTorch": "test_training_equals_tensorflow[torch",
    "NaN is seen": "test_a_run_that_diverged_is_seen_in_its_loss",
}
HEAD = """# What is tested of every method

Made from reports of the tests by `benchmarks/properties.py`. Each mark is one test of that method by itself; an empty
cell is a test that was made for a few methods only, or skipped. All of them compare numbers: losses, weights, teachers,
queues, banks, prototypes and centers.

Half precision (compiled), overflow, accumulation and clipping are tested on a few methods in the tests of every day, as
are four replicas and several processes, because the base class alone decides them. `KERAS_SSL_COMPLETE=1` takes all
methods.

The same tests run on methods that are made for them: a `SimCLR` of every [kind of data](guides/kinds.md), `BYOL` of
texts, and methods of [several players](guides/players.md).
"""


def main(*paths):
    cases = [case for path in paths for case in ElementTree.parse(path).iter("testcase")]
    wrong = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    passed = [case.get("name") for case in cases if case not in wrong and case.find("skipped") is None]
    failed = {case.get("name") for case in wrong} - set(passed)  # one that was mended stands in a later report
    if failed:
        raise SystemExit(f"{len(failed)} tests failed: {', '.join(sorted(failed)[:5])}")
    found = {title: {name for name in keras_ssl.METHODS if any(is_of(case, test, name) for case in passed)}
             for title, test in COLUMNS.items()}
    shown = [title for title in COLUMNS if found[title]]
    print(HEAD)
    print(f"| | {' | '.join(shown)} |")
    print("|---|" + ":-:|" * len(shown))
    for name in keras_ssl.METHODS:
        print(f"| {name} | " + " | ".join("✓" if name in found[title] else "" for title in shown) + " |")
    print("| methods | " + " | ".join(str(len(found[title])) for title in shown) + " |")


def is_of(case, test, name):
    test, _, parameter = test.partition("[")
    found = re.fullmatch(rf"{test}\[(.*)\]", case)
    return found is not None and {name, parameter} <= {*found[1].split("-"), ""}


if __name__ == "__main__":
    main(*sys.argv[1:])
