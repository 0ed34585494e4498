"""Built-in lists have the published shapes and costs; what is no layer is refused in a clear sentence."""

import pytest

from minicnn.backends.cpu.convolution import winograd
from minicnn.bench import layers


def total(name):
    """Multiply-adds of an image, and weights, of a whole list."""
    found = layers.load([name])
    macs = sum(layer.macs * layer.times // layer.images for layer in found)
    weights = 0
    for layer in found:
        o, i, a, b = layer.problem.w_shape
        weights += o * i * a * b * layer.times
    return macs, weights


@pytest.mark.parametrize(
    ("name", "macs", "weights"),
    [
        ("alexnet", 665_784_864, 2_332_704),  # 105 415 200 + 223 948 800 + 149 520 384 + 112 140 288 + 74 760 192
        ("vgg16", 15_346_630_656, 14_710_464),  # torchvision's features without biases
        ("resnet50", 4_087_136_256, 23_454_912),  # 4.09 G with the classifier's 2 048 000
        ("cifar-resnet", 40_550_400, 267_696),  # 40.8 M and 0.27 M with classifier and batch norm
        ("lenet", 405_600, 50_550),  # C1 117 600, C3 240 000, C5 48 000
        ("unet", 12_073_304_064, 7_756_704),
        ("mobilenet-block", 81_586_176, 51_456),
    ],
)
def test_the_lists_have_the_published_cost(name, macs, weights):
    assert total(name) == (macs, weights)


def test_the_suite_is_the_one_that_results_are_quoted_for():
    shapes = {
        "lenet-c3": (64, 6, 14, 14, 16, 5, 5, 1, 0, 1), "cifar": (64, 16, 32, 32, 16, 3, 3, 1, 1, 1),
        "alexnet-conv1": (8, 3, 227, 227, 96, 11, 11, 4, 0, 1), "vgg-1_2": (4, 64, 224, 224, 64, 3, 3, 1, 1, 1),
        "vgg-3_2": (8, 256, 56, 56, 256, 3, 3, 1, 1, 1), "vgg-5_1": (16, 512, 14, 14, 512, 3, 3, 1, 1, 1),
        "resnet-conv1": (8, 3, 224, 224, 64, 7, 7, 2, 3, 1), "resnet-64@56": (16, 64, 56, 56, 64, 3, 3, 1, 1, 1),
        "resnet-128@28": (16, 128, 28, 28, 128, 3, 3, 1, 1, 1), "resnet-256@14": (16, 256, 14, 14, 256, 3, 3, 1, 1, 1),
        "resnet-512@7": (16, 512, 7, 7, 512, 3, 3, 1, 1, 1), "resnet-1x1": (16, 256, 56, 56, 64, 1, 1, 1, 0, 1),
        "resnet-stride2": (16, 256, 28, 28, 512, 3, 3, 2, 1, 1),
        "depthwise-128@56": (16, 128, 56, 56, 128, 3, 3, 1, 1, 128),
    }
    found = {
        layer.name: (
            layer.images, layer.in_channels, *layer.size, layer.out_channels, *layer.kernel, layer.stride[0],
            layer.padding[0], layer.groups,
        )
        for layer in layers.load(["suite"])
    }
    assert found == shapes


def test_output_sizes_cost_and_bytes_of_a_layer():
    layer = layers.parse("conv1 8x3x227x227 -> 96, 11x11 stride 4")
    assert layer.out == (55, 55)
    assert layer.macs == 8 * 105_415_200
    assert layer.bytes(4) == 4 * (8 * 3 * 227 * 227 + 96 * 3 * 121 + 8 * 96 * 55 * 55)
    p = layer.problem
    assert (p.stride_h, p.top, p.groups, p.x_shape, p.y_shape) == (4, 0, 1, (8, 3, 227, 227), (8, 96, 55, 55))


@pytest.mark.parametrize("name", layers.built_in())
def test_every_layer_survives_its_own_notation_and_has_a_small_one(name):
    for layer in layers.load([name]):
        assert layers.parse(f"{layer.name} {layer.notation}") == layer
        small = layer.reduced()
        assert small.images % 16 == layer.images % 16
        assert small.size[0] % 48 == layer.size[0] % 48
        assert (small.in_channels, small.out_channels) == (layer.in_channels, layer.out_channels)
        assert small.groups == layer.groups
        assert (small.kernel, small.stride, small.padding) == (layer.kernel, layer.stride, layer.padding)
        assert small.macs <= layer.macs


@pytest.mark.parametrize("name", layers.built_in())
@pytest.mark.parametrize("tile", [2, 4])
def test_a_reduced_layer_runs_the_same_code_as_the_layer(name, tile):
    def ways(layer):
        plans = [winograd._plan(layer.problem, tile, 4, turned) for turned in (False, True)]
        by_channels = [winograd._correlation(plan)[1] for plan in plans]
        return by_channels, winograd._sums(plans[0])[1] > 0

    for layer in layers.load([name]):
        if winograd.cannot(tile, "forward", layer.problem) is None:
            assert ways(layer.reduced()) == ways(layer), layer.name


@pytest.mark.parametrize(
    "line",
    [
        "1x3x144x144 -> 8, 64x64", "1x3x240x240 -> 4, 101x101 padding 5", "1x3x96x96 -> 4, 3x3 dilation 25",
        "1x3x48x960 -> 4, 1x129", "1x3x500x500 -> 4, 120x7 stride 3x2",
    ],
)  # fmt: skip
def test_a_reduced_layer_keeps_room_for_its_window(line):
    layer = layers.parse(f"l {line}")
    small = layer.reduced()
    assert min(small.out) >= 1
    for n, full, step in zip(small.size, layer.size, layer.stride, strict=True):
        assert n <= full
        assert n % (48 * step) == full % (48 * step)


def test_two_numbers_options_and_a_comment(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("# mine\n\na 2x4x9x8 -> 6, 3x2 stride 2x1 padding 1x0 dilation 1x2 groups 2 times 3  # why\n")
    (layer,) = layers.load([str(path)])
    assert (layer.stride, layer.padding, layer.dilation, layer.groups, layer.times) == ((2, 1), (1, 0), (1, 2), 2, 3)
    assert layer.out == (5, 6)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a 8x3x9x9 -> 4", r"is no layer; a layer reads 'NAME 8x256x56x56 -> 256, 3x3 \[stride S\]"),
        ("a 8x3x9 -> 4, 3x3", "is no layer"),
        ("a 8x3x9x9 -> 4, 3x3 strides 2", "is no layer"),
        ("a 8x3x9x9 -> 4, 3x3 stride 2 stride 2", "gives an option twice"),
        ("a 8x3x9x9 -> 4, 3x3 groups 2", "layer 'a': groups 2 must divide 3 and 4 channels"),
        ("a 8x3x2x9 -> 4, 3x3", r"layer 'a': the kernel does not fit the padded input \(2, 9\)"),
        ("a 8x3x9x9 -> 4, 3x3 stride 0", "layer 'a': sizes, stride, dilation, groups and times must be at least 1"),
    ],
)
def test_a_line_that_is_no_layer_is_named_with_its_file(line, message, tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text(f"good 1x1x4x4 -> 1, 3x3\n{line}\n")
    with pytest.raises(ValueError, match=rf"^bench: .*mine\.txt:2: .*{message}"):
        layers.load([str(path)])


def test_sources_that_hold_nothing(tmp_path):
    empty = tmp_path / "empty.txt"
    empty.write_text("# nothing\n")
    with pytest.raises(ValueError, match=r"bench: .*empty\.txt holds no layer"):
        layers.load([str(empty)])
    with pytest.raises(ValueError, match=r"bench: no list or file of layers 'vgg'; there are alexnet, .*vgg16"):
        layers.load(["vgg"])
    with pytest.raises(ValueError, match=r"different names, there are two of 'vgg-1_2'"):
        layers.load(["vgg16", "suite"])


def test_a_single_layer_needs_no_name():
    (layer,) = layers.load(["2x3x5x5 -> 4, 3x3"])
    assert layer.name == "layer"
