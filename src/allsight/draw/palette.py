"""Colours that people with any colour vision tell apart, the same for a class every time."""

from collections.abc import Sequence
from functools import lru_cache

Colour = tuple[int, int, int]

DARK: Colour = (24, 26, 30)
LIGHT: Colour = (245, 245, 242)
GREY: Colour = (150, 152, 158)  # no class has it

# Okabe and Ito, "Color Universal Design" (2008), without black; ordered so that neighbours differ most.
_OKABE_ITO: tuple[Colour, ...] = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (213, 94, 0),  # vermilion
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (204, 121, 167),  # reddish purple
    (0, 114, 178),  # blue
)


def _mixed(colour: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


# More classes than hues: lightness is what every kind of colour vision sees.
PALETTE: tuple[Colour, ...] = (
    *_OKABE_ITO,
    *(_mixed(colour, (255, 255, 255), 0.5) for colour in _OKABE_ITO),
    *(_mixed(colour, (0, 0, 0), 0.4) for colour in _OKABE_ITO),
)


def class_colours(names: Sequence[str]) -> list[Colour]:
    """Return a colour for every class, by its place in the alphabet.

    A class has the same colour in every picture, process and order of the same names, and no two of up to 21 classes
    share one.

    Args:
        names: the classes, in the order of their labels.

    Returns:
        As many (red, green, blue) in 0..255.
    """
    rank = {name: place for place, name in enumerate(sorted(names))}
    return [PALETTE[rank[name] % len(PALETTE)] for name in names]


def luminance(colour: Colour) -> float:
    """Return the relative luminance in [0, 1] (WCAG 2.2, "relative luminance")."""
    shares = (value / 255 for value in colour)
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Colour, two: Colour) -> float:
    """Return the contrast of two colours, 1 (equal) to 21 (black and white) (WCAG 2.2, "contrast ratio")."""
    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


@lru_cache(maxsize=256)
def ink_on(colour: Colour) -> Colour:
    """Return the colour of text, dark or light, that is easier to read on a background."""
    return max((DARK, (255, 255, 255)), key=lambda ink: contrast(ink, colour))


def to_hex(colour: Colour) -> str:
    """Return a colour as web pages write it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
