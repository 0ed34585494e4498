"""What the emulated device costs CI: wall time of its tests, from pytest's reports, and of the sanitizers.

usage: emulation_time.py SECONDS_OF_THE_SANITIZERS REPORT.xml ...

At most seven minutes together are promised. Counted are all tests that run kernels on the
emulated device: those of the default suite and the slow ones, each stage with a report of its own.

What counts is wall time on the machine that runs this, because the sanitizers are wall time too, and it is what one
waits for. The emulated tests run among all others on one process per core; a report holds the seconds of each test,
which add up to more than passed (on two cores to almost twice as much). So the emulated tests get the part of a
report's wall time that they have of its tests' seconds: with n busy processes, the sum of their seconds over n, and
their share of start-up and of the end, where a process waits for the last test of another. The sum of seconds itself is
printed beside it: it is what one core would have needed.

Not counted: the tests with CuPy over the host's memory, a stage of its own, which test CuPy and not our emulator.
"""

import sys
from dataclasses import dataclass
from xml.etree import ElementTree as ET

MOST = 420
MODULES = ("tests.backends.cuda.", "tests.cli.test_gpu_", "tests.data.test_device_loader", "tests.test_cuda")


@dataclass(frozen=True)
class Cost:
    """How many tests are emulated ones, their seconds, and the wall time that they stand for."""

    tests: int = 0
    seconds: float = 0.0
    wall: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.tests + other.tests, self.seconds + other.seconds, self.wall + other.wall)


def emulated(classname: str, name: str) -> bool:
    """Whether a test runs kernels on the emulated device: all of some modules, and others that say so."""
    return classname.startswith(MODULES) or "emulated" in name


def cost(report: str) -> Cost:
    """What the emulated tests of one run of pytest cost."""
    suite = next(ET.parse(report).getroot().iter("testsuite"))
    tests = [
        (emulated(test.get("classname", ""), test.get("name", "")), float(test.get("time", 0)))
        for test in suite.iter("testcase")
        if test.find("skipped") is None
    ]
    whole, of_them = sum(seconds for _, seconds in tests), sum(seconds for is_one, seconds in tests if is_one)
    wall = float(suite.get("time", 0)) * of_them / max(whole, 1e-9)
    return Cost(sum(is_one for is_one, _ in tests), of_them, wall)


def main(sanitizers: float, *reports: str) -> None:
    """Print the sum, and whether it is above the bound."""
    tests = sum(map(cost, reports), Cost())
    whole = tests.wall + sanitizers
    verdict = "" if whole <= MOST else f"   ABOVE the {MOST} s that are promised"
    parts = f"{tests.tests} tests, {tests.wall:.0f} s, on one core {tests.seconds:.0f} s"
    print(f"{whole:6.0f} s  of this, emulation ({parts}) and sanitizers ({sanitizers:.0f} s){verdict}")


if __name__ == "__main__":
    main(float(sys.argv[1]), *sys.argv[2:])
