"""Two libraries behind the same few names, so that an op is written once for both."""

from types import SimpleNamespace
from typing import Any

from minicnn.bench.desk import Cannot


def load(name: str, threads: int) -> SimpleNamespace:
    """A library ready to be used with so many threads."""
    return {"minicnn": _ours, "torch": _torch}[name](threads)


def _ours(threads: int) -> SimpleNamespace:
    from minicnn import ops, optim
    from minicnn.backends.cpu.threads import set_num_threads
    from minicnn.core.backprop import grad
    from minicnn.core.tensor import tensor

    set_num_threads(threads)

    def set_grad(parameter: Any, values: Any) -> None:
        parameter.grad = tensor(values)

    return SimpleNamespace(
        F=ops, cat=ops.cat, sigmoid=ops.sigmoid, tanh=ops.tanh, sgd=optim.SGD, set_grad=set_grad,
        tensor=lambda array, wanted: tensor(array, requires_grad=wanted), array=lambda t: t.detach().numpy(),
        grad=lambda y, xs, gy: grad(y, xs, gy, retain_graph=True), roi=lambda name: getattr(ops, name),
    )


def _torch(threads: int) -> SimpleNamespace:
    import torch

    torch.set_num_threads(threads)

    def tensor(array: Any, wanted: bool) -> Any:
        made = torch.from_numpy(array.copy())
        return made.requires_grad_() if wanted else made

    def set_grad(parameter: Any, values: Any) -> None:
        parameter.grad = torch.from_numpy(values.copy())

    def roi(name: str) -> Any:
        try:
            import torchvision.ops
        except ImportError:
            raise Cannot("torchvision is not installed") from None
        return getattr(torchvision.ops, name)

    return SimpleNamespace(
        F=torch.nn.functional, cat=torch.cat, sigmoid=torch.sigmoid, tanh=torch.tanh, sgd=torch.optim.SGD,
        set_grad=set_grad, tensor=tensor, array=lambda t: t.detach().numpy(), roi=roi,
        grad=lambda y, xs, gy: torch.autograd.grad(y, xs, gy, retain_graph=True),
    )
