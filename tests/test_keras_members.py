"""Private members of Keras that the package uses: a Keras that drops one fails here, with a sentence that names it."""

import ast
import importlib
import inspect
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_ssl  # noqa: F401 it sets what Keras needs before it is imported

PACKAGE = Path(keras_ssl.__file__).parent
HELD = (keras.Model, keras.layers.Layer, keras.optimizers.Optimizer, keras.KerasTensor, keras.Operation)
DATA_SETS = {"_batch_size", "_drop_remainder"}  # of tf.data; tests/test_habits.py needs them
LITERT = {"_get_ops_details"}  # of TensorFlow's interpreter; tests/test_saving.py runs it


def small():
    given = keras.Input((4,), name="x")
    layer = keras.layers.Dense(2)
    model = keras.Model({"x": given}, layer(given))
    model.compile(keras.optimizers.SGD(0.1, clipnorm=1.0))
    model.optimizer.build(model.trainable_variables)
    return model, layer


def arguments(function):
    return list(inspect.signature(function).parameters)


def decays(optimizer):
    seen = []
    optimizer.weight_decay, optimizer._apply_weight_decay = 0.1, seen.append
    optimizer.apply([keras.ops.zeros_like(v) for v in optimizer._trainable_variables])
    return len(seen) == 1


# What each is taken for.
MEMBERS = {
    "_flatten_layers": lambda model, layer: layer in list(model._flatten_layers()),
    "_inputs_struct": lambda model, layer: list(model._inputs_struct) == ["x"],
    "_keras_history": lambda model, layer: (
        model.outputs[0]._keras_history.operation is layer and model.outputs[0]._keras_history.node_index == 0
    ),
    "_inbound_nodes": lambda model, layer: layer._inbound_nodes[0].input_tensors[0] is model.inputs[0],
    "_loss_tracker": lambda model, layer: "sample_weight" in arguments(model._loss_tracker.update_state),
    "_maybe_symbolic_build": lambda model, layer: arguments(model._maybe_symbolic_build) == ["iterator", "data_batch"],
    "_clip_gradients": lambda model, layer: (
        abs(np.linalg.norm(model.optimizer._clip_gradients([keras.ops.ones((4, 2)) * 9])[0]) - 1) < 1e-4
    ),
    "_get_variable_index": lambda model, layer: model.optimizer._get_variable_index(layer.bias) == 1,
    "_apply_weight_decay": lambda model, layer: decays(model.optimizer),
    "_trainable_variables": lambda model, layer: model.optimizer._trainable_variables[1] is layer.bias,
}


def test_all_that_are_used_are_known():
    used, own = {}, set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                used.setdefault(node.attr, set()).add(str(path.relative_to(PACKAGE)))
                own |= {node.attr} if isinstance(node.ctx, ast.Store) else set()
            elif isinstance(node, ast.Call) and getattr(node.func, "id", None) in ("getattr", "hasattr"):
                name = getattr(node.args[1], "value", None)
                if isinstance(name, str) and name.startswith("_") and not name.startswith("__"):
                    used.setdefault(name, set()).add(str(path.relative_to(PACKAGE)))
            elif isinstance(node, ast.FunctionDef):
                own.add(node.name)
    held = {name for name in own if any(hasattr(kind, name) for kind in HELD)} - {"_replace"}
    found = {name for name in used if name not in own} | {name for name in held if name.startswith("_")}
    found = {name for name in found if not name.startswith("__")}
    assert found - LITERT - DATA_SETS - set(MEMBERS) == set(), f"private, and not in the table of this test: {used}"
    assert set(MEMBERS) - found <= {"_trainable_variables"}, "in the table of this test, and not used any more"


@pytest.mark.parametrize("name", MEMBERS)
def test_keras_has_the_member(name):
    try:
        fine = bool(MEMBERS[name](*small()))
    except (AttributeError, TypeError, KeyError, IndexError, ValueError) as error:
        fine = error
    assert fine is True, (
        f"Keras {keras.__version__} has no `{name}` that does what keras_ssl takes it for ({fine!r}). Look for it with "
        f"`grep -rn {name} keras_ssl` and in Keras's changes; pin an older Keras in setup.cfg until then."
    )


def test_modules_of_keras_src():
    """What Keras does not export: only the adapter that tells it to leave a host's rows alone."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("keras.src"):
                found |= {(node.module, alias.name) for alias in node.names}
    assert found == {("keras.src.trainers.data_adapters.tf_dataset_adapter", "TFDatasetAdapter")}
    for module, name in found:
        kind = getattr(importlib.import_module(module), name, None)
        assert kind is not None, f"Keras {keras.__version__} has no {module}.{name}, which distribute.py needs"
        assert arguments(kind)[0] == "dataset"
