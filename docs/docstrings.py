"""Docstrings: what the site's parser is given of them, and the arguments that a method takes through `**kwargs`."""

import importlib
import inspect
import re
import textwrap

import griffe

import keras_ssl

EXAMPLE = re.compile(r"\nExample:\n+(.*)\Z", re.DOTALL)  # it is the last section
REST = re.compile(r"^    \*\*kwargs: .*(?:\n     .*)*\n?", re.MULTILINE)
ENTRY = re.compile(r"^    (\*{0,2}\w+(?:, \w+)*): .*(?:\n     .*)*", re.MULTILINE)
SECTION = re.compile(r"^(Args|Raises|Returns|Example):\n", re.MULTILINE)
KERAS = "    name: str, of the model.\n    dtype: str or `keras.DTypePolicy`, of the model; the policy that is set."


class Examples(griffe.Extension):
    """Our `Example:` is what the parser calls `Examples:`, and it wants it indented."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring is None:
            return
        if obj.is_class and obj.canonical_path.startswith("keras_ssl.methods."):
            cls = getattr(importlib.import_module(obj.module.canonical_path), obj.name)
            if obj.name in keras_ssl.METHODS:
                obj.docstring.value = arguments(cls)
            if issubclass(cls, keras_ssl.Method):  # methods show what they inherit from bases that are none, too
                spell_out(obj, cls)
        obj.docstring.value = EXAMPLE.sub(indented, obj.docstring.value)


def indented(match):
    return "\nExamples:\n" + textwrap.indent(textwrap.dedent(match[1]), "    ")


def spell_out(obj, cls):
    """Names in the signature what `**kwargs` stands for."""
    init = obj.members.get("__init__")
    parameters = list(init.parameters) if init else []
    if not init or parameters[-1].kind is not griffe.ParameterKind.var_keyword:
        return
    own = {parameter.name for parameter in parameters}
    for parameter in inherited(cls):
        if parameter.name not in own:
            default = None if parameter.default is inspect.Parameter.empty else repr(parameter.default)
            kind = griffe.ParameterKind.keyword_only
            parameters.insert(-1, griffe.Parameter(parameter.name, kind=kind, default=default))
    init.parameters = griffe.Parameters(*parameters[:-1])


def inherited(cls):
    """What the classes below take that this one hands on, nearest first."""
    found = {}
    for base in cls.__mro__[1:]:
        if "__init__" in vars(base) and base.__module__.startswith("keras_ssl."):
            for parameter in list(inspect.signature(base.__init__).parameters.values())[1:]:
                if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
                    found.setdefault(parameter.name, parameter)
    return found.values()


def arguments(cls):
    """The sections from `Args:` to before `Example:` (the method's page says the rest above), `**kwargs` replaced by
    what it stands for."""
    found = sections(cls)
    own = REST.sub("", found["Args"]).rstrip("\n")
    named = {name for match in ENTRY.finditer(own) for name in match[1].split(", ")}
    for base in cls.__mro__[1:]:
        if base.__name__ in keras_ssl.METHODS:
            for match in ENTRY.finditer(sections(base)["Args"]):
                names = match[1].split(", ")
                if not set(names) & named and not match[1].startswith("**"):
                    own += "\n" + match[0].rstrip("\n")
                    named.update(names)
    found["Args"] = f"{own}\n{KERAS}\n"
    return "\n".join(f"{title}:\n{text}" for title, text in found.items() if title != "Example")


def sections(cls):
    _, *pieces = SECTION.split(inspect.getdoc(cls))
    return {title: text.rstrip("\n") + "\n" for title, text in zip(pieces[::2], pieces[1::2])}
