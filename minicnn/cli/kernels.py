"""``minicnn kernels``: the CUDA sources listed, compiled and checked, none of which needs a GPU."""

from __future__ import annotations

import argparse
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from difflib import unified_diff
from multiprocessing import get_context
from pathlib import Path
from typing import Any

_BEGIN, _END = "<!-- resources: minicnn kernels compile --table -->", "<!-- end -->"


def add_to(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "kernels", help="list, compile and check the CUDA kernels", description="The CUDA sources, without a GPU."
    )
    kinds = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    show = kinds.add_parser("list", help="every kernel and its parameters")
    show.set_defaults(command=list_kernels)
    build = kinds.add_parser(
        "compile", help="compile by NVRTC for several architectures",
        description="Compile every file for every element type and architecture. Needs the extra 'kernels'.",
    )  # fmt: skip
    build.add_argument("files", metavar="FILE", nargs="*", help="stems of kernels/*.cu (default: all)")
    page = build.add_mutually_exclusive_group()
    page.add_argument("--table", action="store_true", help="write what kernels take into kernels/README.md")
    page.add_argument("--check", action="store_true", help="fail if kernels/README.md says anything else")
    build.set_defaults(command=compile_kernels)
    check = kinds.add_parser(
        "sanitize", help="replay launches under ThreadSanitizer and AddressSanitizer",
        description="Run every case of every op on the emulated device, record the launches, and replay them thread by "
        "thread under both sanitizers.",
    )  # fmt: skip
    check.add_argument("files", metavar="FILE", nargs="*", help="stems of kernels/*.cu (default: all)")
    check.add_argument("--copies", type=int, default=3, help="different launches of each kernel (default: 3)")
    check.set_defaults(command=sanitize)


def _stems(options: argparse.Namespace) -> list[str]:
    from minicnn.backends.cuda import sources

    unknown = sorted(set(options.files) - set(sources.stems()))
    if unknown:
        raise ValueError(f"kernels: there is no file {', '.join(unknown)}; there are {', '.join(sources.stems())}")
    return options.files or sources.stems()


def list_kernels(options: argparse.Namespace) -> int:
    """Print signatures."""
    from minicnn.backends.cuda import sources

    del options
    for stem in sources.stems():
        for kernel in sources.kernels(stem).values():
            inside = ", ".join(f"{p.type}{'*' if p.pointer else ''} {p.name}" for p in kernel.parameters)
            print(f"{stem}.{kernel.name}({inside}){' device only' if kernel.device_only else ''}")
    return 0


def compile_kernels(options: argparse.Namespace) -> int:
    """Compile; 1 if a file does not."""
    from minicnn.backends.cuda import compiling, sources

    stems = sources.stems() if options.table or options.check else _stems(options)
    compiled: list[compiling.Compiled] = []
    with ProcessPoolExecutor(_cores(), mp_context=get_context("spawn")) as pool:
        for found in pool.map(compiling.compile_all, [(stem, real) for stem in stems for real in compiling.REALS]):
            compiled.append(found)
            print(*found.errors, sep="\n", end="\n" if found.errors else "")
            if found.real == compiling.REALS[-1]:
                print(f"{found.stem}: {len(sources.kernels(found.stem))} kernels", flush=True)
    if any(found.errors for found in compiled):
        return 1
    page = sources.folder() / "README.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    written, _, after = rest.partition(_END)
    if options.table:
        page.write_text(f"{before}{_BEGIN}\n\n{compiling.table(compiled)}\n\n{_END}{after}", encoding="utf-8")
    return _differences(written.strip(), compiling.table(compiled)) if options.check else 0


def _differences(written: str, now: str) -> int:
    """Print the lines of the table that are not what is compiled now; 1 if there are any.

    Another NVRTC gives other registers: with one that did not make the table, there is nothing to compare.
    """
    from minicnn.backends.cuda import compiling

    versions = [compiling.said_version(text) for text in (written, now)]
    if versions[0] and versions[0] != versions[1]:
        print(f"kernels/README.md is of NVRTC {versions[0]}; not compared with {versions[1]}")
        return 0
    changed = list(unified_diff(written.splitlines(), now.splitlines(), "written", "compiled", n=0, lineterm=""))
    print(*changed, sep="\n", end="\n" if changed else "")
    if changed:
        print("kernels/README.md is not what the kernels take; run `minicnn kernels compile --table`")
    return 1 if changed else 0


def sanitize(options: argparse.Namespace) -> int:
    """Record and replay; 1 if a sanitizer finds something or a kernel was never launched."""
    from minicnn.backends.cuda import recording, sources
    from minicnn.cli import kernel_launches

    stems = _stems(options)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        launched = kernel_launches.record(folder, stems, options.copies)
        jobs = [(place, s) for place in sorted(folder.iterdir()) for s in recording.SANITIZERS]
        with ThreadPoolExecutor(_cores()) as pool:  # each waits for programs: the compiler's, then its own
            findings = list(pool.map(lambda job: recording.replay_file(*job), jobs))
    for f in findings:
        print(f"{f.stem} {f.real} {f.sanitizer}: {f.launches} launches, {'clean' if f.clean else 'FOUND'}")
        if not f.clean:
            print(f.report)
    kernels = {f"{s}.{k.name}": k for s in stems for k in sources.kernels(s).values()}
    for skipped in (k for k in kernels if k not in launched and kernels[k].device_only):
        print(f"{skipped} was not launched: it is for a GPU only")
    for named in (k for k in kernels if k not in launched and k in kernel_launches.UNLAUNCHED):
        print(f"{named} was not launched: {kernel_launches.UNLAUNCHED[named]}")
    known = {k for k in kernels if kernels[k].device_only} | kernel_launches.UNLAUNCHED.keys()
    missing = [k for k in kernels if k not in launched and k not in known]
    if missing:
        print(f"never launched: {', '.join(missing)}")
    return 0 if all(f.clean for f in findings) and not missing else 1


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
