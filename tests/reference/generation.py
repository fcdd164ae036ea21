"""Losses of autoencoders as their papers write them, one number at a time."""

import math

import numpy as np

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def standard(images):
    return (np.float64(images) / 255 - np.array(MEAN)) / np.array(STD)


def squared_error(prediction, images):
    target = standard(images)
    return np.mean([(p - t) ** 2 for p, t in zip(np.float64(prediction).ravel(), target.ravel())])


def divergence(mean, log_variance):
    """Of one normal distribution from the standard one: the integral of p log(p / q), dimension by dimension."""
    found = 0.0
    for m, lv in zip(mean, log_variance):
        deviation = math.exp(lv / 2)
        x = np.linspace(m - 12 * deviation, m + 12 * deviation, 20_001)
        log_p = -0.5 * ((x - m) / deviation) ** 2 - math.log(deviation)
        y = np.exp(log_p) / math.sqrt(2 * math.pi) * (log_p + 0.5 * x**2)
        found += np.sum((y[1:] + y[:-1]) / 2) * (x[1] - x[0])
    return found


def gaussian_error(prediction, image, deviation):
    """The negative log likelihood of an image less that of a perfect prediction."""
    target = standard(image)
    return sum((p - t) ** 2 / (2 * deviation**2) for p, t in zip(np.float64(prediction).ravel(), target.ravel()))


def bernoulli_error(logits, image):
    found = 0.0
    for logit, pixel in zip(np.float64(logits).ravel(), np.float64(image).ravel() / 255):
        p = 1 / (1 + math.exp(-logit))
        found -= pixel * math.log(p) + (1 - pixel) * math.log(1 - p)
    return found
