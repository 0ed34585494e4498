"""The networks of the steps as torch modules, parameters in the order of ours; torch loads when one is made."""

from typing import Any


def lenet(classes: int) -> Any:
    """The 61 706-parameter LeNet-5 of today."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(16, 120, 5), nn.Tanh(), nn.Flatten(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, classes),
    )


def mlp(classes: int) -> Any:
    """784-256-classes."""
    from torch import nn

    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, classes))


def vgg11(classes: int) -> Any:
    """VGG A without dropout, whose masks would differ."""
    from torch import nn

    layers: list[Any] = []
    channels = 3
    for maps in (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0):
        layers += [nn.Conv2d(channels, maps, 3, padding=1), nn.ReLU(inplace=True)] if maps else [nn.MaxPool2d(2)]
        channels = maps or channels
    head = (nn.Linear(25088, 4096), nn.ReLU(inplace=True), nn.Linear(4096, 4096), nn.ReLU(inplace=True))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(7), nn.Flatten(), *head, nn.Linear(4096, classes))


def resnet18(classes: int) -> Any:
    """ResNet-18 as torchvision has it."""
    from torch import nn

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, inputs: int, maps: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, maps, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(maps)
            self.relu = nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(maps, maps, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(maps)
            self.downsample = None
            if stride > 1 or inputs != maps:
                self.downsample = nn.Sequential(nn.Conv2d(inputs, maps, 1, stride, bias=False), nn.BatchNorm2d(maps))

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            y += x if self.downsample is None else self.downsample(x)
            return self.relu(y)

    stem = (nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
    sizes = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2)]
    blocks = [Block(*size) for size in [*sizes, (512, 512, 1)]]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def resnet50(classes: int) -> Any:
    """ResNet-50 as torchvision has it: the stride in the 3x3 convolution."""
    from torch import nn

    def step(inputs: int, maps: int, kernel: int = 1, stride: int = 1) -> tuple[Any, Any]:
        return nn.Conv2d(inputs, maps, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(maps)

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, inputs: int, maps: int, stride: int) -> None:
            super().__init__()
            self.conv1, self.bn1 = step(inputs, maps)
            self.conv2, self.bn2 = step(maps, maps, 3, stride)
            self.conv3, self.bn3 = step(maps, 4 * maps)
            self.relu = nn.ReLU(inplace=True)
            self.downsample = None
            if stride > 1 or inputs != 4 * maps:
                self.downsample = nn.Sequential(*step(inputs, 4 * maps, 1, stride))

        def forward(self, x: Any) -> Any:
            y = self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))
            y = self.bn3(self.conv3(y))
            y += x if self.downsample is None else self.downsample(x)
            return self.relu(y)

    layers: list[Any] = [*step(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, count in enumerate((3, 4, 6, 3)):
        for block in range(count):
            layers.append(Block(channels, 64 << stage, 2 if stage and not block else 1))
            channels = 256 << stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, classes))


def unet(classes: int) -> Any:
    """U-Net with padding and 32 maps at the top."""
    import torch
    from torch import nn

    def pair(inputs: int, maps: int) -> Any:
        first, second = nn.Conv2d(inputs, maps, 3, padding=1), nn.Conv2d(maps, maps, 3, padding=1)
        return nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True))

    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self, base: int = 32) -> None:
            super().__init__()
            widths = [base << level for level in range(5)]
            self.down = nn.ModuleList(pair(i, o) for i, o in zip([3, *widths[:-1]], widths, strict=True))
            self.rise = nn.ModuleList(nn.ConvTranspose2d(2 * o, o, 2, 2) for o in widths[-2::-1])
            self.up = nn.ModuleList(pair(2 * o, o) for o in widths[-2::-1])
            self.head = nn.Conv2d(base, classes, 1)
            self.pool = nn.MaxPool2d(2)

        def forward(self, x: Any) -> Any:
            skips: list[Any] = []
            for level, down in enumerate(self.down):
                x = down(x if level == 0 else self.pool(x))
                skips.append(x)
            skips.pop()
            for rise, up in zip(self.rise, self.up, strict=True):
                x = up(torch.cat([skips.pop(), rise(x)], 1))
            return self.head(x)

    return Net()


NETS = {"lenet": lenet, "mlp": mlp, "vgg11": vgg11, "resnet18": resnet18, "resnet50": resnet50, "unet": unet}
