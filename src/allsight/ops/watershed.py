"""From maps of probabilities to single objects, those that touch divided: the watershed from seeds."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from torch import Tensor

from allsight.scene import Masks

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def watershed(height: Tensor, seeds: Tensor, area: Tensor) -> Tensor:
    """Let every seed grow over an area, from low to high, until it meets the others.

    The result is the minimum spanning forest whose trees are rooted in the seeds: no pixel could reach another seed on
    a path whose highest step is lower. On flat ground the nearer seed has the pixel.

    Args:
        height: (H, W) finite. seeds: (H, W) whole numbers, 0 for none; pixels of one number are one seed.
        area: (H, W) bool, where they may grow; seeds outside of it are left out. Pixels with a side in common are
            neighbours.

    Returns:
        (H, W) int64, the number of the seed that has the pixel; 0 where none comes to.

    Source:
        Cousty et al. 2009, "Watershed cuts: minimum spanning forests and the drop of water principle", section 4.
    """
    inside = area.numpy().astype(bool)
    started = np.where(inside, seeds.numpy(), 0).astype(np.int64)
    pixels = np.flatnonzero(inside)
    if not started.any():
        return torch.from_numpy(started)
    number = np.full(inside.size, -1)
    number[pixels] = np.arange(len(pixels))
    order = _order(height.double().numpy(), started)
    left, right = (np.concatenate(ends) for ends in zip(*_neighbours(number.reshape(inside.shape)), strict=True))
    weights = np.maximum(order.ravel()[pixels[left]], order.ravel()[pixels[right]])
    # The roots: a node for each seed, nearer to its pixels than any pixel is to another.
    own = started.ravel()[pixels]
    rooted = np.flatnonzero(own)
    names, which = np.unique(own[rooted], return_inverse=True)
    ground = len(pixels) + len(names)
    rows = np.concatenate([left, rooted, np.arange(len(names)) + len(pixels)])
    columns = np.concatenate([right, which + len(pixels), np.full(len(names), ground)])
    values = np.concatenate([weights + 3.0, np.full(len(rooted), 2.0), np.full(len(names), 1.0)])
    tree = minimum_spanning_tree(coo_array((values, (rows, columns)), shape=(ground + 1, ground + 1)).tocsr())
    part = connected_components(csr_array(tree[:ground, :ground]), directed=False)[1]
    found = np.zeros(part.max() + 1, dtype=np.int64)
    found[part[len(pixels) :]] = names
    grown = np.zeros(inside.size, dtype=np.int64)
    grown[pixels] = found[part[: len(pixels)]]
    return torch.from_numpy(grown.reshape(inside.shape))


def _order(height: Floats, seeds: Integers) -> Integers:
    """Return (H, W) the rank of every pixel by height, and among equals by its distance to the nearest seed."""
    distance = ndimage.distance_transform_edt(seeds == 0)
    by_rank = np.lexsort((distance.ravel(), height.ravel()))
    ranks = np.empty(height.size, dtype=np.int64)
    ranks[by_rank] = np.arange(height.size)
    return ranks.reshape(height.shape)


def _neighbours(number: Integers) -> list[tuple[Integers, Integers]]:
    """Return the numbers of all pairs of pixels with a side in common; -1 is no pixel."""
    pairs = []
    for one, two in ((number[:, :-1], number[:, 1:]), (number[:-1], number[1:])):
        both = (one >= 0) & (two >= 0)
        pairs.append((one[both], two[both]))
    return pairs


def separate(inside: Tensor, border: Tensor, *, seed: float = 0.5, least: int = 10) -> Masks:
    """Return the objects of a picture from two maps: what is well inside of one, and where two come close.

    What is rather inside than border makes the seeds; they grow over all that is rather object than not, first where it
    is surely inside, so that they meet on the borders. An object that is too thin to have an inside is a seed as it is.

    Args:
        inside: (H, W) probability that a pixel lies inside of an object.
        border: (H, W) probability that it lies on an object's border; with `inside` at most 1.
        seed: a pixel belongs to a seed from this difference of the two on.
        least: pixels; smaller seeds and objects are dropped.

    Returns:
        Masks that do not overlap.
    """
    area = inside + border >= 0.5
    core, count = ndimage.label((area & (inside - border >= seed)).numpy())
    sizes = np.bincount(core.ravel(), minlength=count + 1)
    core[sizes[core] < least] = 0
    pieces, many = ndimage.label(area.numpy())
    without = np.ones(many + 1, dtype=bool)
    without[pieces[core > 0]] = False
    without[0] = False
    seeds = np.where(without[pieces], pieces + count, core)
    masks = Masks.from_labels(watershed(border - inside, torch.from_numpy(seeds.astype(np.int64)), area))
    return masks[masks.area() >= least]


def mean_inside(masks: Masks, values: Tensor) -> Tensor:
    """Return (N,) the mean of a map (H, W) over every mask, such as how sure a net is of its pixels; 0 over none."""
    instance, pixel = masks.pixels()
    total = torch.zeros(len(masks)).index_add_(0, instance, values.flatten()[pixel].float())
    return total / masks.area().clamp_min(1)
