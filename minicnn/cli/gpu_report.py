"""``minicnn gpu-report``: all that can be known only on a GPU, in one file, stage after stage."""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from minicnn.cli import gpu_child
from minicnn.cli.gpu_task import ALGORITHMS, Task

_OF_A_RUN = {"passed", "partial", "troubles", "missing", "acceptance"}  # the next run of a stage judges anew
PACKAGES = ("minicnn", "numpy", "numba", "scipy", "ml_dtypes", "cupy-cuda12x", "cupy-cuda13x", "torch", "torchvision")
SLOWER = 20  # the emulated device, which is there to try the command itself

_EPILOG = """\
stages:
  smoke      memory, a matrix product, a convolution and its gradient
  parity     every case of every op against the CPU, values and first gradients, in four dtypes
  gradients  the gradient checker on the device, to every op's declared order
  half       a small net under autocast, in float16 and bfloat16, against float32, with a tolerance
  kernels    the convolution suite (once more with TF32), the crossover with the CPU and the memory-bound ops, beside
             PyTorch, by the device's events
  nets       LeNet-5 from the same seeds on both devices; ResNet training steps beside PyTorch

Each stage adds its result to the file when it ends; kernels and nets also after each layer, op and net. So what was
measured stays when the command is cut off, and the next call goes on from there: what the file holds of this machine,
and passed, is not measured again (--again does). Where there is no such device, the file says "not measured" and why.
It runs from a checkout that is not installed (python -m minicnn gpu-report) and fetches nothing.

exit codes: 0 every stage passed; 1 one did not; 2 bad input, or no such device
"""


