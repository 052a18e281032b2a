"""RoIAlign, as a PyTorch custom operator so that models export with it as one node.

Every bin of every region is a weighted sum of a few cells of the feature map. The weights of a bilinear sample are a
product of one along y and one along x, so they are worked out per axis; the sums are bags of rows of a channels-last
table. The gradient is the same sum the other way round: bags of bins for every cell. Both add in a fixed order.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def roi_align(
    features: Tensor,
    boxes: Tensor,
    batch_index: Tensor,
    *,
    output: tuple[int, int] = (7, 7),
    scale: float,
    sampling: int = 2,
    aligned: bool = True,
) -> Tensor:
    """Return what a feature map shows inside each region, on a grid of bins, without rounding.

    A bin is the mean of bilinear samples on a regular grid inside of it. A sample further than one cell outside the
    map counts as 0; one that is less far out takes the value at the border. A region without area is sampled at its
    one place (adaptively: not at all, which gives 0). The boxes get no gradient.

    Args:
        features: (B, C, H, W), fastest in channels_last; half precision is computed in float32.
        boxes: (K, 4) regions in pixels of the picture, finite.
        batch_index: (K,) int64, the map that each region lies on.
        output: bins per region, down and across.
        scale: cells per pixel, 1 / stride.
        sampling: samples per bin in each direction; 0 takes as many as the bin has cells, begun ones counted. Time and
            memory then grow with the largest region, so clip the boxes first.
        aligned: a cell's value stands in its middle, half a cell from its corner. False is the older convention: at its
            corner, and a region is at least one cell wide and high.

    Returns:
        (K, C, *output) in the type of `features`, in channels_last order.

    Source:
        He et al., "Mask R-CNN", ICCV 2017, section 3; `aligned` as in Detectron2. The same results as ONNX's RoiAlign
        (half_pixel or output_half_pixel, avg) and torchvision's roi_align.
    """
    pooled: Tensor = torch.ops.allsight.roi_align(
        features, boxes, batch_index, output[0], output[1], scale, sampling, aligned
    )
    return pooled


@torch.library.custom_op("allsight::roi_align", mutates_args=())
def _roi_align(
    features: Tensor,
    boxes: Tensor,
    batch_index: Tensor,
    height: int,
    width: int,
    scale: float,
    sampling: int,
    aligned: bool,
) -> Tensor:
    table = _table(features)
    cells, shares = _taps(features.shape, boxes, batch_index, (height, width), scale, sampling, aligned)
    if sampling:
        bins = F.embedding_bag(cells, table, per_sample_weights=shares.to(table.dtype), mode="sum")
    else:
        used = shares != 0
        bins = _bags(table, cells[used], shares[used], used.sum(1))
    return _as_maps(bins.to(features.dtype), len(boxes), height, width)


@_roi_align.register_fake
def _(features: Tensor, boxes: Tensor, batch_index: Tensor, height: int, width: int, *settings: Any) -> Tensor:
    return features.new_empty(boxes.shape[0], height, width, features.shape[1]).permute(0, 3, 1, 2)


@torch.library.custom_op("allsight::roi_align_backward", mutates_args=())
def _roi_align_backward(
    gradient: Tensor,
    boxes: Tensor,
    batch_index: Tensor,
    batch: int,
    rows: int,
    columns: int,
    scale: float,
    sampling: int,
    aligned: bool,
) -> Tensor:
    channels, height, width = gradient.shape[1:]
    shape = torch.Size((batch, channels, rows, columns))
    cells, shares = _taps(shape, boxes, batch_index, (height, width), scale, sampling, aligned)
    bins = torch.arange(len(cells), device=cells.device)[:, None].expand_as(cells)
    used = shares != 0
    cells, bins, shares = cells[used], bins[used], shares[used]
    order = cells.argsort(stable=True)
    counts = cells.bincount(minlength=batch * rows * columns)
    summed = _bags(_table(gradient), bins[order], shares[order], counts)
    return _as_maps(summed.to(gradient.dtype), batch, rows, columns)


@_roi_align_backward.register_fake
def _(
    gradient: Tensor, boxes: Tensor, batch_index: Tensor, batch: int, rows: int, columns: int, *settings: Any
) -> Tensor:
    return gradient.new_empty(batch, rows, columns, gradient.shape[1]).permute(0, 3, 1, 2)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    features, boxes, batch_index, _, _, *ctx.settings = inputs
    ctx.save_for_backward(boxes, batch_index)
    ctx.shape = features.shape


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    batch, _, rows, columns = ctx.shape
    boxes, batch_index = ctx.saved_tensors
    back = torch.ops.allsight.roi_align_backward(gradient, boxes, batch_index, batch, rows, columns, *ctx.settings)
    return back, *[None] * 7


_roi_align.register_autograd(_backward, setup_context=_remember)


def _taps(
    shape: torch.Size,
    boxes: Tensor,
    batch_index: Tensor,
    output: tuple[int, int],
    scale: float,
    sampling: int,
    aligned: bool,
) -> tuple[Tensor, Tensor]:
    """Return which cells each bin reads, and their shares in it.

    Returns:
        (K * h * w, T) int64 positions in the table of B * H * W cells, and float64 weights.
    """
    _, _, rows, columns = shape
    corners = boxes.double() * scale - (0.5 if aligned else 0.0)
    start, side = corners[:, :2], corners[:, 2:] - corners[:, :2]
    if not aligned:
        side = side.clamp_min(1)
    x, along_x = _axis(start[:, 0], side[:, 0], output[1], sampling, columns)
    y, along_y = _axis(start[:, 1], side[:, 1], output[0], sampling, rows)
    first = (batch_index * rows * columns)[:, None, None]
    cells = (first + y * columns)[:, :, None, :, None] + x[:, None, :, None, :]
    shares = along_y[:, :, None, :, None] * along_x[:, None, :, None, :]
    return cells.flatten(3).flatten(0, 2), shares.flatten(3).flatten(0, 2)


def _axis(start: Tensor, side: Tensor, bins: int, sampling: int, length: int) -> tuple[Tensor, Tensor]:
    """Return the taps of every bin along one axis: (K, bins, taps) positions on the map and weights.

    Args:
        start, side: (K,) of the regions, in cells, where 0 is the first cell's own place.
        length: cells of the map.
    """
    bin_side = (side / bins)[:, None, None]
    samples = torch.full_like(bin_side, sampling) if sampling else bin_side.ceil().clamp_min(0)
    most = sampling or (math.ceil(float(samples.max())) if len(samples) else 0)
    step = torch.arange(most, device=start.device)
    number = torch.arange(bins, device=start.device)[:, None]
    place = start[:, None, None] + (number + (step + 0.5) / samples) * bin_side
    share = ((step < samples) & (place >= -1) & (place <= length)) / samples.clamp_min(1)
    place = place.clamp(0, length - 1).nan_to_num(0)
    low = place.floor()
    upper = place - low
    position = torch.cat([low, (low + 1).clamp_max(length - 1)], dim=-1).long()
    return position, torch.cat([(1 - upper) * share, upper * share], dim=-1)


def _bags(table: Tensor, rows: Tensor, weights: Tensor, counts: Tensor) -> Tensor:
    """Return for each bag the weighted sum of its rows of the table; bag i has the next `counts[i]` of them."""
    offsets = counts.cumsum(0) - counts
    return F.embedding_bag(rows, table, offsets, per_sample_weights=weights.to(table.dtype), mode="sum")


def _table(maps: Tensor) -> Tensor:
    """Return (B, C, H, W) as contiguous (B * H * W, C), in a type that sums can be trusted to."""
    exact = maps if maps.dtype in (torch.float32, torch.float64) else maps.float()
    return exact.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1).flatten(0, 2).contiguous()


def _as_maps(rows: Tensor, count: int, height: int, width: int) -> Tensor:
    return rows.view(count, height, width, rows.shape[1]).permute(0, 3, 1, 2)
