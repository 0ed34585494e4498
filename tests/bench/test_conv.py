"""The harness refuses wrong results, keeps going when a contender dies, and counts what it says it counts."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from minicnn.backends.convolution import in_dtype, in_float32
from minicnn.backends.cpu import convolution
from minicnn.bench import across, conv, conv_works, desk, gate, layers, peers, reference
from minicnn.bench.alternate import Contender
from minicnn.bench.peers import ours
from minicnn.bench.result import CANNOT, FAILED, OK, WRONG, Row

SMALL = "small 2x4x7x9 -> 6, 3x2 stride 2x1 padding 1x0 dilation 1x2 groups 2"
PASSES = ("forward", "input_grad", "weight_grad")


def naive(which, layer, a, b):
    p = layer.problem
    if which == "forward":
        return convolution.forward(a, b, None, p, "naive")
    return getattr(convolution, which)(a, b, p, "naive")


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize(
    "line", [SMALL, "a 2x3x5x5 -> 4, 5x5 stride 3 padding 2", "d 3x4x6x5 -> 8, 3x3 padding 1 groups 4"]
)
def test_the_two_references_equal_the_readable_loops(which, line):
    layer = layers.parse(line)
    a, b = gate.operands(which, layer, "float64")
    expected = naive(which, layer, a, b)
    np.testing.assert_allclose(reference.whole(which, a, b, layer.problem), expected, rtol=0, atol=1e-12)
    where, values = reference.sample(which, a, b, layer.problem, 100)
    np.testing.assert_allclose(values, expected[where], rtol=0, atol=1e-12)


@pytest.mark.parametrize("which", PASSES)
def test_a_sample_holds_the_last_of_every_axis(which):
    layer = layers.parse(SMALL)
    a, b = gate.operands(which, layer, "float64")
    where, _ = reference.sample(which, a, b, layer.problem, 40)
    p = layer.problem
    shape = {"forward": p.y_shape, "input_grad": p.x_shape, "weight_grad": p.w_shape}[which]
    for axis, size in zip(where, shape, strict=True):
        assert axis.min() == 0
        if which != "weight_grad":
            assert axis.max() == size - 1


def planted(fault):
    """The forward pass of the readable loops with a fault."""

    def compute(layer, a, b):
        y = convolution.forward(a, b, None, layer.problem, "naive")
        fault(y)
        return lambda: y

    return compute


def nothing(y):
    pass


def last_column(y):
    y[..., -1] *= 1.01


def one_number(y):
    y[1, 3, 2, 1] += 0.01 * np.abs(y).max()


def not_a_number(y):
    y[0, 0, 0, 0] = np.nan


@pytest.mark.parametrize("fault", [last_column, one_number, not_a_number])
def test_the_gate_notices_a_planted_fault(fault):
    layer = layers.parse("l 2x3x9x9 -> 4, 3x3 padding 1")
    assert gate.check(planted(nothing), "forward", layer, "float32").error < 5e-6
    assert gate.check(planted(fault), "forward", layer, "float32").error > 1e-3


def test_a_result_of_another_shape_is_wrong():
    layer = layers.parse("l 1x1x4x4 -> 1, 3x3")
    assert gate.check(lambda at, a, b: lambda: np.zeros(1), "forward", layer, "float32").error == np.inf


def test_a_fault_of_large_sizes_only_is_noticed_by_the_sample():
    layer = layers.parse("l 33x2x20x4 -> 2, 3x3 padding 1")
    assert layer.reduced().images == 17

    def compute(at, a, b):
        y = convolution.forward(a, b, None, at.problem, "naive")
        y[32:] = 0
        return lambda: y

    assert gate.check(compute, "forward", layer, "float32").error > 0.1


def test_non_negative_inputs_are_checked_too():
    seen = []

    def compute(at, a, b):
        seen.append(min(a.min(), b.min()) >= 0)
        return lambda: convolution.forward(a, b, None, at.problem, "naive")

    gate.check(compute, "forward", layers.parse("l 1x1x4x4 -> 1, 3x3"), "float32")
    assert seen == [False, False, True, True]


@pytest.mark.parametrize("fault", ["no bias", "no ReLU", "NaN", ""])
def test_a_forward_pass_is_gated_with_bias_and_relu(fault):
    layer = layers.parse("l 3x5x9x8 -> 7, 3x3 padding 1")
    p = layer.reduced().problem

    def compute(at, x, w, bias):
        y = convolution.forward(x, w, None if fault == "no bias" else bias, p, "direct", relu=fault != "no ReLU")
        return lambda: y * np.nan if fault == "NaN" else y

    assert (gate.check_fused(compute, layer, "float32") > 5e-6) == bool(fault)


def test_the_fused_pass_of_a_peer_counts(monkeypatch):
    monkeypatch.setattr(ours, "fused", lambda layer, name: lambda x, w, bias: np.zeros(layer.problem.y_shape))
    prepare = conv_works.provide("minicnn", 2)["prepare"]
    line = "l 2x3x9x9 -> 4, 3x3 padding 1"
    assert prepare(layer=line, which="forward", dtype="float32", algorithm="direct").facts["wrong"]
    assert not prepare(layer=line, which="input_grad", dtype="float32", algorithm="direct").facts["wrong"]


def test_torch_that_keeps_memory_is_the_same_library_in_another_environment():
    kept, plain = (desk.contender(name, "m:f", 2) for name in ("torch-kept", "torch"))
    assert kept.environment["MALLOC_TRIM_THRESHOLD_"] == kept.environment["MALLOC_MMAP_THRESHOLD_"] == "1073741824"
    assert not any(name.startswith("MALLOC") for name in plain.environment)
    assert peers.load("torch-kept") is peers.load("torch")
    assert peers.missing("torch-kept") == peers.missing("torch")


def test_how_others_time_a_gradient_is_marked():
    for name, mark in (("mygrad", "with forward"), ("autograd", "forward kept")):
        peer = peers.load(name)
        assert peer.facts("forward", None, "float32", "")["marks"] == []
        assert peer.facts("input_grad", None, "float32", "")["marks"] == [mark]


def test_a_bound_follows_the_precision():
    assert in_dtype(2e-5, 4) == 2e-5
    assert in_dtype(2e-5, 8) == pytest.approx(2e-5 * 2.0**-29)
    assert in_dtype(1e-7, 8) == in_dtype(5e-6, 8), "float64 sums in float64, whoever sums"
    assert in_float32(in_dtype(2e-5, 8), 8) >= 2e-5
    assert in_float32(1e-15, 8) == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("which", ["forward", "input_grad", "weight_grad"])
def test_the_readable_loops_pass_their_own_gate(which, dtype):
    prepare = conv_works.provide("minicnn", 2)["prepare"]
    work = prepare("l 3x40x9x9 -> 8, 3x3 padding 1", which, dtype, "naive")
    assert not work.facts["wrong"], work.facts


def test_the_first_call_is_timed_without_its_operands_transfer(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(gate, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def compute(at, a, b):
        now[0] += 7.0

        def call():
            now[0] += 1.0
            return convolution.forward(a, b, None, at.problem, "naive")

        return call

    assert gate.check(compute, "forward", layers.parse("l 1x1x4x4 -> 1, 3x3"), "float32").first == 1.0


class FakeDesk:
    """Answers without a process: every repetition takes a scripted time."""

    def __init__(self, name, seconds, fail=()):
        self.name, self.seconds, self.fail, self.asked, self.started = name, seconds, dict(fail), [], 1

    def ask(self, do, **request):
        self.asked.append((do, request))
        algorithm = request.get("algorithm") or request.get("key", "").partition(" ")[2]
        problem = self.fail.get((do, algorithm))
        if problem:
            self.started += "over" in str(problem)
            raise problem
        if do == "resolve":
            auto = "direct" if request["max_error"] else "winograd"
            return {"name": auto if request["algorithm"] == "auto" else request["algorithm"]}
        if do == "algorithms":
            return {"names": ["naive", "direct"]}
        if do == "prepare":
            wrong = algorithm == "planted"
            return {"error": 0.5 if wrong else 1e-7, "bound": 5e-6, "wrong": wrong, "jit": 0.1, "first": 0.2}
        if do == "run":
            return {"seconds": request["count"] * self.seconds.get(algorithm, 1.0), "faults": 4096.0}
        return {}

    def close(self):
        self.asked.append(("close", {}))


def work(algorithms=("auto",), fail=(), names=("torch",)):
    layer = layers.parse("l 2x3x9x9 -> 4, 3x3 padding 1")
    plan = conv.Plan([layer], algorithms=algorithms, peers=names, rounds=3, seconds=0.01)
    ours = FakeDesk("minicnn", {"direct": 0.02, "winograd": 0.01}, fail)
    desks = {"minicnn": ours, "torch": FakeDesk("torch", {"": 0.03})}
    return {(row.contender, row.algorithm): row for row in conv._work(plan, layer, "forward", desks)}


def test_the_automatic_choice_is_measured_with_and_without_the_bound():
    rows = work()
    assert rows["minicnn", "winograd"].marks == ["auto", "best of ours"]
    assert rows["minicnn", "direct"].marks == ["auto, small error"]
    assert rows["minicnn", "winograd"].median == pytest.approx(0.01)
    assert rows["torch", ""].rounds == pytest.approx([0.03] * 3)
    assert rows["torch", ""].faults == 4096


def test_all_adds_the_choice_that_is_not_in_the_list_and_marks_the_one_that_is():
    rows = work(("all",))
    assert list(rows)[:3] == [("minicnn", "naive"), ("minicnn", "direct"), ("minicnn", "winograd")]
    assert rows["minicnn", "naive"].marks == []


def test_a_wrong_result_has_no_time():
    row = work(("planted", "direct"))["minicnn", "planted"]
    assert row.verdict == WRONG
    assert row.rounds == []
    assert "5.0e-01" in row.why


def test_refusals_and_failures_are_rows():
    fail = {
        ("resolve", "fft"): desk.Cannot("only stride 1"), ("resolve", "tiled"): desk.WorkError("it died"),
        ("prepare", "naive"): desk.WorkError("boom"), ("prepare", "im2col"): desk.Cannot("never"),
    }
    rows = work(("fft", "tiled", "naive", "im2col", "direct"), fail)
    assert (rows["minicnn", "fft"].verdict, rows["minicnn", "fft"].why) == (CANNOT, "only stride 1")
    assert (rows["minicnn", "tiled"].verdict, rows["minicnn", "tiled"].why) == (FAILED, "it died")
    assert (rows["minicnn", "naive"].verdict, rows["minicnn", "naive"].why) == (FAILED, "boom")
    assert rows["minicnn", "im2col"].verdict == CANNOT
    assert rows["minicnn", "direct"].verdict == OK


def test_what_was_prepared_in_a_process_that_another_ended_is_prepared_again():
    layer = layers.parse("l 2x3x9x9 -> 4, 3x3 padding 1")
    plan = conv.Plan([layer], algorithms=("direct", "naive"), peers=(), rounds=3, seconds=0.01)
    place = FakeDesk("minicnn", {"direct": 0.02}, {("prepare", "naive"): desk.WorkError("over")})
    direct, naive = conv._work(plan, layer, "forward", {"minicnn": place})
    assert (direct.verdict, naive.verdict) == (OK, FAILED)
    prepared = [request["algorithm"] for do, request in place.asked if do == "prepare"]
    assert prepared == ["direct", "naive", "direct"]


def test_the_fastest_of_ours_is_marked_but_not_one_that_rounds_unasked():
    assert work(("winograd", "direct"))["minicnn", "winograd"].marks == ["named", "best of ours"]
    layer = layers.parse("l 2x3x9x9 -> 4, 3x3 padding 1")
    for tf32, best in ((False, "direct"), (True, "gemm_tf32")):
        plan = conv.Plan([layer], algorithms=("direct", "gemm_tf32"), peers=(), rounds=3, seconds=0.01, tf32=tf32)
        desks = {"minicnn": FakeDesk("minicnn", {"direct": 0.02, "gemm_tf32": 0.01})}
        rows = conv._work(plan, layer, "forward", desks)
        assert [row.algorithm for row in rows if "best of ours" in row.marks] == [best]


def test_one_that_dies_while_it_is_timed_leaves_the_others_their_time():
    rows = work(("naive", "direct"), {("run", "naive"): desk.WorkError("stopped")})
    assert rows["minicnn", "naive"].verdict == FAILED
    assert rows["minicnn", "direct"].rounds == pytest.approx([0.02] * 3)  # prepared again, in a new process
    assert rows["torch", ""].rounds == pytest.approx([0.03] * 3)


def test_what_is_asked_of_a_pass_is_made_once_for_all_its_algorithms(monkeypatch):
    made = []
    questions = gate.questions
    monkeypatch.setattr(gate, "questions", lambda *args: (made.append(args), questions(*args))[1])
    handlers = conv_works.provide("minicnn", 1)
    prepare = {"layer": "l 1x2x5x5 -> 3, 3x3", "which": "forward", "dtype": "float32"}
    for name in ("naive", "direct"):
        assert handlers["prepare"](algorithm=name, **prepare).facts["wrong"] is False
    assert len(made) == 1
    handlers["drop"]()
    handlers["prepare"](algorithm="naive", **prepare)
    assert len(made) == 2


def test_what_an_earlier_run_measured_is_kept(monkeypatch):
    asked = []

    def counted(plan, layer, which, desks):
        asked.append((layer.name, which))
        return [Row(layer.name, which, "minicnn")]

    monkeypatch.setattr(conv, "_work", counted)
    monkeypatch.setattr(conv.roofline, "measure", lambda *_: {"flops": 1.0, "bytes": 1.0})
    plan = conv.Plan([layers.parse("a 1x1x4x4 -> 1, 3x3"), layers.parse("b 1x1x4x4 -> 1, 3x3")], peers=())
    kept = [Row("a", which, "minicnn", rounds=[1.0]) for which in PASSES] + [Row("b", "forward", "minicnn")]
    found = conv.measure(plan, kept=kept)
    assert asked == [("b", "input_grad"), ("b", "weight_grad")]
    assert [row.key for row in found.rows] == [(name, which) for name in "ab" for which in PASSES]


@pytest.mark.parametrize("images", [1, 64])
def test_the_smallest_layer_grows_to_what_a_cpu_does_at_once(images):
    plain, large = f"s {images}x4x8x8 -> 4, 3x3", f"l {images}x64x224x224 -> 64, 3x3 padding 1"
    grown = across.growing([layers.parse(large), layers.parse(plain)])
    assert [layer.images for layer in grown] == list(across.BATCHES)
    assert {layer.in_channels for layer in grown} == {4}
    assert [layer.images for layer in across.growing([layers.parse(large)])] == [1]


def test_a_library_that_is_not_installed_says_so(monkeypatch):
    monkeypatch.setattr(peers, "missing", lambda name: f"{name} is not installed")
    assert work(names=("mygrad",))["mygrad", ""].why == "mygrad is not installed"


def test_misuse_is_named():
    with pytest.raises(ValueError, match=r"bench: no library 'jax'; there are torch, scipy"):
        conv.Plan([], peers=("jax",))
    with pytest.raises(ValueError, match="unknown device .tpu."):
        conv.Plan([], device="tpu")
    with pytest.raises(ValueError, match="rounds must be at least 1, got 0"):
        conv.Plan([], rounds=0)


def test_our_process_checks_and_offers_a_pass():
    handlers = conv_works.provide("minicnn", 2)
    line = "l 2x3x9x9 -> 4, 3x3 padding 1"
    assert "direct" in handlers["algorithms"](layer=line, which="forward")["names"]
    name = handlers["resolve"](layer=line, which="forward", algorithm="auto", max_error=5e-6)["name"]
    prepared = handlers["prepare"](layer=line, which="forward", dtype="float32", algorithm=name)
    assert prepared.facts["wrong"] is False
    assert prepared.facts["error"] < prepared.facts["bound"] == 5e-6
    prepared.call()


def test_weights_are_other_ones_at_the_next_call(monkeypatch):
    seen = []
    fake = SimpleNamespace(into=lambda a: a, make=lambda *_: lambda a, b: seen.append(id(b)), cannot=lambda *_: None,
                           back=lambda y: y, start=lambda threads, device: None)
    monkeypatch.setattr(conv_works.peers, "load", lambda name: fake)
    monkeypatch.setattr(gate, "check", lambda *_: gate.Verdict(0.0, 2.0, 1.0, 3.0))
    prepared = conv_works.provide("fake", 1)["prepare"]("l 1x1x4x4 -> 1, 3x3", "forward", "float32", "")
    assert prepared.facts["jit"] == 1.0
    seen.clear()
    for _ in range(4):
        prepared.call()
    assert seen[0] == seen[2] != seen[1] == seen[3]


def test_a_whole_run_in_processes():
    small = layers.load(["2x3x5x5 -> 4, 3x3"])
    found = conv.measure(conv.Plan(small, passes=("forward",), peers=(), rounds=1, seconds=1e-4, threads=1))
    assert [(row.contender, row.verdict) for row in found.rows] == [("minicnn", OK)]
    assert found.roof["flops"] > 0 < found.roof["bytes"]


def test_another_librarys_process_does_not_load_our_kernels():
    code = "import sys, minicnn.bench.conv_works; assert 'minicnn.backends.cpu' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


NOISY = """
import sys
from minicnn.bench.desk import Cannot, answer
def add(a, b):
    print("a library talks")
    return {"sum": a + b}
