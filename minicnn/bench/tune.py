"""Measure which algorithm is fastest on this machine, keep it in a file that people can read, and use it.

The file is TOML, a table for each layer in the notation of :mod:`minicnn.bench.layers`:

    dtype = "float32"
    threads = 2
    processor = "AMD EPYC"

    ["8x256x56x56 -> 256, 3x3 padding 1"]
    forward = "winograd"     # ms: winograd 12.1, im2col 31.0, direct 39.5

An entry serves the convolution of exactly these sizes; all others are chosen by rules. What is fastest on two threads
in float32 need not be elsewhere, so a file of another processor, for another number of threads, or for another dtype
than asked, is refused.
"""

import json
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from minicnn.backends.convolution import PASSES, Problem, in_float32
from minicnn.backends.cpu import arrays, threads
from minicnn.backends.cpu import convolution as room
from minicnn.bench.layers import Layer, parse
from minicnn.bench.machine import processor, stamp
from minicnn.core.types import Array

SLOW = ("naive",)  # never the fastest

Seconds = dict[str, dict[str, float]]  # pass -> algorithm -> median seconds


def measure(layer: Layer, *, rounds: int = 5, max_error: float = 2e-5, dtype: str = "float32") -> Seconds:
    """Median seconds of every algorithm that can do a pass of that layer within ``max_error``, in turns.

    Parameters
    ----------
    layer : Layer
    rounds : int
        Calls of each algorithm that count; one more comes first, for the compiler.
    max_error : float
        Stated error above which an algorithm is left out.
    dtype : {"float32", "float64"}

    Returns
    -------
    dict of dict
        Pass to algorithm to seconds.
    """
    p, draw = layer.problem, np.random.default_rng(0)
    x, w, gy = (arrays.array(draw.standard_normal(shape), dtype) for shape in (p.x_shape, p.w_shape, p.y_shape))
    calls: dict[str, Callable[[str], Array]] = {
        "forward": lambda name: room.forward(x, w, None, p, name),
        "input_grad": lambda name: room.input_grad(gy, w, p, name),
        "weight_grad": lambda name: room.weight_grad(gy, x, p, name),
    }
    found: Seconds = {}
    most = in_float32(max_error, np.dtype(dtype).itemsize)
    for which in PASSES:
        able = [
            name for name, module in room.ALGORITHMS.items()
            if most >= module.ERROR and module.cannot(which, p) is None
        ]
        if not able:
            raise ValueError(f"tune: no algorithm keeps an error of {max_error:.3g} in {dtype} [{layer.notation}]")
        names = [name for name in able if name not in SLOW] or able
        taken: dict[str, list[float]] = {name: [] for name in names}
        for turn in range(rounds + 1):
            for name in names if turn % 2 else reversed(names):
                start = time.perf_counter()
                calls[which](name)
                if turn:
                    taken[name].append(time.perf_counter() - start)
        found[which] = {name: median(values) for name, values in taken.items()}
    return found


def fastest(seconds: Mapping[str, float]) -> list[str]:
    """Names from the fastest to the slowest."""
    return sorted(seconds, key=seconds.__getitem__)


def text(measured: Iterable[tuple[Layer, Seconds]], dtype: str = "float32") -> str:
    """The file of what was measured in that dtype, on as many threads as are set."""
    facts = stamp(("numpy", "numba", "scipy"))
    lines = [f"# fastest algorithms, {facts['date']}", f'dtype = "{dtype}"', f"threads = {threads.get_num_threads()}"]
    lines += [f"processor = {json.dumps(facts['processor'])}"]
    for layer, found in measured:
        lines += ["", f'["{layer.notation}"]']
        for which, seconds in found.items():
            order = fastest(seconds)
            times = ", ".join(f"{name} {seconds[name] * 1e3:.3g}" for name in order)
            lines.append(f'{which} = "{order[0]}"  # ms: {times}')
    return "\n".join(lines) + "\n"


def room_of(device: str) -> Any:
    """The convolution room of a device's backend: algorithms and rules, which need no device to be asked.

    Raises
    ------
    ValueError
        If there is no such device.
    """
    if device == "cpu":
        return room
    if device not in {"cuda", "cuda-emulated"}:
        raise ValueError(f"use_conv_table: device must be 'cpu', 'cuda' or 'cuda-emulated', got {device!r}")
    return import_module("minicnn.backends.cuda.convolution")


def read(path: str | Path, room: Any = room, dtype: str = "float32") -> dict[tuple[str, Problem], str]:
    """What a file says: the algorithm for a pass of a problem, as the convolution room of a backend knows them.

    A file without a header says nothing of dtype, threads and processor (made by hand, or for a GPU), and is taken.

    Raises
    ------
    ValueError
        If it is no TOML, names a layer, pass or algorithm that does not exist or cannot do it, or was measured for
        another dtype, processor or number of threads.
    OSError
        If it cannot be read.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"use_conv_table: {path} is no TOML: {error}") from None
    for name, now in (("dtype", dtype), ("threads", threads.get_num_threads()), ("processor", processor())):
        measured = content.pop(name, now)
        if measured != now:
            advice = "name it: use_conv_table(dtype=...)" if name == "dtype" else "measure one here: minicnn tune"
            raise ValueError(f"use_conv_table: {path} was measured with {name} {measured!r}, not {now!r}; {advice}")
    table: dict[tuple[str, Problem], str] = {}
    for notation, passes in content.items():
        try:
            problem = parse(f"layer {notation}").problem
            if not isinstance(passes, dict):
                raise ValueError(f"expected a table of passes, got {passes!r}")  # noqa: TRY004 - a fault of the file
            for which, name in passes.items():
                if which not in PASSES:
                    raise ValueError(f"no pass {which!r}; there are {', '.join(PASSES)}")
                table[which, problem] = room.resolve(str(name), which, problem)
        except ValueError as error:
            raise ValueError(f"use_conv_table: {path}: [{notation}]: {error}") from None
    return table


def use_conv_table(path: str | Path | None, device: str = "cpu", dtype: str = "float32") -> None:
    """Let the automatic choice of convolution algorithms follow a table that ``minicnn tune`` has measured.

    Parameters
    ----------
    path : path or None
        The table; None: rules only. A layer that it does not hold, or holds with an algorithm less exact than
        :class:`minicnn.conv_precision` asks for, is chosen by rules.
    device : {"cpu", "cuda", "cuda-emulated"}
        Whose convolutions follow it; both CUDA devices do together.
    dtype : {"float32", "float64", "float16"}
        What the table was measured for. float32 and float64 follow a table of each other, too: its names are right
        for them, though they may not be the fastest. float16 and the others do not.

    Raises
    ------
    ValueError
        If the file is no such table, or one for another dtype or number of threads; the choice stays as it was.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import minicnn as mc
    >>> mc.use_conv_table(None)
    """
    chosen = room_of(device)
    chosen.use_table({} if path is None else read(path, chosen, dtype), np.dtype(dtype).itemsize)


__all__ = ["fastest", "measure", "read", "room_of", "text", "use_conv_table"]
