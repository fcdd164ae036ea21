"""Augmentation: views of images, clips, sounds, series, texts and graphs, drawn per sample and by seed."""

from keras_ssl.augment.audio.waves import AddNoise, AudioCrop, Gain, SpectrumMask
from keras_ssl.augment.graph.nodes import DropNodes, MaskAttributes, PerturbEdges, Subgraph
from keras_ssl.augment.image.blur import GaussianBlur
from keras_ssl.augment.image.channels import SplitChannels, ToLab, ToYCbCr
from keras_ssl.augment.image.color import ColorJitter, Grayscale, Solarize
from keras_ssl.augment.image.crop import RandomFlip, RandomResizedCrop
from keras_ssl.augment.image.drop import ChannelDrop, RandomErasing
from keras_ssl.augment.image.exemplar import ChangeHSV, Copies, RandomAffine, ScaleComponents
from keras_ssl.augment.image.filters import Sobel
from keras_ssl.augment.image.gamut import ab_bins, color_prior
from keras_ssl.augment.image.geometry import CenterCrop, RandomCrop, RandomRotate, Resize, Rotations
from keras_ssl.augment.image.located import Located, centers
from keras_ssl.augment.image.masks import BlockMask, HoleMask, MultiBlockMask, RandomMask, RegionMask, enlarge
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
    permutations,
)
from keras_ssl.augment.image.policies import AutoAugment, RandAugment
from keras_ssl.augment.image.pretext import context_prediction, counting, exemplar, jigsaw
from keras_ssl.augment.image.recipes import *  # noqa: F401, F403
from keras_ssl.augment.image.recipes import __all__ as RECIPES
from keras_ssl.augment.image.semi import Cutout, RandomPolicy, SemiViews, fixmatch, pseudo_label, s4l_exemplar
from keras_ssl.augment.layer import Augmentation
from keras_ssl.augment.one_of import OneOf
from keras_ssl.augment.places import masked_indices, partition, select
from keras_ssl.augment.random import fold, normal, uniform
from keras_ssl.augment.recipes import (
    cvrl,
    graph_cl,
    shuffle_and_learn,
    simclr_activity,
    simclr_audio,
    simclr_graph,
    simclr_series,
    simclr_tokens,
    simclr_video,
    temporal_contrastive,
    time_contrastive,
    tpn,
    tracking,
    vince,
)
from keras_ssl.augment.series.signals import (
    DropChannels,
    Jitter,
    MaskTime,
    PermuteSegments,
    RotateAxes,
    ScaleChannels,
    SeriesCrop,
    TimeWarp,
)
from keras_ssl.augment.series.transformations import Negate, ReverseSeries, ShuffleChannels
from keras_ssl.augment.shared import SharedViews
from keras_ssl.augment.sometimes import Sometimes
from keras_ssl.augment.tokens.texts import CropTokens, DeleteTokens, MaskTokens, SplitSegments, SubsampleTokens
from keras_ssl.augment.unchanged import Unchanged
from keras_ssl.augment.video.clips import PerClip, RandomClip, ReverseTime
from keras_ssl.augment.video.colors import color_centers
from keras_ssl.augment.video.times import PairedClip, PerFrame, RandomFrames
from keras_ssl.augment.view import View, Views
from keras_ssl.pixels import patchify, unpatchify

__all__ = [
    "AddNoise",
    "AudioCrop",
    "Augmentation",
    "AutoAugment",
    "BlockMask",
    "CenterCrop",
    "ChangeHSV",
    "ChannelDrop",
    "Coarsen",
    "ColorJitter",
    "Copies",
    "CropTokens",
    "CutMix",
    "Cutout",
    "DeleteTokens",
    "Downsample",
    "DropChannels",
    "DropNodes",
    "Gain",
    "GaussianBlur",
    "Grayscale",
    "HoleMask",
    "InputMix",
    "Jitter",
    "Located",
    "MaskAttributes",
    "MaskTime",
    "MaskTokens",
    "MixUp",
    "Montage",
    "MultiBlockMask",
    "Negate",
    "OneOf",
    "PairedClip",
    "PatchGrid",
    "PerClip",
    "PerFrame",
    "PerPatch",
    "PermuteSegments",
    "PerturbEdges",
    "ProjectColors",
    "RECIPES",
    "RandAugment",
    "RandomAffine",
    "RandomClip",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomFrames",
    "RandomMask",
    "RandomPolicy",
    "RandomResizedCrop",
    "RandomRotate",
    "RegionMask",
    "ReplacePatches",
    "Resize",
    "ReverseSeries",
    "ReverseTime",
    "RotateAxes",
    "Rotations",
    "ScaleChannels",
    "ScaleComponents",
    "SemiViews",
    "SeriesCrop",
    "SharedViews",
    "ShiftChannels",
    "ShuffleChannels",
    "ShufflePatches",
    "Sobel",
    "Solarize",
    "Sometimes",
    "SpectrumMask",
    "SplitChannels",
    "SplitSegments",
    "Standardize",
    "Subgraph",
    "SubsampleTokens",
    "TimeWarp",
    "ToLab",
    "ToYCbCr",
    "Unchanged",
    "View",
    "Views",
    "ab_bins",
    "beta",
    "centers",
    "color_centers",
    "color_prior",
    "context_prediction",
    "counting",
    "cvrl",
    "enlarge",
    "exemplar",
    "fixmatch",
    "fold",
    "graph_cl",
    "jigsaw",
    "masked_indices",
    "mix_views",
    "mixup",
    "normal",
    "partition",
    "partners",
    "patchify",
    "permutations",
    "pseudo_label",
    "s4l_exemplar",
    "select",
    "shuffle_and_learn",
    "simclr_activity",
    "simclr_audio",
    "simclr_graph",
    "simclr_series",
    "simclr_tokens",
    "simclr_video",
    "temporal_contrastive",
    "time_contrastive",
    "tpn",
    "tracking",
    "uniform",
    "unpatchify",
    "vince",
    *RECIPES,
]
