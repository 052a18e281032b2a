"""Still lifes: depth and normals fit each other, everything annotated agrees, and the seed says it all."""

import pytest
import torch
from scipy.spatial import ConvexHull, QhullError

from allsight.data.made.still_lifes import METRES, SOLIDS, SURFACES, still_lifes


@pytest.fixture(scope="module")
def made():
    return still_lifes(12, seed=3)


def test_normals_are_the_gradient_of_depth(made) -> None:
    """By differences of depth, where a pixel and its neighbours lie on one surface and it bends little."""
    for example in made:
        scene = example.scene
        depth, regions, normals = scene.depth / METRES, scene.regions, scene.normals
        torch.testing.assert_close(normals.norm(dim=0), torch.ones(scene.size))
        assert (normals[2] < 0).all()
        instance = regions + 100 * (scene.masks.dense() * torch.arange(1, len(scene) + 1)[:, None, None]).sum(0)
        across, down = (depth[1:-1, 2:] - depth[1:-1, :-2]) / 2, (depth[2:, 1:-1] - depth[:-2, 1:-1]) / 2
        inner = instance[1:-1, 1:-1]
        same = torch.stack([instance[1:-1, 2:], instance[1:-1, :-2], instance[2:, 1:-1], instance[:-2, 1:-1]]) == inner
        found = torch.nn.functional.normalize(torch.stack([across, down, -torch.ones_like(across)]), dim=0)
        cosine = (found * normals[:, 1:-1, 1:-1]).sum(0)[same.all(0)]
        # Cones and pyramids have ridges, where a difference reads two faces at once.
        assert (cosine > 0.99).float().mean() > 0.9
        flat = same.all(0) & (inner < 2)
        assert ((found * normals[:, 1:-1, 1:-1]).sum(0)[flat] > 0.999).all()


def test_annotations_agree(made) -> None:
    for example in made:
        scene = example.scene
        dense = scene.masks.dense()
        assert dense.sum(0).max() <= 1  # of two solids one hides the other
        assert torch.equal(scene.boxes, scene.masks.boxes())
        for mask, label in zip(dense, scene.labels.tolist(), strict=True):
            assert (scene.regions[mask] == SURFACES.index(SOLIDS[label])).all()
        assert torch.equal(scene.regions >= 2, dense.any(0))
        assert scene.tags.nonzero()[:, 0].tolist() == scene.labels.unique().tolist()


def test_what_is_hidden_lies_deeper(made) -> None:
    for example in made:
        scene = example.scene
        wall = scene.depth[scene.regions == SURFACES.index("wall")]
        assert len(scene) == 0 or scene.depth[scene.masks.dense().any(0)].max() < wall.min()


def test_a_picture_depends_on_seed_and_index_alone() -> None:
    few, many = still_lifes(2, seed=5), still_lifes(4, seed=5)
    assert torch.equal(few[1].picture(), many[1].picture())
    assert torch.equal(few[1].scene.depth, many[1].scene.depth)
    assert not torch.equal(few[1].picture(), still_lifes(2, seed=6)[1].picture())


def test_no_solids_is_an_empty_room() -> None:
    scene = still_lifes(1, solids=(0, 0))[0].scene
    assert len(scene) == 0
    assert scene.boxes is not None
    assert scene.regions.unique().tolist() == [0, 1]


def test_all_solids_occur() -> None:
    labels = torch.cat([example.scene.labels for example in still_lifes(30, seed=1)])
    assert set(labels.tolist()) == set(range(len(SOLIDS)))


def test_solids_hide_one_another_and_the_nearer_hides() -> None:
    """All outlines are convex: where another solid lies within the hull of one, it hides it, and is nearer."""
    hiding, steps = 0, []
    for example in still_lifes(40, seed=4):
        depth, masks = example.scene.depth, example.scene.masks.dense()
        within = torch.stack([inside_hull(mask) for mask in masks]) if len(masks) else masks
        for hidden, hull in zip(masks, within, strict=True):
            bite = hull & masks.any(0) & ~hidden
            assert not (hull & ~masks.any(0)).any()  # nothing but a solid takes anything away
            hiding += bool(bite.any())
            for side in (0, 1):
                one, two = slice(0, -1), slice(1, None)
                for near, far in ((one, two), (two, one)):
                    beside = bite.swapaxes(0, side)[near] & hidden.swapaxes(0, side)[far]
                    steps.append((depth.swapaxes(0, side)[far] - depth.swapaxes(0, side)[near])[beside])
    assert hiding >= 10
    steps = torch.cat(steps)
    clear = steps[steps.abs() > 0.05]  # where two run into each other their surfaces meet
    assert len(clear) > 500
    assert (clear > 0).all()


def inside_hull(mask: torch.Tensor) -> torch.Tensor:
    """Return (H, W) which pixels' centres lie in the convex hull of those of a mask."""
    points = mask.nonzero().double()
    if len(points) < 3 or bool((points.amax(0) == points.amin(0)).any()):
        return mask
    try:
        equations = torch.from_numpy(ConvexHull(points.numpy()).equations)
    except QhullError:  # on one line
        return mask
    every = torch.ones_like(mask).nonzero().double()
    inside = (every @ equations[:, :2].T + equations[:, 2] <= 1e-9).all(1)
    return inside.reshape(mask.shape)
