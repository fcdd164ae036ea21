"""Entries: the public checkpoints of the field, what they are, under which terms, and where they are; and our own."""

import dataclasses

from keras_ssl.pretrained import own

IMAGENET = "ImageNet-1k, 1.28 million images"
APACHE, MIT, NON_COMMERCIAL = "Apache-2.0", "MIT", "CC BY-NC 4.0"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A checkpoint that its authors have published, or one that comes with the package.

    Args:
        name: str, for `load`.
        method: str, as the paper spells it.
        architecture: str, with the patch size where there is one.
        data: str, what it was trained on, without labels.
        license: str, that of the weights as their repository states it. CC BY-NC 4.0 excludes commercial use.
        source: str, address of the file, or its name in the package.
        paper: str, address of the paper.
        numbers: dict, accuracy on ImageNet-1k in per cent as the authors report it: "linear", "k-NN", "fine-tuned". Of
            those in the package it is that on the test images of their data, as we measured it.
        layout: str, name of the layout of its keys.
        digest: str or None, `"algorithm:first hex digits"` of the file, where its authors state them.
        hub: str or None, repository with the same weights as safetensors, for `load("hf:...")`.
        size: dict, what the weights must have: width and, for a ViT, patch and depth.
        options: dict, what the weights do not show: heads, how positions are interpolated.
        input_shape: ints `(height, width, channels)` for `load`, or None: those that the weights show.
        pooling: str, what "auto" is in `load`: "auto" is the token of a ViT, the mean of a ResNet.
        record: dict, what else the card of one in the package says: license of the data, recipe, command, numbers of
            raw pixels and of the untrained encoder, date, versions.
    """

    name: str
    method: str
    architecture: str
    data: str
    license: str
    source: str
    paper: str
    numbers: dict
    layout: str
    digest: str | None = None
    hub: str | None = None
    size: dict = dataclasses.field(default_factory=dict)
    options: dict = dataclasses.field(default_factory=dict)
    input_shape: tuple | None = None
    pooling: str = "auto"
    record: dict = dataclasses.field(default_factory=dict)

    @property
    def shipped(self):
        """Whether its file comes with the package."""
        return "://" not in self.source

    def __str__(self):
        numbers = ", ".join(f"{key} {value}" for key, value in self.numbers.items())
        return f"{self.name}: {self.method}, {self.architecture}, {self.data}; {self.license}; {numbers}"

    def card(self):
        """What a saved encoder says of itself, a dict of str, for `save`."""
        kept = ("name", "method", "architecture", "data", "license", "source", "paper")
        return {key: getattr(self, key) for key in kept} | {"numbers": dict(self.numbers)} | self.record


def entries():
    """The checkpoints that `load` knows by name: the public ones, and some small ones that come with the package.

    Returns:
        list of `Entry`, each with `name`, `method`, `architecture`, `data`, `license`, `source`, `paper` and `numbers`.

    Example:
    ```python
    for entry in keras_ssl.pretrained.list():
        print(entry)  # dino_vits16: DINO, ViT-S/16, ImageNet-1k, 1.28 million images; Apache-2.0; linear 77.0, k-NN
        74.5
    ```
    """
    return [*ENTRIES.values()]


def _vit(name, method, size, patch, data, license, source, paper, numbers, digest=None, hub=None, layout="vit",
         **options):
    letter, width, depth, heads = SIZES[size]
    return Entry(
        name, method, f"ViT-{letter}/{patch}", data, license, source, paper, numbers, layout, digest, hub,
        {"width": width, "depth": depth, "patch": patch}, {"heads": heads} | options,
    )


def _resnet(name, method, license, source, paper, linear, digest=None, width=64, knn=None):
    numbers = {"linear": linear} | ({} if knn is None else {"k-NN": knn})
    architecture = "ResNet-50" if width == 64 else f"ResNet-50, {width // 64} times as wide"
    return Entry(
        name, method, architecture, IMAGENET, license, source, paper, numbers, "resnet", digest,
        size={"width": width},
    )


# width, depth, heads
SIZES = {"s": ("S", 384, 12, 6), "b": ("B", 768, 12, 12), "l": ("L", 1024, 24, 16), "h": ("H", 1280, 32, 16)}
FACEBOOK = "https://dl.fbaipublicfiles.com"
BYTEDANCE = "https://lf3-nlp-opensource.bytetos.com/obj/nlp-opensource/archive/2022"
OPENAI = "https://openaipublic.azureedge.net/clip/models"

DINO = "https://arxiv.org/abs/2104.14294"
DINOV2 = "https://arxiv.org/abs/2304.07193"
REGISTERS = "https://arxiv.org/abs/2309.16588"
MAE = "https://arxiv.org/abs/2111.06377"
MOCO_V3 = "https://arxiv.org/abs/2104.02057"
SWAV = "https://arxiv.org/abs/2006.09882"
VICREG = "https://arxiv.org/abs/2105.04906"
IBOT = "https://arxiv.org/abs/2111.07832"
CLIP = "https://arxiv.org/abs/2103.00020"


def _dino(size, patch, file, hub, linear, knn):
    return _vit(
        f"dino_vit{size}{patch}", "DINO", size, patch, IMAGENET, APACHE, f"{FACEBOOK}/dino/{file}/{file}.pth", DINO,
        {"linear": linear, "k-NN": knn}, hub=f"timm/vit_{hub}_patch{patch}_224.dino", offset=0.1,
    )


def _dinov2(size, hub, registers, linear, knn):
    file = f"dinov2_vit{size}14"
    return _vit(
        f"{file}_reg" if registers else file, "DINOv2 with registers" if registers else "DINOv2", size, 14,
        "LVD-142M, 142 million images", APACHE,
        f"{FACEBOOK}/dinov2/{file}/{file}{'_reg4' if registers else ''}_pretrain.pth",
        REGISTERS if registers else DINOV2,
        {"linear": linear, "k-NN": knn}, hub=f"timm/vit_{hub}_patch14{'_reg4' if registers else ''}_dinov2.lvd142m",
        offset=0.0 if registers else 0.1, antialias=registers,
    )


def _mae(size, patch, word, digest, linear, fine_tuned):
    return _vit(
        f"mae_vit{size}{patch}", "MAE", size, patch, IMAGENET, NON_COMMERCIAL,
        f"{FACEBOOK}/mae/pretrain/mae_pretrain_vit_{word}.pth", MAE, {"linear": linear, "fine-tuned": fine_tuned},
        digest,
        hub=f"timm/vit_{word}_patch{patch}_224.mae",
    )


def _ibot(size, linear, knn, fine_tuned):
    return _vit(
        f"ibot_vit{size}16", "iBOT", size, 16, IMAGENET, APACHE,
        f"{BYTEDANCE}/ibot/vit{size}_16/checkpoint_teacher.pth",
        IBOT, {"linear": linear, "k-NN": knn, "fine-tuned": fine_tuned}, offset=0.1,
    )


def _clip(size, patch, digest, linear):
    return _vit(
        f"clip_vit{size}{patch}", "CLIP", size, patch, "400 million images with texts", MIT,
        f"{OPENAI}/{digest}/ViT-{size.upper()}-{patch}.pt", CLIP, {"linear": linear}, f"sha256:{digest}", layout="clip",
    )


_ALL = (
    _dino("s", 16, "dino_deitsmall16_pretrain", "small", 77.0, 74.5),
    _dino("s", 8, "dino_deitsmall8_pretrain", "small", 79.7, 78.3),
    _dino("b", 16, "dino_vitbase16_pretrain", "base", 78.2, 76.1),
    _dino("b", 8, "dino_vitbase8_pretrain", "base", 80.1, 77.4),
    _resnet(
        "dino_resnet50", "DINO", APACHE, f"{FACEBOOK}/dino/dino_resnet50_pretrain/dino_resnet50_pretrain.pth", DINO,
        75.3, knn=67.5,
    ),
    _dinov2("s", "small", False, 81.1, 79.0),
    _dinov2("b", "base", False, 84.5, 82.1),
    _dinov2("l", "large", False, 86.3, 83.5),
    _dinov2("s", "small", True, 80.9, 79.1),
    _dinov2("b", "base", True, 84.6, 82.0),
    _dinov2("l", "large", True, 86.7, 83.8),
    _mae("b", 16, "base", "md5:8cad7c", 67.8, 83.6),
    _mae("l", 16, "large", "md5:b8b06e", 76.0, 85.9),
    _mae("h", 14, "huge", "md5:9bdbb0", 77.2, 86.9),
    _resnet(
        "moco_v2_resnet50", "MoCo v2", NON_COMMERCIAL,
        f"{FACEBOOK}/moco/moco_checkpoints/moco_v2_800ep/moco_v2_800ep_pretrain.pth.tar",
        "https://arxiv.org/abs/2003.04297", 71.1, "md5:a04e12f8",
    ),
    _resnet(
        "moco_v3_resnet50", "MoCo v3", NON_COMMERCIAL, f"{FACEBOOK}/moco-v3/r-50-1000ep/r-50-1000ep.pth.tar", MOCO_V3,
        74.6,
    ),
    _vit(
        "moco_v3_vits16", "MoCo v3", "s", 16, IMAGENET, NON_COMMERCIAL,
        f"{FACEBOOK}/moco-v3/vit-s-300ep/vit-s-300ep.pth.tar", MOCO_V3, {"linear": 73.2, "fine-tuned": 81.4}, heads=12,
    ),
    _vit(
        "moco_v3_vitb16", "MoCo v3", "b", 16, IMAGENET, NON_COMMERCIAL,
        f"{FACEBOOK}/moco-v3/vit-b-300ep/vit-b-300ep.pth.tar", MOCO_V3, {"linear": 76.7, "fine-tuned": 83.2},
    ),
    _resnet(
        "swav_resnet50", "SwAV", NON_COMMERCIAL, f"{FACEBOOK}/deepcluster/swav_800ep_pretrain.pth.tar", SWAV, 75.3,
    ),
    _resnet(
        "swav_resnet50w2", "SwAV", NON_COMMERCIAL, f"{FACEBOOK}/deepcluster/swav_RN50w2_400ep_pretrain.pth.tar", SWAV,
        77.3, width=128,
    ),
    _resnet(
        "barlow_twins_resnet50", "Barlow Twins", MIT, f"{FACEBOOK}/barlowtwins/ljng/resnet50.pth",
        "https://arxiv.org/abs/2103.03230", 73.5,
    ),
    _resnet("vicreg_resnet50", "VICReg", MIT, f"{FACEBOOK}/vicreg/resnet50.pth", VICREG, 73.2),
    _resnet("vicreg_resnet50w2", "VICReg", MIT, f"{FACEBOOK}/vicreg/resnet50x2.pth", VICREG, 75.5, width=128),
    _ibot("s", 77.9, 75.2, 82.3),
    _ibot("b", 79.5, 77.1, 84.0),
    _ibot("l", 81.0, 78.0, 84.8),
    _clip("b", 32, "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af", 76.1),
    _clip("b", 16, "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f", 80.2),
    _clip("l", 14, "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836", 83.9),
)


def _own(card):
    """The entry of one of our own, of the card that lies beside its file."""
    fields = {field.name for field in dataclasses.fields(Entry)}
    record = {key: value for key, value in card.items() if key not in fields}
    card = {key: value for key, value in card.items() if key in fields} | {"input_shape": tuple(card["input_shape"])}
    return Entry(**card, digest=f"sha256:{record['sha256']}", record=record)


ENTRIES = {entry.name: entry for entry in (*_ALL, *map(_own, own.cards()))}
