"""Videos that are made out of images: what is said of their motion is what is seen."""

import numpy as np
import pytest

from keras_ssl import data


def photographs(count=3, side=60):
    """Smooth enough that half a pixel can be seen."""
    draws = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / side
    waves = [np.sin(2 * np.pi * (draws.uniform(0.5, 3, 2) @ np.stack([y.ravel(), x.ravel()]) + draws.uniform()))
             for _ in range(3 * count)]
    return (127 + 100 * np.array(waves).reshape(count, 3, side, side).transpose(0, 2, 3, 1)).astype("uint8")


def sprites():
    draws = np.random.default_rng(1)
    masks = np.zeros((2, 8, 6), bool)
    masks[0, 1:7, :] = masks[1, :, 2:5] = True
    return draws.integers(150, 256, (2, 8, 6, 3)).astype("uint8"), masks


def test_a_window_pans_turns_and_zooms_as_is_said():
    images = photographs()
    made = data.moving_crops(images, 4, 6, (20, 24), speed=2.0, turn=3.0, zoom=1.02)
    assert made["video"].shape == (4, 6, 20, 24, 3) and made["pose"].shape == (4, 6, 4)
    steps = np.diff(made["pose"], axis=1)
    assert np.hypot(steps[..., 0], steps[..., 1]).max() <= 2.001 and np.abs(steps[..., 2]).max() <= 3.001
    np.testing.assert_allclose(steps, steps[:, :1].repeat(5, axis=1), atol=0.02)  # at a constant rate
    y, x, angle, scale = made["pose"][0, 2]
    turned = np.deg2rad(angle)
    for row, column in ((0, 0), (5, 20), (19, 23)):
        dy, dx = (row - 9.5) * scale, (column - 11.5) * scale
        at = y - 0.5 + np.cos(turned) * dy + np.sin(turned) * dx, x - 0.5 - np.sin(turned) * dy + np.cos(turned) * dx
        nearest = images[made["image"][0]][round(at[0]), round(at[1])]
        assert np.abs(nearest - made["video"][0, 2, row, column].astype(int)).max() < 30


def test_pure_pans_by_whole_pixels_are_crops():
    images = photographs()
    made = data.moving_crops(images, 1, 3, 20, speed=0.0)
    np.testing.assert_array_equal(made["video"][:, 0], made["video"][:, 2])
    y, x = made["pose"][0, 0, :2]
    found = data.moving.window(images[0], (round(y), round(x), 0, 1), 20, 20)
    np.testing.assert_array_equal(found, images[0][round(y) - 10 : round(y) + 10, round(x) - 10 : round(x) + 10])


@pytest.mark.parametrize("pan, each", [(0, 1), (1, 2)])
def test_what_is_seen_moves_by_its_flow(pan, each):
    pictures, masks = sprites()
    made = data.moving_sprites(photographs(side=60), pictures, 5, 8, masks=masks, each=each, speed=2, pan=pan)
    video, objects, flow = made["video"].astype(int), made["objects"], made["flow"].astype(int)
    size = video.shape[2]
    assert size == 60 - 2 * pan * 7
    y, x = np.mgrid[:size, :size]
    checked = 0
    for row in range(5):
        for time in range(7):
            to = y + flow[row, time, ..., 0], x + flow[row, time, ..., 1]
            inside = (to[0] >= 0) & (to[0] < size) & (to[1] >= 0) & (to[1] < size)
            to = np.clip(to[0], 0, size - 1), np.clip(to[1], 0, size - 1)
            seen = inside & (objects[row, time + 1][to] == objects[row, time])
            np.testing.assert_array_equal(video[row, time + 1][to][seen], video[row, time][seen])
            checked += seen[objects[row, time] > 0].sum()
    assert checked > 5 * 7 * 20 * each * 0.5


def test_objects_are_in_their_boxes_and_are_their_sprites():
    pictures, masks = sprites()
    made = data.moving_sprites(photographs(), pictures, 6, 12, masks=masks, each=1, speed=4)
    steps = np.diff(made["boxes"][..., :2], axis=1)
    assert np.abs(steps).max() <= 4 and np.abs(steps).sum(axis=(1, 2, 3)).min() > 0
    for row in range(6):
        for time in range(12):
            top, left, bottom, right = made["boxes"][row, time, 0]
            sprite = made["sprite"][row, 0]
            part = made["objects"][row, time, top:bottom, left:right] == 1
            np.testing.assert_array_equal(part, masks[sprite])
            assert (made["objects"][row, time] == 1).sum() == masks[sprite].sum()
            np.testing.assert_array_equal(
                made["video"][row, time, top:bottom, left:right][part], pictures[sprite][masks[sprite]]
            )


def test_sprites_that_do_not_bounce_leave_the_picture():
    pictures, _ = sprites()
    made = data.moving_sprites(photographs(), pictures, 4, 60, speed=3, bounce=False)
    assert (made["objects"][:, -1] == 0).all() and (made["objects"][:, 0] == 1).any(axis=(1, 2)).all()


def test_digits_bounce_and_seeds_repeat():
    digits = np.zeros((2, 9, 9), "uint8")
    digits[:, 2:7, 3:6] = 200
    make = lambda seed: data.bouncing_digits(digits, 2, 30, 24, seed=seed)["video"]  # noqa: E731
    np.testing.assert_array_equal(make(3), make(3))
    assert (make(3) != make(4)).any() and set(np.unique(make(3))) == {0, 200}
    assert (make(3) > 0).sum(axis=(2, 3, 4)).min() > 30


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: data.moving_crops(np.zeros((2, 8, 8)), 1, 2, 4), "images must be pixels from 0 to 255 of shape"),
        (lambda: data.moving_crops(photographs(), 1, 2, 61), "images must be larger than size"),
        (lambda: data.moving_crops(photographs(), 1, 2, 8, zoom=0.5), "zoom must be a finite number from 1"),
        (lambda: data.moving_sprites(photographs(), sprites()[0], 1, 2, masks=np.ones((1, 8, 6))), "masks must be one"),
        (lambda: data.moving_sprites(photographs(), sprites()[0], 1, 40, pan=1), "larger than the sprites and the pan"),
        (lambda: data.bouncing_digits(np.zeros((4, 4)), 1, 2), "digits must have the shape"),
    ],
)
def test_errors(make, match):
    with pytest.raises(ValueError, match=match):
        make()
