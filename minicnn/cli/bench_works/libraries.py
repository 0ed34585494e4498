"""Two libraries behind the same few names, so that a work is written once for both."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from minicnn.bench.conv_works import MOST_COPIES, ROTATED
from minicnn.bench.desk import Answer, Cannot
from minicnn.bench.worker import host_clock
from minicnn.cli.bench_works import torch_roi


def load(name: str, threads: int) -> SimpleNamespace:
    """A library ready to be used with so many threads; ``library@device`` for one elsewhere than on the CPU."""
    library, _, device = name.partition("@")
    loaded = {"minicnn": _ours, "torch": _torch, "torch-kept": _torch}[library](threads, device or "cpu")

    def alive() -> Answer:
        loaded.clock(lambda: None, 1)
        return {}

    loaded.alive = alive
    return loaded


def _ours(threads: int, device: str) -> SimpleNamespace:
    import minicnn as mc
    from minicnn import ops, optim
    from minicnn.core.backprop import grad
    from minicnn.core.device import device as find_device
    from minicnn.core.tensor import tensor

    mc.set_num_threads(threads)

    def set_grad(parameter: Any, values: Any) -> None:
        parameter.grad = tensor(values, device=device)

    return SimpleNamespace(
        name="minicnn", F=ops, cat=ops.cat, sigmoid=ops.sigmoid, tanh=ops.tanh, sgd=optim.SGD, set_grad=set_grad,
        tensor=lambda array, wanted: tensor(array, device=device, requires_grad=wanted), no_grad=mc.no_grad,
        array=lambda t: t.detach().numpy(), place=lambda module: module.to(device), roi=lambda name: getattr(ops, name),
        grad=lambda y, xs, gy: grad(y, xs, gy, retain_graph=True),
        clock=host_clock if device == "cpu" else find_device(device).backend.runtime.clock,
        copies=_copies(device), shares_memory=lambda a, b: _owner(a.data) is _owner(b.data),
    )


def _torch(threads: int, device: str) -> SimpleNamespace:
    import torch

    from minicnn.bench.peers import pytorch

    pytorch.start(threads, device)

    def tensor(array: Any, wanted: bool) -> Any:
        made = torch.tensor(array, device=device)
        return made.requires_grad_() if wanted else made

    def set_grad(parameter: Any, values: Any) -> None:
        parameter.grad = tensor(values, False)

    def roi(name: str) -> Any:
        try:
            import torchvision.ops
        except ImportError:
            if name == "roi_align":
                return torch_roi.roi_align
            raise Cannot("torchvision is not installed") from None
        return getattr(torchvision.ops, name)

    return SimpleNamespace(
        name="torch", F=torch.nn.functional, cat=torch.cat, sigmoid=torch.sigmoid, tanh=torch.tanh, sgd=torch.optim.SGD,
        set_grad=set_grad, tensor=tensor, array=lambda t: t.detach().cpu().numpy(), roi=roi, no_grad=torch.no_grad,
        grad=lambda y, xs, gy: torch.autograd.grad(y, xs, gy, retain_graph=True),
        place=lambda module: module.to(device), clock=host_clock if device == "cpu" else pytorch.clock,
        copies=_copies(device),
        shares_memory=lambda a, b: a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr(),
    )


def _copies(device: str) -> Callable[[int], int]:
    """How many sets of operands of so many bytes a work goes through in turn: on a device more than a cache holds."""
    return lambda moved: 1 if device == "cpu" else min(-(-ROTATED // max(moved, 1)), MOST_COPIES)


def _owner(array: Any) -> Any:
    return array if array.base is None else array.base
