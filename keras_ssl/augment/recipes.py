"""Recipes: views of every kind of data but images, whose recipes are in `augment.image.recipes`.

The numbers are those that each field starts from; a paper's own are its method's recipe.
"""

import math

from keras_ssl.augment.audio.waves import AddNoise, AudioCrop, Gain
from keras_ssl.augment.graph.nodes import DropNodes, MaskAttributes, PerturbEdges, Subgraph
from keras_ssl.augment.image.blur import GaussianBlur
from keras_ssl.augment.image.color import ColorJitter, Grayscale, Solarize
from keras_ssl.augment.image.crop import RandomResizedCrop
from keras_ssl.augment.one_of import OneOf
from keras_ssl.augment.series.signals import (
    Jitter,
    PermuteSegments,
    RotateAxes,
    ScaleChannels,
    SeriesCrop,
    TimeWarp,
)
from keras_ssl.augment.series.transformations import Negate, ReverseSeries, ShuffleChannels
from keras_ssl.augment.shared import SharedViews
from keras_ssl.augment.sometimes import Sometimes
from keras_ssl.augment.tokens.texts import CropTokens, DeleteTokens
from keras_ssl.augment.unchanged import Unchanged
from keras_ssl.augment.video.clips import PerClip, RandomClip
from keras_ssl.augment.video.times import PairedClip, PerFrame, RandomFrames
from keras_ssl.augment.view import View, Views


def simclr_video(size, frames=16, stride=2, count=2, seed=None):
    """Views of videos: clips from random times, each with one crop, flip, jitter and grayscale for all of its frames.

    CVRL: Spatiotemporal Contrastive Video Representation Learning (Qian et al., 2020), arXiv:2008.03800, without its
    choice of times and without the blur: see `cvrl`.

    Args:
        size: int or pair of ints (height, width), the size of the views in pixels.
        frames: int, the number of frames of a view.
        stride: int, the step from one frame to the next.
        count: int, the number of views.
        seed: int or None, see `Augmentation`.

    Returns:
        `Views`, `count` draws of one view.

    Example:
        >>> import numpy as np
        >>> first, second = simclr_video(16, frames=4)(np.zeros((2, 12, 24, 32, 3), "uint8"))
        >>> first.shape
        TensorShape([2, 4, 16, 16, 3])
    """
    layers = [RandomResizedCrop(size, (0.3, 1.0), flip=0.5), ColorJitter(0.8, 0.8, 0.8, 0.2, p=0.8), Grayscale(0.2)]
    return Views(View([RandomClip(frames, stride), PerClip(View(layers))]), count, seed=seed)


def cvrl(size, frames=16, stride=2, scale=(0.3, 1.0), blur_p=(1.0, 0.1), solarize_p=(0.0, 0.2), seed=None):
    """Views of videos as in CVRL: two clips that are rarely far apart, each with one draw for all of its frames.

    CVRL: Spatiotemporal Contrastive Video Representation Learning (Qian et al., 2020), arXiv:2008.03800, with the
    numbers of the authors' code. Brightness, contrast, saturation and hue are torchvision's, as everywhere here.

    Args:
        size: int or pair of ints (height, width), the size of the views in pixels.
        frames: int, the number of frames of a clip.
        stride: int, the step from one frame to the next.
        scale: pair of floats, see `RandomResizedCrop`.
        blur_p: pair of floats, the probability of `GaussianBlur` in the first and in the second clip; both 0 for small
            frames.
        solarize_p: pair of floats, the probability of `Solarize` in each.
        seed: int or None, see `Augmentation`.

    Returns:
        `SharedViews` of two `PairedClip`.

    Example:
        >>> import numpy as np
        >>> first, second = cvrl(16, frames=4)(np.zeros((2, 12, 24, 32, 3), "uint8"))
        >>> first.shape
        TensorShape([2, 4, 16, 16, 3])
    """
    clips = []
    for number in range(2):
        layers = [RandomResizedCrop(size, scale, (0.5, 2.0), flip=0.5), ColorJitter(0.8, 0.8, 0.8, 0.2, p=0.8)]
        layers.append(Grayscale(0.2))
        layers += [GaussianBlur(p=blur_p[number])] if blur_p[number] else []
        layers += [Solarize(p=solarize_p[number])] if solarize_p[number] else []
        clips.append(PairedClip(PerClip(View(layers)), frames, stride, number))
    return SharedViews(clips, seed=seed)


