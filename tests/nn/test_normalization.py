import numpy as np
import pytest

import minicnn as mc
from minicnn import nn

RNG = np.random.default_rng(0)


def test_batch_norm_normalises_in_training_and_remembers():  # B14
    layer = nn.BatchNorm2d(3, dtype=np.float64)
    x = RNG.normal(2.0, 3.0, size=(8, 3, 5, 5))
    y = layer(mc.tensor(x)).detach().numpy()
    var = x.var((0, 2, 3))
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var((0, 2, 3)), var / (var + 1e-5))
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * x.mean((0, 2, 3)))
    np.testing.assert_allclose(layer.running_var.numpy(), 0.9 + 0.1 * x.var((0, 2, 3), ddof=1))
    assert layer.num_batches_tracked.item() == 1


def test_batch_norm_uses_its_memory_in_evaluation_and_leaves_it():
    layer = nn.BatchNorm1d(2, dtype=np.float64)
    layer(mc.tensor(RNG.normal(size=(10, 2))))
    before = {k: v.numpy().copy() for k, v in layer.state_dict().items()}
    x = RNG.normal(size=(4, 2))
    y = layer.eval()(mc.tensor(x)).detach().numpy()
    np.testing.assert_allclose(y, (x - before["running_mean"]) / np.sqrt(before["running_var"] + 1e-5))
    for key, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])


def test_momentum_none_averages_all_batches_alike():
    layer = nn.BatchNorm1d(1, momentum=None, dtype=np.float64)
    batches = [RNG.normal(size=(6, 1)) for _ in range(3)]
    for batch in batches:
        layer(mc.tensor(batch))
    np.testing.assert_allclose(layer.running_mean.numpy(), np.mean([b.mean() for b in batches]))
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0] and layer.num_batches_tracked.item() == 0


def test_the_count_of_batches_follows_who_else_writes_it():
    layer = nn.BatchNorm1d(1, momentum=None)
    x = mc.tensor(RNG.normal(size=(6, 1)).astype(np.float32))
    layer(x), layer(x)
    saved = {name: value.numpy().copy() for name, value in layer.state_dict().items()}
    layer.reset_running_stats()
    layer(x)
    assert layer.num_batches_tracked.item() == 1
    layer.load_state_dict(saved)
    layer(x)
    assert layer.num_batches_tracked.item() == 3
    layer.num_batches_tracked.fill_(9)
    layer(x)
    assert layer.num_batches_tracked.item() == 10


@pytest.mark.parametrize("momentum", [0.1, None])
def test_training_reads_nothing_back_from_the_device(device, momentum, monkeypatch):
    layer = nn.BatchNorm2d(2, momentum=momentum).to(device)
    x = mc.tensor(RNG.normal(size=(3, 2, 4, 4)).astype(np.float32), device=device)
    layer(x)  # reads once what the buffer holds
    read = []
    for owner, name in ((type(layer.weight.device.backend.runtime), "to_host"), (mc.Tensor, "item")):
        plain = getattr(owner, name)
        noted = lambda self, *a, name=name, plain=plain: (read.append(name), plain(self, *a))[1]  # noqa: E731
        monkeypatch.setattr(owner, name, noted)
    for _ in range(3):
        layer(x)
    assert read == []
    assert layer.num_batches_tracked.item() == 4
    assert read == ["item"]  # so reading would have been seen


def test_without_tracking_the_batch_is_used_in_evaluation_too():
    layer = nn.BatchNorm2d(2, track_running_stats=False, affine=False)
    assert not layer.state_dict()
    y = layer.eval()(mc.tensor(RNG.normal(size=(4, 2, 3, 3)).astype(np.float32))).numpy()
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-6)


def test_statistics_and_counter_are_not_touched_by_recomputation():
    layer = nn.BatchNorm1d(2)
    x = mc.tensor(RNG.normal(size=(5, 2)).astype(np.float32), requires_grad=True)
    mc.checkpoint(layer, x).sum().backward()
    assert layer.num_batches_tracked.item() == 1
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * x.detach().numpy().mean(0), rtol=1e-5)


def test_layer_group_and_instance_norm_normalise_over_their_axes():
    x = RNG.normal(3.0, 2.0, size=(2, 4, 5, 5))
    y = nn.LayerNorm((5, 5), dtype=np.float64)(mc.tensor(x)).detach().numpy()
    np.testing.assert_allclose(y.mean((2, 3)), 0, atol=1e-12)
    y = nn.GroupNorm(2, 4, dtype=np.float64)(mc.tensor(x)).detach().numpy().reshape(2, 2, 50)
    np.testing.assert_allclose(y.mean(2), 0, atol=1e-12)
    y = nn.InstanceNorm2d(4)(mc.tensor(x)).numpy()
    np.testing.assert_allclose(y.mean((2, 3)), 0, atol=1e-12)


def test_local_norms():
    layer = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0, alpha_over_n=False)
    ones = layer(mc.tensor(np.ones((1, 9, 1, 1)))).numpy()[0, :, 0, 0]
    np.testing.assert_allclose(ones[[0, 4]], [0.5945366734, 0.5944920938], atol=1e-10)
    flat = nn.LocalContrastNorm()(mc.tensor(np.full((1, 2, 9, 9), 3.0))).numpy()
    np.testing.assert_allclose(flat, 0, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: nn.BatchNorm2d(3)(mc.tensor(np.zeros((2, 4, 2, 2), np.float32))),
            "BatchNorm2d: input must be 4-d with 3",
        ),
        (
            lambda: nn.BatchNorm1d(3)(mc.tensor(np.zeros((2, 3, 2, 2), np.float32))),
            "BatchNorm1d: input must be 2-d or 3-d",
        ),
        (lambda: nn.GroupNorm(3, 4), "GroupNorm: num_groups 3 must divide num_channels 4"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.torch
def test_three_training_steps_and_evaluation_equal_pytorchs():
    torch = pytest.importorskip("torch")
    pairs = [
        (nn.BatchNorm2d(3, dtype=np.float64), torch.nn.BatchNorm2d(3, dtype=torch.float64)),
        (
            nn.BatchNorm2d(3, momentum=None, dtype=np.float64),
            torch.nn.BatchNorm2d(3, momentum=None, dtype=torch.float64),
        ),
        (
            nn.InstanceNorm2d(3, affine=True, track_running_stats=True, dtype=np.float64),
            torch.nn.InstanceNorm2d(3, affine=True, track_running_stats=True, dtype=torch.float64),
        ),
        (nn.GroupNorm(3, 3, dtype=np.float64), torch.nn.GroupNorm(3, 3, dtype=torch.float64)),
    ]
    for ours, theirs in pairs:
        for mode in (True, True, True, False):
            x = RNG.normal(1.0, 2.0, size=(4, 3, 5, 4))
            y = ours.train(mode)(mc.tensor(x)).detach().numpy()
            np.testing.assert_allclose(y, theirs.train(mode)(torch.from_numpy(x)).detach().numpy(), atol=1e-9)
        for name, value in ours.named_buffers():
            if "running" in name:
                np.testing.assert_allclose(value.numpy(), theirs.state_dict()[name].numpy(), atol=1e-9)
