"""What a Tensor is: copies, dtypes, devices, the way in and out."""

import numpy as np
import pytest

import minicnn as mc


def test_tensor_copies_what_it_is_given():
    a = np.ones(3)
    t = mc.tensor(a)
    a[0] = 5
    assert t.numpy()[0] == 1
    u = mc.tensor(t)
    u.fill_(7)
    assert t.numpy()[0] == 1


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"),
        ([1.0, 2.0], "float32"),
        (3, "int64"),
        ([True, False], "bool"),
        (np.ones(2), "float64"),
        (np.ones(2, np.float16), "float16"),
        (np.arange(2, dtype=np.uint8), "uint8"),
        (np.float64(2.0), "float64"),
    ],
)
def test_arrays_keep_their_dtype_and_python_numbers_become_float32_or_int64(data, dtype):
    assert mc.tensor(data).dtype == dtype


def test_dtype_argument_casts():
    assert mc.tensor([1, 2], dtype=mc.float64).dtype == "float64"


@pytest.mark.parametrize("data", ["text", [1j], np.array(["a"]), [object()]])
def test_data_that_is_not_real_numbers_is_refused(data):
    with pytest.raises(TypeError, match="tensor: data must be real numbers or bools"):
        mc.tensor(data)


def test_ragged_data_is_refused():
    with pytest.raises(ValueError, match="tensor: data must be a regular array, got rows of different lengths"):
        mc.tensor([[1], [2, 3]])


def test_a_one_element_tensor_formats_like_its_number():
    assert f"{mc.tensor([2.0]):.2f}" == "2.00"


@pytest.mark.parametrize("dim", [np.int64(1), (np.int64(0), 1)])
def test_numpy_integers_name_axes(dim):
    assert mc.ones(2, 3).sum(dim).shape in {(2,), ()}


def test_an_axis_that_is_no_integer_is_named():
    with pytest.raises(TypeError, match=r"sum: dim must be an int, got 0\.5"):
        mc.ones(2, 3).sum(0.5)


def test_only_floating_tensors_have_gradients():
    with pytest.raises(TypeError, match="only floating tensors have gradients"):
        mc.tensor([1, 2], requires_grad=True)


def test_numpy_shares_memory_and_refuses_a_tensor_that_requires_grad():
    t = mc.tensor([1.0, 2.0])
    t.numpy()[0] = 9
    assert t.tolist() == [9.0, 2.0]
    with pytest.raises(RuntimeError, match=r"numpy: .*\.detach\(\)\.numpy\(\)"):
        mc.tensor([1.0], requires_grad=True).numpy()


def test_dlpack_goes_both_ways_without_a_copy():
    t = mc.tensor([1.0, 2.0])
    a = np.from_dlpack(t)
    a2 = mc.from_dlpack(np.array([3.0, 4.0]))
    np.testing.assert_array_equal(a, [1.0, 2.0])
    assert a2.tolist() == [3.0, 4.0]
    assert np.shares_memory(a, t.numpy())
    with pytest.raises(BufferError, match="requires grad"):
        np.from_dlpack(mc.tensor([1.0], requires_grad=True))


def test_python_numbers_come_out_of_one_element_tensors_only():
    assert (float(mc.tensor([2.5])), int(mc.tensor(3)), bool(mc.tensor([0.0]))) == (2.5, 3, False)
    assert [10, 20, 30][mc.tensor(1)] == 20
    with pytest.raises(ValueError, match=r"item: only one-element tensors .*input.shape=\(2,\)"):
        mc.tensor([1.0, 2.0]).item()
    with pytest.raises(TypeError, match="only integer tensors index"):
        [1, 2][mc.tensor(1.0)]


def test_repr_names_dtype_history_and_device_only_where_they_are_unusual():
    assert repr(mc.tensor([1.0])) == "tensor([1.])"
    assert repr(mc.tensor(np.ones(1))) == "tensor([1.], dtype=float64)"
    x = mc.tensor([1.0], requires_grad=True)
    assert repr(x) == "tensor([1.], requires_grad=True)"
    assert repr(x * 2.0) == "tensor([2.], node=<mul>)"


def test_assignment_writes_in_place_and_counts_a_version():
    t = mc.tensor(np.zeros((2, 3)))
    before = t.storage.version
    t[0, 1:] = mc.tensor([5.0, 6.0])
    t[mc.tensor(np.array([1]))] = 1.0
    assert t.tolist() == [[0.0, 5.0, 6.0], [1.0, 1.0, 1.0]]
    assert t.storage.version == before + 2


def test_device_reads_as_a_string():
    t = mc.tensor([1.0])
    assert t.device == "cpu"
    assert f"{t.device}" == "cpu"
