"""``minicnn kernels``: the CUDA sources listed, compiled and checked, none of which needs a GPU."""

from __future__ import annotations

import argparse
import tempfile
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
    build.add_argument("--table", action="store_true", help="write the table of registers into kernels/README.md")
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
            print(f"{stem}.{kernel.name}({inside})")
    return 0


def compile_kernels(options: argparse.Namespace) -> int:
    """Compile; 1 if a file does not."""
    from minicnn.backends.cuda import compiling, sources

    failed = 0
    for stem in _stems(options):
        for real in compiling.REALS:
            for architecture in (*compiling.ARCHITECTURES, compiling.PORTABLE):
                try:
                    compiling.compile_file(stem, real, architecture)
                except RuntimeError as error:
                    failed += 1
                    print(error)
        print(f"{stem}: {len(sources.kernels(stem))} kernels")
    if options.table and not failed:
        page = sources.folder() / "README.md"
        before, _, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
        after = rest.partition(_END)[2]
        text = f"{before}{_BEGIN}\n\n{compiling.table(sources.stems())}\n\n{_END}{after}"
        page.write_text(text, encoding="utf-8")
    return 1 if failed else 0


def sanitize(options: argparse.Namespace) -> int:
    """Record and replay; 1 if a sanitizer finds something or a kernel was never launched."""
    from minicnn.backends.cuda import recording, sources
    from minicnn.testing import parity
    from minicnn.testing.cases.case import all_cases

    stems = _stems(options)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with recording.recording(folder, copies=options.copies) as launched:
            for case in all_cases():
                parity.run(case, 0, "float32", "cuda-emulated")
        findings = [f for s in recording.SANITIZERS for f in recording.replay(folder, s) if f.stem in stems]
    for f in findings:
        print(f"{f.stem} {f.real} {f.sanitizer}: {f.launches} launches, {'clean' if f.clean else 'FOUND'}")
        if not f.clean:
            print(f.report)
    missing = [k for s in stems for k in (f"{s}.{name}" for name in sources.kernels(s)) if k not in launched]
    if missing:
        print(f"never launched by a case: {', '.join(missing)}")
    return 0 if all(f.clean for f in findings) else 1
