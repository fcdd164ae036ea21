"""The networks of public checkpoints in PyTorch, each with the keys under which its authors publish it."""

import math

import torch
from torch import nn
from torch.nn import functional

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def normalize(images, mean=MEAN, std=STD):
    """Images (batch, height, width, 3) of 0..255 as PyTorch's networks take them."""
    x = torch.as_tensor(images).float() / 255
    return ((x - torch.tensor(mean)) / torch.tensor(std)).permute(0, 3, 1, 2)


def scatter(network, seed=0):
    """Weights far from their start, scales around 1, variances above 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, x in network.state_dict().items():
            if not x.is_floating_point():
                continue
            noise = torch.randn(x.shape, generator=generator)
            if name.endswith("running_var"):
                x.copy_(1 + noise.abs())
            elif x.ndim > 1 and "embed" not in name and "token" not in name:
                x.copy_(noise * (x[0].numel() ** -0.5))
            elif name.endswith(("norm1.weight", "norm2.weight", "norm.weight")) or "bn" in name or "ln_" in name:
                x.copy_((1.0 if name.endswith("weight") else 0.0) + 0.2 * noise)
            else:
                x.copy_(0.5 * noise)
    return network.eval()


# ViT: DINO, MAE, MoCo v3, iBOT, DINOv2


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        batch, tokens, width = x.shape
        parts = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        weights = (query @ key.transpose(-1, -2) / math.sqrt(width // self.heads)).softmax(-1)
        return self.proj((weights @ value).transpose(1, 2).reshape(batch, tokens, width))


class Perceptron(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x):
        return self.fc2(functional.gelu(self.fc1(x)))


class Scale(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * self.gamma


class Block(nn.Module):
    def __init__(self, width, heads, scaled):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Perceptron(width)
        self.ls1, self.ls2 = (Scale(width) if scaled else nn.Identity() for _ in range(2))

    def forward(self, x):
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class Vit(nn.Module):
    """With `scaled`, `registers` and a mask token it is DINOv2's."""

    def __init__(self, size=224, patch=16, width=384, depth=12, heads=6, scaled=False, registers=0, mask=None,
                 offset=0.0, antialias=False):
        super().__init__()
        self.side, self.registers, self.offset, self.antialias = size // patch, registers, offset, antialias
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.side**2, width))
        if registers:
            self.register_tokens = nn.Parameter(torch.zeros(1, registers, width))
        if mask:
            self.register_parameter(mask, nn.Parameter(torch.zeros(1, width)))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch)})
        self.blocks = nn.ModuleList(Block(width, heads, scaled) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def positions(self, rows, columns):
        if (rows, columns) == (self.side, self.side):
            return self.pos_embed
        square = self.pos_embed[:, 1:].reshape(1, self.side, self.side, -1).permute(0, 3, 1, 2)
        if self.offset:
            scale = ((rows + self.offset) / self.side, (columns + self.offset) / self.side)
            where = {"scale_factor": scale}
        else:
            where = {"size": (rows, columns)}
        square = functional.interpolate(square, mode="bicubic", antialias=self.antialias, **where)
        return torch.cat([self.pos_embed[:, :1], square.flatten(2).transpose(1, 2)], 1)

    def levels(self, x):
        """The tokens after each block, normalized, class token and then patches."""
        x = self.patch_embed["proj"](x)
        rows, columns = x.shape[2:]
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.positions(rows, columns)
        if self.registers:
            x = torch.cat([x[:, :1], self.register_tokens.expand(len(x), -1, -1), x[:, 1:]], 1)
        found = []
        for block in self.blocks:
            x = block(x)
            y = self.norm(x)
            found.append(torch.cat([y[:, :1], y[:, 1 + self.registers :]], 1))
        return found

    def forward(self, x):
        return self.levels(x)[-1]


# CLIP's image tower


class ClipBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        y = self.mlp["c_fc"](self.ln_2(x))
        return x + self.mlp["c_proj"](y * torch.sigmoid(1.702 * y))


class ClipTower(nn.Module):
    def __init__(self, size=224, patch=32, width=768, depth=12, heads=12, dim=512):
        super().__init__()
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(torch.zeros(1 + (size // patch) ** 2, width))
        self.proj = nn.Parameter(torch.zeros(width, dim))
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = nn.ModuleDict({"resblocks": nn.ModuleList(ClipBlock(width, heads) for _ in range(depth))})
        self.ln_post = nn.LayerNorm(width)

    def forward(self, x):
        x = self.conv1(x).flatten(2).transpose(1, 2)
        token = self.class_embedding.expand(len(x), 1, -1)
        x = self.ln_pre(torch.cat([token, x], 1) + self.positional_embedding)
        for block in self.transformer["resblocks"]:
            x = block(x)
        return self.ln_post(x)


class Clip(nn.Module):
    """Both towers, of which the text's is a stub: its keys stand beside those of the image's."""

    def __init__(self, **options):
        super().__init__()
        self.visual = ClipTower(**options)
        self.token_embedding = nn.Embedding(5, 4)
        self.positional_embedding = nn.Parameter(torch.zeros(3, 4))
        self.text_projection = nn.Parameter(torch.zeros(4, 4))
        self.logit_scale = nn.Parameter(torch.ones([]))

    def forward(self, x):
        return self.visual(x)


# ResNet in torchvision's keys


class Bottleneck(nn.Module):
    def __init__(self, before, inner, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, 4 * inner, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * inner)
        if stride > 1 or before != 4 * inner:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, 4 * inner, 1, stride, bias=False), nn.BatchNorm2d(4 * inner)
            )

    def forward(self, x):
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        return functional.relu(self.bn3(self.conv3(y)) + (self.downsample(x) if hasattr(self, "downsample") else x))


class ResNet(nn.Module):
    def __init__(self, depths=(3, 4, 6, 3), width=64, head=None):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        before = width
        for i, depth in enumerate(depths):
            blocks = []
            for j in range(depth):
                blocks.append(Bottleneck(before, width * 2**i, 2 if i and not j else 1))
                before = 4 * width * 2**i
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        if head:
            self.add_module(head, nn.Sequential(nn.Linear(before, 8), nn.ReLU(), nn.Linear(8, 4)))

    def levels(self, x):
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        found = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            found.append(x)
        return found

    def forward(self, x):
        return self.levels(x)[-1].mean((2, 3))
