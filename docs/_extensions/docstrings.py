"""Docstrings are plain text with `code` in backticks; this makes reStructuredText of them before it is parsed."""

import re
from typing import Any

_CODE = re.compile(r"(`+[^`]+`+)")
_SPECIAL = re.compile(r"([*|\\]|_(?=\W|$))")  # would begin emphasis, a substitution, or end the name of a link


def escaped(line: str) -> str:
    """Return a line in which single backticks mark code and nothing else marks anything."""
    parts = _CODE.split(line)
    text = [_SPECIAL.sub(r"\\\1", part) for part in parts[::2]]
    code = [f"``{part.strip('`')}``" for part in parts[1::2]]
    return "".join(part for pair in zip(text, [*code, ""], strict=True) for part in pair)


def _escape(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Change the lines of one docstring in place."""
    lines[:] = [escaped(line) for line in lines]


def setup(app: Any) -> dict[str, Any]:
    """Take part in the build, before napoleon reads the sections."""
    app.connect("autodoc-process-docstring", _escape, priority=100)
    return {"parallel_read_safe": True}
