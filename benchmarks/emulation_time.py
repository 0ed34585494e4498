"""What the emulated device costs CI: its tests' share of the suite's time, from pytest's report, and the sanitizers.

usage: emulation_time.py REPORT.xml SECONDS_OF_THE_SANITIZERS

The tests run among all others on several processes; the seconds of the emulated ones, over those of all, are their
share of the whole suite's time. At most seven minutes together are promised.
"""

import sys
from xml.etree import ElementTree as ET

MOST = 420


def emulated(classname: str, name: str) -> bool:
    """Whether a test runs kernels on the emulated device: all of that folder, and others where it is a parameter."""
    return classname.startswith("tests.backends.cuda") or "cuda-emulated" in name


def share(report: str) -> tuple[int, float]:
    """How many tests are emulated ones, and the wall time that they stand for."""
    suite = next(ET.parse(report).getroot().iter("testsuite"))
    tests = [
        (emulated(test.get("classname", ""), test.get("name", "")), float(test.get("time", 0)))
        for test in suite.iter("testcase")
    ]
    whole, of_them = sum(seconds for _, seconds in tests), sum(seconds for is_one, seconds in tests if is_one)
    return sum(is_one for is_one, _ in tests), float(suite.get("time", 0)) * of_them / max(whole, 1e-9)


if __name__ == "__main__":
    count, tests = share(sys.argv[1])
    sanitizers = float(sys.argv[2])
    verdict = "" if tests + sanitizers <= MOST else f"   ABOVE the {MOST} s that are promised"
    print(f"{tests + sanitizers:6.0f} s  of this, emulation ({count} tests, {tests:.0f} s) and sanitizers{verdict}")
