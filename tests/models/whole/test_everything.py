"""One trunk with all heads: every head learns from its own annotation alone, and all answer together."""

import pytest
import torch

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.data.made.still_lifes import SOLIDS, SURFACES, still_lifes
from allsight.data.pictures.loading import Batch
from allsight.models.whole.everything import HEADS, sees_all
from allsight.models.whole.panoptic import merged
from allsight.scene import Frame, Scene

SIZE = (96, 128)
TERMS = {
    "tags": {"tags"},
    "objects": {"objectness", "proposals", "classes", "boxes", "masks"},
    "regions": {"cross_entropy"},
    "depth": {"depth"},
    "normals": {"normals"},
}


def system(heads=HEADS):
    torch.manual_seed(0)
    return sees_all(
        trunk=efficientnet_lite0(weights=False),
        object_classes=SOLIDS,
        region_classes=SURFACES,
        tag_classes=SOLIDS,
        heads=heads,
        channels=16,
        width=16,
    )


@pytest.fixture(scope="module")
def batch() -> Batch:
    made = still_lifes(2, seed=1, size=SIZE)
    pictures = torch.stack([example.picture() for example in made])
    return Batch(pictures, [Frame.whole(SIZE)] * 2, [example.scene for example in made], ["a", "b"])


def test_all_heads_learn_at_once(batch: Batch) -> None:
    everything = system().train()
    terms = everything.loss(batch)
    assert set(terms) == {f"{head}/{term}" for head, each in TERMS.items() for term in each}
    sum(terms.values()).backward()
    silent = [name for name, p in everything.named_parameters() if p.grad is None]
    assert silent == []


KEPT = {
    "tags": ("tags",),
    "objects": ("boxes", "labels", "masks"),
    "regions": ("regions",),
    "depth": ("depth",),
    "normals": ("normals",),
}


@pytest.mark.parametrize("head", HEADS)
def test_a_head_learns_from_its_annotation_alone(head: str, batch: Batch) -> None:
    everything = system().train()
    bare = [Scene(SIZE, **{name: getattr(scene, name) for name in KEPT[head]}) for scene in batch.scenes]
    terms = everything.loss(Batch(batch.pictures, batch.frames, bare, batch.names))
    for name, value in terms.items():
        if name.startswith(f"{head}/"):
            assert value.item() > 0, name
        else:
            assert value.item() == 0, name


def test_all_answer_together_in_original_pixels(batch: Batch) -> None:
    everything = system().eval()
    frame = Frame((48, 64), SIZE, SIZE)
    with torch.no_grad():
        outputs = everything(batch.pictures[:1])
        (scene,) = map(everything.finished, everything.decode(outputs, [frame]))
    assert scene.size == (48, 64)
    assert scene.tags is not None
    assert scene.masks is not None
    assert scene.regions.shape == scene.depth.shape == scene.panoptic.shape == (48, 64)
    assert scene.normals.shape == (3, 48, 64)
    torch.testing.assert_close(scene.normals.norm(dim=0), torch.ones(48, 64))


def test_the_panoptic_map_is_made_of_the_parts(batch: Batch) -> None:
    everything = system().eval()
    frame = Frame((48, 64), SIZE, SIZE)
    with torch.no_grad():
        outputs = everything(batch.pictures[:1])
    (said,) = everything.decode(outputs, [frame])
    assert said.panoptic is None
    whole = merged(said, everything.things, least_score=everything.least_score)
    assert torch.equal(everything.finished(said).panoptic, whole.panoptic)
    sure = said.keep(said.scores >= said.scores.median())
    assert 0 < len(sure) < len(said)
    left = everything.finished(sure, shown=True)
    assert left.segments == merged(sure, everything.things, least_score=0.0).segments
    assert len(left.segments) > len(everything.finished(sure).segments)  # no score is too low once it is shown


def test_a_single_model_is_the_same_but_for_the_other_heads(batch: Batch) -> None:
    alone, joint = system(("regions",)), system()
    shared = {name for name, _ in alone.named_parameters()}
    assert shared < {name for name, _ in joint.named_parameters()}
    assert set(alone.train().loss(batch)) == TERMS["regions"]
    answers = alone.eval().decode(alone(batch.pictures), batch.frames)
    assert alone.finished(answers[0]).panoptic is None
