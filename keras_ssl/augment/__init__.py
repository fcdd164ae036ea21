"""Augmentation: views of images, drawn per image and by seed."""

from keras_ssl.augment.image.blur import GaussianBlur
from keras_ssl.augment.image.channels import SplitChannels, ToLab, ToYCbCr
from keras_ssl.augment.image.color import ColorJitter, Grayscale, Solarize
from keras_ssl.augment.image.crop import RandomFlip, RandomResizedCrop
from keras_ssl.augment.image.drop import ChannelDrop, RandomErasing
from keras_ssl.augment.image.filters import Sobel
from keras_ssl.augment.image.geometry import CenterCrop, RandomCrop, RandomRotate, Resize, Rotations
from keras_ssl.augment.layer import Augmentation
from keras_ssl.augment.image.masks import (
    BlockMask,
    HoleMask,
    MultiBlockMask,
    RandomMask,
    RegionMask,
    enlarge,
    masked_indices,
    partition,
    select,
)
from keras_ssl.augment.image.mixing import CutMix, InputMix, MixUp, beta, mix_views, mixup, partners
from keras_ssl.augment.image.patches import (
    Coarsen,
    Downsample,
    Montage,
    PatchGrid,
    PerPatch,
    ProjectColors,
    ReplacePatches,
    ShiftChannels,
    ShufflePatches,
    Standardize,
    patchify,
    permutations,
    unpatchify,
)
from keras_ssl.augment.image.policies import AutoAugment, RandAugment
from keras_ssl.augment.random import fold, uniform
from keras_ssl.augment.image.recipes import *  # noqa: F401, F403
from keras_ssl.augment.image.recipes import __all__ as RECIPES
from keras_ssl.augment.shared import SharedViews
from keras_ssl.augment.view import View, Views

__all__ = [
    "Augmentation",
    "AutoAugment",
    "BlockMask",
    "CenterCrop",
    "ChannelDrop",
    "Coarsen",
    "ColorJitter",
    "CutMix",
    "Downsample",
    "GaussianBlur",
    "Grayscale",
    "HoleMask",
    "InputMix",
    "MixUp",
    "Montage",
    "MultiBlockMask",
    "PatchGrid",
    "PerPatch",
    "ProjectColors",
    "RECIPES",
    "RandAugment",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomMask",
    "RandomResizedCrop",
    "RandomRotate",
    "RegionMask",
    "ReplacePatches",
    "Resize",
    "Rotations",
    "SharedViews",
    "ShiftChannels",
    "ShufflePatches",
    "Sobel",
    "Solarize",
    "SplitChannels",
    "Standardize",
    "ToLab",
    "ToYCbCr",
    "View",
    "Views",
    "beta",
    "enlarge",
    "fold",
    "masked_indices",
    "mix_views",
    "mixup",
    "partition",
    "partners",
    "patchify",
    "permutations",
    "select",
    "uniform",
    "unpatchify",
    *RECIPES,
]
