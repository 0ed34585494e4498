"""Mixed precision on the device: who computes in which dtype, and that nothing is lost on the way."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minicnn as mc
from minicnn.core.dtypes import find as find_dtype
from minicnn.core.modes import state


@pytest.fixture(name="drawn")
def _drawn(device: str) -> Callable[..., Any]:
    def drawn(*shape: int, requires_grad: bool = False, dtype: str = "float32", device: str = device) -> Any:
        values = np.random.default_rng(sum(shape)).standard_normal(shape)
        return mc.tensor(values, dtype=dtype, device=device, requires_grad=requires_grad)

    return drawn


@pytest.fixture(name="kind", params=["float16", "bfloat16"])
def _kind(request: pytest.FixtureRequest) -> Any:
    return find_dtype(request.param)


DIGITS = {"float16": 2e-2, "bfloat16": 1.6e-1}  # of products of a few numbers near 1


def test_products_are_half_and_sums_are_single(device: str, drawn: Callable[..., Any], kind: Any) -> None:
    x, w, b = drawn(4, 6), drawn(3, 6), drawn(3)
    with mc.autocast(device, kind):
        half = mc.ops.linear(x, w, b)
        assert half.dtype == kind
        assert mc.ops.matmul(x, w.transpose(0, 1)).dtype == kind
        assert mc.ops.einsum("ij,kj->ik", x, w).dtype == kind
        for y in (
            half.sum(), half.mean(1), half.var(), half.exp(), (half * half + 1.0).log(), half**2,
            mc.ops.softmax(half, 1), mc.ops.log_softmax(half, 1), mc.ops.logsumexp(half, 1),
            mc.ops.layer_norm(half, 3), mc.ops.batch_norm(half, None, None, training=True),
            mc.ops.mse_loss(half, half), mc.ops.hinge_loss(half, half),
            mc.ops.cross_entropy(half, mc.tensor(np.zeros(4, np.int64), device=device)),
        ):  # fmt: skip
            assert y.dtype == np.float32
        for y in (mc.ops.relu(half), half + half, half * 2.0, mc.ops.tanh(half), mc.ops.dropout(half, 0.5)):
            assert y.dtype == kind
        assert (half + x[:, :3]).dtype == np.float32  # the wider dtype
    np.testing.assert_allclose(half.numpy(), mc.ops.linear(x, w, b).numpy(), atol=DIGITS[kind.name])


def test_gradients_come_back_in_the_dtype_of_the_weights(device: str, drawn: Callable[..., Any], kind: Any) -> None:
    def gradients(enabled: bool) -> tuple[Any, ...]:
        mc.manual_seed(0)
        net = mc.nn.Sequential(
            mc.nn.Linear(6, 8), mc.nn.LayerNorm(8), mc.nn.ReLU(), mc.nn.Dropout(0.2), mc.nn.Linear(8, 3)
        ).to(device)
        with mc.autocast(device, kind, enabled=enabled):
            loss = mc.ops.cross_entropy(net(drawn(5, 6)), mc.tensor(np.arange(5) % 3, device=device))
        loss.backward()
        assert {p.grad.dtype for p in net.parameters()} == {np.dtype("float32")}
        return loss.detach(), *(p.grad for p in net.parameters())

    for mixed, single in zip(gradients(True), gradients(False), strict=True):
        np.testing.assert_allclose(mixed.numpy(), single.numpy(), atol=DIGITS[kind.name])
        assert mixed.numel() < 4 or not np.array_equal(mixed.numpy(), single.numpy())  # half was really used


def test_a_convolution_is_half(device: str, drawn: Callable[..., Any], kind: Any) -> None:
    x, w, b = drawn(2, 3, 6, 6), drawn(3, 3, 3, 3, requires_grad=True), drawn(3, requires_grad=True)
    found = []
    for enabled in (True, False):
        w.grad = b.grad = None
        with mc.autocast(device, kind, enabled=enabled):
            y = mc.ops.conv2d(mc.ops.conv2d_relu(x, w, b, padding=1), w, b, padding=1)
            z = mc.ops.max_pool2d(y, 2)
            assert y.dtype == z.dtype == (kind if enabled else np.float32)
            z.sum().backward()
        assert w.grad.dtype == b.grad.dtype == np.float32
        found.append((z.detach().numpy(), w.grad.numpy(), b.grad.numpy()))
    for mixed, single in zip(*found, strict=True):
        np.testing.assert_allclose(mixed, single, atol=DIGITS[kind.name] * np.abs(single).max())


def test_norm_weights_and_running_statistics_keep_their_digits(device: str, drawn: Callable[..., Any]) -> None:
    x = drawn(64, 3)
    weight, mean, var = (mc.tensor([value] * 3, device=device) for value in (1.0001, 0.0, 1.0))
    with mc.autocast(device):
        y = mc.ops.batch_norm(x.to(mc.float16), mean, var, weight, training=True)
    expected = mc.ops.batch_norm(x.to(mc.float16).to(mc.float32), None, None, weight, training=True)
    np.testing.assert_array_equal(y.numpy(), expected.numpy())
    assert mean.dtype == np.float32
    assert float(abs(mean).max()) > 0


def test_regions_nest_and_end(device: str, drawn: Callable[..., Any]) -> None:
    x = drawn(2, 2)
    with mc.autocast(device):
        with mc.autocast(device, enabled=False):
            assert (x @ x).dtype == np.float32
        assert (x @ x).dtype == np.float16
        with pytest.raises(ZeroDivisionError), mc.autocast(device):
            raise ZeroDivisionError
    assert (x @ x).dtype == np.float32

    @mc.autocast(device, mc.float16)
    def product(y: Any) -> Any:
        """Squared."""
        return y @ y

    assert product(x).dtype == np.float16
    assert product.__doc__ == "Squared."
    assert state.autocast is None


def test_other_devices_dtypes_and_threads_are_left_alone(device: str, drawn: Callable[..., Any]) -> None:
    here, wide = drawn(2, 2, device="cpu"), drawn(2, 2, dtype="float64")
    found = []
    with mc.autocast(device):
        assert (here @ here).dtype == np.float32
        assert (wide @ wide).dtype == np.float64
        worker = threading.Thread(target=lambda: found.append((drawn(2, 2) @ drawn(2, 2)).dtype))
        worker.start()
        worker.join()
    assert found == [np.float32]


def test_backward_inside_the_region_and_recomputed_segments_agree(device: str, drawn: Callable[..., Any]) -> None:
    x, w = drawn(3, 4), drawn(5, 4, requires_grad=True)

    def loss(checkpointed: bool) -> Any:
        def segment(v: Any) -> Any:
            return mc.ops.tanh(mc.ops.linear(v, w))

        return (mc.checkpoint(segment, x) if checkpointed else segment(x)).sum()

    found = []
    for inside, checkpointed in ((False, False), (True, False), (False, True)):
        w.grad = None
        with mc.autocast(device):
            y = loss(checkpointed)
            if inside:
                y.backward()
        if not inside:
            y.backward()
        found.append(w.grad.numpy())
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_what_cannot_be_is_said(device: str) -> None:
    with pytest.raises(ValueError, match="autocast: device 'cpu' computes in float32"):
        mc.autocast("cpu", mc.float16)
    with pytest.raises(ValueError, match="autocast: device 'cpu' computes in float32"):
        mc.autocast("cpu", "bfloat16")
    with pytest.raises(ValueError, match="dtype must be float16 or bfloat16, got float64"):
        mc.autocast(device, mc.float64)
    with pytest.raises(ValueError, match="unknown device 'tpu'"):
        mc.autocast("tpu")
    with mc.autocast("cpu", enabled=False):
        pass


def test_bfloat16_keeps_gradients_that_float16_loses(device: str) -> None:
    found = {}
    for kind in ("float16", "bfloat16"):
        w = mc.tensor([[1.0, 2.0]], device=device, requires_grad=True)
        with mc.autocast(device, kind):
            loss = mc.ops.linear(mc.tensor([[1.0, 1.0]], device=device), w).sum() * 1e-9
        loss.backward()
        found[kind] = w.grad.tolist()
    assert found["float16"] == [[0.0, 0.0]]  # the least float16 above zero is 6e-8
    np.testing.assert_allclose(found["bfloat16"], [[1e-9, 1e-9]], rtol=2**-8)


def test_without_its_package_bfloat16_is_refused_with_the_remedy(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(ModuleNotFoundError, match="bfloat16: .* pip install ml_dtypes"):
        mc.autocast(device, "bfloat16")
