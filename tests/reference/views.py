"""Filters, color spaces, geometry and policies in plain NumPy and Pillow, one image at a time."""

import math

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from tests.reference.augment import uniform

GRAY = (128, 128, 128)


def sobel(image, fill=None):
    gray = image.astype("float64").mean(axis=-1)
    gray = np.pad(gray, 1, mode="edge") if fill is None else np.pad(gray, 1, constant_values=fill)
    kernel = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])
    out = np.zeros((*image.shape[:2], 2))
    for y, x in np.ndindex(image.shape[:2]):
        window = gray[y : y + 3, x : x + 3]
        out[y, x] = (window * kernel).sum(), (window * kernel.T).sum()
    return out


def lab(red, green, blue):
    """The Lab of one pixel, after the definitions of sRGB (IEC 61966-2-1) and of CIE 1976."""
    linear = [((c / 255 + 0.055) / 1.055) ** 2.4 if c / 255 > 0.04045 else c / 255 / 12.92 for c in (red, green, blue)]
    matrix = [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
    white = (0.95047, 1.0, 1.08883)

    def f(t):
        return t ** (1 / 3) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29

    x, y, z = (f(sum(m * c for m, c in zip(row, linear)) / w) for row, w in zip(matrix, white))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def random_crop(image, seed, size, padding, reflect, fill, flip):
    draws = uniform(seed, 3)
    borders = [(padding, padding), (padding, padding), (0, 0)]
    image = image.astype("float64")
    image = np.pad(image, borders, mode="reflect") if reflect else np.pad(image, borders, constant_values=fill)
    top, left = (int(draw * (side - new + 1)) for draw, side, new in zip(draws, image.shape, size))
    box = image[top : top + size[0], left : left + size[1]]
    return box[:, ::-1] if draws[2] < flip else box


def erased(shape, seed, scale, ratio, p):
    """Where an image is erased, of its shape."""
    height, width = shape[:2]
    draws = uniform(seed, 5)
    area = height * width * (scale[0] + (scale[1] - scale[0]) * draws[0])
    aspect = math.exp(math.log(ratio[0]) + (math.log(ratio[1]) - math.log(ratio[0])) * draws[1])
    h = min(max(round(math.sqrt(area * aspect)), 1), height)
    w = min(max(round(math.sqrt(area / aspect)), 1), width)
    top, left = int(draws[2] * (height - h + 1)), int(draws[3] * (width - w + 1))
    mask = np.zeros(shape, bool)
    mask[top : top + h, left : left + w] = draws[4] < p
    return mask


def rotated_square(image, angle):
    """The middle of an image turned counter-clockwise, as large as every angle fills."""
    shorter = min(image.shape[:2])
    side = int(shorter / math.sqrt(2))
    side -= (shorter - side) % 2
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    middle = (np.array(image.shape[:2]) - 1) / 2 - np.array([(n - side) % 2 for n in image.shape[:2]]) / 2
    out = np.zeros((side, side, image.shape[2]))
    for i, j in np.ndindex(side, side):
        y, x = i - (side - 1) / 2, j - (side - 1) / 2
        row, column = middle[0] + sine * x + cosine * y, middle[1] + cosine * x - sine * y
        for k in (math.floor(row), math.floor(row) + 1):
            for m in (math.floor(column), math.floor(column) + 1):
                weight = (1 - abs(row - k)) * (1 - abs(column - m))
                if weight > 1e-9:
                    out[i, j] += weight * image[k, m]
    return out


def operation(image, name, amount):
    """An operation of RandAugment on a uint8 image, by Pillow where it has it."""
    height, width = image.shape[:2]
    image = Image.fromarray(image)

    def affine(*matrix):
        return image.transform(image.size, Image.Transform.AFFINE, matrix, fillcolor=GRAY)

    done = {
        "identity": lambda: image,
        "rotate": lambda: image.rotate(amount, fillcolor=GRAY),
        "shear_x": lambda: affine(1, amount, 0, 0, 1, 0),
        "shear_y": lambda: affine(1, 0, 0, amount, 1, 0),
        "translate_x": lambda: affine(1, 0, amount * width, 0, 1, 0),
        "translate_y": lambda: affine(1, 0, 0, 0, 1, amount * height),
        "color": lambda: ImageEnhance.Color(image).enhance(amount),
        "contrast": lambda: ImageEnhance.Contrast(image).enhance(amount),
        "brightness": lambda: ImageEnhance.Brightness(image).enhance(amount),
        "sharpness": lambda: ImageEnhance.Sharpness(image).enhance(amount),
        "posterize": lambda: ImageOps.posterize(image, int(amount)),
        "solarize": lambda: ImageOps.solarize(image, amount),
        "invert": lambda: ImageOps.invert(image),
        "autocontrast": lambda: ImageOps.autocontrast(image),
        "equalize": lambda: ImageOps.equalize(image),
        "solarize_add": lambda: image.point([min(v + amount, 255) if v < 128 else v for v in range(256)] * 3),
    }
    return np.asarray(done[name]())
