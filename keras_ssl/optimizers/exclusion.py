"""Which variables an optimizer leaves out of weight decay (and LARS out of its ratio)."""

import numbers
import re

from keras import ops

from keras_ssl.checks import check_flags, is_number


class Exclusion:
    """Mixin of an optimizer with `exclude` and `exclude_vectors`, which also takes weight decay out of Keras's hands.

    Keras's base class decays `w -= learning_rate * weight_decay * w` for every optimizer whose `weight_decay` is set.
    The optimizers here decay in `update_step`, so that hook does nothing: nothing is decayed twice.

    Patterns are searched anywhere in `variable.path`. Keras may put the name of the model before a path in one
    process and not in the next (a `Sequential` that is loaded again), so patterns should not name the start.
    """

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._excluded = frozenset(i for i, variable in enumerate(variables) if self._is_excluded(variable))

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        raise ValueError(
            f"{type(self).__name__} has no exclude_from_weight_decay: pass exclude=[...], parts or regular expressions "
            f"of the variables' paths, to the constructor. Received: var_list={var_list}, var_names={var_names}"
        )

    def get_config(self):
        exclude = self.exclude if self.exclude is None or isinstance(self.exclude, str) else list(self.exclude)
        return {**super().get_config(), "exclude": exclude, "exclude_vectors": self.exclude_vectors}

    def _set_exclusion(self, exclude, exclude_vectors):
        found = pattern("exclude", exclude)
        check_flags(exclude_vectors=exclude_vectors)
        self.exclude = exclude
        self.exclude_vectors = exclude_vectors
        self._pattern = found

    def _is_excluded(self, variable):
        if self.exclude_vectors and len(variable.shape) <= 1:
            return True
        return self._pattern is not None and self._pattern.search(variable.path) is not None

    def _excludes(self, variable):
        return self._get_variable_index(variable) in self._excluded

    def _with_decay(self, gradient, variable):
        """The gradient with the coupled decay in it: `g + weight_decay * w`, where the variable is not excluded."""
        if not self.weight_decay or self._excludes(variable):
            return gradient
        # An embedding's sparse gradient becomes dense: every row decays.
        return ops.cast(ops.convert_to_tensor(gradient), variable.dtype) + self.weight_decay * variable

    def _apply_weight_decay(self, variables):
        pass


def pattern(name, value):
    """The regular expression that finds the parts of paths of an argument, or None where there are none."""
    parts = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(parts, (list, tuple)) or not all(isinstance(part, str) and part for part in parts):
        raise ValueError(
            f"{name} must be a str or a list of str, each a part or a regular expression of the path of a variable. "
            f"Received: {name}={value}"
        )
    return re.compile("|".join(f"(?:{part})" for part in parts)) if parts else None


def check_not_negative(**arguments):
    for name, value in arguments.items():
        if not is_number(value) or not value >= 0:
            raise ValueError(f"{name} must be a finite float, 0 or more. Received: {name}={value}")


def check_share(**arguments):
    for name, value in arguments.items():
        if not is_number(value) or not 0 <= value <= 1:
            raise ValueError(f"{name} must be a float from 0 to 1. Received: {name}={value}")


def fixed(learning_rate):
    """The learning rate to be checked, where it is a number and no schedule."""
    return {"learning_rate": learning_rate} if isinstance(learning_rate, (numbers.Real, str, type(None))) else {}
