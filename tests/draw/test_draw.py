"""Scenes on pictures: what is painted lies where it should, and the rest of the picture stays."""

import pytest
import torch
from torch import Tensor

from allsight.draw import beside, contact_sheet, draw
from allsight.draw.canvas import Canvas
from allsight.draw.palette import DARK, GREY, class_colours
from allsight.errors import PictureError
from allsight.scene import Masks, Scene, Trust, Vocabulary

NAMES = Vocabulary(("ant", "bee"))
ANT, BEE = (torch.tensor(colour, dtype=torch.uint8) for colour in class_colours(NAMES.names))


def grey(height: int, width: int) -> Tensor:
    return torch.full((3, height, width), 90, dtype=torch.uint8)


def scene(size: tuple[int, int], *boxes: tuple[float, ...], **fields: object) -> Scene:
    labels = torch.arange(len(boxes)) % 2
    corners = torch.tensor(boxes).reshape(-1, 4).float()
    return Scene(size, boxes=corners, labels=labels, object_classes=NAMES, **fields)  # type: ignore[arg-type]


def changed(before: Tensor, after: Tensor) -> Tensor:
    return (before != after).any(0)


def test_box_is_outlined_and_its_inside_stays() -> None:
    picture = grey(600, 800)
    drawn = draw(picture, scene((600, 800), (200, 200, 400, 350)))
    assert drawn.shape == picture.shape
    assert torch.equal(drawn[:, 275, 200], ANT)
    assert torch.equal(drawn[:, 275, 399], ANT)
    assert torch.equal(drawn[:, 200, 300], ANT)
    assert not changed(picture, drawn)[210:340, 210:390].any()
    assert not changed(picture, drawn)[360:].any()
    assert torch.equal(picture, grey(600, 800))


def test_weak_boxes_are_dashed() -> None:
    size = (600, 800)
    solid, dashed = (
        draw(grey(*size), scene(size, (200, 200, 400, 350), weak=torch.tensor([weak]))) for weak in (False, True)
    )
    rows = [(d[:, 220:330, 200] == ANT[:, None]).all(0).float().mean().item() for d in (solid, dashed)]
    assert rows[0] == 1
    assert 0.3 < rows[1] < 0.7


def test_what_is_not_vouched_for_is_grey_and_dashed() -> None:
    size, box = (600, 800), (200, 200, 400, 350)
    known, doubtful, foreign = (
        draw(grey(*size), scene(size, box, trust=Trust(picture, 0.5, torch.tensor([inside]))))
        for picture, inside in ((True, True), (True, False), (False, True))
    )
    assert torch.equal(known, draw(grey(*size), scene(size, box)))
    colour = torch.tensor(GREY, dtype=torch.uint8)
    for drawn in (doubtful, foreign):
        assert 0.3 < (drawn[:, 220:330, 200] == colour[:, None]).all(0).float().mean() < 0.7
    assert doubtful.shape == known.shape
    assert foreign.shape[1] > 600  # a line says so
    nothing = draw(grey(*size), Scene(size, trust=Trust(False, 2.0, torch.zeros(0, dtype=torch.bool))))
    assert nothing.shape[1] > 600


def test_small_pictures_are_enlarged() -> None:
    drawn = draw(grey(60, 100), scene((60, 100), (20, 20, 60, 50)))
    assert drawn.shape == (3, 300, 500)
    assert torch.equal(drawn[:, 175, 100], ANT)
    assert draw(grey(1, 1), scene((1, 1), (0, 0, 1, 1))).shape == (3, 480, 480)


def test_lines_and_letters_grow_with_the_picture() -> None:
    small, large = Canvas(grey(480, 640)), Canvas(grey(3000, 4000))
    assert large.line / small.line == pytest.approx(4000 / 640, rel=0.3)
    assert large.letters / small.letters == pytest.approx(4000 / 640, rel=0.1)


def test_mask_is_tinted_and_outlined() -> None:
    size = (600, 800)
    mask = torch.zeros(1, *size, dtype=torch.bool)
    mask[0, 200:400, 300:500] = True
    drawn = draw(grey(*size), scene(size, (300, 200, 500, 400), masks=Masks.from_dense(mask)).with_(labels=None))
    wanted = (90 * 0.6 + torch.tensor(class_colours([""])[0]) * 0.4).round()
    assert (drawn[:, 300, 400].float() - wanted).abs().max() <= 1
    assert drawn[:, 300, 300].tolist() == list(class_colours([""])[0])
    assert torch.equal(drawn[:, 300, 510], grey(1, 1)[:, 0, 0])


def test_small_objects_lie_on_large_ones() -> None:
    size = (600, 800)
    masks = torch.zeros(2, *size, dtype=torch.bool)
    masks[0, 290:310, 390:410] = True
    masks[1, 100:500, 100:700] = True
    both = scene(size, (390, 290, 410, 310), (100, 100, 700, 500), masks=Masks.from_dense(masks))
    assert torch.equal(draw(grey(*size), both)[:, 300, 390], ANT)


