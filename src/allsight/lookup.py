"""The one lazy look-up: tables of "module:object" texts, so that help and listings import nothing heavy."""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from allsight.errors import ModelError


def named(table: Mapping[str, str], name: str, what: str) -> Any:
    """Return the object behind a name of a table, imported now.

    Args:
        table: name -> "module:object".
        name: one of its names.
        what: is looked up, such as "recipe", for the message.

    Raises:
        ModelError: the table has no such name; it says which there are, and which of them is near.
    """
    if name not in table:
        near = get_close_matches(name, table, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ModelError(f"no {what} is called {name!r}; {hint}there are {', '.join(table) or 'none'}")
    module, _, attribute = table[name].partition(":")
    return getattr(import_module(module), attribute)