def refuse():
    raise Cannot("not today")
def die():
    sys.exit(3)
def spoil():
    global spoilt
    spoilt = True
    raise ValueError("illegal access")
spoilt = False
def alive():
    assert not spoilt
def miss():
    import no_such_package
answer({"miss": miss, "add": add, "refuse": refuse, "die": die, "spoil": spoil, "alive": alive})
"""


def test_a_desk_answers_refuses_fails_and_comes_back():
    place = desk.Desk(Contender("noisy", [sys.executable, "-c", NOISY]))
    try:
        assert place.ask("add", a=1, b=2) == {"sum": 3}
        with pytest.raises(desk.Cannot, match="not today"):
            place.ask("refuse")
        with pytest.raises(desk.Cannot, match="not measured: no_such_package is not installed"):
            place.ask("miss")
        with pytest.raises(desk.WorkError, match="'noisy' failed in 'add': TypeError"):
            place.ask("add", a=1, b="x")
        with pytest.raises(desk.WorkError, match=r"'noisy' stopped \[exit status 3\]"):
            place.ask("die")
        assert place.ask("add", a=2, b=2) == {"sum": 4}
        assert place.started == 2
        with pytest.raises(desk.WorkError, match="illegal access"):
            place.ask("spoil")
        assert place.ask("add", a=2, b=2) == {"sum": 4}
        assert place.started == 3  # after the failure nothing worked in the old one
    finally:
        place.close()


@pytest.mark.torch
@pytest.mark.parametrize("which", PASSES)
def test_torch_does_each_pass_alone_and_right(which):
    pytest.importorskip("torch")
    checked(which, "torch")


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("name", ["scipy", "autograd"])
def test_other_libraries_are_right_where_they_take_part(which, name):
    pytest.importorskip(name)
    checked(which, name)


def checked(which, name):
    prepare = conv_works.provide(name, 2)["prepare"]
    prepared = prepare("l 2x3x9x8 -> 4, 3x2 padding 1", which, "float64", "")
    assert prepared.facts["error"] < 1e-12
    prepared.call()


def test_what_a_library_cannot_it_refuses():
    prepare = conv_works.provide("scipy", 1)["prepare"]
    with pytest.raises(desk.Cannot, match="no groups or dilation"):
        prepare("l 2x4x9x8 -> 4, 3x3 groups 2", "forward", "float32", "")
