"""The ops that layers are made of: convolution, pooling, normalisation, regions, losses.

``minicnn.ops`` loads this module when one of these names is first asked for. No function here has the name of its
file: the import of a file puts it under that name into ``minicnn.ops``, before the function could stand there.
"""

from minicnn.ops.average_pooling import (
    adaptive_avg_pool2d,
    avg_pool1d,
    avg_pool2d,
    global_avg_pool2d,
    lp_pool2d,
    sum_pool2d,
)
from minicnn.ops.boxes import batched_nms, box_area, box_iou, clip_boxes_to_image, nms
from minicnn.ops.convolution import (
    conv1d,
    conv2d,
    conv2d_relu,
    conv2d_weight_grad,
    conv_transpose1d,
    conv_transpose2d,
    masked_conv2d,
)
from minicnn.ops.local_normalization import local_contrast_norm, local_response_norm, normalize
from minicnn.ops.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    discriminative_rbf_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
    squared_distance,
)
from minicnn.ops.margin_losses import (
    cosine_embedding_loss,
    cosine_similarity,
    exponential_loss,
    hinge_embedding_loss,
    hinge_loss,
    logistic_loss,
    margin_ranking_loss,
    multi_margin_loss,
    pairwise_distance,
    perceptron_loss,
    quadratic_loss,
    soft_margin_loss,
    triplet_margin_loss,
    zero_one_loss,
)
from minicnn.ops.normalization import batch_norm, group_norm, instance_norm, layer_norm
from minicnn.ops.pooling import (
    adaptive_max_pool2d,
    channel_max_pool,
    max_pool1d,
    max_pool2d,
    max_unpool2d,
    maxout,
)
from minicnn.ops.resample import (
    interpolate,
    upsample_nearest,
)
from minicnn.ops.roi import roi_align, roi_pool

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "batched_nms",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "box_area",
    "box_iou",
    "channel_max_pool",
    "clip_boxes_to_image",
    "conv1d",
    "conv2d",
    "conv2d_relu",
    "conv2d_weight_grad",
    "conv_transpose1d",
    "conv_transpose2d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "discriminative_rbf_loss",
    "exponential_loss",
    "global_avg_pool2d",
    "group_norm",
    "hinge_embedding_loss",
    "hinge_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "local_contrast_norm",
    "local_response_norm",
    "logistic_loss",
    "lp_pool2d",
    "margin_ranking_loss",
    "masked_conv2d",
    "max_pool1d",
    "max_pool2d",
    "max_unpool2d",
    "maxout",
    "mse_loss",
    "multi_margin_loss",
    "nms",
    "normalize",
    "pairwise_distance",
    "perceptron_loss",
    "quadratic_loss",
    "roi_align",
    "roi_pool",
    "smooth_l1_loss",
    "soft_margin_loss",
    "squared_distance",
    "sum_pool2d",
    "triplet_margin_loss",
    "upsample_nearest",
    "zero_one_loss",
]
