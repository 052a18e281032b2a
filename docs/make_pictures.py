"""Make the pictures of the documentation with the tool itself: `python docs/make_pictures.py [--data FOLDER]`.

The data sets (blood cells for `cells`, nuclei for `nuclei`) are not part of the repository. A picture whose model
or data are not at hand is left as it is, and the reason is said.
"""

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.cli.targets import samples
from allsight.data.formats.catalogue import open_dataset
from allsight.data.formats.idx import read_idx
from allsight.data.made.digits import TASKS, DigitSet
from allsight.data.pictures.reading import read_picture, resize
from allsight.draw import beside, contact_sheet, draw
from allsight.errors import AllsightError
from allsight.files import atomic
from allsight.hub import load as load_model
from allsight.models.explanations import class_activation_map, grad_cam, tag
from allsight.models.vision import Vision
from allsight.predict import Predictor, load
from allsight.recipes.detection.objects import read_objects

FOLDER = Path(__file__).parent / "pictures"
LIMIT = 150_000  # bytes
ENLARGED = 126  # pixels of a side of a digit's picture
FRAME = (240, 228, 66)
Maker = Callable[[Path], Tensor]


def seen(data: Path) -> Tensor:
    """Return scikit-image's photographs with what `everyday` sees on them."""
    return _answers(load("everyday"), samples(), cell=400)


def cells(data: Path) -> Tensor:
    """Return held-out blood cells, truth beside prediction."""
    see = load("cells")
    examples = open_dataset(data / "bccd", "val")
    pairs = [beside(e.picture(), e.scene, see(e.picture())) for e in (examples[0], examples[3])]
    return contact_sheet(pairs, ["", ""], columns=1, cell=900)


def nuclei(data: Path) -> Tensor:
    """Return held-out nuclei, stained and in fluorescence, with their outlines as `nuclei` sees them."""
    see = load("nuclei")
    _, held_out, _ = read_objects((data / "nuclei",), seed=0, masks=True)
    pictures = [held_out[i].picture() for i in (39, 36, 51)]
    pictures = [resize(picture, (600, 600 * picture.shape[2] // picture.shape[1])) for picture in pictures]
    return contact_sheet([draw(picture, see(picture)) for picture in pictures], [""] * 3, columns=3, cell=440)


def explanations(data: Path) -> Tensor:
    """Return a cup, what speaks for "espresso" by class activation map, and the same by grad-CAM on c5."""
    from allsight.models.whole.everyday import everyday
    from allsight.scene import Vocabulary

    system: Vision = everyday(classes=Vocabulary(("person",))).eval()
    picture = resize(read_picture(samples()[2]), (320, 480))
    label = system.heads["tags"].classes.index("espresso")
    with torch.no_grad():
        features = efficientnet_lite0().eval()(picture[None], ["head"])["head"]
    by_activation = class_activation_map(features, system.heads["tags"].classifier.weight[label].detach())
    by_gradient = grad_cam(system, picture[None], tag(label), layer="c5")
    heats = [_warm(picture, heat[0]) for heat in (by_activation, by_gradient)]
    return contact_sheet([picture, *heats], ["photograph", "class activation map", "grad-CAM on c5"], cell=360)


def looks(data: Path) -> Tensor:
    """Return digits of the test set and, framed on them and beside them, what a spatial transformer looks at.

    The model is `allsight train digits ../shared/data/mnist --task rts --transformers 1 --out runs/digits`.
    """
    net = load_model(Path("runs/digits")).system.eval()
    digits = DigitSet(read_idx(data / "mnist", "test"), TASKS["rts"])
    batch = digits.collate([digits[0, i] for i in range(12)])
    with torch.inference_mode():
        (look,) = net(batch.pictures).looks
    cells = []
    for picture, seen, grid in zip(batch.pictures, look.pictures, look.grid, strict=True):
        frame = torch.cat([grid[0], grid[:, -1], grid[-1].flip(0), grid[:, 0].flip(0)])
        saw = (seen * 255).round().to(torch.uint8).expand(3, -1, -1)
        cells.append(torch.cat([_framed(picture, frame, ENLARGED), resize(saw, (ENLARGED, ENLARGED))], dim=2))
    return contact_sheet(cells, [""] * len(cells), columns=4, cell=2 * ENLARGED)


MAKERS: dict[str, Maker] = {
    "seen": seen,
    "cells": cells,
    "nuclei": nuclei,
    "explanations": explanations,
    "looks": looks,
}


def _framed(picture: Tensor, border: Tensor, side: int) -> Tensor:
    """Return a picture, enlarged, with a closed line through places (P, 2) in [-1, 1], x first."""
    image = Image.fromarray(resize(picture, (side, side)).permute(1, 2, 0).contiguous().numpy())
    ImageDraw.Draw(image).line([tuple(xy) for xy in ((border + 1) / 2 * side).tolist()], fill=FRAME, width=2)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def _answers(see: Predictor, paths: list[Path], *, cell: int) -> Tensor:
    pictures = [read_picture(path) for path in paths]
    return contact_sheet([draw(picture, see(picture)) for picture in pictures], [""] * len(paths), cell=cell)


def _warm(picture: Tensor, heat: Tensor) -> Tensor:
    """Lay an activation map over a picture: what is cold is dark and grey."""
    scaled = torch.nn.functional.interpolate(heat[None, None], size=picture.shape[1:], mode="bicubic")[0]
    share = (scaled / scaled.max()).clamp(0, 1)
    grey = picture.float().mean(0, keepdim=True) * 0.25
    return (grey + (picture - grey) * share).round().to(torch.uint8)


def write(picture: Tensor, path: Path) -> None:
    """Write a JPEG of the best quality that stays below the limit."""
    image = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
    for quality in range(90, 30, -5):
        memory = io.BytesIO()
        image.save(memory, "JPEG", quality=quality, optimize=True)
        if memory.tell() < LIMIT:
            break
    with atomic(path) as temporary:
        temporary.write_bytes(memory.getvalue())


def main() -> None:
    """Make all pictures, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(MAKERS)}; all by default")
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - MAKERS.keys():
        parser.error(f"no picture is called {' or '.join(sorted(unknown))}")
    for name in arguments.names or MAKERS:
        path = FOLDER / f"{name}.jpg"
        try:
            write(MAKERS[name](arguments.data), path)
            print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
        except AllsightError as error:
            print(f"{path.name}: left as it is ({error})")


if __name__ == "__main__":
    main()
