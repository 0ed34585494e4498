"""Ops and steps: both libraries do the same thing, and a difference is not timed. Slopes come from sizes that grow."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import minicnn as mc
from minicnn.bench import report, scaling, tables
from minicnn.bench.layers import parse
from minicnn.bench.result import OK, WRONG
from minicnn.cli import bench_steps
from minicnn.cli.bench_works import libraries, steps
from minicnn.cli.bench_works import ops as op_works

SMALL = {"softmax": "4x7", "layer_norm": "3x5x8", "cross_entropy": "4x7", "sgd": "resnet18"}


@pytest.mark.parametrize("op", op_works.OPS)
@pytest.mark.parametrize("which", op_works.PASSES)
def test_every_op_runs(op, which):
    prepare = op_works.provide("minicnn", 2)["prepare"]
    work = prepare(f"{op} {SMALL.get(op, '2x3x8x8')}", which)
    assert all(np.isfinite(group).all() for group in work.facts["shown"])
    work.call()


@pytest.mark.torch
@pytest.mark.parametrize("op", [op for op in op_works.OPS if not op.startswith("roi")])
def test_both_libraries_do_the_same(op):
    pytest.importorskip("torch")
    shown = {}
    for name in ("minicnn", "torch"):
        prepare = op_works.provide(name, 2)["prepare"]
        shown[name] = [prepare(f"{op} {SMALL.get(op, '2x3x8x8')}", which).facts["shown"] for which in op_works.PASSES]
    for ours, theirs in zip(shown["minicnn"], shown["torch"], strict=True):
        assert tables.difference(ours, theirs) <= 1e-4


@pytest.mark.torch
@pytest.mark.parametrize("which", op_works.PASSES)
def test_roi_align_without_torchvision_is_the_same(which, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, "torchvision", None)
    provided = [op_works.provide(name, 2)["prepare"] for name in ("minicnn", "torch")]
    ours, theirs = (prepare("roi_align 1x4x20x30", which).facts["shown"] for prepare in provided)
    assert tables.difference(ours, theirs) <= op_works.OPS["roi_align"].agree


def test_an_update_moves_five_numbers_a_parameter():
    work = op_works.provide("minicnn", 2)["prepare"]("sgd resnet18", "update")
    assert work.facts["bytes"] == 5 * 4 * 11_689_512  # torchvision's count
    work.call()


def test_updates_have_one_pass_and_every_size_has_a_known_op():
    assert op_works.passes("sgd vgg11") == ("update",)
    assert op_works.passes("relu 2x3") == ("forward", "backward")
    for work in op_works.SIZES:
        assert work.split()[0] in {**op_works.OPS, **op_works.UPDATES}


def test_our_library_gives_gradients_without_touching_grad():
    lib = libraries.load("minicnn", 2)
    x = lib.tensor(np.array([-1.0, 2.0], np.float32), True)
    (gradient,) = lib.grad(lib.F.relu(x), [x], lib.tensor(np.ones(2, np.float32), False))
    assert lib.array(gradient).tolist() == [0.0, 1.0]
    assert x.grad is None


class FakeDesk:
    def __init__(self, name, shown):
        self.name, self.shown = name, shown

    def ask(self, do, **request):
        if do == "prepare":
            return {"shown": self.shown, "bytes": 8}
        return {"seconds": 0.01 * request.get("count", 0), "faults": 0.0}

    def close(self):
        pass


@pytest.mark.parametrize(("theirs", "verdict"), [([1.0, 2.0], OK), ([1.0, 2.1], WRONG), ([1.0, np.nan], WRONG)])
def test_what_differs_is_not_timed(theirs, verdict):
    table = tables.Table("t", ["a"], lambda work: ("forward",), "", rounds=2, seconds=0.01)
    desks = {"minicnn": FakeDesk("minicnn", [1.0, 2.0]), "torch": FakeDesk("torch", theirs)}
    ours, torch = tables._rows(table, "a", "forward", desks)
    assert ours.verdict == verdict
    assert bool(ours.rounds) == (verdict == OK)
    assert torch.rounds


def test_without_a_peer_a_row_says_that_it_is_unchecked():
    table = tables.Table("t", ["a"], lambda work: ("forward",), "", peers=(), rounds=2, seconds=0.01)
    (ours,) = tables._rows(table, "a", "forward", {"minicnn": FakeDesk("minicnn", [1.0])})
    assert ours.marks == ["auto", "unchecked"]
    assert "minicnn (unchecked)" in report.lines([ours], {})


def faulty(change):
    """Our library, whose gradients (or new parameters) a function has spoilt."""
    lib = libraries.load("minicnn", 2)
    right = lib.grad
    return SimpleNamespace(**{**vars(lib), "grad": lambda y, xs, gy: change(right(y, xs, gy))})


FAULTS = {
    "the second gradient is zero": lambda gs: [gs[0], *[g * 0.0 for g in gs[1:]]],
    "the last column is wrong": lambda gs: [mc.ops.cat([gs[0][..., :-1], gs[0][..., -1:] * 1.5], -1), *gs[1:]],
    "twice the gradient": lambda gs: [gs[0] * 2.0, *gs[1:]],
    "two rows are exchanged": lambda gs: [mc.ops.cat([gs[0][1:2], gs[0][:1], gs[0][2:]], 0), *gs[1:]],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_in_a_gradient_is_a_difference(fault):
    op = op_works.OPS["batch_norm"]
    right = op_works._op(libraries.load("minicnn", 2), op, (3, 5, 40, 40), "backward").facts["shown"]
    wrong = op_works._op(faulty(FAULTS[fault]), op, (3, 5, 40, 40), "backward").facts["shown"]
    assert tables.difference(wrong, right) > tables.AGREE
    assert tables.difference(right, right) == 0


def test_an_update_that_does_nothing_or_forgets_its_velocity_is_a_difference(monkeypatch):
    monkeypatch.setitem(op_works._PARAMETERS, "small", [(30, 20), (30,)])
    lib = libraries.load("minicnn", 2)
    right = op_works._update(lib, "sgd", "small").facts["shown"]
    idle = SimpleNamespace(**{**vars(lib), "sgd": lambda *_, **__: SimpleNamespace(step=lambda: None)})
    plain = SimpleNamespace(**{**vars(lib), "sgd": lambda ps, momentum, **more: lib.sgd(ps, **more)})
    for wrong in (idle, plain):
        assert tables.difference(op_works._update(wrong, "sgd", "small").facts["shown"], right) > tables.AGREE


def test_what_one_library_shows_alone_is_a_difference():
    assert tables.difference([[1.0, 2.0]], [[1.0, 2.0], [1.0]]) > tables.AGREE
    assert tables.difference([1.0, float("nan")], [1.0, 2.0]) > tables.AGREE


def test_layers_grow_along_an_axis():
    layer = parse("l 2x3x28x20 -> 4, 3x3 padding 1")
    assert scaling.grown(layer, "batch", 4).images == 8
    assert scaling.grown(layer, "area", 2).size == (56, 40)
    assert scaling.grown(layer, "area", 0.01).size == (3, 3)  # never smaller than the kernel


def test_the_smallest_size_is_the_first_that_takes_a_millisecond():
    layer = parse("l 8x3x28x28 -> 4, 3x3 padding 1")

    def at(chosen, which, count, length):
        return {"minicnn": chosen.images * 3e-4, "torch": 1.0}

    assert scaling._base(layer, "forward", "batch", at).images == 4


def test_a_slope_is_fitted_and_judged():
    found = scaling.Slope("l", "forward", "batch", [1, 2, 4], {"minicnn": [1, 2.2, 4.84], "torch": [1, 2, 4]})
    assert found.slopes["torch"] == pytest.approx(1.0)
    assert found.slopes["minicnn"] == pytest.approx(np.log2(2.2))
    assert "steeper" in scaling.line(found)
    assert found.record()["slopes"] == found.slopes


def test_both_nets_of_a_step_start_alike_and_learn():
    prepared = steps.provide("minicnn", 2)["prepare"]("mlp", "step")
    losses = prepared.facts["shown"]
    assert losses[0] > losses[1] > losses[2]
    assert set(steps.WORKS) == set(bench_steps.ON_DEVICES)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["lenet", "mlp"])
def test_the_first_losses_agree_with_torch(name):
    pytest.importorskip("torch")
    losses = [steps.provide(library, 2)["prepare"](name, "step").facts["shown"] for library in ("minicnn", "torch")]
    np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.torch
def test_torch_nets_have_the_published_number_of_parameters():
    pytest.importorskip("torch")
    from minicnn.cli.bench_works.torch_nets import NETS

    counts = {name: sum(p.numel() for p in NETS[name](10).parameters()) for name in ("lenet", "mlp", "unet")}
    assert counts["lenet"] == 61_706
    assert sum(p.numel() for p in NETS["resnet18"](1000).parameters()) == 11_689_512
    assert sum(p.numel() for p in NETS["resnet50"](1000).parameters()) == 25_557_032
