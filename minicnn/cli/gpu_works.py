"""The works that ``minicnn gpu-report`` measures when nothing is left out: layers, operations, and their passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minicnn.bench.layers import Layer

Work = tuple[str, str]  # its name, and which pass of it
OPS = (  # memory-bound ops whose speed is compared
    "relu 16x64x112x112", "add 32x64x56x56", "dropout 32x64x56x56", "batch_norm 16x64x112x112", "batch_norm 32x512x7x7",
    "layer_norm 64x197x768", "group_norm 32x64x56x56", "max_pool3x3/2 16x64x112x112", "avg_pool2x2 64x64x56x56",
    "global_pool 64x512x7x7", "resize_bilinear 16x64x56x56", "resize_nearest 16x64x56x56", "roi_align 1x256x50x75",
    "roi_pool 1x256x50x75", "softmax 64x1000", "cross_entropy 64x1000", "sgd resnet18",
)  # fmt: skip
TF32_LAYERS = ("vgg-3_2", "resnet-128@28", "resnet-512@7", "resnet-1x1", "resnet-stride2")  # products that are large
TF32_ALGORITHMS = ("auto", "im2col", "pointwise", "implicit_gemm_tf32")  # all but the last by cuBLAS, which then rounds


def layers() -> list[Layer]:
    """The layers of the convolution suite."""
    from minicnn.bench import layers as room

    return room.load(["suite"])


def of_suite() -> list[Work]:
    """Every layer and pass of the suite."""
    return _passes(layers())


def with_tf32() -> list[Work]:
    """Every large layer and pass, for the algorithm that does them all."""
    return _passes([layer for layer in layers() if layer.name in TF32_LAYERS])


def single() -> list[Work]:
    """Those of the large layers with a kernel of 1x1."""
    return _passes([layer for layer in layers() if layer.name in TF32_LAYERS and layer.kernel == (1, 1)])


def of_ops() -> list[Work]:
    """Every operation and pass."""
    from minicnn.cli.bench_works.ops import passes

    return [(work, which) for work in OPS for which in passes(work)]


def _passes(chosen: list[Layer]) -> list[Work]:
    from minicnn.backends.convolution import PASSES

    return [(layer.name, which) for layer in chosen for which in PASSES]
