"""Sizes that the kernels' text and the code that launches them both state are the same, read from the text."""

from __future__ import annotations

import re

import pytest

from minicnn.backends.cuda import average_pooling, losses, normalization, pooling, resample, roi, softmax, updates
from minicnn.backends.cuda.convolution import depthwise, implicit_gemm
from minicnn.backends.cuda.sources import folder

SIZES = {  # of the kernels, and what the code that launches them says
    "average_pooling.cu ROWS": average_pooling._STRIP,
    "depthwise.cu ROWS": depthwise.ROWS,
    "depthwise.cu RUN": depthwise.RUN,
    "depthwise.cu THREADS": depthwise.THREADS,
    "losses.cu ROW_THREADS": losses._THREADS,
    "normalization.cuh THREADS": normalization.THREADS,
    "pooling.cu ROWS": pooling._STRIP,
    "resample.cu PLANES": resample._PLANES,
    "roi.cu CHANNELS": roi._FEW,
    "roi.cu THREADS": roi._BLOCK,
    "roi_align.cu CHANNELS": roi._CHANNELS,
    "roi_align.cu FEW": roi._FEW,
    "softmax.cuh WARPS": softmax.BLOCK // softmax.WARP,
    "tiles.cuh THREADS": implicit_gemm.THREADS,
}


def text(file: str) -> str:
    return (folder() / file).read_text(encoding="utf-8")


def constants(file: str) -> dict[str, int]:
    """What the file's ``constexpr int A = 1, B = 2;`` at the margin say."""
    lines = re.findall(r"^constexpr int ([^;]+);", text(file), re.MULTILINE)
    pairs = [pair.split(" = ") for line in lines for pair in line.split(", ")]
    return {name: int(value) for name, value in pairs if value.isdigit()}


@pytest.mark.parametrize("size", SIZES)
def test_a_size_of_the_kernels_is_the_one_they_are_launched_with(size: str) -> None:
    file, name = size.split()
    assert constants(file)[name] == SIZES[size]


def test_parts_of_a_norm_of_gradients_are_as_long_as_a_block_reads() -> None:
    found = constants("updates.cu")
    assert found["EACH"] * found["THREADS"] * normalization.PACK == updates._BLOCK


def test_packs_are_as_wide_and_as_many_under_way() -> None:
    assert f"constexpr int LANES = {normalization.PACK} / sizeof(real);" in text("packs.cuh")
    deep = f"constexpr int DEEP = W == 1 ? {normalization.DEEP_SINGLE} : {normalization.DEEP};"
    assert deep in text("normalization.cuh")


@pytest.mark.parametrize(("tile", "variant"), [("Large", ""), ("Small", "_small"), ("Narrow", "_narrow")])
def test_tiles_of_a_product_are_those_that_its_grid_counts(tile: str, variant: str) -> None:
    defined = re.search(rf"using {tile} = Micro<(\d+), (\d+)>;", text("convolution_gemm.cu"))
    assert defined is not None
    sums, down = map(int, defined.groups())
    rows, columns = down * sums, implicit_gemm.THREADS // down * sums
    assert (rows, columns) == implicit_gemm.TILES[variant][:2]


def test_tiles_with_sizes_of_their_own_too() -> None:
    body = text("tiles.cuh").split("struct Tensor {")[1]
    found = tuple(int(re.findall(rf"\b{name} = (\d+)", body)[0]) for name in ("ROWS", "COLUMNS"))
    assert found == implicit_gemm.TILES["_tf32"][:2]
    rows, columns = implicit_gemm.TILES["_1"][:2]
    assert f"struct Literal {{ static constexpr int COLUMNS = {columns}; }};" in text("tiles.cuh")
    assert f"blockIdx.y * {rows} + row" in text("convolution_gemm.cu")
