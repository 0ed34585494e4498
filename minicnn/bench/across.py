"""From which size on a device is worth the way there: CPU, device, and device with both transfers counted."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import Any

from minicnn.bench import peers, turns
from minicnn.bench.conv import Report, Result
from minicnn.bench.crossover import sizes
from minicnn.bench.desk import Cannot, Desk, WorkError, contender
from minicnn.bench.layers import Layer
from minicnn.bench.machine import stamp
from minicnn.bench.result import AUTO, CANNOT, FAILED, WRONG, Row

PROVIDER = "minicnn.bench.conv_works:provide"
BATCHES = (1, 4, 16, 64, 256)  # images, for a small layer
MOST = 2 * 10**9  # multiply-adds of the largest size: some hundredths of a second on a CPU


def growing(layers: Sequence[Layer]) -> list[Layer]:
    """The layer of fewest multiply-adds an image at growing batches: there a device overtakes the CPU, if anywhere."""
    layer = min(layers, key=lambda layer: layer.macs / layer.images)
    sized = sizes(layer, "batch", BATCHES)
    return [small for small in sized if small.macs <= MOST] or sized[:1]


def measure(
    layers: Sequence[Layer], passes: Sequence[str], device: str, *, threads: int, rounds: int, seconds: float,
    samples: int, report: Report = lambda rows, result: None, kept: Sequence[Row] = (),
) -> Result:  # fmt: skip
    """Time each pass of each layer by the automatic choice in three ways, in turns.

    "minicnn cpu"; "minicnn DEVICE", operands and result staying there; "minicnn DEVICE + transfers", operands brought
    from the host and the result back, by the host's clock. ``kept`` are rows of an earlier run, not measured again.
    """
    settings = {"device": device, "threads": threads}
    result = Result(list(kept), settings=settings, machine=stamp(device=device), kind="minicnn bench crossover")
    done = {row.key for row in kept}
    with ExitStack() as stack:
        here, there = (
            stack.enter_context(closing(Desk(contender(peers.OURS, PROVIDER, threads, device=place))))
            for place in ("cpu", device)
        )
        ways = (("cpu", here, False), (device, there, False), (f"{device} + transfers", there, True))
        for layer in layers:
            for which in passes:
                if (layer.name, which) in done:
                    continue
                rows = []
                entrants: turns.Entrants = {}
                for name, desk, transfers in ways:
                    row = Row(
                        layer.name, which, f"{peers.OURS} {name}", marks=[AUTO] if name == "cpu" else [],
                        shape=layer.notation, flops=2 * layer.macs, bytes=layer.bytes(4),
                    )  # fmt: skip
                    rows.append(row)
                    if _prepared(row, desk, layer, samples, transfers):
                        entrants[row.contender] = row, desk
                turns.time_rows(entrants, rounds=rounds, seconds=seconds, steady=0.06)
                turns.drop({"cpu": here, device: there})
                result.rows += rows
                report(rows, result)
    return result


def _prepared(row: Row, desk: Desk, layer: Layer, samples: int, transfers: bool) -> bool:
    line = f"{layer.name} {layer.notation}"
    try:
        chosen = desk.ask("resolve", layer=line, which=row.which, algorithm=AUTO, max_error=None)["name"]
    except (Cannot, WorkError) as error:
        row.verdict, row.why = CANNOT if isinstance(error, Cannot) else FAILED, str(error)
        return False
    facts: dict[str, Any] | None = turns.prepare(
        row, desk, row.contender, layer=line, which=row.which, dtype=row.dtype, algorithm=chosen, samples=samples,
        transfers=transfers,
    )  # fmt: skip
    if facts is None:
        return False
    if facts["wrong"]:
        row.verdict, row.why = WRONG, f"error {row.error:.1e}, at most {row.bound:.1e} is allowed"
    return not facts["wrong"]
