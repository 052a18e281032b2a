"""Colours: told apart by every kind of colour vision, stable, and readable under text."""

import os
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest

from allsight.draw.palette import DARK, PALETTE, Colour, class_colours, contrast, ink_on, luminance, to_hex

# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
VISION = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def lab(colour: Colour, vision: str) -> np.ndarray:
    """CIE L*a*b* of a colour as that vision sees it."""
    rgb = np.array(colour) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(VISION[vision]) @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ linear / np.array([0.9505, 1, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
def test_the_first_seven_colours_differ_for_every_vision(vision: str) -> None:
    seen = [lab(colour, vision) for colour in PALETTE[:7]]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 10


def test_colours_are_distinct_and_do_not_depend_on_order() -> None:
    names = [f"class {i}" for i in range(len(PALETTE))]
    colours = dict(zip(names, class_colours(names), strict=True))
    assert len(set(colours.values())) == len(PALETTE)
    turned = names[::-1]
    assert dict(zip(turned, class_colours(turned), strict=True)) == colours


def test_colours_are_the_same_in_another_process() -> None:
    code = "from allsight.draw.palette import class_colours as c; print(c(['dog', 'cat', 'ant']))"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert told.stdout.strip() == str(class_colours(["dog", "cat", "ant"]))


def test_text_is_readable_on_every_colour() -> None:
    assert all(contrast(ink_on(colour), colour) >= 4.5 for colour in PALETTE)


def test_luminance_and_contrast_by_the_standard() -> None:
    assert luminance((255, 255, 255)) == pytest.approx(1)
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)
    assert to_hex(DARK) == "#181a1e"
