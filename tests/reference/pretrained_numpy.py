"""The networks of public checkpoints in NumPy, over a dict of arrays with the keys of PyTorch."""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

error_function = np.vectorize(math.erf)


# ViT, in the keys of DINO


def vit_state(size, patch, width, depth, scaled=False, registers=0, first_norm=False, seed=0):
    draw = np.random.default_rng(seed)
    normal = lambda *shape: draw.normal(0, 0.5, shape).astype("float32")
    scale = lambda n: 1 + 0.2 * normal(n)
    state = {
        "cls_token": normal(1, 1, width),
        "pos_embed": normal(1, 1 + (size // patch) ** 2, width),
        "patch_embed.proj.weight": normal(width, 3, patch, patch) / patch,
        "patch_embed.proj.bias": normal(width),
    }
    if registers:
        state["register_tokens"] = normal(1, registers, width)
    norms = ["norm_pre"] * first_norm + [f"blocks.{i}.norm{j}" for i in range(depth) for j in (1, 2)] + ["norm"]
    for name in norms:
        state |= {f"{name}.weight": scale(width), f"{name}.bias": normal(width)}
    for i in range(depth):
        sizes = {"attn.qkv": (3, 1), "attn.proj": (1, 1), "mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}
        for name, (out, into) in sizes.items():
            state[f"blocks.{i}.{name}.weight"] = normal(out * width, into * width) / np.float32(width**0.5)
            state[f"blocks.{i}.{name}.bias"] = normal(out * width)
        if scaled:
            state |= {f"blocks.{i}.ls{j}.gamma": scale(width) for j in (1, 2)}
    return state


def vit(state, images, heads, quick=False, epsilon=1e-6, positions=None):
    """Normalized tokens after each block (depth, batch, tokens, width) of normalized images (batch, h, w, 3)."""
    depth = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("blocks."))
    kernel = state["patch_embed.proj.weight"]
    width, _, patch, _ = kernel.shape

    def norm(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon)
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    def linear(x, name):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def gelu(x):
        return x / (1 + np.exp(-1.702 * x)) if quick else x * (1 + error_function(x / math.sqrt(2))) / 2

    x = convolution(images, kernel, patch, 0) + state["patch_embed.proj.bias"]
    x = x.reshape(len(images), -1, width)
    table = state["pos_embed"][0] if positions is None else positions
    token = np.repeat(state["cls_token"], len(images), 0)
    x = np.concatenate([token, x], 1) + table
    registers = 0
    if "register_tokens" in state:
        registers = state["register_tokens"].shape[1]
        x = np.concatenate([x[:, :1], np.repeat(state["register_tokens"], len(images), 0), x[:, 1:]], 1)
    if "norm_pre.weight" in state:
        x = norm(x, "norm_pre")
    found = []
    for i in range(depth):
        parts = np.split(linear(norm(x, f"blocks.{i}.norm1"), f"blocks.{i}.attn.qkv"), 3, -1)
        query, key, value = (p.reshape(*p.shape[:2], heads, -1).transpose(0, 2, 1, 3) for p in parts)
        weights = np.exp(query @ key.swapaxes(-1, -2) / math.sqrt(width // heads))
        weights /= weights.sum(-1, keepdims=True)
        y = linear((weights @ value).transpose(0, 2, 1, 3).reshape(x.shape), f"blocks.{i}.attn.proj")
        x = x + y * state.get(f"blocks.{i}.ls1.gamma", 1)
        y = linear(gelu(linear(norm(x, f"blocks.{i}.norm2"), f"blocks.{i}.mlp.fc1")), f"blocks.{i}.mlp.fc2")
        x = x + y * state.get(f"blocks.{i}.ls2.gamma", 1)
        y = norm(x, "norm")
        found.append(np.concatenate([y[:, :1], y[:, 1 + registers :]], 1))
    return np.array(found)


# ResNet, in the keys of torchvision


def resnet_state(depths, convolutions, width, seed=0):
    draw = np.random.default_rng(seed)
    state = {}

    def convolution_and_norm(conv, norm, out, into, size):
        state[f"{conv}.weight"] = draw.normal(0, (into * size**2) ** -0.5, (out, into, size, size)).astype("float32")
        state[f"{norm}.weight"] = draw.uniform(0.5, 1.5, out).astype("float32")
        state[f"{norm}.bias"] = draw.normal(0, 0.3, out).astype("float32")
        state[f"{norm}.running_mean"] = draw.normal(0, 0.3, out).astype("float32")
        state[f"{norm}.running_var"] = draw.uniform(0.5, 1.5, out).astype("float32")
        state[f"{norm}.num_batches_tracked"] = np.array(7)

    convolution_and_norm("conv1", "bn1", width, 3, 7)
    before = width
    for i, depth in enumerate(depths):
        inner = width * 2**i
        out = inner * (4 if convolutions == 3 else 1)
        for j in range(depth):
            name = f"layer{i + 1}.{j}"
            shapes = [(inner, before, 1), (inner, inner, 3), (out, inner, 1)]
            shapes = shapes if convolutions == 3 else [(inner, before, 3), (inner, inner, 3)]
            for k, shape in enumerate(shapes, 1):
                convolution_and_norm(f"{name}.conv{k}", f"{name}.bn{k}", *shape)
            if before != out or i and not j:
                convolution_and_norm(f"{name}.downsample.0", f"{name}.downsample.1", out, before, 1)
            before = out
    return state


def resnet(state, images):
    """The maps after each stage."""

    def norm(x, name):
        x = (x - state[f"{name}.running_mean"]) / np.sqrt(state[f"{name}.running_var"] + 1e-5)
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    def conv(x, name, stride=1):
        kernel = state[f"{name}.weight"]
        return convolution(x, kernel, stride, kernel.shape[-1] // 2)

    x = np.maximum(norm(conv(images, "conv1", 2), "bn1"), 0)
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    x = sliding_window_view(x, (3, 3), (1, 2))[:, ::2, ::2].max((-1, -2))
    found = []
    for i in range(1, 5):
        names = sorted({key.rsplit(".", 2)[0] for key in state if key.startswith(f"layer{i}.") and ".conv1." in key})
        for j, name in enumerate(names):
            stride = 2 if i > 1 and not j else 1
            bottleneck = f"{name}.conv3.weight" in state
            y = np.maximum(norm(conv(x, f"{name}.conv1", 1 if bottleneck else stride), f"{name}.bn1"), 0)
            y = norm(conv(y, f"{name}.conv2", stride if bottleneck else 1), f"{name}.bn2")
            if bottleneck:
                y = norm(conv(np.maximum(y, 0), f"{name}.conv3"), f"{name}.bn3")
            if f"{name}.downsample.0.weight" in state:
                x = norm(conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
            x = np.maximum(x + y, 0)
        found.append(x)
    return found


def convolution(x, kernel, stride, padding):
    size = kernel.shape[-1]
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    windows = sliding_window_view(x, (size, size), (1, 2))[:, ::stride, ::stride]
    return np.einsum("bhwcij,ocij->bhwo", windows, kernel, optimize=True)
