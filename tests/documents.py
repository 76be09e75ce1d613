"""The project's documents, and the blocks of code in them."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[1]


def text_of(name):
    """Text of a document, such as ``docs/scale.md``."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text, language):
    """The blocks of code in a language, such as ``bash``, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
