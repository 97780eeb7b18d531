"""Pairs of masks and groups of them, against answers worked out by hand."""

import numpy as np
import pytest

from fitb_jax.evaluation import mask_groups


def test_pairs_have_the_intersection_over_union_of_masks_of_the_same_area() -> None:
    left, right, both = np.zeros((3, 2, 4), bool)
    left[:, :2] = right[:, 2:] = both[:, 1:3] = True
    small = np.zeros((2, 4), bool)
    small[0, 0] = True
    some = np.stack([np.stack([left, small]), np.stack([both, small])])
    others = np.stack([np.stack([left, small]), np.stack([right, ~small])])
    expected = [[[1, 0], [1 / 3, 1 / 3]], [[1, 0], [1, 0]]]
    np.testing.assert_allclose(mask_groups.pairwise_iou(some, others), expected, rtol=1e-6)


def test_masks_that_overlap_are_of_one_group_and_the_largest_comes_first() -> None:
    family = np.array([1, 0, 0, 1, 0])
    iou = np.where(family[:, None] == family[None], 0.8, 0.2)
    np.fill_diagonal(iou, 1)
    found, order = mask_groups.groups(iou, same=0.5)
    np.testing.assert_array_equal(found, family)
    assert (np.diff(family[order]) != 0).sum() == 1
    assert mask_groups.groups(iou, same=0.1)[0].max() == 0
    assert mask_groups.groups(iou, same=0.9)[0].max() == 4


def test_the_tree_joins_what_is_most_alike_first() -> None:
    iou = np.array([[1, 0.2, 0.9], [0.2, 1, 0.4], [0.9, 0.4, 1]])
    found = mask_groups.tree(iou)
    np.testing.assert_allclose(found, [[0, 2, 0.1, 2], [1, 3, 0.7, 3]])


@pytest.mark.usefixtures("unchecked")
def test_masks_of_other_areas_have_no_pairs() -> None:
    masks = np.zeros((2, 3, 4, 4), bool)
    for other in (masks[:, :2], masks.astype(float)):
        with pytest.raises(ValueError, match="boolean masks of the same areas"):
            mask_groups.pairwise_iou(masks, other)


def test_others_are_the_masks_of_other_images() -> None:
    masks = np.zeros((3, 2, 1, 2, 2), bool)
    masks[0, :, :, 0] = masks[1, :, :, :, 0] = masks[2] = True
    found = mask_groups.iou_with_others(masks)
    # Rows and columns share a quarter of the image, and half of it is theirs in the whole.
    np.testing.assert_allclose(found[:, 0], [(1 / 3 + 1 / 2) / 2, (1 / 3 + 1 / 2) / 2, 1 / 2])
    assert np.isnan(mask_groups.iou_with_others(masks[:1])).all()
