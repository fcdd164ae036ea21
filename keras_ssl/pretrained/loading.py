"""Loading: from a name, an address or a file to a Keras encoder; and encoders as files that say what they are."""

import json
import os
import re
import zipfile
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import keras

from keras_ssl import saving
from keras_ssl.pretrained import cache, clip, own, resnet, vit
from keras_ssl.pretrained.entries import ENTRIES, Entry
from keras_ssl.pretrained.features import feature_maps
from keras_ssl.pretrained.layout import Selection, assign, convert, require
from keras_ssl.pretrained.reader import read

LAYOUTS = {layout.name: layout for family in (vit, clip, resnet) for layout in family.LAYOUTS}
CARD = "card.json"
ASKED = ("method", "architecture", "data", "license")


def load(source, input_shape=None, pooling="auto", trainable=True, features=None, layout=None, heads=None):
    """A pretrained encoder: a plain functional Keras model from images of 0..255, its normalization inside.

    A name is downloaded once, to the folder of the environment's KERAS_SSL_HOME or ~/.keras/keras_ssl, and checked
    where its authors state a hash; small encoders of ours come with the package, such as `"fashion_resnet18"`. Nothing
    in a file is executed. Mind the license of its `list()` entry.

    Args:
        source: one of
            - a name of `keras_ssl.pretrained.list()`: `"dino_vits16"`;
            - a path of a `.pth`, `.pt`, `.pth.tar` or `.safetensors` file whose keys are of a known layout: DINO,
              DINOv2, MAE, MoCo v3, iBOT, timm (plain ViTs), transformers (ViT, DINOv2, the towers of CLIP and
              ViT-MAE), OpenAI's CLIP, torchvision's ResNets (MoCo, SwAV, Barlow Twins, VICReg, VISSL). Of teacher and
              student it is the teacher, of MoCo's two encoders the one that learns by gradients;
            - a path of a `.keras` file, as `save` writes it;
            - `"hf:owner/repository"`: its `model.safetensors` on the Hugging Face hub;
            - an address of such a file, `"https://..."`.
        input_shape: ints `(height, width, channels)`, or None: those of pretraining, which must be given for a file
            of a ViT that was pretrained on images that are not square. Multiples of the patch for a ViT; its positions
            are then interpolated once, as the paper's code does. With height and width None, images of any size are
            taken, and a ViT interpolates in each call, without the antialiasing or the 0.1 of a patch more that some
            papers' code has.
        pooling: `"token"`: the class token; `"mean"`: the mean over places; `"max"`: their maximum, of a ResNet; None:
            all tokens, the class token first, or the map of a ResNet; `"auto"`: the token of a ViT, the mean of a
            ResNet.
        trainable: whether it is fine-tuned. False freezes it, batch statistics too.
        features: list of numbers of the blocks of a ViT, from 1, or of the stages of a ResNet, 1 to 4. The model then
            returns a list of maps `(batch, rows, columns, channels)`, for detection and segmentation: those of the ViT
            after the last layer normalization, as in DINO's `get_intermediate_layers`; a ResNet's with strides 4, 8,
            16, 32, or 1, 2, 4, 8 where its stem is that for small images.
        layout: name of the file's layout, one of "vit", "vit_transformers", "clip", "clip_transformers", "resnet";
            None finds it out by the keys.
        heads: positive int, heads of the attention, which no file tells; None: those of the entry, for a path one per
            64 units of width, which is right for all ViTs here but MoCo v3's ViT-S (12) and MAE's ViT-H (16).

    Returns:
        a functional `keras.Model` of Keras's own layers, one of `keras_ssl.encoders.vit` or `resnet50` with its
        weights.

    Raises:
        ValueError: the name is unknown, or the file is damaged, of another kind, refused, or does not fit.
        OSError: the file is not there, or cannot be downloaded.

    Example:
    ```python
    encoder = keras_ssl.pretrained.load("dino_vits16", trainable=False)
    classifier = keras.Sequential([encoder, keras.layers.Dense(10)])
    maps = keras_ssl.pretrained.load("dinov2_vitb14", (448, 448, 3), features=[3, 6, 9, 12])  # four of (32, 32, 768)
    ```
    """
    if layout not in (None, *LAYOUTS):
        raise ValueError(f"layout must be None or one of {', '.join(LAYOUTS)}. Received: layout={layout!r}")
    if pooling not in ("auto", "token", "mean", "max", None):
        raise ValueError(f"pooling must be 'auto', 'token', 'mean', 'max' or None. Received: pooling={pooling!r}")
    if features is not None and pooling != "auto":
        raise ValueError(f"features are maps, which are not pooled: leave out pooling. Received: pooling={pooling!r}")
    if input_shape is not None and (not isinstance(input_shape, (tuple, list)) or len(input_shape) != 3):
        raise ValueError(
            f"input_shape must be (height, width, channels) or None. Received: input_shape={input_shape!r}"
        )
    entry = _entry(source)
    path = _file(source, entry)
    if path.suffix == ".keras":
        encoder = _from_keras(path, input_shape, pooling, layout, heads)
    else:
        encoder = _converted(path, entry, input_shape, pooling, layout, heads)
    if features is not None:
        encoder = feature_maps(encoder, features)
    encoder.trainable = trainable
    return encoder