def add_to(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "gpu-report", help="check and measure everything on a GPU", epilog=_EPILOG,
        description="Check and measure everything on a GPU.", formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--stages", metavar="STAGE", nargs="+", help="only these (default: all, in this order)")
    parser.add_argument(
        "--only", metavar="TEXT", nargs="+", default=(), help="only ops, layers and nets with this text"
    )
    parser.add_argument(
        "--algorithm",
        metavar="NAME",
        nargs="+",
        default=list(ALGORITHMS),
        help=f"ours, for each layer of the suite: names, auto, or all (default: {' '.join(ALGORITHMS)})",
    )
    parser.add_argument("--again", action="store_true", help="measure also what the file holds (as after a change)")
    parser.add_argument(
        "--out", metavar="FILE", type=Path, default=Path("gpu-report.json"), help="(default: %(default)s)"
    )
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write tolerance and error of each op as a page")
    parser.add_argument("--device", default="cuda", help="cuda-emulated to try the command itself (default: cuda)")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Run the stages and write the file after each."""
    from minicnn.bench.machine import stamp
    from minicnn.cli.gpu_stages import STAGES
    from minicnn.core.device import DeviceUnavailableError, device

    wanted = options.stages or list(STAGES)
    unknown = sorted(set(wanted) - set(STAGES))
    if unknown:
        raise ValueError(f"gpu-report: there is no stage {', '.join(unknown)}; there are {', '.join(STAGES)}")
    place = device(options.device)
    if options.markdown and not options.markdown.parent.is_dir():
        raise FileNotFoundError(f"gpu-report: there is no folder {options.markdown.parent}")
    record = _earlier(options.out)
    record["kind"] = "minicnn gpu-report"
    stages = record.setdefault("stages", {})
    if options.markdown and "parity" not in wanted and "errors" not in stages.get("parity", {}):
        raise ValueError("gpu-report: --markdown shows what the stage parity measured; it is not in the result")
    for name in wanted:
        asked = _asked(name, options)
        if stages.get(name, {}).get("passed") and stages[name].get("asked", asked) != asked and not options.again:
            raise ValueError(
                f"gpu-report: {options.out} holds the stage {name} of other works; name another file with --out, or "
                "replace it with --again"
            )
    try:
        _ = place.backend
    except DeviceUnavailableError as error:
        today = datetime.now(UTC).isoformat(timespec="seconds")
        for name in wanted:
            stages.setdefault(name, {"passed": None, "not measured": str(error), "time": today})
        _write(options.out, record)
        raise
    machine = stamp(PACKAGES, options.device)
    failed = False
    for name in wanted:
        about = {"machine": machine, "asked": _asked(name, options)}
        earlier = {} if options.again else _of_this_machine(stages.get(name, {}), about)
        if earlier.get("passed"):
            print(f"{name}: passed before, {earlier['time']}; --again measures it anew", flush=True)
            continue
        facts = _run(name, options, earlier, about, record)
        failed |= not facts["passed"]
        print(f"{name}: {'passed' if facts['passed'] else 'FAILED'} in {facts['seconds']:.0f} s", flush=True)
        for trouble in [*facts.get("troubles", []), *facts.get("missing", [])]:
            print(f"  {trouble}")
    _tell(stages)
    print(f"the result is in {options.out}")
    if options.markdown:
        options.markdown.write_text(_page(stages), encoding="utf-8")
    return 1 if failed else 0


def _tell(stages: dict[str, Any]) -> None:
    """What is promised of a GPU, and what the file says of it."""
    from minicnn.cli.gpu_acceptance import of_kernels, of_nets, of_suite, told

    kernels, nets = of_kernels(stages.get("kernels", {})), of_nets(stages.get("nets", {}))
    print("\nwhat is promised of a GPU:")
    for text in told([*of_suite(stages), *kernels, *nets]):
        print(f"  {text}")


def _run(
    name: str, options: argparse.Namespace, earlier: dict[str, Any], about: dict[str, Any], record: dict[str, Any]
) -> dict[str, Any]:
    """One stage, with the file written after each of its parts and at its end."""
    from minicnn.cli.gpu_stages import LIMITS, STAGES

    start = time.monotonic()
    limit = LIMITS[name] * (SLOWER if options.device == "cuda-emulated" else 1)
    before = earlier["seconds"] if earlier.get("partial") else 0.0
    so_far = {part: kept for part, kept in earlier.items() if part not in _OF_A_RUN}

    def write(facts: dict[str, Any]) -> dict[str, Any]:
        seconds = round(before + time.monotonic() - start, 1)
        found = {**facts, **about, "seconds": seconds, "time": datetime.now(UTC).isoformat(timespec="seconds")}
        record["stages"][name] = found
        _write(options.out, record)
        return found

    def save(facts: dict[str, Any]) -> None:
        so_far.update(facts)
        write({**so_far, "passed": None, "partial": "cut off: run the stage again, and it goes on from here"})

    try:
        facts = gpu_child.run(STAGES[name], Task(options.device, options.only, options.algorithm, earlier, save), limit)
    except RuntimeError as error:
        facts = {**so_far, "passed": False, "troubles": [str(error)]}
    return write(facts)


def _asked(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """What a stage's result depends on besides the machine."""
    only = {"only": list(options.only)}
    return only | {"algorithms": list(options.algorithm)} if name == "kernels" else only


def _of_this_machine(stage: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    """An earlier result, if it answers the same of the same code on the same machine with the same packages."""
    same = ("device", "processor", "cores", "system", "python", "packages", "minicnn")
    before, now = stage.get("machine", {}), about["machine"]
    if stage.get("asked") != about["asked"] or any(before.get(name) != now.get(name) for name in same):
        return {}
    return stage


def _earlier(path: Path) -> dict[str, Any]:
    """What earlier calls wrote, so that stages can be run one by one."""
    if not path.exists():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"gpu-report: {path} is no result: {error}") from None
    if not isinstance(record, dict) or record.get("kind") != "minicnn gpu-report":
        raise ValueError(f"gpu-report: {path} is no result of this command; name another file with --out")
    return record


def _page(stages: dict[str, Any]) -> str:
    """Tolerance and largest error of each op, as the stage ``parity`` measured them."""
    from minicnn.testing.parity import ABSOLUTE, RELATIVE, tolerance

    stage = stages["parity"]
    machine, dtypes = stage["machine"], list(stage["tolerance"]["relative"])
    least = ", ".join(f"{ABSOLUTE[dtype] / RELATIVE[dtype]:.1g} in {dtype}" for dtype in dtypes)
    lines = [
        "# Tolerance and error of every operation", "",
        f"Written by `minicnn gpu-report --device {machine['device']} --stages parity --markdown`,",
        f"{stage['time'][:10]}: the largest difference of a value or first gradient from the CPU's, over the largest",
        f"number of the CPU's (plus, for what is left where terms cancel, {least}),",
        "and what is allowed. The half types are compared with the CPU's float32 of the same rounded inputs.", "",
        "| op |" + "".join(f" allowed, {dtype} | largest |" for dtype in dtypes),
        "| --- |" + " --- |" * 2 * len(dtypes),
    ]  # fmt: skip
    for op, errors in sorted(stage["errors"].items()):
        cells = [f"{tolerance(op, dtype):.0e} | {_shown(errors, dtype)}" for dtype in dtypes]
        lines.append(f"| `{op}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _shown(errors: dict[str, float | None], dtype: str) -> str:
    error = errors.get(dtype, "")
    return "failed" if error is None else f"{error:.1e}" if error != "" else "-"


def _write(path: Path, record: dict[str, Any]) -> None:
    partial = path.with_name(f"{path.name}.part")
    partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
