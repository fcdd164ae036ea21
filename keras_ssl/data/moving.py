"""Moving: videos that are made out of images, with what moves in them known exactly."""

import numpy as np

from keras_ssl.checks import check_ints, check_numbers
from keras_ssl.data.decode import pair
from keras_ssl.data.order import whole


def moving_crops(images, count, frames, size, *, speed=2.0, turn=0.0, zoom=1.0, seed=0):
    """Videos of a camera over photographs: a window that pans, turns and zooms at a constant rate.

    Args:
        images: array `(n, height, width, 3)` of pixels from 0 to 255, the photographs, each larger than the window.
        count: int, how many videos.
        frames: int, the frames of a video.
        size: int or (height, width), pixels of the window.
        speed: float, the largest pan from frame to frame in pixels; the direction is random.
        turn: float, the largest rotation from frame to frame in degrees, to either side.
        zoom: float from 1, the largest factor from frame to frame, or its inverse.
        seed: int of at least 0; the same seed, the same videos.

    Returns:
        dict of arrays: `"video"` uint8 `(count, frames, height, width, 3)`; `"image"` int64 `(count,)`, the photograph;
        `"pose"` float32 `(count, frames, 4)`: y and x of the middle of the window in the photograph, its angle in
        degrees and its scale, photograph pixels for one of the window. Where a window leaves its photograph, the border
        is repeated.

    Raises:
        ValueError: the images are not larger than the window, or a number is out of its range.

    Example:
        >>> made = moving_crops(np.zeros((2, 64, 64, 3), "uint8"), count=4, frames=8, size=32)
        >>> made["video"].shape, made["pose"].shape
        ((4, 8, 32, 32, 3), (4, 8, 4))
    """
    images, (height, width) = checked_images("images", images), pair(size)
    check_ints(count=count, frames=frames)
    check_numbers(least=0, speed=speed, turn=turn)
    check_numbers(least=1, zoom=zoom)
    if images.shape[1] < height or images.shape[2] < width:
        raise ValueError(f"images must be larger than size. Received: shape={images.shape}, size={size}")
    draws = np.random.default_rng(whole("seed", seed, 0))
    chosen = draws.integers(0, len(images), count)
    way, pan = draws.uniform(0, 2 * np.pi, count), speed * np.sqrt(draws.uniform(size=count))
    rate = np.stack([pan * np.sin(way), pan * np.cos(way), draws.uniform(-turn, turn, count)], axis=1)
    growth = zoom ** draws.uniform(-1, 1, count)
    times = np.arange(frames) - (frames - 1) / 2
    free = (np.array(images.shape[1:3]) - (height, width)) / 2
    reach = np.abs(rate[:, :2]) * (frames - 1) / 2  # the path lies inside where the photograph is large enough
    middle = np.array(images.shape[1:3]) / 2 + draws.uniform(-1, 1, (count, 2)) * np.maximum(free - reach, 0)
    pose = np.zeros((count, frames, 4), "float32")
    pose[..., :2] = middle[:, None] + rate[:, None, :2] * times[None, :, None]
    pose[..., 2] = rate[:, None, 2] * times
    pose[..., 3] = growth[:, None] ** times
    video = np.stack([[window(images[image], one, height, width) for one in path] for image, path in zip(chosen, pose)])
    return {"video": video, "image": chosen, "pose": pose}


def window(image, pose, height, width):
    """What a window shows: uint8 `(height, width, 3)`, bilinear; the border is repeated outside of the image."""
    y, x, angle, scale = (float(value) for value in pose)
    rows = (np.arange(height) - (height - 1) / 2)[:, None] * scale
    columns = (np.arange(width) - (width - 1) / 2)[None, :] * scale
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    at = np.stack([y - 0.5 + cos * rows + sin * columns, x - 0.5 - sin * rows + cos * columns])
    at = np.clip(at, 0, np.array(image.shape[:2])[:, None, None] - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, np.array(image.shape[:2])[:, None, None] - 1)
    part = (at - low)[..., None]
    upper = image[low[0], low[1]] * (1 - part[1]) + image[low[0], high[1]] * part[1]
    lower = image[high[0], low[1]] * (1 - part[1]) + image[high[0], high[1]] * part[1]
    return np.round(upper * (1 - part[0]) + lower * part[0]).astype("uint8")


