"""Networks that name what each pixel shows."""

from minicnn.models.segmentation.unet import UNet

__all__ = ["UNet"]
