"""Augmentation: views of images, drawn per image and by seed."""

from keras_ssl.augment.blur import GaussianBlur
from keras_ssl.augment.colour import ColorJitter, Grayscale, Solarize
from keras_ssl.augment.crop import RandomFlip, RandomResizedCrop
from keras_ssl.augment.layer import Augmentation
from keras_ssl.augment.random import fold, uniform
from keras_ssl.augment.recipes import (
    byol,
    byol_cifar,
    cifar,
    moco_cifar,
    moco_v1,
    moco_v2,
    simclr,
    simclr_cifar,
)
from keras_ssl.augment.view import View, Views

__all__ = [
    "Augmentation",
    "ColorJitter",
    "GaussianBlur",
    "Grayscale",
    "RandomFlip",
    "RandomResizedCrop",
    "Solarize",
    "View",
    "Views",
    "byol",
    "byol_cifar",
    "cifar",
    "fold",
    "moco_cifar",
    "moco_v1",
    "moco_v2",
    "simclr",
    "simclr_cifar",
    "uniform",
]