def save(encoder, path, card):
    """Writes an encoder as one `.keras` file, whole or not at all, with a card that says what it is.

    The file loads with Keras alone, and with `load`, and computes in float32 whatever the policy of the training.

    Args:
        encoder: `keras.Model` of Keras's own layers.
        path: str or path that ends in `.keras`.
        card: dict with at least "method", "architecture", "data" and "license", which JSON can hold, or an entry of
            `list()`.

    Returns:
        `Path` of the file.

    Raises:
        ValueError: the path or the card is not of this form, or a layer is not Keras's own.

    Example:
    ```python
    card = {"method": "BYOL", "architecture": "ResNet-18", "data": "own photographs", "license": "MIT"}
    keras_ssl.pretrained.save(model.encoder, "encoder.keras", card)
    ```
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise ValueError(f"path must end in '.keras'. Received: path={str(path)!r}")
    card = card.card() if isinstance(card, Entry) else card
    if not isinstance(card, dict) or any(not card.get(key) for key in ASKED):
        raise ValueError(f"card must be a dict with {', '.join(ASKED)}. Received: card={card!r}")
    try:
        text = json.dumps(card, indent=2)
    except (TypeError, ValueError) as error:
        raise ValueError(f"card must hold what JSON can: strings, numbers, lists, dicts. It says: {error}") from None
    encoder = saving.in_float32(saving.plain(encoder))
    part = path.with_name(f".{path.stem}.{os.getpid()}.keras")
    try:
        encoder.save(part)
        with zipfile.ZipFile(part, "a") as archive:
            archive.writestr(CARD, text)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def card(source):
    """What a checkpoint is: method, architecture, data, license, and what else its card holds.

    Args:
        source: a name of `list()`, or the path of a `.keras` file that `save` wrote.

    Returns:
        dict.

    Raises:
        ValueError: the name is unknown, or the file has no card.
    """
    entry = _entry(source)
    if entry is not None:
        return entry.card()
    path = _file(source, None)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if CARD in archive.namelist():
                return json.loads(archive.read(CARD))
    raise ValueError(f"{str(source)!r} has no card: it was not written by keras_ssl.pretrained.save.")


def _converted(path, entry, input_shape, pooling, layout, heads):
    if entry is not None and entry.shipped:
        layout, weights, input_shape, pooling = _shipped(path, entry, input_shape, pooling, layout)
    else:
        name = layout or (entry.layout if entry and path.suffix != ".safetensors" else None)
        selection = Selection(LAYOUTS.values(), str(path), name)
        arrays = read(path, selection)
        layout = selection.layout
        weights = convert(arrays, layout, str(path))
    require(weights, layout.required, layout, str(path))
    options = layout.options | (entry.options if entry else {}) | ({} if heads is None else {"heads": heads})
    if entry is not None:
        _check_size(weights, entry, path)
        if entry.shipped and layout.name == "vit":
            options["class_row"] = False
    encoder = layout.build(weights, options, input_shape, pooling)
    assign(encoder, weights, layout, str(path))
    return encoder


def _shipped(path, entry, input_shape, pooling, layout):
    if layout not in (None, entry.layout):
        raise ValueError(f"{entry.name} is of the layout {entry.layout!r}. Received: layout={layout!r}")
    channels = entry.input_shape[2]
    if input_shape is not None and input_shape[2] != channels:
        raise ValueError(f"{entry.name} takes images (height, width, {channels}). Received: input_shape={input_shape}")
    weights = own.read(path, entry.digest)
    shape = entry.input_shape if input_shape is None else input_shape
    return LAYOUTS[entry.layout], weights, shape, entry.pooling if pooling == "auto" else pooling


def _from_keras(path, input_shape, pooling, layout, heads):
    if input_shape is not None or pooling != "auto" or layout is not None or heads is not None:
        raise ValueError(
            "A .keras file holds its own architecture: input_shape, pooling, layout and heads are for other files. "
            f"Received: input_shape={input_shape}, pooling={pooling!r}, layout={layout!r}, heads={heads}"
        )
    model = keras.saving.load_model(path, compile=False)
    return getattr(model, "encoder", model)  # of a whole method, too


def _entry(source):
    if not isinstance(source, str):
        return None
    hub = {f"hf:{entry.hub}": entry for entry in ENTRIES.values() if entry.hub}
    return ENTRIES.get(source) or hub.get(source)


def _file(source, entry):
    text = os.fspath(source)
    if text.startswith("hf:"):
        return cache.from_hub(text[3:])
    if entry is not None and entry.shipped:
        return own.FOLDER / entry.source
    if entry is not None:
        return cache.fetch(entry.source, entry.name + _ending(entry.source), entry.digest)
    if text.startswith(("https://", "http://", "file://")):
        name = urlsplit(text).path.rsplit("/", 1)[-1]  # without what follows a question mark
        return cache.fetch(text, f"{sha256(text.encode()).hexdigest()[:8]}-{name}")
    path = Path(text).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        raise ValueError(f"source must be a file, not a folder. Received: source={text!r}")
    if path.suffix or len(path.parts) > 1:
        raise FileNotFoundError(f"No file {str(path)!r}.")
    raise ValueError(f"source must be a path, an address or one of {', '.join(ENTRIES)}. Received: source={text!r}")


def _ending(address):
    return re.search(r"(\.pth)?\.[a-z]+$", address)[0]


def _check_size(weights, entry, path):
    kernel = weights.get("patches/kernel", weights.get("stem_conv/kernel"))
    found = {"width": kernel.shape[-1]}
    if "patch" in entry.size:
        depth = max(int(name[5:].split("_")[0]) for name in weights if name.startswith("block"))
        found |= {"depth": depth, "patch": kernel.shape[0]}
    if found != dict(entry.size):
        raise ValueError(f"{str(path)!r} is no {entry.architecture}: expected {dict(entry.size)}, found {found}.")
