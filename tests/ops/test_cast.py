import numpy as np
import pytest

import minicnn as mc
from minicnn import ops
from minicnn.core import device as devices


@pytest.fixture
def second_device(monkeypatch: pytest.MonkeyPatch) -> str:
    """Another device that computes as the CPU does."""
    name = "second"
    for table in (devices._LOADERS, devices._DEVICES):
        monkeypatch.setattr(devices, "_LOADERS" if table is devices._LOADERS else "_DEVICES", dict(table))
    devices.register(name, lambda: mc.tensor(0.0).backend)
    return name


def test_to_gives_the_tensor_itself_where_nothing_changes() -> None:
    x = mc.tensor([1.0])
    assert x.to("cpu") is x and x.to(np.float32) is x and x.to(x) is x and x.cpu() is x and x.to() is x


def test_to_casts_and_the_gradient_comes_back_in_the_old_dtype() -> None:
    x = mc.tensor([1.0, 2.0], requires_grad=True)
    y = x.to("cpu", mc.float64)
    assert y.dtype == np.float64 and x.to(dtype="int64").dtype == np.int64
    (y * y).sum().backward()
    assert x.grad.dtype == np.float32 and x.grad.tolist() == [2.0, 4.0]


def test_to_moves_between_devices_and_so_do_gradients_of_any_order(second_device: str) -> None:
    x = mc.tensor([1.0, 2.0], requires_grad=True)
    y = x.to(second_device, mc.float64)
    assert y.device == second_device and y.data is not x.data
    assert not np.shares_memory(x.detach().to(second_device).data, x.data)
    z = (y * y * y).cpu()
    assert z.device == "cpu"
    (g,) = mc.grad(z.sum(), x, create_graph=True)
    assert g.device == "cpu" and g.dtype == np.float32 and g.tolist() == [3.0, 12.0]
    assert mc.grad(g.sum(), x)[0].tolist() == [6.0, 12.0]


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown device 'gpu9'"):
        ops.to(mc.tensor([1.0]), "gpu9")