def vince(size, frames=4, scale=(0.2, 1.0), jitter=(0.4, 0.4, 0.4, 0.2), grayscale_p=0.2, seed=None):
    """Views of videos as in VINCE: single frames from random times, each with a crop and colors of its own.

    VINCE: Watching the World Go By (Gordon et al., 2020), arXiv:2003.07990, with the numbers of the authors' code.

    Args:
        size: int or pair of ints (height, width), the size of the frames in pixels.
        frames: int, how many a view has.
        scale: pair of floats, see `RandomResizedCrop`.
        jitter: four floats, see `ColorJitter`, which changes every frame.
        grayscale_p: float, the probability of `Grayscale`.
        seed: int or None, see `Augmentation`.

    Returns:
        `Views`, two draws of one view: the frames to look with, and those to be found.

    Example:
        >>> import numpy as np
        >>> queries, keys = vince(16)(np.zeros((2, 12, 24, 32, 3), "uint8"))
        >>> keys.shape
        TensorShape([2, 4, 16, 16, 3])
    """
    layers = [RandomResizedCrop(size, scale, flip=0.5), ColorJitter(*jitter), Grayscale(grayscale_p)]
    return Views(View([RandomFrames(frames), PerFrame(View(layers))]), 2, seed=seed)


def shuffle_and_learn(size, frames=96, stride=1, scale=(0.5, 1.0), flip=0.5, seed=None):
    """The view of ShuffleAndLearn: a part of a video with one crop and one flip for all frames, in its own order.

    Shuffle and Learn (Misra et al., 2016), arXiv:1603.08561, whose frames are crops of 227 pixels out of images of 340.

    Args:
        size: int or pair of ints (height, width), the size of the frames in pixels.
        frames: int, the frames among which the method draws.
        stride: int, the step from one to the next.
        scale: pair of floats, see `RandomResizedCrop`.
        flip: float, the probability to mirror.
        seed: int or None, see `Augmentation`.

    Returns:
        `View`.

    Example:
        >>> import numpy as np
        >>> shuffle_and_learn(16, frames=10)(np.zeros((2, 12, 24, 32, 3), "uint8")).shape
        TensorShape([2, 10, 16, 16, 3])
    """
    return View([RandomClip(frames, stride), PerClip(RandomResizedCrop(size, scale, flip=flip))], seed=seed)


def temporal_contrastive(size, frames=64, stride=1, scale=(0.5, 1.0), flip=0.5, jitter=(0.4, 0.4, 0.4, 0.1), seed=None):
    """The view of TemporalContrastive: a part of a video with one crop, one flip and one color for all of its frames.

    Temporal Contrastive Pretraining for Video Action Recognition (Lorre et al., 2020); the numbers are ours.

    Args:
        size: int or pair of ints (height, width), the size of the frames in pixels.
        frames: int, those of all clips together.
        stride: int, the step from one to the next.
        scale: pair of floats, see `RandomResizedCrop`.
        flip: float, the probability to mirror.
        jitter: four floats, see `ColorJitter`.
        seed: int or None, see `Augmentation`.

    Returns:
        `View`.

    Example:
        >>> import numpy as np
        >>> temporal_contrastive(16, frames=10)(np.zeros((2, 12, 24, 32, 3), "uint8")).shape
        TensorShape([2, 10, 16, 16, 3])
    """
    layers = View([RandomResizedCrop(size, scale, flip=flip), ColorJitter(*jitter, p=0.8)])
    return View([RandomClip(frames, stride), PerClip(layers)], seed=seed)


def time_contrastive(size, frames=36, stride=1, scale=(0.6, 1.0), jitter=(0.2, 0.4, 0.4, 0.1), seed=None):
    """The view of TimeContrastive: a part of a video with one crop, each frame in colors of its own.

    Time-Contrastive Networks (Sermanet et al., 2017), arXiv:1704.06888; the numbers are ours. The authors crop each
    frame by itself, and show some smaller, on a black ground.

    Args:
        size: int or pair of ints (height, width), the size of the frames in pixels.
        frames: int, how many.
        stride: int, the step from one to the next.
        scale: pair of floats, see `RandomResizedCrop`.
        jitter: four floats, see `ColorJitter`.
        seed: int or None, see `Augmentation`.

    Returns:
        `View`.

    Example:
        >>> import numpy as np
        >>> time_contrastive(16, frames=10)(np.zeros((2, 12, 24, 32, 3), "uint8")).shape
        TensorShape([2, 10, 16, 16, 3])
    """
    layers = [RandomClip(frames, stride), PerClip(RandomResizedCrop(size, scale)), PerFrame(ColorJitter(*jitter))]
    return View(layers, seed=seed)


