"""Anomaly mode names the line, the operation and the values where things first went wrong."""

import numpy as np
import pytest

import minicnn as mc


def test_forward_nan_names_line_op_shapes_and_ranges():
    x = mc.tensor(np.array([-1.0, 2.0]), requires_grad=True)
    with mc.detect_anomaly(), pytest.raises(FloatingPointError) as error, np.errstate(invalid="ignore"):
        mc.ops.log(x)  # the guilty line
    text = str(error.value)
    assert text.startswith("log: forward made NaN or Inf at ")
    assert "mc.ops.log(x)  # the guilty line" in text
    assert "(2,) float64 in [-1, 2]" in text
    assert "1 not finite" in text


def test_backward_nan_names_the_forward_line():
    x = mc.tensor(np.array([0.0, 4.0]), requires_grad=True)
    with mc.detect_anomaly(), np.errstate(all="ignore"):
        y = mc.ops.sqrt(x)  # forward is fine at zero, its slope is not
        with pytest.raises(FloatingPointError, match="sqrt: backward made NaN or Inf") as error:
            y.sum().backward()
    assert "mc.ops.sqrt(x)" in str(error.value)


def test_a_write_through_numpy_is_found_by_checksum():
    x = mc.tensor(np.array([1.0, 2.0]), requires_grad=True)
    w = mc.tensor(np.array([3.0, 4.0]))
    with mc.detect_anomaly():
        y = (x * w).sum()
        w.numpy()[0] = 100.0
        with pytest.raises(RuntimeError, match=r"mul: a value saved for backward was overwritten.*\n?.*numpy"):
            y.backward()


def test_values_that_were_bad_before_are_not_blamed_on_an_op():
    x = mc.tensor(np.array([np.inf, 1.0]), requires_grad=True)
    with mc.detect_anomaly():
        (x * 2.0 + x).sum().backward()


def test_outside_the_block_nothing_is_checked():
    with np.errstate(invalid="ignore"):
        assert np.isnan(mc.ops.log(mc.tensor(np.array([-1.0]), requires_grad=True)).detach().numpy()).all()


def test_a_checkpointed_segment_raises_no_false_alarm():
    x = mc.tensor(np.array([0.5, 1.0]), requires_grad=True)
    with mc.detect_anomaly():
        mc.checkpoint(lambda v: (v * v).exp(), x).sum().backward()
    assert x.grad is not None


def test_a_user_folder_of_the_librarys_name_is_still_the_users(tmp_path, monkeypatch):
    folder = tmp_path / "minicnn"
    folder.mkdir()
    script = folder / "their_training.py"
    script.write_text("import minicnn as mc\n\ndef run(x):\n    return mc.ops.log(x)\n")
    monkeypatch.syspath_prepend(str(folder))
    import their_training

    with mc.detect_anomaly(), pytest.raises(FloatingPointError, match=r"their_training\.py:4: return mc\.ops\.log"):
        their_training.run(mc.tensor([-1.0], requires_grad=True))
