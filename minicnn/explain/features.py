"""What every layer of a network makes of an input, as arrays and as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from minicnn.core import checks
from minicnn.core.modes import no_grad
from minicnn.core.tensor import Tensor

if TYPE_CHECKING:
    from minicnn.nn import Module


def features(model: "Module", x: Tensor) -> dict[str, NDArray[Any]]:
    """The output of every layer without children of its own, by its path, in the order they ran.

    A layer that runs more than once has an entry for each call: "activation", "activation (2)", ... The model is run
    in evaluation mode and put back.

    Parameters
    ----------
    model : Module
    x : Tensor
        A batch, as the model takes it.
    """
    found: dict[str, NDArray[Any]] = {}
    calls: dict[str, int] = {}
    handles = []

    def watch(name: str, layer: "Module") -> None:
        def keep(_: Any, __: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                calls[name] = calls.get(name, 0) + 1
                key = name if calls[name] == 1 else f"{name} ({calls[name]})"
                found[key] = np.array(output.detach()._host())

        handles.append(layer.register_forward_hook(keep))

    for name, layer in model.named_modules():
        if not any(True for _ in layer.children()):
            watch(name, layer)
    modes = [(module, module.training) for module in model.modules()]  # a frozen part keeps a mode of its own
    model.eval()
    try:
        with no_grad():
            model(x)
    finally:
        for module, training in modes:
            module.training = training
        for handle in handles:
            handle.remove()
    return found


def _tiles(maps: NDArray[Any]) -> NDArray[Any]:
    """Maps (C, H, W) side by side in a near-square grid, each stretched to [0, 1], NaN between them."""
    c, h, w = maps.shape
    columns = int(np.ceil(np.sqrt(c)))
    rows = -(-c // columns)
    grid = np.full((rows * (h + 1) - 1, columns * (w + 1) - 1), np.nan)
    for i, m in enumerate(maps):
        r, q = divmod(i, columns)
        low, high = m.min(), m.max()
        stretched = (m - low) / (high - low) if high > low else np.zeros_like(m, dtype=float)
        grid[r * (h + 1) : r * (h + 1) + h, q * (w + 1) : q * (w + 1) + w] = stretched
    return grid


def draw_features(maps: dict[str, NDArray[Any]], path: str | Path, *, image: int = 0) -> Path:
    """Draw one image's features, a panel for each layer: maps as tiles, vectors as strips.

    Parameters
    ----------
    maps : dict of arrays (N, C, H, W) or (N, K), from :func:`features`
    path : str or Path
        PNG file to write.
    image : int
        Which image of the batch.

    Raises
    ------
    ValueError
        No features to draw.
    """
    from matplotlib.figure import Figure

    if not maps:
        raise checks.value_error("draw_features", "there are no features to draw")
    figure = Figure(figsize=(2.2 * min(len(maps), 5), 2.4 * -(-len(maps) // 5)), layout="constrained")
    axes = np.atleast_1d(figure.subplots(-(-len(maps) // 5), min(len(maps), 5), squeeze=False)).reshape(-1)
    for axis in axes:
        axis.set_axis_off()
    for axis, (name, values) in zip(axes, maps.items(), strict=False):
        one = values[image]
        picture = _tiles(one) if one.ndim == 3 and one.shape[1] * one.shape[2] > 1 else one.reshape(1, -1)
        axis.imshow(picture, cmap="viridis", aspect="auto" if picture.shape[0] == 1 else "equal")
        axis.set_title(f"{name}\n{'x'.join(map(str, one.shape))}", fontsize=7)
    path = Path(path)
    figure.savefig(path, dpi=130)
    return path
