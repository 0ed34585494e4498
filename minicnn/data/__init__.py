"""Datasets, transforms, samplers and the loader: plain NumPy arrays in and out."""

from minicnn.data.cifar import cifar10, cifar100
from minicnn.data.dataset import ArrayDataset, Dataset, Subset, Transformed
from minicnn.data.device_loader import DeviceLoader
from minicnn.data.digits import digits, lenet_input
from minicnn.data.folder import ImageFolder, read_image
from minicnn.data.idx import mnist, read_idx, write_idx
from minicnn.data.loader import DataLoader, collate
from minicnn.data.samplers import BalancedBatchSampler, BatchSampler, RandomSampler, SequentialSampler
from minicnn.data.synthetic import blobs, moons, rings, shapes, xor
from minicnn.data.transforms import (
    CenterCrop,
    Compose,
    Normalize,
    Pad,
    RandomCrop,
    RandomHorizontalFlip,
    Rescale,
    ToFloat,
    Upsample,
)

__all__ = [
    "ArrayDataset",
    "BalancedBatchSampler",
    "BatchSampler",
    "CenterCrop",
    "Compose",
    "DataLoader",
    "Dataset",
    "DeviceLoader",
    "ImageFolder",
    "Normalize",
    "Pad",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomSampler",
    "Rescale",
    "SequentialSampler",
    "Subset",
    "ToFloat",
    "Transformed",
    "Upsample",
    "blobs",
    "cifar10",
    "cifar100",
    "collate",
    "digits",
    "lenet_input",
    "mnist",
    "moons",
    "read_idx",
    "read_image",
    "rings",
    "shapes",
    "write_idx",
    "xor",
]