def tracking(size, frames=4, stride=4, scale=(0.5, 1.0), flip=0.5, seed=None):
    """The view of TrackingByColorizing: a few frames of a video, one crop and one flip for all of them, in color.

    Tracking Emerges by Colorizing Videos (Vondrick et al., 2018), arXiv:1806.09594: three references and a target, of
    videos with six frames a second; crop and step are ours.

    Args:
        size: int or pair of ints (height, width), the size of the frames in pixels.
        frames: int, the references and the target.
        stride: int, the step from one to the next.
        scale: pair of floats, see `RandomResizedCrop`.
        flip: float, the probability to mirror.
        seed: int or None, see `Augmentation`.

    Returns:
        `View`.

    Example:
        >>> import numpy as np
        >>> tracking(16, stride=2)(np.zeros((2, 12, 24, 32, 3), "uint8")).shape
        TensorShape([2, 4, 16, 16, 3])
    """
    return View([RandomClip(frames, stride), PerClip(RandomResizedCrop(size, scale, flip=flip))], seed=seed)


def simclr_audio(length, decibels=6.0, snr=(3.0, 30.0), noise_p=0.5, count=2, seed=None):
    """Views of sounds: a part of the wave, louder or softer, half of them with noise.

    The parts are those of COLA: Contrastive Learning of General-Purpose Audio Representations (Saeed et al., 2020),
    arXiv:2010.10915, which changes them no further.

    Args:
        length: int, the number of samples of a view: COLA's 0.96 seconds are 15360 at 16 kHz.
        decibels: float, see `Gain`.
        snr: pair of floats, see `AddNoise`.
        noise_p: float, the probability of `AddNoise`.
        count: int, the number of views.
        seed: int or None, see `Augmentation`.

    Returns:
        `Views`, `count` draws of one view.

    Example:
        >>> import numpy as np
        >>> first, second = simclr_audio(15360)(np.zeros((2, 32000), "float32"))
    """
    return Views(View([AudioCrop(length), Gain(decibels), AddNoise(snr, noise_p)]), count, seed=seed)


def simclr_series(length, segments=5, jitter=0.05, scale=0.1, count=2, seed=None):
    """Views of sensor series: a part, its segments in another order, scaled channels and noise.

    The layers of Um et al. (2017), arXiv:1706.00527, for series with a standard deviation of about 1.

    Args:
        length: int, the number of steps of a view.
        segments: int, see `PermuteSegments`.
        jitter: float, the standard deviation of `Jitter`.
        scale: float, the standard deviation of `ScaleChannels`.
        count: int, the number of views.
        seed: int or None, see `Augmentation`.

    Returns:
        `Views`, `count` draws of one view.

    Example:
        >>> import numpy as np
        >>> first, second = simclr_series(100)(np.zeros((2, 128, 6), "float32"))
    """
    layers = [SeriesCrop(length), PermuteSegments(segments), ScaleChannels(scale), Jitter(jitter)]
    return Views(View(layers), count, seed=seed)


def tpn():
    """The series as it is, and the eight transformations that TPN tells apart from it.

    TPN: Multi-task Self-Supervised Learning for Human Activity Detection (Saeed et al., 2019), arXiv:1907.11879. In the
    order of `keras_ssl.TPN`: noise, scaled channels, rotated sensors, negated values, reversed time, four segments in
    another order, warped time, channels in another order. For series with a standard deviation of about 1, whose
    channels are groups of three axes.

    Time is warped for all channels alike, and the segments are equally long. Code that follows Um et al. (2017),
    arXiv:1706.00527, warps every channel by itself, which tears the axes of a sensor apart, and cuts anywhere.

    Returns:
        `Views`, nine of them.

    Example:
        >>> import numpy as np
        >>> len(tpn()(np.zeros((2, 128, 6), "float32")))
        9
    """
    return Views([Unchanged(), *transformations()])


def transformations():
    """The eight transformations of TPN, in its order."""
    return [
        Jitter(0.05), ScaleChannels(0.1), RotateAxes(angle=math.pi), Negate(), ReverseSeries(),
        PermuteSegments(4, identity=False), TimeWarp(4, 0.2, "cubic"), ShuffleChannels(),
    ]  # fmt: skip


def simclr_activity(p=0.3, length=None, count=2, seed=None):
    """Views of what people do, by the sensors that they wear: the eight transformations of TPN, each by chance.

    Exploring Contrastive Learning in Human Activity Recognition for Healthcare (Tang et al., 2020), arXiv:2011.11542,
    takes the same transformations, one or two of them for all views of a run.

    Args:
        p: float or eight floats, the probability of each: noise, scaled channels, rotated sensors, negated values,
            reversed time, segments in another order, warped time, channels in another order.
        length: int, the steps of a view, a part of the series; None for the whole series.
        count: int, the number of views.
        seed: int or None, see `Augmentation`.

    Returns:
        `Views`, `count` draws of one view.

    Raises:
        ValueError: the probabilities are not one, or one for each transformation.

    Example:
        >>> import numpy as np
        >>> first, second = simclr_activity()(np.zeros((2, 128, 6), "float32"))
    """
    layers = transformations()
    shares = tuple(p) if isinstance(p, (tuple, list)) else (p,) * len(layers)
    if len(shares) != len(layers):
        raise ValueError(f"p must be a probability, or one for each of {len(layers)} layers. Received: p={p!r}")
    layers = [Sometimes(layer, share) for layer, share in zip(layers, shares)]
    return Views(View([*([] if length is None else [SeriesCrop(length)]), *layers]), count, seed=seed)


