"""What every case of every op must satisfy; a new op is covered by writing its cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minicnn.core.backprop import grad
from minicnn.core.function import Function
from minicnn.core.tensor import Tensor
from minicnn.testing.arguments import Arguments
from minicnn.testing.cases.case import CASES, Case, all_cases
from minicnn.testing.contracts import functions_of, nodes_run, smuggled_arrays
from minicnn.testing.gradcheck import gradcheck
from minicnn.testing.layouts import LAYOUTS

CASE_IDS = [case.id for case in all_cases()]
DIFFERENTIABLE = [case.id for case in all_cases() if case.differentiable]
WITH_TORCH = [case.id for case in all_cases() if case.torch is not None]
SEEDS = range(3)
ELSEWHERE = {"minicnn.ops.cast.ToDevice": "needs two devices: tests/ops/test_to_device.py"}


def run(case: Case, arguments: Arguments, dtype: Any = np.float64, record: bool = True) -> tuple[Any, list[Tensor]]:
    """The outputs, and the Tensors of the differentiated inputs."""
    wanted = set(arguments.floats(case.constants)) if case.differentiable and record else set()
    leaves: list[Any] = []
    for i, leaf in enumerate(arguments.leaves):
        if isinstance(leaf, np.ndarray):
            array = leaf.astype(dtype) if leaf.dtype.kind == "f" and leaf.dtype != dtype else leaf
            writes = arguments.paths[i][0] in case.writes
            leaves.append(Tensor(array.copy() if writes else array, requires_grad=i in wanted))
        else:
            leaves.append(leaf)
    args, kwargs = arguments.build(leaves)
    return listed(case.function(*args, **kwargs)), [leaves[i] for i in sorted(wanted)]


def listed(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def cotangents_for(outputs: list[Any], seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed + 1000)
    return [rng.standard_normal(y.shape).astype(y.dtype) for y in outputs if is_float(y)]


def is_float(y: Any) -> bool:
    return isinstance(y, Tensor) and y.dtype.kind == "f"


def pull(outputs: list[Any], tensors: list[Tensor], seed: int, create_graph: bool = False) -> list[Tensor | None]:
    pairs = list(zip([y for y in outputs if is_float(y)], cotangents_for(outputs, seed), strict=True))
    pairs = [(y, Tensor(v)) for y, v in pairs if y.requires_grad]
    if not pairs or not tensors:
        return [None] * len(tensors)
    return list(
        grad([y for y, _ in pairs], tensors, [v for _, v in pairs], create_graph=create_graph, allow_unused=True)
    )


def drawn(case: Case, seed: int) -> Arguments:
    sample = case.sample(seed)
    return Arguments(sample.args, sample.kwargs)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_agree_with_numerical_ones_to_the_declared_order(name: str) -> None:
    case = CASES[name]
    for seed in SEEDS:
        sample = case.sample(seed)
        report = gradcheck(
            case.function, sample.args, kwargs=sample.kwargs, order=case.order, seed=seed,
            constants=case.constants, writes=case.writes, flat=bool(case.flat),
        )
        report.require()


@pytest.mark.parametrize("name", CASE_IDS)
def test_memory_layout_changes_neither_values_nor_gradients(name: str) -> None:
    case = CASES[name]
    arguments = drawn(case, 0)
    outputs, tensors = run(case, arguments)
    gradients = pull(outputs, tensors, 0)
    for layout, arrange in LAYOUTS.items():
        args, kwargs = arguments.map(arrange)
        other_outputs, other_tensors = run(case, Arguments(args, kwargs))
        for y, z in zip(outputs, other_outputs, strict=True):
            assert_close(z, y, 1e-12, f"{layout}: value")
        for g, h in zip(gradients, pull(other_outputs, other_tensors, 0), strict=True):
            assert (g is None) == (h is None)
            if g is not None:
                assert_close(h, g, 1e-11, f"{layout}: gradient")


def assert_close(actual: Any, expected: Any, tolerance: float, what: str) -> None:
    if not isinstance(expected, Tensor):
        assert actual == expected, what
        return
    scale = float(np.max(np.abs(expected.data), initial=1.0, where=np.isfinite(expected.data)))
    np.testing.assert_allclose(
        actual.data, expected.data, rtol=tolerance, atol=tolerance * scale, err_msg=what, strict=True
    )


@pytest.mark.parametrize("name", CASE_IDS)
def test_inputs_stay_as_they_were(name: str) -> None:
    case = CASES[name]
    for seed in SEEDS:
        arguments = drawn(case, seed)
        copies = [leaf.copy() if isinstance(leaf, np.ndarray) else None for leaf in arguments.leaves]
        outputs, tensors = run(case, arguments)
        pull(outputs, tensors, seed)
        for leaf, copy, path in zip(arguments.leaves, copies, arguments.paths, strict=True):
            if copy is not None:
                np.testing.assert_array_equal(leaf, copy, err_msg=f"argument {path} was written", strict=True)


@pytest.mark.parametrize("name", CASE_IDS)
def test_float32_in_gives_float32_out_near_the_float64_values(name: str) -> None:
    case = CASES[name]
    arguments = drawn(case, 1)
    outputs, _ = run(case, arguments)
    outputs32, tensors32 = run(case, arguments, np.float32)
    for y, z in zip(outputs, outputs32, strict=True):
        if is_float(y) and y.dtype == np.float64:
            assert z.dtype == np.float32
            assert_close(Tensor(z.data.astype(np.float64)), y, 2e-4, "value")
    for x, g in zip(tensors32, pull(outputs32, tensors32, 1), strict=True):
        assert g is None or (g.dtype == np.float32 and g.shape == x.shape)


@pytest.mark.parametrize("name", CASE_IDS)
def test_nodes_hide_no_float_array_from_the_engine(name: str) -> None:
    case = CASES[name]
    with nodes_run() as nodes:
        outputs, tensors = run(case, drawn(case, 0))
        pull(outputs, tensors, 0, create_graph=case.order > 1)
    offenders = {f"{node.name}.{attribute}" for node in nodes for attribute in smuggled_arrays(node)}
    assert not offenders, f"keep these through keep_inputs/keep_outputs, or name them in constant_arrays: {offenders}"


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_an_order_limit_raises_beyond_itself_and_only_there(name: str) -> None:
    case = CASES[name]
    with nodes_run() as nodes:
        outputs, tensors = run(case, drawn(case, 0))
    limited = [node for node in nodes if node.order is not None]
    if not limited:
        return
    assert case.order == 1, f"{limited[0].name} declares order {limited[0].order}: the case must not promise more"
    gradients = [g for g in pull(outputs, tensors, 0, create_graph=True) if g is not None and g.requires_grad]
    assert gradients, "a limited gradient must still raise when it is differentiated"
    with pytest.raises(RuntimeError, match=limited[0].name):
        pull(list(gradients), tensors, 0)


@pytest.mark.parametrize("name", [case.id for case in all_cases() if case.constants])
def test_declared_constants_refuse_a_gradient_and_name_the_remedy(name: str) -> None:
    case = CASES[name]
    arguments = drawn(case, 0)
    leaves = [
        Tensor(leaf, requires_grad=leaf.dtype.kind == "f" and path[0] in case.constants)
        if isinstance(leaf, np.ndarray) else leaf
        for leaf, path in zip(arguments.leaves, arguments.paths, strict=True)
    ]
    if not any(isinstance(leaf, Tensor) and leaf.requires_grad for leaf in leaves):
        pytest.skip("this draw passes no constant")
    args, kwargs = arguments.build(leaves)
    with pytest.raises(RuntimeError, match="detach"):
        case.function(*args, **kwargs)


@pytest.mark.torch
@pytest.mark.parametrize("name", WITH_TORCH)
def test_values_and_first_gradients_equal_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    for seed in SEEDS:
        compare_with_torch(torch, CASES[name], seed)


def compare_with_torch(torch: Any, case: Case, seed: int) -> None:
    arguments = drawn(case, seed)
    outputs, tensors = run(case, arguments)
    gradients = pull(outputs, tensors, seed)

    wanted = arguments.floats(case.constants) if case.differentiable else []
    leaves = [
        torch.tensor(leaf, requires_grad=i in wanted) if isinstance(leaf, np.ndarray) else leaf
        for i, leaf in enumerate(arguments.leaves)
    ]
    args, kwargs = arguments.build(leaves)
    expected = listed(case.torch_function(*args, **kwargs))  # type: ignore[misc]
    for y, z in zip(outputs, expected, strict=True):
        if isinstance(z, torch.Tensor):
            assert_equals_torch(y.data, z, "value")
        else:
            assert y == z
    floats = [z for z in expected if isinstance(z, torch.Tensor) and z.dtype.is_floating_point]
    pairs = [
        (z, torch.from_numpy(v)) for z, v in zip(floats, cotangents_for(outputs, seed), strict=True) if z.requires_grad
    ]
    if not pairs or not wanted:
        return
    theirs = torch.autograd.grad(
        [z for z, _ in pairs], [leaves[i] for i in wanted], [v for _, v in pairs], allow_unused=True
    )
    for ours, other, i in zip(gradients, theirs, wanted, strict=True):
        mine = np.zeros(arguments.leaves[i].shape) if ours is None else ours.data
        other = torch.zeros(mine.shape) if other is None else other
        assert_equals_torch(mine, other, f"gradient of {arguments.paths[i]}")


def assert_equals_torch(ours: np.ndarray, theirs: Any, what: str) -> None:
    expected = theirs.detach().numpy()
    scale = float(np.max(np.abs(expected), initial=1.0, where=np.isfinite(expected)))
    assert ours.shape == expected.shape, what
    np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-9 * scale, err_msg=what)


def test_every_registered_function_is_run_by_some_case() -> None:
    ran: set[type[Function]] = set()
    for case in all_cases():
        for seed in SEEDS:
            with nodes_run() as nodes:
                outputs, points = run(case, drawn(case, seed))
                for _ in range(case.order):
                    outputs = [y for y in outputs if is_float(y) and y.requires_grad]
                    if not outputs:
                        break
                    cotangents = [Tensor(v, requires_grad=True) for v in cotangents_for(outputs, seed)]
                    found = grad(outputs, points, cotangents, create_graph=case.order > 1, allow_unused=True)
                    outputs, points = [g for g in found if g is not None], [*points, *cotangents]
            ran.update(type(node) for node in nodes)
    missing = sorted({name for name, cls in functions_of("minicnn.ops").items() if cls not in ran} - set(ELSEWHERE))
    assert not missing, f"write a case in minicnn/testing/cases for: {', '.join(missing)}"
