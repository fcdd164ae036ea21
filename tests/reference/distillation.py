"""Distillation as LightlyTrain computes it, one image and one place at a time."""

import numpy as np


def softmax(x):
    e = np.exp(x - np.max(x))
    return e / e.sum()


def kl(prediction, target, temperature):
    """Of one row."""
    p, q = softmax(target / temperature), softmax(prediction / temperature)
    return sum(a * (np.log(a) - np.log(b)) for a, b in zip(p, q))


def unit(x):
    return x / np.linalg.norm(x)


def global_loss(students, teachers, queue, temperature):
    found = []
    for s, t in zip(students, teachers):
        of_student = np.array([unit(s) @ entry for entry in queue])
        of_teacher = np.array([unit(t) @ entry for entry in queue])
        found.append(kl(of_student, of_teacher, temperature))
    return np.mean(found)


def local_loss(students, teachers, temperature):
    """Of maps `(batch, rows, columns, dim)` on one grid."""
    found = []
    for s, t in zip(students, teachers):
        s, t = ([unit(place) for row in x for place in row] for x in (s, t))
        for one, other in zip(s, t):
            found.append(kl(np.array([one @ x for x in s]), np.array([other @ x for x in t]), temperature))
    return np.mean(found)


def bilinear(image, rows, columns):
    """A map `(height, width, dim)` at the middles of new places, the border repeated; nothing is averaged."""
    height, width, dim = image.shape
    found = np.zeros((rows, columns, dim))
    for i in range(rows):
        for j in range(columns):
            y = min(max((i + 0.5) * height / rows - 0.5, 0), height - 1)
            x = min(max((j + 0.5) * width / columns - 0.5, 0), width - 1)
            top, left = int(y), int(x)
            down, right = min(top + 1, height - 1), min(left + 1, width - 1)
            a, b = y - top, x - left
            upper = (1 - b) * image[top, left] + b * image[top, right]
            lower = (1 - b) * image[down, left] + b * image[down, right]
            found[i, j] = (1 - a) * upper + a * lower
    return found