def test_labels_cover_neither_one_another_nor_much_of_the_picture() -> None:
    canvas = Canvas(grey(480, 640))
    generator = torch.Generator().manual_seed(0)
    for x, y in (torch.rand(60, 2, generator=generator) * 400).tolist():
        canvas.label((x, y, x + 60, y + 60), "some label 0.93", (230, 159, 0))
    x1, y1, x2, y2 = torch.from_numpy(canvas._taken).T
    apart = (x1[:, None] >= x2) | (y1[:, None] >= y2)
    assert (apart | apart.T | torch.eye(len(x1), dtype=torch.bool)).all()
    assert (x1 >= 0).all()
    assert (x2 <= 640).all()
    assert (y1 >= 0).all()
    assert (y2 <= 480).all()


def test_a_crowd_gets_a_legend_in_place_of_labels() -> None:
    size = (480, 640)
    boxes = [(x, y, x + 14.0, y + 14.0) for x in range(0, 620, 20) for y in range(0, 460, 20)]
    drawn = draw(grey(*size), scene(size, *boxes))
    assert drawn.shape[1] > 480
    inside = drawn[:, 15:19, 15:19]
    assert torch.equal(inside, grey(4, 4))


@pytest.mark.parametrize(("side", "scores_show"), [(20, False), (52, False), (110, True)])
def test_many_small_objects_carry_no_scores(side: int, scores_show: bool) -> None:
    size = (480, 640)
    boxes = [(x, y, x + side, y + side) for x in range(5, 520, 125) for y in (20, 180, 340)]
    low, high = (draw(grey(*size), scene(size, *boxes, scores=torch.full((15,), score))) for score in (0.51, 0.98))
    assert (not torch.equal(low, high)) == scores_show


def test_regions_are_tinted_but_what_is_ignored_stays() -> None:
    size = (500, 500)
    regions = torch.full(size, 255)
    regions[100:200, 100:200] = 1
    drawn = draw(grey(*size), Scene(size, regions=regions, region_classes=NAMES))
    assert drawn.shape[1] > 500
    assert (drawn[:, 150, 150].float() - (90 + BEE.float()) / 2).abs().max() <= 1
    assert not changed(grey(*size), drawn[:, :500])[250:].any()


def test_where_two_regions_meet_a_line_is_drawn() -> None:
    size = (500, 500)
    regions = torch.full(size, 255)
    regions[:250, :400] = 1
    regions[250:, :400] = 0
    drawn = draw(grey(*size), Scene(size, regions=regions, region_classes=NAMES))
    dark = (drawn[:, :500] == torch.tensor(DARK)[:, None, None]).all(0)
    assert dark[249, :400].all()
    assert not dark[:245].any() and not dark[255:].any()


def test_sure_regions_are_soft_tints_without_small_pieces() -> None:
    size = (500, 500)
    regions = torch.full(size, 255)
    regions[100:200, 100:200] = 1
    regions[300:310, 300:310] = 1  # a piece of the same class
    regions[400:420, 400:420] = 0  # a class of which there is little
    soft = Scene(size, regions=regions, region_scores=torch.full(size, 0.9), region_classes=NAMES)
    drawn = draw(grey(*size), soft)
    moved = (drawn[:, 115, 115].float() - 90) / (BEE.float() - 90)
    assert moved.min() > 0.1 and moved.max() < 0.35  # the class's colour, and the photograph stays in front
    assert torch.equal(drawn[:, 100:200, 100], BEE[:, None].expand(-1, 100))  # the rim
    touched = changed(grey(*size), drawn[:, :500])
    touched[100:200, 100:200] = False
    assert not touched.any()
    nothing = soft.with_(regions=torch.full(size, 255))
    assert torch.equal(draw(grey(*size), nothing), grey(*size))


def test_sure_regions_are_named_where_they_are_deepest_or_underneath() -> None:
    size = (500, 500)
    regions = torch.full(size, 255)
    regions[:, :60] = regions[20:220, :200] = 1  # an arm along the left, and a broad part around (100, 120)
    soft = Scene(size, regions=regions, region_scores=torch.full(size, 0.9), region_classes=NAMES)
    drawn = draw(grey(*size), soft)
    assert drawn.shape[1] == size[0]
    solid = (drawn == BEE[:, None, None]).all(0)
    assert solid[112:128, 88:112].float().mean() > 0.3 and not solid[300:480, 10:50].any()
    other = {"boxes": torch.tensor([[88.0, 130.0, 160.0, 250.0]]), "labels": torch.tensor([0])}
    taken = soft.with_(**other, object_classes=NAMES)
    assert draw(grey(*size), taken).shape[1] > size[0]  # its label is where the name would be, which goes underneath


