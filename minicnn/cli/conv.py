"""``minicnn conv explain``: which algorithm a convolution would run by, why, and what that costs."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

_EPILOG = """\
A layer reads: 8x256x56x56 -> 256, 3x3 stride 1 padding 1 dilation 1 groups 1 (input N C H W, output channels, kernel).
"""

ITEMS = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}  # bytes of an element


def add_to(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("conv", help="about convolution algorithms", description="Convolution algorithms.")
    kinds = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    explain = kinds.add_parser(
        "explain", help="what would run, and why", epilog=_EPILOG,
        description="Say which algorithm each pass of a layer would run by, the rule that chose it, its work and "
        "memory, and why the others were not taken or cannot do it.",
    )
    explain.add_argument("layers", metavar="LIST|FILE|LAYER", nargs="+", help="as in minicnn bench conv")
    explain.add_argument("--max-error", metavar="E", type=float, default=math.inf, help="as minicnn.conv_precision")
    explain.add_argument("--table", metavar="FILE", type=Path, help="follow this table (minicnn tune)")
    explain.add_argument(
        "--device", choices=("cpu", "cuda", "cuda-emulated"), default="cpu",
        help="whose algorithms and rules; the device itself need not be there (default: cpu)",
    )
    explain.add_argument(
        "--dtype", choices=tuple(ITEMS), default="float32", help="half types: on a GPU only (default: float32)"
    )
    explain.add_argument("--json", action="store_true", help="print JSON")
    explain.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Explain layer by layer."""
    from minicnn.bench import tune
    from minicnn.bench.layers import load

    if ITEMS[options.dtype] == 2 and options.device == "cpu":
        raise ValueError(f"conv explain: {options.dtype} is multiplied on a GPU only; add --device cuda")
    layers, room = load(options.layers), tune.room_of(options.device)
    table = {} if options.table is None else tune.read(options.table, room, options.dtype)
    room.use_table(table, ITEMS[options.dtype])
    facts = [explain(layer, options.dtype, options.max_error, room) for layer in layers]
    print(json.dumps(facts, indent=1) if options.json else "\n\n".join(_text(fact) for fact in facts))
    return 0


def explain(layer: Any, dtype: str, max_error: float, room: Any) -> dict[str, Any]:
    """All that is known before a layer runs: numbers in floating-point operations and bytes."""
    from minicnn.backends.convolution import PASSES, in_dtype, in_float32

    p, item = layer.problem, ITEMS[dtype]
    passes = {}
    for which in PASSES:
        rule = room.explain(which, p, in_float32(max_error, item), item)
        module = room.ALGORITHMS[rule.algorithm]
        others = {
            name: one.cannot(which, p) or f"possible: {_cost(one.operations(which, p), one.workspace(which, p, item))}"
            for name, one in room.ALGORITHMS.items() if name != rule.algorithm
        }  # fmt: skip
        passes[which] = {
            "algorithm": rule.algorithm, "because": rule.reason, "operations": module.operations(which, p),
            "workspace": module.workspace(which, p, item), "others": others,
            "error": None if item == 2 else in_dtype(module.ERROR, item),  # algorithms state none of halves
        }
    return {
        "layer": layer.notation, "dtype": dtype, "output": list(p.y_shape), "operations": 2 * layer.macs,
        "bytes": layer.bytes(item), "passes": passes,
    }


def _text(facts: dict[str, Any]) -> str:
    work, memory = facts["operations"] / 1e9, facts["bytes"] / 2**20
    intensity = facts["operations"] / facts["bytes"]
    shape = "x".join(map(str, facts["output"]))
    lines = [
        f"{facts['layer']}  ({facts['dtype']}, output {shape})",
        f"  definition: {work:.3g} Gflop on {memory:.3g} MiB of operands and result, {intensity:.3g} operations a byte",
    ]
    for which, found in facts["passes"].items():
        lines += [f"  {which}: {found['algorithm']}", f"    because: {found['because']}"]
        error = f", error at most {found['error']:.0e}" if found["error"] else ""
        lines.append(f"    {_cost(found['operations'], found['workspace'])}{error}")
        lines += [f"    {name}: {reason}" for name, reason in found["others"].items()]
    return "\n".join(lines)


def _cost(operations: int, workspace: int) -> str:
    return f"{operations / 1e9:.3g} Gflop, {workspace / 2**20:.3g} MiB of scratch memory"
