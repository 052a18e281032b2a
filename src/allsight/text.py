"""Text that others wrote, shown so that it can do nothing but be read."""

import unicodedata

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}  # controls, formats (which turn the line around), halves, lines' ends
_JOINERS = "\u200c\u200d"  # formats that letters and emoji are made with


def visible(text: str, keep: str = "") -> str:
    """Return a text with every control, escape and otherwise unseen character as Python writes it: \\x1b, \\u202e.

    Names of files and classes come from others; printed as they are they could command the terminal, or break XML.

    Args:
        text: whatever is to be shown. keep: characters that stay, such as a line's end.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character in keep or not is_hidden(character) else _escape(character) for character in text
    )


def is_hidden(character: str) -> bool:
    """Tell whether a character is not seen, but does something."""
    return unicodedata.category(character) in _HIDDEN and character not in _JOINERS


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
