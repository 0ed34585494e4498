"""Test cases of every op: one module per stem, read by the tests, the gradient sweep and the GPU parity suite."""