def test_objects_are_left_to_their_outlines_where_the_surroundings_are_tinted() -> None:
    size = (500, 600)
    regions = torch.full(size, 255)
    regions[:200], regions[300:] = 0, 1
    panoptic = torch.zeros(size, dtype=torch.int64)
    panoptic[:200], panoptic[300:] = 1, 2
    segments = ({"id": 1, "label": 0, "thing": True}, {"id": 2, "label": 1, "thing": False})
    said = {"regions": regions, "region_scores": torch.full(size, 0.9), "region_classes": NAMES}
    drawn = draw(grey(*size), Scene(size, **said, panoptic=panoptic, segments=segments))
    touched = changed(grey(*size), drawn[:, : size[0]])
    assert not touched[:300].any() and touched[300:].all()


def test_small_pieces_of_predicted_masks_are_left_out() -> None:
    size = (500, 600)
    mask = torch.zeros(1, *size, dtype=torch.bool)
    mask[0, 100:300, 100:300] = mask[0, 100:130, 400:430] = True  # 900 of 40,900 pixels lie apart
    drawn_by_hand = scene(size, (100, 100, 430, 300), masks=Masks.from_dense(mask))
    predicted = drawn_by_hand.with_(scores=torch.tensor([0.9]))
    apart = (slice(None), slice(105, 125), slice(405, 425))
    assert (draw(grey(*size), drawn_by_hand)[apart] != 90).any()
    assert (draw(grey(*size), predicted)[apart] == 90).all()


@pytest.mark.parametrize("scores", [None, torch.tensor([0.9])])
def test_of_a_mask_without_pixels_the_box_alone_is_drawn(scores: torch.Tensor | None) -> None:
    size = (500, 600)
    masks = Masks.from_dense(torch.zeros(1, *size, dtype=torch.bool))
    boxed = scene(size, (100, 100, 430, 300)).with_(scores=scores)
    assert torch.equal(draw(grey(*size), boxed.with_(masks=masks)), draw(grey(*size), boxed))


def test_tags_stand_below_the_picture() -> None:
    size = (500, 500)
    drawn = draw(grey(*size), Scene(size, tags=torch.tensor([0.9, 0.05]), tag_classes=NAMES))
    assert torch.equal(drawn[:, :500], grey(*size))
    assert changed(drawn[:, 500:], drawn[:, 500:501, :1].expand_as(drawn[:, 500:])).any()


def test_keypoints_are_marked_unless_not_labelled() -> None:
    size = (600, 800)
    points = torch.tensor([[[300.0, 300, 2], [350, 300, 1], [0, 0, 0]]])
    drawn = draw(grey(*size), scene(size, (200, 200, 400, 350), keypoints=points))
    assert torch.equal(drawn[:, 300, 300], ANT)
    assert torch.equal(drawn[:, 300, 350], grey(1, 1)[:, 0, 0])
    assert torch.equal(drawn[:, 0, 0], grey(1, 1)[:, 0, 0])


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 0), (5, 5, 2, 2), (-50, -50, 900, 900), (799, 599, 800, 600), (10, 10, 11, 500)]
)
def test_odd_boxes_are_drawn_without_complaint(box: tuple[float, ...]) -> None:
    size = (600, 800)
    for weak in (False, True):
        odd = scene(size, box, weak=torch.tensor([weak]), scores=torch.tensor([0.5]), crowd=torch.tensor([True]))
        assert draw(grey(*size), odd).shape == (3, 600, 800)


def test_nothing_there_changes_nothing() -> None:
    picture = grey(500, 500)
    assert torch.equal(draw(picture, scene((500, 500))), picture)
    assert torch.equal(draw(picture, Scene((500, 500))), picture)


def test_a_scene_of_another_picture_is_refused() -> None:
    with pytest.raises(PictureError, match="its own picture"):
        draw(grey(500, 500), Scene((400, 500)))


def test_contact_sheet_holds_all_pictures() -> None:
    pictures = [torch.full((3, 100, 200), value, dtype=torch.uint8) for value in (250, 150, 50)]
    sheet = contact_sheet(
        pictures, ["one", "two", "a caption that is much too long for its cell" * 3], columns=2, cell=200
    )
    counts = [(sheet == value).all(0).sum().item() for value in (250, 150, 50)]
    assert counts == [100 * 200] * 3
    assert sheet.shape[2] < 2 * 200 + 40


def test_truth_lies_beside_the_prediction() -> None:
    size = (480, 640)
    pair = beside(grey(*size), scene(size, (100, 100, 300, 300)), scene(size))
    left, right = pair[..., : pair.shape[2] // 2], pair[..., pair.shape[2] // 2 :]
    found = [(half == ANT[:, None, None]).all(0).sum().item() for half in (left, right)]
    assert found[0] > 1000
    assert found[1] == 0


def test_an_object_without_a_mask_gets_its_box() -> None:
    size = (600, 800)
    some = scene(size, (200, 200, 400, 350), masks=Masks.blank(1, size))
    assert torch.equal(draw(grey(*size), some)[:, 275, 200], ANT)
