"""A Scene painted over its picture."""

from collections import Counter

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import minimum_filter1d
from torch import Tensor

from allsight.draw.canvas import Canvas, footer, interleaved, planar
from allsight.draw.palette import GREY, Colour, class_colours
from allsight.draw.regions import Name, blend, paint_regions, pieces_of
from allsight.errors import PictureError
from allsight.scene import Masks, Scene, Vocabulary

SMALLEST = 480  # pixels of the longer side, below which lines and letters would hide the picture
MASK = 0.4  # opacity
LEAST_PIECE = 0.1  # of a predicted mask: what is smaller lies elsewhere by mistake, as a rule
MOST_TEXT = 0.15  # of the picture may be covered by labels
MANY, LEAST_OBJECT = 8, 4  # objects; labels that fit into one that is not small beside its own
LEAST_TAG, MOST_TAGS = 0.1, 3
UNKNOWN = "? outside what the model knows"


def draw(picture: Tensor, scene: Scene) -> Tensor:
    """Paint what a Scene says over its picture: regions, masks, boxes with labels, keypoints, and tags underneath.

    Regions with probabilities are a soft tint with a rim where they are sure, and only large ones, named where there is
    room for it, else underneath.
    Small pictures are enlarged, lines and letters grow with the picture, and a label is left out where it would cover
    another one. A class has one colour. Boxes located without box labels are dashed and marked "~". What the model does
    not vouch for is grey, dashed and marked "?"; under a picture of a kind that it does not know, that is said.

    Args:
        picture: (3, H, W) uint8 RGB.
        scene: of the same size.

    Returns:
        (3, H', W') uint8: at least 480 pixels on the longer side, and higher by the lines underneath, if any.

    Raises:
        PictureError: picture and scene differ in size.
    """
    if tuple(picture.shape[1:]) != tuple(scene.size):
        raise PictureError(
            f"{scene.source or 'picture'}: is {tuple(picture.shape[1:])} pixels high and wide but its scene"
            f" {tuple(scene.size)}; draw a scene on its own picture"
        )
    factor = -(-SMALLEST // max(scene.size))
    if factor > 1:
        height, width = factor * scene.size[0], factor * scene.size[1]
        image = Image.fromarray(interleaved(picture)).resize((width, height), Image.Resampling.BICUBIC)
        picture, scene = planar(np.asarray(image)), scene.resize(height, width)
    canvas = Canvas(picture)
    below: list[tuple[str, Colour | None]] = []
    names: list[Name] = []
    if scene.trust is not None and not scene.trust.picture:
        below.append((UNKNOWN, GREY))
    if scene.regions is not None:
        names = paint_regions(canvas.pixels, scene, canvas.line)
    counted = _draw_objects(canvas, scene) if scene.boxes is not None and len(scene) else []
    below += [(n.text, n.colour) for n in names if n.place is None or not canvas.label_at(n.place, n.text, n.colour)]
    below += counted
    if scene.tags is not None:
        below += _tag_lines(scene.tags, scene.tag_classes)
    finished = canvas.finished()
    return footer(finished, below) if below else finished


def _draw_objects(canvas: Canvas, scene: Scene) -> list[tuple[str, Colour | None]]:
    """Paint masks, then boxes, the large ones first so that small ones stay visible, then labels, the best first.

    Where there are so many objects that their labels would hide the picture, they carry names without scores; where
    that is too much as well, only large ones are labelled, and the legend that is returned tells the rest.
    """
    assert scene.boxes is not None
    sides = (scene.boxes[:, 2:] - scene.boxes[:, :2]).clamp_min(0)
    areas = (sides[:, 0] * sides[:, 1]).tolist()
    order = sorted(range(len(areas)), key=lambda i: -areas[i])
    colours, texts = object_colours(scene), _texts(scene)
    weak = [False] * len(areas) if scene.weak is None else scene.weak.tolist()
    if scene.masks is not None:
        # What an activation map covers is no outline, and where regions are tinted it would hide them.
        drawn = [i for i in order if not (weak[i] and scene.regions is not None)]
        order_drawn, least = torch.tensor(drawn).long(), 0.0 if scene.scores is None else LEAST_PIECE
        paint_masks(canvas.pixels, scene.masks, [colours[i] for i in drawn], order_drawn, canvas.line, least)
    boxes: list[tuple[float, float, float, float]] = [(x1, y1, x2, y2) for x1, y1, x2, y2 in scene.boxes.tolist()]
    doubtful = _doubtful(scene)
    outlined = [False] * len(boxes) if scene.masks is None else (scene.masks.area() > 0).tolist()
    for i in order:
        if weak[i] or not outlined[i]:
            canvas.box(boxes[i], colours[i], dashed=weak[i] or doubtful[i])
    if scene.keypoints is not None:
        for i, points in enumerate(scene.keypoints.tolist()):
            for x, y, visible in points:
                if visible:
                    canvas.dot(x, y, colours[i], hollow=visible < 2)
    if scene.scores is not None:
        order = scene.scores.argsort(descending=True, stable=True).tolist()
    labels, crowded = _labels(canvas, texts, areas)
    if crowded:
        texts = _texts(scene, scores=False)
        labels, crowded = _labels(canvas, texts, areas)
    for i in order:
        if texts[i] and not (crowded and areas[i] < LEAST_OBJECT * labels[i]):
            canvas.label(boxes[i], texts[i], colours[i])
    if not crowded or scene.labels is None:
        return []
    names = scene.names() or [str(label) for label in scene.labels.tolist()]
    kinds = Counter(
        (f"?{name}" if doubt else name, colour) for name, doubt, colour in zip(names, doubtful, colours, strict=True)
    )
    return [(f"{name} {count}", colour) for (name, colour), count in kinds.most_common()]


def _labels(canvas: Canvas, texts: list[str], objects: list[float]) -> tuple[list[float], bool]:
    """Return how many pixels every label would cover, and whether that is too much of the picture or of its objects."""
    labels = [canvas.label_area(text) for text in texts]
    small = sum(area < LEAST_OBJECT * label for area, label in zip(objects, labels, strict=True))
    hidden = len(objects) >= MANY and 2 * small > len(objects)
    return labels, hidden or sum(labels) > MOST_TEXT * canvas.width * canvas.height


def object_colours(scene: Scene) -> list[Colour]:
    """Return the colour of every object: that of its class, grey where the model does not vouch for it."""
    if scene.labels is None or not len(scene):
        colours = class_colours([""]) * len(scene)
    else:
        colours = _class_colours_of(scene, scene.labels)
    return [GREY if doubt else colour for doubt, colour in zip(_doubtful(scene), colours, strict=True)]


def _class_colours_of(scene: Scene, labels: Tensor) -> list[Colour]:
    count = int(labels.max()) + 1
    palette = class_colours(scene.object_classes.names if scene.object_classes else [f"{i:06}" for i in range(count)])
    return [palette[label] for label in labels.tolist()]


def _doubtful(scene: Scene) -> list[bool]:
    """Return of every object whether the model does not vouch for it."""
    return [False] * len(scene) if scene.trust is None else (~scene.trust.known).tolist()


def _texts(scene: Scene, *, scores: bool = True) -> list[str]:
    """Return what to write at every object."""
    parts: list[list[str]] = [[] for _ in range(len(scene))]
    names = scene.names() or ([] if scene.labels is None else [str(label) for label in scene.labels.tolist()])
    for i, (name, doubt) in enumerate(zip(names, _doubtful(scene), strict=False)):
        mark = "?" if doubt else "~" if scene.weak is not None and scene.weak[i] else ""
        parts[i].append(f"{mark}{name}")
    if scene.tracks is not None:
        for i, track in enumerate(scene.tracks.tolist()):
            parts[i].append(f"#{track}")
    if scene.scores is not None and scores:
        for i, score in enumerate(scene.scores.tolist()):
            parts[i].append(f"{score:.2f}")
    for word, flags in (("crowd", scene.crowd), ("difficult", scene.difficult)):
        for i in [] if flags is None else flags.nonzero()[:, 0].tolist():
            parts[i].append(f"({word})")
    return [" ".join(words) for words in parts]


def paint_masks(
    pixels: NDArray[np.uint8], masks: Masks, colours: list[Colour], order: Tensor, line: int, least_piece: float = 0.0
) -> None:
    """Lay translucent masks with an outline over a picture.

    Args:
        pixels: (H, W, 3) uint8, painted on. masks: of that size.
        colours: of the masks in the order of painting. order: (N,) int64, that order.
        line: pixels of the outline.
    """
    chosen = masks[order]
    areas = (chosen.windows[:, 2] - chosen.windows[:, 0]) * (chosen.windows[:, 3] - chosen.windows[:, 1])
    for window, bits, colour in zip(chosen.windows.tolist(), chosen.bits.split(areas.tolist()), colours, strict=True):
        x1, y1, x2, y2 = window
        inside = bits.numpy().reshape(y2 - y1, x2 - x1)
        if least_piece:
            inside = pieces_of(inside, least_piece * np.count_nonzero(inside))
        core = inside.astype(np.uint8)
        for axis in (0, 1):
            core = minimum_filter1d(core, 2 * line + 1, axis=axis, mode="constant")
        patch = pixels[y1:y2, x1:x2]
        patch[inside] = blend(patch[inside], colour, MASK)
        patch[inside & (core == 0)] = colour


def _tag_lines(tags: Tensor, classes: Vocabulary | None) -> list[tuple[str, Colour | None]]:
    """Return the few most probable tags."""
    scores, labels = tags.sort(descending=True, stable=True)
    best = [(s, i) for s, i in zip(scores.tolist(), labels.tolist(), strict=True) if s >= LEAST_TAG][:MOST_TAGS]
    return [(f"{classes[i] if classes else i} {score:.2f}", None) for score, i in best]
