"""The held-out set: PAIRS were judged first, EXTRA are more of the same; ALL are both."""

from tests.testing.held_out import edges, right, right_layers, wrong_contract, wrong_layers, wrong_various

ALL = [
    *right.PAIRS, *right_layers.PAIRS, *wrong_layers.PAIRS, *wrong_various.PAIRS, *wrong_contract.PAIRS, *edges.PAIRS,
]
_EXTRA = """
max_pool_near_ties magnitude_spectrum log_cumsum_exp singular_values bilinear_resize
bias_first_row_only row_bias_over_reduced conv_weight_last_sample max_pool_overlap_assigned avg_pool_counts_padding
batch_norm_variance_detached softmax_axis_ignored cross_entropy_counts_ignored kl_plus_one_lost
bce_pos_weight_forgotten hardtanh_mask_missing
attention_key_unscaled attention_mask_not_in_backward resize_align_corners_mixed
transpose_undone_by_reshape total_variation_last_pixel crop_put_back_one_off gather_wrong_axis
inverse_not_transposed polar_angle_sign column_gradient_flattened fully_masked
"""
EXTRA = [p for p in ALL if p.name in _EXTRA.split()]
PAIRS = [p for p in ALL if p.name not in _EXTRA.split()]
