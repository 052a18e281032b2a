"""Texts of other programs to plain values: whatever a parser raises becomes one line that names the file.

Every reader of annotations reads its files through these functions, so that limits and messages stand in one place.
"""

import json
import os
import re
import struct
import xml.etree.ElementTree as ElementTree
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from allsight.errors import AnnotationError, reason

MOST_YAML = 4_000_000  # bytes; the 21,000 names of ImageNet take 0.6 million
MOST_TEXT = 200_000_000  # bytes of a list or a label file
_FAULTS = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError, MemoryError),
    *(EOFError, NotImplementedError, struct.error, zlib.error, zipfile.BadZipFile, SyntaxError, yaml.YAMLError),
)


@contextmanager
def parsed(file: Path, what: str, remedy: str = "mend it or export it again") -> Iterator[None]:
    """Turn whatever goes wrong while a file is parsed into an AnnotationError that names it.

    Args:
        file: what is read. what: the form, as in "is not valid XML". remedy: what to do.

    Raises:
        AnnotationError: instead of what a parser raises on what it does not understand; one of ours is left as it is.
    """
    try:
        yield
    except AnnotationError:
        raise
    except OSError as error:
        if error.errno is None:  # from a decoder, not from the system
            raise AnnotationError(f"{file}: is not {what} ({reason(error)}); {remedy}") from None
        raise AnnotationError(f"{file}: cannot be read ({error.strerror}); check the path") from None
    except _FAULTS as error:
        raise AnnotationError(f"{file}: is not {what} ({reason(error)}); {remedy}") from None


def read_text(file: Path, most: int = MOST_TEXT) -> str:
    """Return a text in UTF-8, without the byte order mark that Windows Notepad writes.

    Raises:
        AnnotationError: it cannot be read, is not such a text or longer than `most` bytes.
    """
    with parsed(file, "readable text", "save it as UTF-8"):
        if os.path.getsize(file) > most:
            raise AnnotationError(f"{file}: has more than {most:,} bytes; give a shorter one")
        return file.read_bytes().decode("utf-8-sig")


def read_lines(file: Path) -> list[str]:
    """Return the lines of a text that are not empty, without white space around them.

    Raises:
        AnnotationError: it cannot be read.
    """
    return [line.strip() for line in read_text(file).splitlines() if line.strip()]


def read_json(file: Path) -> Any:
    """Return what a JSON file says.

    Raises:
        AnnotationError: it cannot be read, or is no JSON.
    """
    with parsed(file, "valid JSON", "export it again"):
        return json.loads(file.read_bytes())


def read_xml(file: Path) -> ElementTree.Element:
    """Return the root of an XML file.

    Raises:
        AnnotationError: it cannot be read, or is no XML.
    """
    with parsed(file, "readable XML"):
        return ElementTree.parse(file).getroot()


def read_yaml(file: Path) -> Any:
    """Return what a YAML file says, with every scalar as the text that stands there: no, yes, 007 and 2024-13-01 too.

    References to other places of the file (aliases) are refused, because a few lines of them can mean billions of
    values, and so is a key that stands twice.

    Raises:
        AnnotationError: it cannot be read, is no YAML, or has aliases or double keys.
    """
    text = read_text(file, MOST_YAML)
    with parsed(file, "valid YAML", "mend it"):
        return _value(text)


def _value(text: str) -> Any:
    """Return the first document of a YAML text."""
    done: Any = None
    stack: list[tuple[Any, list[Any]]] = []  # open lists and mappings with the key that waits for its value
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"line {_line(event)} refers to *{event.anchor}; write it out")
        if isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            stack.append(([] if isinstance(event, yaml.SequenceStartEvent) else {}, []))
            continue
        if isinstance(event, yaml.ScalarEvent):
            done = event.value
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            done = stack.pop()[0]
        elif isinstance(event, yaml.DocumentEndEvent):
            return done
        else:
            continue
        if stack:
            _put(*stack[-1], done, _line(event))
    return None


def _line(event: Any) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 0


def _put(holder: Any, waiting: list[Any], value: Any, line: int) -> None:
    """Put a value into a list, or as the next key or value into a mapping."""
    if isinstance(holder, list):
        holder.append(value)
    elif waiting:
        holder[waiting.pop()] = value
    elif not isinstance(value, str):
        raise ValueError(f"line {line} has a key that is no text")
    elif value in holder:
        raise ValueError(f"line {line} has the key {value!r} for the second time")
    else:
        waiting.append(value)


def is_text(value: Any) -> bool:
    """Whether a name can be written in UTF-8 and shown in a line: no lone surrogates, no control characters."""
    return isinstance(value, str) and not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", value)
