"""A measured table is written, read back, and followed; a wrong one is refused and changes nothing."""

import pytest

import minicnn as mc
from minicnn.backends.convolution import PASSES
from minicnn.backends.cpu import convolution as room
from minicnn.bench import tune
from minicnn.bench.layers import parse
from minicnn.cli.main import main

LAYER = "2x32x8x8 -> 32, 3x3 padding 1"


@pytest.fixture(autouse=True)
def rules_afterwards():
    yield
    mc.use_conv_table(None)


def written(tmp_path, content):
    path = tmp_path / "table.toml"
    path.write_text(content)
    return path


def test_the_command_writes_a_table_that_can_be_used(tmp_path, capsys):
    path = tmp_path / "table.toml"
    assert main(["tune", LAYER, "--rounds", "1", "-o", str(path)]) == 0
    table = tune.read(path)
    problem = parse(f"layer {LAYER}").problem
    assert set(table) == {(which, problem) for which in PASSES}
    assert "# ms: " in path.read_text()
    mc.use_conv_table(path)
    assert [room.choose(which, problem) for which in PASSES] == [table[which, problem] for which in PASSES]


def test_every_algorithm_that_can_is_measured_but_the_definition():
    found = tune.measure(parse(f"layer {LAYER}"), rounds=1)
    assert set(found["forward"]) == {"im2col", "direct", "winograd", "winograd_f2", "fft"}
    assert "winograd" not in tune.measure(parse(f"layer {LAYER}"), rounds=1, max_error=5e-6)["forward"]


def test_the_fastest_comes_first():
    assert tune.fastest({"a": 2.0, "b": 1.0, "c": 3.0}) == ["b", "a", "c"]


def test_a_table_is_followed_where_it_is_exact_enough(tmp_path):
    mc.use_conv_table(written(tmp_path, f'["{LAYER}"]\nforward = "naive"\nweight_grad = "winograd"\n'))
    x, w = mc.ones(2, 32, 8, 8), mc.ones(32, 32, 3, 3, requires_grad=True)
    y = mc.ops.conv2d(x, w, padding=1)
    assert (y.node.algorithms.forward, y.node.algorithms.weight_grad) == ("naive", "winograd")
    with mc.conv_precision(5e-6):
        y = mc.ops.conv2d(x, w, padding=1)
    assert (y.node.algorithms.forward, y.node.algorithms.weight_grad) == ("naive", "winograd_f2")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("forward = [", "is no TOML"),
        ('["2x32x8x8 -> 32"]\nforward = "naive"', "is no layer"),
        (f'["{LAYER}"]\nbackward = "naive"', "no pass 'backward'"),
        (f'["{LAYER}"]\nforward = "fastest"', "no algorithm 'fastest'"),
        (f'["{LAYER}"]\nforward = "pointwise"', "cannot do the pass"),
        ('"2x32x8x8 -> 32, 3x3" = "naive"', "expected a table of passes"),
    ],
)
def test_a_wrong_table_is_refused_and_the_choice_stays(tmp_path, content, message):
    problem = parse(f"layer {LAYER}").problem
    before = room.choose("forward", problem)
    with pytest.raises(ValueError, match=message):
        mc.use_conv_table(written(tmp_path, content))
    assert room.choose("forward", problem) == before


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ('dtype = "float64"\n', "was measured with dtype 'float64', not 'float32'; name it"),
        ("threads = 999\n", r"was measured with threads 999, not \d+; measure one here"),
        ('processor = "abacus"\n', "was measured with processor 'abacus', not .*; measure one here"),
    ],
)
def test_a_table_for_another_dtype_processor_or_number_of_threads_is_refused(tmp_path, header, message):
    path = written(tmp_path, f'{header}["{LAYER}"]\nforward = "naive"\n')
    with pytest.raises(ValueError, match=message):
        mc.use_conv_table(path)
    assert room.choose("forward", parse(f"layer {LAYER}").problem) == "winograd"


def test_a_table_says_what_it_was_measured_for(tmp_path):
    path = tmp_path / "table.toml"
    before = mc.get_num_threads()
    try:
        assert main(["tune", LAYER, "--rounds", "1", "--dtype", "float64", "--threads", "1", "-o", str(path)]) == 0
        assert 'dtype = "float64"\nthreads = 1\n' in path.read_text()
        mc.use_conv_table(path, dtype="float64")
        with pytest.raises(ValueError, match="was measured with dtype 'float64', not 'float32'"):
            mc.use_conv_table(path)
    finally:
        mc.set_num_threads(before)


