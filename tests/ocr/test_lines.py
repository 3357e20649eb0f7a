"""Lines, blocks and their order, on drawn ink."""

import numpy as np

from appliance.ocr.lines import Box, Mask, find_units, order_for_reading, regions


def page(*words: Box) -> Mask:
    ink = np.zeros((200, 400), bool)
    for word in words:
        ink[word.cut] = True
    return ink


def test_words_of_a_line_are_one_unit_and_lines_and_columns_are_apart() -> None:
    first = [Box(10, 10, 40, 22), Box(47, 10, 90, 24), Box(98, 12, 140, 22)]
    second, other_column = Box(10, 32, 80, 44), Box(260, 10, 330, 22)
    units = find_units(page(*first, second, other_column))
    assert sorted(units.boxes) == sorted([Box(10, 10, 140, 24), second, other_column])


def test_every_pixel_of_ink_belongs_to_the_unit_around_it() -> None:
    chance = np.random.default_rng(7)
    ink = chance.random((200, 400)) < 0.01
    units = find_units(ink)
    rows, columns = np.nonzero(ink)
    assert len(rows) > 500
    for y, x in zip(rows, columns, strict=True):
        box = units.boxes[units.owner[y, x]]
        assert box.left <= x < box.right and box.top <= y < box.bottom


def test_dot_joins_the_line_it_stands_over() -> None:
    letters, dot = Box(20, 40, 90, 52), Box(50, 35, 52, 37)
    assert find_units(page(letters, dot)).boxes == [Box(20, 35, 90, 52)]


def test_paragraph_stays_whole_though_another_column_stands_beside_it() -> None:
    left = [Box(10, 10, 150, 22), Box(10, 28, 140, 40), Box(10, 46, 80, 58)]
    right = [Box(220, 12, 380, 24), Box(220, 30, 370, 42)]
    boxes = [right[1], left[2], right[0], left[0], left[1]]
    assert order_for_reading(boxes) == [[[3], [4], [1]], [[2], [0]]]


def test_pieces_of_one_screen_line_become_one_row_from_left_to_right() -> None:
    assert order_for_reading([Box(64, 11, 120, 23), Box(10, 10, 58, 22)]) == [[[1, 0]]]


def test_near_boxes_share_a_region_and_far_ones_do_not() -> None:
    near, also_near, far = Box(20, 20, 60, 32), Box(70, 22, 120, 34), Box(300, 150, 350, 162)
    found = regions([near, also_near, far], (200, 400))
    assert sorted(found) == [Box(6, 6, 134, 48), Box(286, 136, 364, 176)]
