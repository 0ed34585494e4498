"""Window geometry against PyTorch's published rules and brute force."""

import pytest

from minicnn.core.windows import Window2d


def brute(n, k, s, p, d, ceil):
    """Count window starts one by one."""
    extent, count, start = d * (k - 1) + 1, 0, -p
    while start + extent <= n + p:
        count, start = count + 1, start + s
    last_covered = start - s + extent  # one past the last element that a window saw
    return count + 1 if ceil and last_covered < n + p and start < n else count


@pytest.mark.parametrize("ceil", [False, True])
def test_output_sizes_equal_counting_the_windows(ceil):
    for n in range(1, 9):
        for k in (1, 2, 3):
            for s in (1, 2, 3, 5):
                for p in range(k // 2 + 1):
                    for d in (1, 2):
                        if n + 2 * p < d * (k - 1) + 1:
                            continue
                        window = Window2d.of("t", k, s, p, d, ceil)
                        assert window.output_size("t", (n, n)) == (brute(n, k, s, p, d, ceil),) * 2, (n, k, s, p, d)


def test_alexnet_and_googlenet_sizes():
    assert Window2d.of("t", 3, 2).output_size("t", (55, 27)) == (27, 13)
    assert Window2d.of("t", 3, 2, ceil_mode=True).output_size("t", (112, 112)) == (56, 56)


def test_transposed_size_undoes_output_size():
    window = Window2d.of("t", (3, 4), (2, 3), (1, 0))
    h, w = window.output_size("t", (9, 13))
    assert window.transposed_size((h, w)) == (9, 13)


def test_a_window_that_does_not_fit_names_op_argument_and_size():
    with pytest.raises(ValueError, match=r"max_pool2d: kernel_size \(5, 5\) does not fit padded input \(4, 4\)"):
        Window2d.of("max_pool2d", 5, 1, 1).output_size("max_pool2d", (2, 2))


@pytest.mark.parametrize("bad", [0, (1, 2, 3), (1, -1), 1.5, "3"])
def test_bad_window_arguments_are_refused(bad):
    with pytest.raises(ValueError, match="conv2d: kernel_size must be an int or a pair of ints >= 1, got"):
        Window2d.of("conv2d", bad)
