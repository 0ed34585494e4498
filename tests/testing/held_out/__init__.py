"""Functions with hand-written rules for measuring the gradient checker, not for building it.

Written independently of the checker, from its description only. Right rules that are hard to check, realistic wrong
ones, kinks and ties, and checks that cannot fail, each with its truth: the kind, and for a wrong rule the identifiers
of the catalogue that name the fault. Nothing in minicnn is tuned to them; for that there are ``tests/testing/pairs``.

How blind the numbers are: verdicts were judged blind once. Of 86 pairs at two seeds one wrong rule passed (zeros of a
float type returned as gradient for integer indices) and one right rule failed (``clip`` with inputs exactly on both
of its bounds). Both were mended afterwards, so verdicts on this set are no longer wholly blind. The cause was named
first for 40 of the 47 wrong rules (85 %) when first run, and for 84.8 % of all 68, averaged over seeds, with the 27
extra pairs.

    python -m tests.testing.held_out.evaluate            a line per pair
    python -m tests.testing.held_out.evaluate --summary  totals only, which keeps what is left of the blindness
    python -m tests.testing.held_out.evaluate --store    writes benchmarks/results/held_out_gradients.json too
"""
