"""Checks of arguments: one sentence that names what was wrong, in place of an error deep inside a run."""

import math
from numbers import Integral, Real

LARGEST = 2.0**127  # of the numbers that arguments may be: float32 holds it


def is_int(value, least=-(2**31)):
    """Whether it is an int from `least` that fits into 32 bits."""
    return isinstance(value, Integral) and not isinstance(value, bool) and least <= value < 2**31


def is_number(value, least=-math.inf):
    """Whether it is a finite number, not below `least`."""
    return isinstance(value, Real) and not isinstance(value, bool) and least <= value and abs(value) < LARGEST


def check_ints(least=1, optional=False, **arguments):
    """Raises unless the arguments are ints from `least` that fit into 32 bits; or None, where they are optional."""
    for name, value in arguments.items():
        if not is_int(value, least) and not (optional and value is None):
            kind = "a positive int" if least == 1 else f"an int from {least}"
            raise ValueError(
                f"{name} must be {kind}{' of at most 2**31 - 1' if isinstance(value, int) and value > least else ''}"
                f"{' or None' if optional else ''}. Received: {name}={value!r}"
            )


def check_numbers(above=None, least=None, most=None, below=None, optional=False, **arguments):
    """Raises unless the arguments are finite numbers between the bounds; or None, where they are optional."""
    bounds = {"above": above, "from": least, "to": most, "below": below}
    for name, value in arguments.items():
        fine = is_number(value) and (above is None or value > above) and (least is None or value >= least)
        fine = fine and (most is None or value <= most) and (below is None or value < below)
        if not fine and not (optional and value is None):
            span = [f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None]
            raise ValueError(
                f"{' '.join([f'{name} must be a finite number', *span])}{' or None' if optional else ''}. "
                f"Received: {name}={value!r}"
            )


def check_flags(**arguments):
    """Raises unless the arguments are True or False."""
    for name, value in arguments.items():
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be True or False. Received: {name}={value!r}")


def is_list(value):
    """Whether it is a list, tuple, range or array of one axis; NumPy, which takes long, is not imported for that."""
    return isinstance(value, (list, tuple, range)) or hasattr(value, "__array__") and getattr(value, "ndim", 0) == 1


def int_list(name, values, least=0):
    """The ints from `least` of a list, tuple, set, range or array, as a tuple."""
    found = tuple(values) if isinstance(values, (set, frozenset)) or is_list(values) else None
    if found is None or not all(is_int(value, least) for value in found):
        raise ValueError(f"{name} must be a list of ints from {least}. Received: {name}={values!r}")
    return tuple(int(value) for value in found)


def number_list(name, values):
    """The numbers from 0 of a list, tuple or array, not all of them 0, as a list of floats."""
    found = list(values) if is_list(values) else []
    if not found or not all(is_number(value, 0) for value in found) or not any(found):
        raise ValueError(f"{name} must be numbers from 0, not all 0, in a list. Received: {name}={shown(values)}")
    return [float(value) for value in found]


def shown(values):
    """A list of thousands of numbers does not fit into an error."""
    text = repr(values)
    return text if len(text) < 80 else f"{type(values).__name__} of {len(values)}: {text[:60]} ..."


# Bounds: what an argument may be, declared once, as a function that is called with its name and value. A method lists
# those of its arguments in `Method.bounds`.


def ints(least=1, optional=False):
    """An int from `least`."""
    return lambda name, value: check_ints(least, optional, **{name: value})


def numbers(above=None, least=None, most=None, below=None, optional=False):
    """A finite number between the bounds."""
    return lambda name, value: check_numbers(above, least, most, below, optional, **{name: value})


def flag():
    """True or False."""
    return lambda name, value: check_flags(**{name: value})


def choice(*choices):
    """One of the values, which are listed in the error."""

    def check(name, value):
        if not any(value is one or type(value) is type(one) and value == one for one in choices):
            raise ValueError(f"{name} must be one of {list(choices)}. Received: {name}={value!r}")

    return check