def moving_sprites(
    backgrounds, sprites, count, frames, *, masks=None, each=1, speed=2.0, pan=0, bounce=True, noise=0.0, seed=0
):
    """Videos of cut-outs that move over still photographs, or over ones that a camera pans over.

    Sprites move at a constant velocity, whole pixels from frame to frame, and turn around at the border. Later ones
    hide earlier ones.

    Args:
        backgrounds: array `(n, height, width, 3)` of pixels from 0 to 255, of the size of the videos; where there is a
            pan, larger by `pan * (frames - 1)` on each side.
        sprites: array `(m, h, w, 3)` of pixels from 0 to 255, smaller than the videos.
        count: int, how many videos.
        frames: int, the frames of a video.
        masks: None, where all pixels of the sprites are real, or bool array `(m, h, w)`.
        each: int, the sprites in a video.
        speed: float from 1, the largest velocity of a sprite in pixels a frame, along each axis; at least one axis
            moves.
        pan: int, the largest velocity of the camera in pixels a frame, along each axis. Sprites move against the
            picture, not against the background.
        bounce: whether sprites turn around at the border; otherwise they leave the picture.
        noise: float, the standard deviation of the noise that is added to every pixel.
        seed: int of at least 0; the same seed, the same videos.

    Returns:
        dict of arrays: `"video"` uint8 `(count, frames, height, width, 3)`; `"objects"` int64 `(count, frames, height,
        width)`, 0 for the background and i for the sprite i that is seen, from 1; `"flow"` float32 `(count, frames - 1,
        height, width, 2)`, by how many pixels, in y and x, what is seen at a pixel moves to the next frame; `"boxes"`
        int64 `(count, frames, each, 4)`, top, left, bottom and right of each sprite; `"sprite"` int64 `(count, each)`
        and `"background"` int64 `(count,)`, their numbers.

    Raises:
        ValueError: shapes do not go together, or a number is out of its range.

    Example:
        >>> made = moving_sprites(np.zeros((1, 32, 32, 3), "uint8"), np.full((1, 8, 8, 3), 255, "uint8"), 4, 10)
        >>> made["video"].shape, made["objects"].shape
        ((4, 10, 32, 32, 3), (4, 10, 32, 32))
    """
    backgrounds, sprites = checked_images("backgrounds", backgrounds), checked_images("sprites", sprites)
    check_ints(count=count, frames=frames, each=each)
    check_ints(0, pan=pan)
    check_numbers(least=1, speed=speed)
    check_numbers(least=0, noise=noise)
    masks = np.ones(sprites.shape[:3], bool) if masks is None else np.asarray(masks).astype(bool)
    if masks.shape != sprites.shape[:3]:
        raise ValueError(f"masks must be one for each sprite, {sprites.shape[:3]}. Received: shape={masks.shape}")
    margin = pan * (frames - 1)
    size = np.array(backgrounds.shape[1:3]) - 2 * margin
    extent = np.array(sprites.shape[1:3])
    if (size <= extent).any():
        raise ValueError(
            f"backgrounds must be larger than the sprites{f' and the pan, {margin} pixels on each side' if pan else ''}"
            f". Received: {backgrounds.shape} and sprites of {sprites.shape}"
        )
    draws = np.random.default_rng(whole("seed", seed, 0))
    made = {
        "video": np.zeros((count, frames, *size, 3), "uint8"),
        "objects": np.zeros((count, frames, *size), "int64"),
        "flow": np.zeros((count, frames - 1, *size, 2), "float32"),
        "boxes": np.zeros((count, frames, each, 4), "int64"),
        "sprite": draws.integers(0, len(sprites), (count, each)),
        "background": draws.integers(0, len(backgrounds), count),
    }
    for row in range(count):
        start = draws.integers(0, size - extent + 1, (each, 2))
        velocity = velocities(draws, each, int(speed))
        camera = draws.integers(-pan, pan + 1, 2)
        places = paths(start, velocity, size - extent, frames, bounce)  # (frames, each, 2)
        made["boxes"][row] = np.concatenate([places, places + extent], axis=-1)
        for time in range(frames):
            top, left = margin + camera * time
            image = backgrounds[made["background"][row], top : top + size[0], left : left + size[1]].astype("float64")
            objects = made["objects"][row, time]
            flow = np.broadcast_to(-camera, (*size, 2)).astype("float32")
            for number in range(each):
                sprite = made["sprite"][row, number]
                inside, own = overlap(places[time, number], extent, size)
                seen = masks[sprite][own]
                image[inside][seen] = sprites[sprite][own][seen]
                objects[inside][seen] = number + 1
                if time < frames - 1:
                    flow[inside][seen] = places[time + 1, number] - places[time, number]
            if noise:
                image = image + draws.normal(0, noise, image.shape)
            made["video"][row, time] = np.clip(np.round(image), 0, 255)
            if time < frames - 1:
                made["flow"][row, time] = flow
    return made


