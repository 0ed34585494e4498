"""What a resume compares."""

import numpy as np

import minicnn as mc
from minicnn.training import environment


def test_the_description_names_libraries_threads_and_machine():
    found = environment.describe()
    assert found["numpy"] == np.__version__
    assert found["threads"] == str(mc.get_num_threads())
    assert {"python", "machine", "cpu", "blas", "numba", "minicnn"} <= set(found)
    assert all(isinstance(v, str) and v for v in found.values())
    assert environment.differences(found, environment.describe()) == []


def test_a_named_algorithm_is_a_difference():
    then = environment.describe()
    with mc.ops.conv_algorithm("im2col", weight_grad="naive"):
        [line] = environment.differences(then, environment.describe())
    assert line == (
        "algorithms: forward auto, input_grad auto, weight_grad auto, max_error inf when saved, "
        "forward im2col, input_grad im2col, weight_grad naive, max_error inf now"
    )


def test_a_difference_is_one_line():
    assert environment.differences({"numpy": "2.4.6", "a": "1"}, {"numpy": "2.5.0", "b": "2"}) == [
        "a: 1 when saved, unknown now",
        "b: unknown when saved, 2 now",
        "numpy: 2.4.6 when saved, 2.5.0 now",
    ]


def test_a_table_of_measured_algorithms_is_a_difference(tmp_path):
    then = environment.describe()
    assert then["convolution table"] == "none"
    file = tmp_path / "table.toml"
    file.write_text('["2x4x9x9 -> 6, 3x3"]\nforward = "direct"\n')
    mc.use_conv_table(file)
    try:
        [line] = environment.differences(then, environment.describe())
    finally:
        mc.use_conv_table(None)
    assert line.startswith("convolution table: none when saved, 1 entries, ")
