"""Entries of the lists in a JSON file, which say in words what they lack: which entry, which key, and why."""

from collections.abc import Callable
from reprlib import repr as shortened
from typing import Any, TypeVar

from allsight.errors import AnnotationError

T = TypeVar("T")
MOST = 2**53  # whole numbers up to here are themselves as floating-point numbers too
FLAGS = {"": False, "0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}


def _whole(value: Any) -> int:
    """Return a whole number of at most `MOST`; raises ValueError if it is another one or none."""
    number = int(value) if isinstance(value, str | int) and not isinstance(value, bool) else float(value)
    if isinstance(value, bool) or number != int(number) or abs(number) > MOST:
        raise ValueError(value)
    return int(number)


class Entry:
    """An object in a list, such as an annotation of a COCO file.

    Args:
        value: the object as JSON gives it.
        place: of the list, as messages name it. index: of the object there.

    Raises:
        AnnotationError: the value is no object. This and every other message begins with the entry, such as
            "annotations[3] (id 17)", and names no file: the reader knows it.
    """

    def __init__(self, value: Any, place: str, index: int) -> None:
        self._value = value
        self._place = f"{place}[{index}]"
        if not isinstance(value, dict):
            raise AnnotationError(f"{self} is {shortened(value)}, no object with keys")

    def __str__(self) -> str:
        number = self._value.get("id") if isinstance(self._value, dict) else None
        return f"{self._place} (id {shortened(number)})" if isinstance(number, int | str) else self._place

    def __getitem__(self, key: str) -> Any:
        if key not in self._value:
            raise AnnotationError(f"{self} has no {key}")
        return self._value[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return what stands under a key, if there is one."""
        return self._value.get(key, default)

    def wrong(self, key: str, why: str) -> AnnotationError:
        """Return the error that says what is wrong with the value of a key."""
        return AnnotationError(f"{self} has the {key} {shortened(self._value[key])}, which {why}")

    def name(self, key: str) -> int | float | str:
        """Return a number or a text, by which other entries refer to this one."""
        value = self[key]
        if not isinstance(value, int | float | str):
            raise self.wrong(key, "is no number or text")
        return value

    def whole(self, key: str) -> int:
        """Return a whole number, which a text or a number with nothing behind its point may write too."""
        return self._as(_whole, key, "is no whole number")

    def flag(self, key: str) -> bool:
        """Return a flag, written as a truth value, 0 or 1, or either as text; False where it is missing or null."""
        value = self._value.get(key)
        if value is None:
            return False
        known = FLAGS.get(str(value).strip().lower())
        if known is None:
            raise self.wrong(key, "is neither 0 nor 1")
        return known

    def number(self, key: str) -> float:
        """Return a number, be it finite or not."""
        return self._as(float, key, "is no number")

    def _as(self, kind: Callable[[Any], T], key: str, why: str) -> T:
        value = self[key]
        try:
            return kind(value)
        except (TypeError, ValueError, OverflowError):
            raise self.wrong(key, why) from None

    def numbers(self, key: str, count: int) -> list[float]:
        """Return a list of so many numbers, be they finite or not."""
        value = self[key]
        try:
            if isinstance(value, list) and len(value) == count:
                return [float(each) for each in value]
        except (TypeError, ValueError, OverflowError):
            pass
        raise self.wrong(key, f"is no list of {count} numbers")

    def entries(self, key: str) -> "list[Entry]":
        """Return the objects of a list within this one."""
        value = self[key]
        if not isinstance(value, list):
            raise self.wrong(key, "is no list")
        return [Entry(each, f"{self}: {key}", i) for i, each in enumerate(value)]
