"""Ways to spoil a file: bytes that change, and words and values of JSON that become what nobody expects."""

import json
import random
import re
from typing import Any

LEAST = 1  # spoilings of one file
MOST = 3
NUMBERS = (
    *(
        "0",
        "-1",
        "1.5",
        "255",
        "256",
        "65536",
        "2147483647",
        "2147483648",
        "4294967296",
        "1099511627776",
        "-2147483649",
    ),
    *("9223372036854775808", "18446744073709551616", "1" + "0" * 400, "1e308", "-1e308", "1e999", "nan", "inf", "-inf"),
    *("NaN", "Infinity", "1e-320", "0x10", "1_000", "٣", ""),
)
TEXTS = (
    *("", " ", "\n", "\x00", "\x1b[31m", "\u202e", "\ufeff", "\ufffe", "💥", "é", "../../../x", "/etc/passwd", "."),
    *("..", "a/b", "a\\b", "x" * 300, "{}", "[]", "*a", "&a [*a, *a]", "!!python/object:os.system", "<a&b>", "%s", "'"),
    *("&#0;", "<!ENTITY a 'b'>", "&lt;", "2020-13-45", "yes", "~", "null", "- - - -", "[" * 3000, "{'a':" * 3000),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 2**31, 2**32, 2**40, 2**63, 2**64, 10**400, 1e308, -1e308, float("nan")),
    *(float("inf"), "", "x", "\ud800", "\x00", "x" * 300, "416", [], {}, [[]], [None], [0, 0], {"": ""}, [1e308] * 4),
)


def spoiled(content: bytes, draw: random.Random) -> bytes:
    """Return a file's content with one to three changes."""
    for _ in range(draw.randint(LEAST, MOST)):
        content = draw.choice(_WAYS)(content, draw)
    return content


def _bits(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 8)) if changed else 0):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content) + 1)]


def _range(content: bytes, draw: random.Random) -> bytes:
    """A stretch goes, comes twice, becomes zeros or noise, or another one takes its place."""
    start = draw.randrange(len(content) + 1)
    end = min(len(content), start + draw.choice((1, 2, 4, 16, 256)))
    other = draw.randrange(len(content) + 1)
    inner = draw.choice(
        (
            b"",
            content[start:end] * 2,
            bytes(end - start),
            b"\xff" * (end - start),
            draw.randbytes(end - start),
            content[other : other + end - start],
        )
    )
    return content[:start] + inner + content[end:]


def _number(content: bytes, draw: random.Random) -> bytes:
    return _replaced(content, rb"-?\d+(\.\d+)?(e[+-]?\d+)?", draw.choice(NUMBERS), draw)


def _word(content: bytes, draw: random.Random) -> bytes:
    return _replaced(content, rb"[A-Za-z_][\w.-]*", draw.choice(TEXTS), draw)


def _inserted(content: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(content) + 1)
    return content[:place] + draw.choice((*TEXTS, *NUMBERS)).encode("utf-8", "surrogatepass") + content[place:]


def _replaced(content: bytes, pattern: bytes, text: str, draw: random.Random) -> bytes:
    places = [found.span() for found in re.finditer(pattern, content[:200_000])]
    if not places:
        return content
    start, end = draw.choice(places)
    return content[:start] + text.encode("utf-8", "surrogatepass") + content[end:]


def _value(content: bytes, draw: random.Random) -> bytes:
    """A value of JSON becomes another, goes, or is wrapped."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return _bits(content, draw)
    places = list(_places(value))
    if not places:
        return json.dumps(draw.choice(VALUES)).encode()
    holder, key = draw.choice(places)
    way = draw.randrange(5)
    if way == 0:
        del holder[key]
    elif way == 1:
        holder[key] = [holder[key]]
    elif way == 2:
        other, at = draw.choice(places)
        holder[key] = json.loads(json.dumps(other[at]))
    else:
        holder[key] = draw.choice(VALUES)
    return json.dumps(value).encode()


def _places(value: Any) -> list[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [place for key in keys for place in _places(value[key])]


_WAYS = (_bits, _cut, _range, _range, _number, _number, _word, _inserted, _value, _value, _value)
