"""Image grids: each tile in its place, small ones enlarged, white between them."""

import torch

from ganzoo.utils.image_grid import GAP, as_image, beside, grid, sign


def test_tiles_stand_row_by_row_in_their_places():
    levels = torch.linspace(-1, 1, 5)
    board = grid(levels.view(5, 1, 1, 1).expand(5, 3, 40, 36), columns=3)
    assert board.shape == (3, 2 * (40 + GAP) + GAP, 3 * (36 + GAP) + GAP)
    for i, value in enumerate((0, 64, 128, 191, 255)):
        top, left = GAP + i // 3 * (40 + GAP), GAP + i % 3 * (36 + GAP)
        assert (board[:, top : top + 40, left : left + 36] == value).all()
    assert (board[:, -(40 + GAP) :, -(36 + GAP) :] == 255).all()  # no sixth tile
    assert (board[:, :GAP] == 255).all()


def test_small_images_are_enlarged_and_two_channels_are_shown_in_grey():
    board = grid(torch.zeros(1, 2, 8, 12), columns=4)
    assert board.shape == (1, 32 + 2 * GAP, 48 + 2 * GAP)
    assert as_image(board).mode == "L"
    assert as_image(board.expand(3, -1, -1).contiguous()).mode == "RGB"


def test_boards_stand_beside_each_other_on_one_line():
    high, low = torch.zeros(1, 5, 2, dtype=torch.uint8), torch.full((1, 3, 4), 7, dtype=torch.uint8)
    found = beside([high, low])
    assert found.shape == (1, 5, 6)
    assert torch.equal(found[:, :, :2], high)
    assert torch.equal(found[:, 2:, 2:], low)
    assert (found[:, :2, 2:] == 255).all()


def test_signs_are_what_they_are_called():
    plus, minus, equals, none = (sign(symbol, 32, 3) == 0 for symbol in ("+", "-", "=", ""))
    for drawn in (plus, minus, equals):
        assert drawn.shape == (3, 32, 32)
        assert torch.equal(drawn, drawn.flip(1).flip(2))
    assert torch.equal(plus, plus.transpose(1, 2))
    assert minus[:, 16].any()
    assert not minus[:, :, 16][:, :14].any()
    assert (plus & minus).sum() == minus.sum() < plus.sum()
    assert not equals[:, 16].any()  # between its bars
    assert equals.sum() == 2 * minus.sum()
    assert not none.any()
