"""Augmentation in plain NumPy loops, one image at a time, after the definitions of torchvision and Pillow."""

import colorsys
import itertools
import math

import numpy as np

LUMA = (0.2989, 0.587, 0.114)
BITS = 2**32
GOLDEN = 0x9E3779B9


def scramble(x):
    x = (x ^ (x >> 16)) * 0x85EBCA6B % BITS
    x = (x ^ (x >> 13)) * 0xC2B2AE35 % BITS
    return x ^ (x >> 16)


def fold(seed, stream):
    left, right = (int(half) % BITS for half in seed)
    left ^= scramble((right + GOLDEN * (3 * stream + 1)) % BITS)
    right ^= scramble((left + GOLDEN * (3 * stream + 2)) % BITS)
    return np.array([left, right], "uint32").astype("int32")


def uniform(seed, count):
    left, right = (int(half) % BITS for half in seed)
    bits = [scramble((scramble((left + GOLDEN * (3 * i + 3)) % BITS) + right) % BITS) for i in range(count)]
    return np.array([(b >> 8) / 2**24 for b in bits])


def crop_box(draws, height, width, scale, ratio):
    """(top, left, height, width) of torchvision's RandomResizedCrop.get_params, and whether a try did fit."""
    for i in range(10):
        area = height * width * (scale[0] + (scale[1] - scale[0]) * draws[i])
        aspect = math.exp(math.log(ratio[0]) + (math.log(ratio[1]) - math.log(ratio[0])) * draws[10 + i])
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(draws[20] * (height - h + 1)), int(draws[21] * (width - w + 1)), h, w, True
    if width / height < ratio[0]:
        w, h = width, round(width / ratio[0])
    elif width / height > ratio[1]:
        w, h = round(height * ratio[1]), height
    else:
        w, h = width, height
    return (height - h) // 2, (width - w) // 2, h, w, False


def resize(image, height, width):
    """Bilinear, antialiased: Pillow's triangle filter, rows and then columns."""
    image = resize_rows(image.astype("float64"), height)
    return resize_rows(image.transpose(1, 0, 2), width).transpose(1, 0, 2)


def resize_rows(image, size):
    step = len(image) / size
    support = max(step, 1.0)
    out = np.zeros((size, *image.shape[1:]))
    for i in range(size):
        center, total = (i + 0.5) * step, 0.0
        for j in range(max(0, int(center - support + 0.5)), min(len(image), int(center + support + 0.5))):
            weight = max(0.0, 1 - abs((j + 0.5 - center) / support))
            out[i] += weight * image[j]
            total += weight
        out[i] /= total
    return out


def random_resized_crop(image, seed, size, scale, ratio, flip):
    draws = uniform(seed, 23)
    top, left, h, w, _ = crop_box(draws, *image.shape[:2], scale, ratio)
    image = resize(image[top : top + h, left : left + w], *size)
    return image[:, ::-1] if draws[22] < flip else image


def gray(image):
    weights = LUMA if image.shape[-1] == 3 else [1 / image.shape[-1]] * image.shape[-1]
    return np.repeat((image * weights).sum(axis=-1, keepdims=True), image.shape[-1], axis=-1)


def color_jitter(image, seed, brightness, contrast, saturation, hue, p):
    draws = uniform(seed, 6)
    image = image.astype("float64") / 255
    if draws[5] >= p:
        return image * 255
    strengths = (brightness, contrast, saturation, hue)
    orders = list(itertools.permutations([what for what in range(4) if strengths[what]]))
    for what in orders[int(draws[4] * len(orders))]:
        if what == 3:
            image = turn(image, (2 * draws[3] - 1) * hue)
            continue
        low, high = max(0, 1 - strengths[what]), 1 + strengths[what]
        factor = low + (high - low) * draws[what]
        other = [np.zeros_like(image), np.full_like(image, gray(image).mean()), gray(image)][what]
        image = np.clip(factor * image + (1 - factor) * other, 0, 1)
    return image * 255


def turn(image, shift):
    out = np.zeros_like(image)
    for y, x in np.ndindex(image.shape[:2]):
        hue, saturation, value = colorsys.rgb_to_hsv(*image[y, x])
        out[y, x] = colorsys.hsv_to_rgb((hue + shift) % 1, saturation, value)
    return out


def gaussian_blur(image, seed, kernel, sigma, p):
    draws = uniform(seed, 2)
    if draws[0] >= p:
        return image.astype("float64")
    sigma = sigma[0] + (sigma[1] - sigma[0]) * draws[1]
    radius = kernel // 2
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    height, width = image.shape[:2]
    padded = np.pad(image.astype("float64"), [(radius, radius), (radius, radius), (0, 0)], mode="reflect")
    out = np.zeros(image.shape)
    for dy, dx in np.ndindex(kernel, kernel):
        out += weights[dy] * weights[dx] * padded[dy : dy + height, dx : dx + width]
    return out


def solarize(image, seed, threshold, p):
    image = image.astype("float64")
    return np.where(image >= threshold, 255 - image, image) if uniform(seed, 1)[0] < p else image


def grayscale(image, seed, p):
    return gray(image) if uniform(seed, 1)[0] < p else image.astype("float64")


def random_flip(image, seed, p):
    return image[:, ::-1] if uniform(seed, 1)[0] < p else image
