import torch

from allsight.draw.blur import CELLS, blurred
from allsight.scene import Masks, Scene, Vocabulary

NAMES = Vocabulary(("ant", "bee"))


def noise(height: int, width: int) -> torch.Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def scene(mask: torch.Tensor | None = None) -> Scene:
    masks = None if mask is None else Masks.from_dense(torch.stack([mask, torch.zeros_like(mask)]))
    boxes, labels = torch.tensor([[40.0, 20, 100, 80], [5, 5, 25, 15]]), torch.tensor([1, 0])
    return Scene((120, 160), boxes=boxes, labels=labels, masks=masks, object_classes=NAMES)


def changed(picture: torch.Tensor, names: set[str], seen: Scene) -> torch.Tensor:
    return (blurred(picture, seen, frozenset(names)) != picture).any(0)


def test_boxes_are_filled_and_the_rest_stays() -> None:
    picture = noise(120, 160)
    there = changed(picture, {"bee"}, scene())
    assert there[20:80, 40:100].float().mean() > 0.95
    there[15:85, 35:105] = False
    assert not there.any()
    both = changed(picture, {"ant", "bee"}, scene())
    assert both[5:15, 5:25].float().mean() > 0.95


def test_the_blur_follows_an_outline() -> None:
    y, x = torch.meshgrid(torch.arange(120), torch.arange(160), indexing="ij")
    disc = (x - 70) ** 2 + (y - 50) ** 2 < 30**2
    there = changed(noise(120, 160), {"bee"}, scene(disc))
    assert there[disc].float().mean() > 0.95
    far = (x - 70) ** 2 + (y - 50) ** 2 > 36**2
    assert not there[far].any()
    assert far[20:80, 40:100].any()  # corners of the box stay
    # An object whose outline is not known is blurred by its box all the same.
    assert changed(noise(120, 160), {"ant"}, scene(disc))[5:15, 5:25].float().mean() > 0.95


def test_no_more_than_a_few_cells_are_left() -> None:
    soft = blurred(noise(120, 160), scene(), frozenset({"bee"}))[:, 20:80, 40:100].float()
    rank = torch.linalg.matrix_rank(soft[0] - soft[0].mean(), rtol=0.05)
    assert rank <= CELLS  # as many independent rows as there are cells, whatever was there
    assert soft.diff(dim=2).abs().max() < 40


def test_nothing_to_blur_gives_the_picture_itself() -> None:
    picture = noise(120, 160)
    assert blurred(picture, scene(), frozenset({"cow"})) is picture
    outside = Scene((9, 9), torch.tensor([[9.0, 9, 9, 9]]), torch.tensor([0]), object_classes=NAMES)
    assert torch.equal(blurred(noise(9, 9), outside, frozenset({"ant"}))[:, :6, :6], noise(9, 9)[:, :6, :6])
