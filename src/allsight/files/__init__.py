"""Files that appear whole or not at all, alone and together, and folders that one process at a time writes in."""

from allsight.files.folder import settle, together
from allsight.files.lock import clear_leavings, locked
from allsight.files.whole import atomic, refuse_to_overwrite, write_json, write_text

__all__ = [
    "atomic",
    "clear_leavings",
    "locked",
    "refuse_to_overwrite",
    "settle",
    "together",
    "write_json",
    "write_text",
]
