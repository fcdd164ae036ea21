"""Converters: what full-size checkpoints compute after `keras_ssl.pretrained.load`, beside their PyTorch networks.

    pip install torch timm transformers "keras_ssl[pretrained]"
    python benchmarks/converters.py

Each network is built by timm or transformers with random weights, saved as it is published, converted, and run on the
same images as the encoder. A line has the largest difference of any feature, and the largest feature. With `--names`
the published checkpoints of keras_ssl are loaded too, where timm knows them under the same weights: that downloads.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402
import timm  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from keras_ssl import pretrained  # noqa: E402

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--names", nargs="*", default=[], help="published checkpoints, for example dino_vits16")
    options = parser.parse_args()
    print(f"{'network':44}{'largest difference':>20}{'largest feature':>17}{'seconds to load':>17}")
    with tempfile.TemporaryDirectory() as folder:
        for name, case in CASES.items():
            if options.only in name:
                print(line(name, *compare(Path(folder), **case)), flush=True)
    for name in options.names:
        entry = {entry.name: entry for entry in pretrained.list()}[name]
        network = timm.create_model(entry.hub.removeprefix("timm/"), pretrained=True, num_classes=0, img_size=224)
        print(line(name, *difference(network.eval(), name, 224, {}, tokens_of_timm)), flush=True)


def compare(folder, make, save, size, tokens, options, mean=MEAN, std=STD):
    torch.manual_seed(0)
    network = make().eval()
    with torch.no_grad():
        for key, x in network.state_dict().items():
            if key.endswith("running_var") or x.ndim == 1 and key.endswith("weight"):
                x.copy_((torch.rand_like(x) + 0.5) * (0.2 if "bn3" in key else 1.0))  # else a ResNet's features explode
            elif x.ndim == 1 or "pos" in key or "token" in key:
                x.copy_(0.2 * torch.randn_like(x))
    path = save(network, folder)
    found = difference(network, path, size, options, tokens, mean, std)
    path.unlink()
    return found


def difference(network, source, size, options, tokens, mean=MEAN, std=STD):
    images = np.random.default_rng(0).integers(0, 256, (2, size, size, 3)).astype("uint8")
    start = time.perf_counter()
    encoder = pretrained.load(source, (size, size, 3), pooling=None, **options)
    seconds = time.perf_counter() - start
    x = (torch.as_tensor(images).float() / 255 - torch.tensor(mean)) / torch.tensor(std)
    with torch.no_grad():
        expected = tokens(network, x.permute(0, 3, 1, 2)).numpy()
    return np.abs(np.asarray(encoder(images)) - expected).max(), np.abs(expected).max(), seconds


def line(name, largest, scale, seconds):
    return f"{name:44}{largest:20.1e}{scale:17.2f}{seconds:17.1f}"


# The ways of saving


def as_zip(network, folder, pack=lambda state: state, **options):
    path = folder / "a.pth"
    torch.save(pack(network.state_dict()), path, **options)
    return path


def as_moco(network, folder, names=("encoder_q", "encoder_k")):
    """With the network of the keys beside it, in the format before PyTorch 1.6."""

    def pack(state):
        learns, follows = ({f"module.{name}.{k}": v for k, v in state.items()} for name in names)
        return {"epoch": 800, "state_dict": learns | {k: v + 1 for k, v in follows.items()}}

    return as_zip(network, folder, pack, _use_new_zipfile_serialization=False)


def as_moco_v3(network, folder):
    return as_moco(network, folder, ("base_encoder", "momentum_encoder"))


def as_swav(network, folder):
    heads = {"module.projection_head.0.weight": torch.zeros(8, 2048), "module.prototypes.weight": torch.zeros(9, 8)}
    return as_zip(network, folder, lambda state: {f"module.{k}": v for k, v in state.items()} | heads)


def as_teacher(network, folder):
    add = lambda state, change: {f"backbone.{k}": v + change for k, v in state.items()}
    return as_zip(network, folder, lambda state: {"student": add(state, 1), "teacher": add(state, 0)})


def as_model(network, folder):
    return as_zip(network, folder, lambda state: {"model": state})


def as_state_dict(network, folder):
    return as_zip(network, folder, lambda state: {"state_dict": state})


def as_safetensors(network, folder):
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, folder / "a.safetensors")
    return folder / "a.safetensors"


def as_hub(network, folder):
    network.save_pretrained(folder)
    return folder / "model.safetensors"


# What the networks give: tokens (batch, tokens, width), the class token first, without registers; or a map


def tokens_of_timm(network, x):
    found = network.forward_features(x)
    if found.ndim == 4:
        return found.permute(0, 2, 3, 1)
    first = network.num_prefix_tokens
    return torch.cat([found[:, :1], found[:, first:]], 1)


def tokens_of_transformers(network, x):
    found = network(x).last_hidden_state
    registers = getattr(network.config, "num_register_tokens", 0)
    return torch.cat([found[:, :1], found[:, 1 + registers :]], 1)


def tokens_of_clip(network, x):
    tower = getattr(network, "vision_model", network)
    return tower.post_layernorm(tower(x).last_hidden_state)


def of_timm(name, size=224, save=as_zip, **options):
    known = {} if name.startswith("resnet") else {"img_size": size}
    make = lambda: timm.create_model(name, pretrained=False, num_classes=0, **known)
    return {"make": make, "save": save, "size": size, "tokens": tokens_of_timm, "options": options}


def of_transformers(kind, config, size=224, save=as_hub, tokens=tokens_of_transformers, **others):
    return {"make": lambda: kind(config), "save": save, "size": size, "tokens": tokens, "options": {}} | others


SMALL = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6}
CASES = {
    "DINO ViT-S/16 (timm)": of_timm("vit_small_patch16_224.dino", save=as_teacher),
    "DINO ViT-S/8 (timm)": of_timm("vit_small_patch8_224.dino"),
    "iBOT ViT-S/16 (timm)": of_timm("vit_small_patch16_224.dino", save=as_state_dict),
    "MoCo v3 ViT-S/16 (timm)": of_timm("vit_small_patch16_224", save=as_moco_v3),
    "MAE ViT-B/16 (timm)": of_timm("vit_base_patch16_224.mae", save=as_model),
    "DINOv2 ViT-S/14 (timm)": of_timm("vit_small_patch14_dinov2.lvd142m"),
    "DINOv2 ViT-S/14, registers (timm)": of_timm("vit_small_patch14_reg4_dinov2.lvd142m", save=as_safetensors),
    "DINO ViT-S/16 (transformers)": of_transformers(
        transformers.ViTModel, transformers.ViTConfig(**SMALL, intermediate_size=1536, layer_norm_eps=1e-6)),
    "DINOv2 ViT-S/14 (transformers)": of_transformers(
        transformers.Dinov2Model, transformers.Dinov2Config(**SMALL, patch_size=14, image_size=224)),
    "DINOv2 ViT-S/14, registers (transformers)": of_transformers(
        transformers.Dinov2WithRegistersModel,
        transformers.Dinov2WithRegistersConfig(**SMALL, patch_size=14, image_size=224)),
    "CLIP ViT-B/32 (transformers)": of_transformers(
        transformers.CLIPVisionModel, transformers.CLIPVisionConfig(patch_size=32, image_size=224),
        tokens=tokens_of_clip, mean=CLIP_MEAN, std=CLIP_STD),
    "MoCo v2 ResNet-50 (timm)": of_timm("resnet50", save=as_moco),
    "MoCo v3 ResNet-50 (timm)": of_timm("resnet50", save=as_moco_v3),
    "SwAV ResNet-50 (timm)": of_timm("resnet50", save=as_swav),
    "Barlow Twins ResNet-50 (timm)": of_timm("resnet50"),
    "VICReg ResNet-50 (timm)": of_timm("resnet50", save=as_safetensors),
}

if __name__ == "__main__":
    main()