def simclr_tokens(ratio=(0.6, 1.0), deletion=0.1, pad_id=0, special=(), count=2, seed=None):
    """Views of texts: a part of the text, with some tokens left out.

    CLEAR: Contrastive Learning for Sentence Representation (Wu et al., 2020), arXiv:2012.15466, deletes words and
    spans.

    Args:
        ratio: pair of floats, see `CropTokens`.
        deletion: float, the part of the tokens that `DeleteTokens` leaves out.
        pad_id: int, the token of the padding.
        special: ints, tokens that are never left out.
        count: int, the number of views.
        seed: int or None, see `Augmentation`.

    Returns:
        `Views`, `count` draws of one view: dicts of `"token_ids"` and `"padding_mask"`.

    Example:
        >>> import numpy as np
        >>> first, second = simclr_tokens()(np.ones((2, 48), "int32"))
    """
    layers = [CropTokens(ratio, pad_id, special=special), DeleteTokens(deletion, pad_id, special=special)]
    return Views(View(layers), count, seed=seed)


def simclr_graph(nodes=0.1, edges=0.1, attributes=0.1, count=2, seed=None):
    """Views of graphs: nodes left out, edges replaced, attributes hidden.

    GraphCL: Graph Contrastive Learning with Augmentations (You et al., 2020), arXiv:2010.13902, draws one or two of
    them for each view.

    Args:
        nodes: float, the part of the nodes that `DropNodes` leaves out.
        edges: float, the part of the edges that `PerturbEdges` replaces.
        attributes: float, the part of the nodes whose features `MaskAttributes` hides.
        count: int, the number of views.
        seed: int or None, see `Augmentation`.

    Returns:
        `Views`, `count` draws of one view: dicts of `"nodes"`, `"edges"` and their masks.

    Example:
        >>> import numpy as np
        >>> graph = {"nodes": np.ones((1, 4, 8)), "edges": np.array([[[0, 1], [1, 0]]])}
        >>> first, second = simclr_graph()(graph)
    """
    return Views(View([DropNodes(nodes), PerturbEdges(edges), MaskAttributes(attributes)]), count, seed=seed)


GRAPH_CHANGES = ("nodes", "edges", "attributes", "subgraph")


def graph_cl(changes=GRAPH_CHANGES, ratio=0.2, fill=0.0, plain=False, seed=None):
    """Two views of a graph, each with one of the changes, by chance.

    GraphCL: Graph Contrastive Learning with Augmentations (You et al., 2020), arXiv:2010.13902. Which changes help
    depends on the graphs: the authors found leaving out nodes and taking a part to help on all of theirs.

    Args:
        changes: names of the changes: `"nodes"`: `DropNodes`; `"edges"`: `PerturbEdges`; `"attributes"`:
            `MaskAttributes`; `"subgraph"`: `Subgraph`.
        ratio: float from 0 to 1, the part that is changed or, of `"subgraph"`, left out (0.2; the authors' code for
            small graphs changes 0.1 of nodes and edges).
        fill: number, see `MaskAttributes`; -1 hides labels, as `gin` has no numbers for it.
        plain: whether the first view is the graph as it is, as in the authors' code for small graphs.
        seed: int or None, see `Augmentation`.

    Returns:
        `Views`, two views: dicts of `"nodes"`, `"edges"` and their masks.

    Raises:
        ValueError: for another change.

    Example:
        >>> import numpy as np
        >>> graph = {"nodes": np.ones((1, 4, 8)), "edges": np.array([[[0, 1], [1, 0]]])}
        >>> first, second = graph_cl(("nodes", "subgraph"))(graph)
    """
    made = {
        "nodes": DropNodes(ratio),
        "edges": PerturbEdges(ratio),
        "attributes": MaskAttributes(ratio, fill),
        "subgraph": Subgraph(1 - ratio),
    }
    if not changes or isinstance(changes, str) or set(changes) - set(made):
        raise ValueError(f"changes must be a list of some of {list(made)}. Received: changes={changes!r}")
    view = OneOf([made[name] for name in changes])
    return Views([Unchanged(), view], seed=seed) if plain else Views(view, 2, seed=seed)