def bouncing_digits(digits, count, frames, size=64, *, each=2, speed=3.0, seed=0):
    """Moving MNIST: digits that bounce in a black box, `moving_sprites` over nothing.

    Unsupervised Learning of Video Representations using LSTMs (Srivastava et al., 2015), arXiv:1502.04681. Where two
    digits meet, the later one is in front.

    Args:
        digits: array `(n, height, width)` of gray pixels from 0 to 255, 0 where there is no digit.
        count: int, how many videos.
        frames: int, the frames of a video.
        size: int or (height, width), pixels of the box.
        each: int, the digits in a video.
        speed: float from 1, see `moving_sprites`.
        seed: int of at least 0.

    Returns:
        dict of arrays, see `moving_sprites`.

    Example:
        >>> made = bouncing_digits(np.full((3, 8, 8), 255, "uint8"), count=2, frames=5, size=32)
        >>> made["video"].shape
        (2, 5, 32, 32, 3)
    """
    digits = np.asarray(digits)
    if digits.ndim != 3 or not len(digits):
        raise ValueError(f"digits must have the shape (n, height, width). Received: shape={digits.shape}")
    box = np.zeros((1, *pair(size), 3), "uint8")
    sprites = np.repeat(digits[..., None], 3, axis=-1)
    return moving_sprites(box, sprites, count, frames, masks=digits > 0, each=each, speed=speed, seed=seed)


def velocities(draws, each, speed):
    """Whole pixels a frame, int64 `(each, 2)`: none stands still."""
    found = draws.integers(-speed, speed + 1, (each, 2))
    still = ~found.any(axis=1)
    found[still, 1] = draws.choice([-1, 1], still.sum()) * speed
    return found


def paths(start, velocity, last, frames, bounce):
    """Where sprites are, int64 `(frames, each, 2)`: from 0 to `last`, where they bounce."""
    places = start + velocity * np.arange(frames)[:, None, None]
    return last - np.abs(places % (2 * last) - last) if bounce else places


def overlap(place, extent, size):
    """The part of the picture that a sprite covers, and the part of the sprite that is in it: two pairs of slices."""
    low, high = np.clip(place, 0, size), np.clip(place + extent, 0, size)
    inside = tuple(slice(int(a), int(b)) for a, b in zip(low, high))
    own = tuple(slice(int(a), int(b)) for a, b in zip(low - place, high - place))
    return inside, own


def checked_images(name, images):
    images = np.asarray(images)
    numbers = np.issubdtype(images.dtype, np.number) and images.dtype != bool
    if images.ndim != 4 or images.shape[-1] != 3 or 0 in images.shape or not numbers:
        raise ValueError(
            f"{name} must be pixels from 0 to 255 of shape (n, height, width, 3). Received: shape={images.shape}, "
            f"dtype={images.dtype}"
        )
    return images
