"""The geometry of sliding windows: one place for output sizes, so that every op rounds alike.

Convolution and pooling: ``out = floor((in + 2 padding - dilation (kernel - 1) - 1) / stride) + 1``; ceil mode
rounds up and then drops a last window that would start in the right padding (PyTorch's rule).
"""

from dataclasses import dataclass

from minicnn.core import checks
from minicnn.core.types import Pair


@dataclass(frozen=True, slots=True)
class Window2d:
    """A 2-D sliding window; every field but the flag is (height, width)."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    ceil_mode: bool = False

    @classmethod
    def of(
        cls,
        op: str,
        kernel: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        dilation: Pair = 1,
        ceil_mode: bool = False,
    ) -> "Window2d":
        """A window from the ints or pairs a user passes; ``stride=None`` means the kernel size."""
        size = checks.pair(op, "kernel_size", kernel, least=1)
        return cls(
            size,
            size if stride is None else checks.pair(op, "stride", stride, least=1),
            checks.pair(op, "padding", padding),
            checks.pair(op, "dilation", dilation, least=1),
            bool(ceil_mode),
        )

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns that one window spans, dilation included."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))  # type: ignore[return-value]

    def output_size(self, op: str, size: tuple[int, int]) -> tuple[int, int]:
        """Output (height, width) for an input of that size.

        Raises
        ------
        ValueError
            If the window does not fit into the padded input.
        """
        out = []
        for n, e, s, p in zip(size, self.extent, self.stride, self.padding, strict=True):
            room = n + 2 * p - e
            if room < 0:
                padded = tuple(m + 2 * q for m, q in zip(size, self.padding, strict=True))
                raise checks.value_error(
                    op,
                    f"kernel_size {self.kernel} does not fit padded input {padded}",
                    input_size=size,
                    padding=self.padding,
                    dilation=self.dilation,
                )
            steps = -(-room // s) if self.ceil_mode else room // s
            if self.ceil_mode and steps * s >= n + p:
                steps -= 1
            out.append(steps + 1)
        return out[0], out[1]

    def transposed_size(self, size: tuple[int, int], output_padding: tuple[int, int] = (0, 0)) -> tuple[int, int]:
        """Output (height, width) of the transposed convolution: ``(in-1) s - 2p + d(k-1) + 1 + output_padding``."""
        h, w = (
            (n - 1) * s - 2 * p + e + extra
            for n, s, p, e, extra in zip(size, self.stride, self.padding, self.extent, output_padding, strict=True)
        )
        return h, w
