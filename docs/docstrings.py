"""Docstrings: our `Example:` is what the site's parser calls `Examples:`, and it wants it indented."""

import re
import textwrap

import griffe


class Examples(griffe.Extension):
    def on_object(self, *, obj, **kwargs):
        if obj.docstring is not None:
            obj.docstring.value = EXAMPLE.sub(indented, obj.docstring.value)


EXAMPLE = re.compile(r"\nExample:\n+(.*)\Z", re.DOTALL)  # it is the last section


def indented(match):
    return "\nExamples:\n" + textwrap.indent(textwrap.dedent(match[1]), "    ")