def test_explain_names_the_rule_the_work_and_the_refusals(capsys):
    assert main(["conv", "explain", "8x64x56x56 -> 64, 3x3 padding 1"]) == 0
    said = capsys.readouterr().out
    assert "forward: winograd\n" in said
    assert "2.25 multiplications instead of 9" in said
    assert "definition: 1.85 Gflop" in said  # 2 * 8 * 64 * 56^2 * 64 * 9
    # a quarter of it, and transforms: 336 operations for an input tile, 200 for an output tile, 189 for a filter
    work = (2 * 36 * 1568 * 64 * 64 + 1568 * 64 * (336 + 200) + 189 * 64 * 64) / 1e9
    assert f"    {work:.3g} Gflop" in said
    assert "depthwise: " in said and "pointwise: the kernel is 3x3, not 1x1" in said


def test_explain_follows_a_bound_on_the_error_and_a_table(tmp_path, capsys):
    path = written(tmp_path, f'["{LAYER}"]\nforward = "fft"\n')
    main(["conv", "explain", LAYER, "--table", str(path), "--max-error", "5e-6"])
    said = capsys.readouterr().out
    assert "forward: fft\n    because: measured" in said and "weight_grad: winograd_f2" in said


def test_explain_knows_what_halves_run_by_on_a_gpu(tmp_path, capsys):
    path = written(tmp_path, f'dtype = "float16"\n["{LAYER}"]\nweight_grad = "im2col"\n')
    try:
        assert main(["conv", "explain", LAYER, "--device", "cuda", "--dtype", "float16", "--table", str(path)]) == 0
    finally:
        mc.use_conv_table(None, device="cuda")
    said = capsys.readouterr().out
    assert "forward: implicit_gemm\n" in said and "weight_grad: im2col\n    because: measured" in said
    assert "error at most" not in said
    assert main(["conv", "explain", LAYER, "--dtype", "float16"]) != 0
    assert "float16 is multiplied on a GPU only" in capsys.readouterr().err


def test_a_table_for_the_gpu_is_followed_there_only(tmp_path, capsys):
    path = written(tmp_path, f'["{LAYER}"]\nforward = "implicit_gemm"\n')
    problem, gpu = parse(f"layer {LAYER}").problem, tune.room_of("cuda")
    before = room.choose("forward", problem)
    mc.use_conv_table(path, device="cuda")
    try:
        assert (gpu.choose("forward", problem), room.choose("forward", problem)) == ("implicit_gemm", before)
        assert main(["conv", "explain", LAYER, "--device", "cuda", "--table", str(path)]) == 0
        assert "forward: implicit_gemm\n    because: measured" in capsys.readouterr().out
    finally:
        mc.use_conv_table(None, device="cuda")
    with pytest.raises(ValueError, match="no algorithm 'implicit_gemm' on cpu"):
        mc.use_conv_table(path)
    with pytest.raises(ValueError, match="device must be 'cpu', 'cuda'"):
        mc.use_conv_table(path, device="tpu")


def test_where_only_the_loops_are_exact_enough_they_are_taken_and_else_nothing(tmp_path, capsys):
    line = "small 1x2x6x6 -> 3, 3x3"
    assert main(["tune", line, "--max-error", "1e-6", "--rounds", "1", "-o", str(tmp_path / "t.toml")]) == 0
    assert 'forward = "naive"' in (tmp_path / "t.toml").read_text()
    assert main(["tune", line, "--max-error", "1e-9", "--rounds", "1"]) == 2
    assert "no algorithm keeps an error of 1e-09 in float32" in capsys.readouterr().err


def test_an_error_is_asked_for_in_the_dtype_that_is_tuned(tmp_path):
    path = tmp_path / "t.toml"
    argv = ["tune", "small 1x2x6x6 -> 3, 3x3", "--dtype", "float64", "--max-error", "2e-14", "--rounds", "1"]
    assert main([*argv, "-o", str(path)]) == 0
    assert "winograd " not in path.read_text()
    assert "direct" in path.read_text()
