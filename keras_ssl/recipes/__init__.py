"""Recipes: each method as its paper trains it, for `python -m keras_ssl pretrain` and for scripts.

The recipe of `methods/FAMILY/m.py` is `recipes/FAMILY/m.py`. It has three functions of the run:

- `views(run)`: the augmentation;
- `paper(run)`: the method as the paper trains it, its optimizer, and callbacks where it has some;
- `minutes(run)`: the same for a run of minutes (`--quick`): sizes and rates that were chosen by measuring runs of 1,170
  steps of 128 images of CIFAR-10, with a ResNet-18 of width 16 or a transformer of width 128 and depth 6. Papers train
  for hundreds of epochs: a teacher with a momentum of 0.996 would hardly leave its random start in such a run.

It may name its `ENCODERS`, the usual one first; otherwise these are the ResNets, then the transformers. A method that
cannot be trained from the samples alone has no `paper`, and says why in `WITHOUT`. One for other samples than images
names their `KIND`, one of `keras_ssl.inputs`, and builds its encoder itself.

How to read it. A docstring says where the paper trained and what it got: top-1 accuracy of a linear classifier on the
frozen features of a ResNet-50, unless it says otherwise. Numbers in `paper` are those of the paper or of its authors'
code, with these exceptions:

- `run.small`: images of at most 64 pixels. They take the paper's recipe for CIFAR-10 where it has one, else the views
  without blur and the smaller heads that are the practice of the field.
- Rates are those of a batch of 256 and grow with the batch, linearly unless the recipe says otherwise. Momenta of
  teachers, lengths of queues and weight decays stay as they are.
- The rate falls along half a cosine, step by step, also where a paper lowers it in stairs (InstDisc, CMC, MoCo v1,
  AlignUniform, InvaSpread, W-MSE, SimMIM) or once an epoch (MoCo v2, SimSiam). Debiased and hard-negative contrast
  keep it, as in their code.
- What a paper counts in epochs (warm-ups, the start of a queue, frozen layers, clusters) has a bound, often a tenth of
  the run: runs may be much shorter than the paper's.
- LARS is that of the ImageNet recipes also where rates for CIFAR-10 (BYOL, Barlow Twins, VICReg, SwAV) come from code
  with another, whose rate is a bound (`clipped`): in a run of 270 steps of Barlow Twins that one learned nothing.
  EMPSSL, FroSSL, All4One and NNBYOL, which were trained with that one alone, have it: it is for long runs.
- SGD and LARS have the rate inside the momentum, PyTorch has it outside. Adam's epsilon is Keras's.
- Of a paper's variants it is the plain one: SimCLR v2 without a memory, MoCo v2 with the loss of one direction, W-MSE
  with two views.
- Gray images have views of their own, without hue and mirror.

Example:
    ```python
    in_order = lambda: keras_ssl.data.image_folder("photos/", 96, 256, shuffle=False, index=True, upscale=True)
    run = Run((96, 96, 3), 10_000, 256, 39, 100, "resnet18", width=64, in_order=in_order)
    model, optimizer, *callbacks = make("BYOL", run)
    ```
"""

import importlib
import importlib.util

import keras_ssl
from keras_ssl.inputs import IMAGE
from keras_ssl.recipes.run import PYRAMIDS, RESNETS, VITS, Run, gray_view, usual_patch

__all__ = [
    "PYRAMIDS", "RESNETS", "VITS", "Run", "encoders_of", "find", "gray_view", "kind_of", "make", "names",
    "usual_encoder", "usual_patch", "why_not",
]  # fmt: skip


def find(method):
    """The recipe of a method.

    Args:
        method: str, a name of `keras_ssl.METHODS`.

    Returns:
        the module, or None where there is no such method, or no recipe for it.
    """
    path = keras_ssl.METHODS.get(method, "").replace("methods.", "keras_ssl.recipes.", 1)
    try:
        there = path and importlib.util.find_spec(path) is not None
    except ModuleNotFoundError:  # no recipe of the whole family
        there = False
    return importlib.import_module(path) if there else None


def kind_of(method):
    """The kind of samples that a method's recipe is for, one of `keras_ssl.inputs`: images unless it says otherwise."""
    return getattr(find(method), "KIND", IMAGE)


def names(of="paper", kind=IMAGE):
    """The methods that have a recipe, in the order of `keras_ssl.METHODS`.

    Args:
        of: `"paper"` or `"minutes"`.
        kind: `keras_ssl.inputs.Kind` of the samples, or None for all.
    """
    return [x for x in keras_ssl.METHODS if hasattr(find(x), of) and kind in (None, kind_of(x))]


def why_not(method, of="paper"):
    """Why there is no recipe for it: the words of an error, or None where there is one.

    Args:
        method: str, the name of a method.
        of: `"paper"` or `"minutes"`.
    """
    recipe = find(method)
    if hasattr(recipe, of):
        return None
    reason = getattr(recipe, "WITHOUT", "none was written yet")
    return f"There is no recipe for {method}: {reason}" if method in keras_ssl.METHODS else f"There is no {method!r}"


def make(method, run):
    """The method with all that it needs to be trained.

    Args:
        method: str, one of `names()`; with `run.quick` one of `names("minutes")`.
        run: `Run`.

    Returns:
        list of the `keras_ssl.Method`, its optimizer, and callbacks, if any.

    Raises:
        ValueError: there is no recipe, or it does not take such an encoder or such samples.
    """
    of = "minutes" if run.quick else "paper"
    if why := why_not(method, of):
        raise ValueError(f"{why}. Recipes: {', '.join(names(of, run.kind))}")
    if (kind := kind_of(method)) is not run.kind:
        raise ValueError(f"The recipe of {method} is for {kind.words}. Received: a run on {run.kind.words}")
    if run.name not in (known := encoders_of(method)):
        raise ValueError(f"The encoder of {method} must be one of {', '.join(known)}. Received: {run.name}")
    return getattr(find(method), of)(run)


def encoders_of(method):
    """The names of the encoders that a method takes, the usual one's kind first."""
    return getattr(find(method), "ENCODERS", RESNETS + VITS)


def usual_encoder(method, size, quick=False):
    """The name of the encoder that suits a method and images of so many pixels."""
    first = encoders_of(method)[0]
    return "vit_small" if first in VITS and size > 64 and not quick else first
