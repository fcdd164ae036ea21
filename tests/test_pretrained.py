"""Pretrained: converted checkpoints compute what their networks compute, and files cannot do harm."""

import http.server
import json
import threading
import warnings
import zipfile

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import encoders, pretrained
from keras_ssl.pretrained import cache, entries, loading, reader
from keras_ssl.pretrained.vit import resize, resize_matrix
from tests.reference import pretrained_files as files
from tests.reference import pretrained_numpy as reference

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
CLIP_MEAN, CLIP_STD = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
SIZE, PATCH, WIDTH, DEPTH, HEADS = 16, 4, 12, 2, 3

# From the keys of DINO to those of another layout.
DINOV2 = [("norm.", "layernorm."), ("blocks.", "encoder.layer."), ("attn.proj", "attention.output.dense"),
          ("ls1.gamma", "layer_scale1.lambda1"), ("ls2.gamma", "layer_scale2.lambda1")]
VIT = [("norm.", "layernorm."), ("blocks.", "encoder.layer."), ("norm1", "layernorm_before"),
       ("norm2", "layernorm_after"), ("attn.proj", "attention.output.dense"), ("mlp.fc1", "intermediate.dense"),
       ("mlp.fc2", "output.dense")]
EMBEDDINGS = [("cls_token", "embeddings.cls_token"), ("pos_embed", "embeddings.position_embeddings"),
              ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
              ("register_tokens", "embeddings.register_tokens")]
OPENAI = [("norm_pre", "ln_pre"), ("norm.", "ln_post."), ("blocks.", "transformer.resblocks."), ("norm1", "ln_1"),
          ("norm2", "ln_2"), ("attn.qkv.", "attn.in_proj_"), ("attn.proj", "attn.out_proj"), ("mlp.fc1", "mlp.c_fc"),
          ("mlp.fc2", "mlp.c_proj"), ("cls_token", "class_embedding"), ("pos_embed", "positional_embedding"),
          ("patch_embed.proj", "conv1")]
TOWER = [("norm_pre", "pre_layrnorm"), ("norm.", "post_layernorm."), ("blocks.", "encoder.layers."),
         ("norm1", "layer_norm1"), ("norm2", "layer_norm2"), ("attn.proj", "self_attn.out_proj"),
         ("cls_token", "embeddings.class_embedding"), ("pos_embed", "embeddings.position_embedding.weight"),
         ("patch_embed.proj", "embeddings.patch_embedding")]


def renamed(state, pairs, query=None):
    """A state with other keys; `query` names the three parts of qkv where they are apart."""
    found = {}
    for key, array in state.items():
        for old, new in pairs:
            key = new + key[len(old):] if key.startswith(old) else key.replace(f".{old}", f".{new}")
        if query and ".attn.qkv." in key:
            for part, name in zip(np.split(array, 3), query):
                found[key.replace("attn.qkv", name)] = part
        else:
            found[key] = array
    return found


def under(prefix, state):
    return {f"{prefix}{key}": array for key, array in state.items()}


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype("uint8")


def written(path, content):
    """A file in the format that its name says."""
    if path.suffix == ".safetensors":
        pytest.importorskip("safetensors.numpy", reason="needs safetensors").save_file(
            {key: np.ascontiguousarray(array) for key, array in content.items()}, path
        )
    else:
        (files.write_legacy if "legacy" in path.name else files.write_zip)(path, content)
    return path


def small_vit(**options):
    return reference.vit_state(SIZE, PATCH, WIDTH, DEPTH, **options)


CLIP = {"first_norm": True}
HEAD = {"head.weight": np.ones((3, WIDTH), "float32")}
LAYOUTS = {
    "dino.pth": ({}, lambda s: s),
    "dino_legacy.pth": ({}, lambda s: s),
    "dino_full.pth": ({}, lambda s: {
        "epoch": 3,
        "student": under("module.backbone.", {k: 2 * v for k, v in s.items()}) | under("module.head.", HEAD),
        "teacher": under("backbone.", s) | under("head.", HEAD),
    }),
    "mae.pth": ({}, lambda s: {"model": s | {"mask_token": s["cls_token"], "decoder_embed.weight": s["norm.weight"]}}),
    "moco_v3.pth.tar": ({}, lambda s: {
        "arch": "vit_small",
        "state_dict": under("module.base_encoder.", s | HEAD)
        | under("module.momentum_encoder.", {k: 2 * v for k, v in s.items()}),
        "optimizer": {"state": {0: {"step": 4, "m": s["norm.weight"]}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
    }),
    "ibot.pth": ({}, lambda s: {"state_dict": s | {"masked_embed": s["norm.weight"][None]}}),
    "dinov2.pth": ({"scaled": True}, lambda s: s | {"mask_token": s["norm.weight"][None]}),
    "dinov2_reg.pth": ({"scaled": True, "registers": 4}, lambda s: s | {"mask_token": s["norm.weight"][None]}),
    "timm_reg.safetensors": ({"scaled": True, "registers": 4}, lambda s: {
        "reg_token" if k == "register_tokens" else k: v for k, v in s.items() if k not in ("cls_token", "pos_embed")
    } | {"cls_token": s["cls_token"] + s["pos_embed"][:, :1], "pos_embed": s["pos_embed"][:, 1:]}),
    "vit_transformers.safetensors": ({}, lambda s: under("vit.", renamed(
        s, EMBEDDINGS + VIT, ("attention.attention.query", "attention.attention.key", "attention.attention.value")))
        | {"decoder.mask_token": np.ones(3, "float32")}),
    "dinov2_transformers.safetensors": ({"scaled": True, "registers": 4}, lambda s: renamed(
        s, EMBEDDINGS + DINOV2, ("attention.attention.query", "attention.attention.key", "attention.attention.value"))
        | {"embeddings.mask_token": np.ones((1, WIDTH), "float32")}),
    "clip.pt": (CLIP, lambda s: {"logit_scale": np.array(3.0), "positional_embedding": np.ones((7, 4))} | {
        "visual": {k: v[0, 0] if k == "class_embedding" else v[0] if k == "positional_embedding" else v
                   for k, v in renamed(s, OPENAI).items() if k != "conv1.bias"}
        | {"proj": np.ones((WIDTH, 5), "float32")}}),
    "clip_transformers.safetensors": (CLIP, lambda s: under("vision_model.", {
        k: v[0, 0] if k.endswith("class_embedding") else v[0] if k.endswith("position_embedding.weight") else v
        for k, v in renamed(s, TOWER, ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")).items()
        if k != "embeddings.patch_embedding.bias"
    }) | {"text_model.final_layer_norm.weight": np.ones(3, "float32")}),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_vit_computes_what_its_network_computes(name, tmp_path):
    options, layout = LAYOUTS[name]
    state = small_vit(**options)
    clip = "clip" in name
    if clip:
        state["patch_embed.proj.bias"] *= 0
    path = written(tmp_path / name, layout(state))
    encoder = pretrained.load(path, pooling=None, heads=HEADS)
    x = pixels(2, SIZE, SIZE, 3)
    normal = (x / 255 - (CLIP_MEAN if clip else MEAN)) / (CLIP_STD if clip else STD)
    expected = reference.vit(state, normal, HEADS, quick=clip, epsilon=1e-5 if clip else 1e-6)[-1]
    assert encoder.input_shape == (None, SIZE, SIZE, 3)
    np.testing.assert_allclose(encoder(x), expected, atol=1e-4)
    if name == "dino.pth":
        for pooling, pooled in (("auto", expected[:, 0]), ("mean", expected[:, 1:].mean(1))):
            np.testing.assert_allclose(pretrained.load(path, None, pooling, heads=HEADS)(x), pooled, atol=1e-4)


RESNETS = {
    "moco_v2_legacy.pth.tar": ((2, 2, 2, 2), 2, lambda s: {
        "epoch": 800,
        "state_dict": under("module.encoder_q.", s | {"fc.0.weight": s["bn1.weight"]})
        | under("module.encoder_k.", {k: v * 2 for k, v in s.items()})
        | {"module.queue": np.ones((4, 3), "float32")},
    }),
    "swav.pth.tar": ((2, 2, 2, 2), 2, lambda s: under("module.", s | {
        "projection_head.0.weight": s["bn1.weight"], "prototypes.weight": s["bn1.weight"]})),
    "barlow_twins.pth": ((3, 4, 6, 3), 3, lambda s: s),
    "vissl.torch": ((2, 2, 2, 2), 2, lambda s: {
        "classy_state_dict": {"base_model": {"model": {"trunk": under("_feature_blocks.", s)}}}}),
    "vicreg.safetensors": ((2, 2, 2, 2), 2, lambda s: s),
}


@pytest.mark.parametrize("name", RESNETS)
def test_a_resnet_computes_what_its_network_computes(name, tmp_path):
    depths, convolutions, layout = RESNETS[name]
    state = reference.resnet_state(depths, convolutions, 4)
    path = written(tmp_path / name, layout(state))
    x = pixels(2, 64, 96, 3)
    maps = reference.resnet(state, (x / 255 - MEAN) / STD)
    np.testing.assert_allclose(pretrained.load(path, (64, 96, 3))(x), maps[-1].mean((1, 2)), atol=1e-4)
    if name.startswith("swav"):
        np.testing.assert_allclose(pretrained.load(path, (None, None, 3), pooling=None)(x), maps[-1], atol=1e-4)
        found = pretrained.load(path, (64, 96, 3), features=[1, 2, 4])(x)
        for one, other in zip(found, (maps[0], maps[1], maps[3]), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-4)


def test_several_levels_of_a_vit(tmp_path):
    state = small_vit(registers=2)
    path = written(tmp_path / "reg.pth", state)
    x = pixels(2, SIZE, SIZE, 3)
    levels = reference.vit(state, (x / 255 - MEAN) / STD, HEADS)
    maps = pretrained.load(path, heads=HEADS, features=[1, 2])(x)
    for one, other in zip(maps, levels, strict=True):
        np.testing.assert_allclose(one, other[:, 1:].reshape(2, 4, 4, WIDTH), atol=1e-4)
    with pytest.raises(ValueError, match="blocks, ints from 1 to 2. Received: features=\\[3\\]"):
        pretrained.load(path, heads=HEADS, features=[3])
    with pytest.raises(ValueError, match="different blocks"):
        pretrained.load(path, heads=HEADS, features=[1, 1])
    with pytest.raises(ValueError, match="need an input_shape with height and width"):
        pretrained.load(path, (None, None, 3), heads=HEADS, features=[1])
    with pytest.raises(ValueError, match="leave out pooling"):
        pretrained.load(path, heads=HEADS, features=[1], pooling="mean")


def test_another_resolution(tmp_path):
    state = small_vit()
    path = written(tmp_path / "dino.pth", state)
    x = pixels(2, 24, 20, 3)
    table = np.concatenate([state["pos_embed"][0, :1], resize(state["pos_embed"][0, 1:], 4, (6, 5))])
    expected = reference.vit(state, (x / 255 - MEAN) / STD, HEADS, positions=table)[-1]
    np.testing.assert_allclose(pretrained.load(path, (24, 20, 3), pooling=None, heads=HEADS)(x), expected, atol=1e-4)
    free = pretrained.load(path, (None, None, 3), pooling=None, heads=HEADS)
    np.testing.assert_allclose(free(x), expected, atol=1e-4)
    native = pixels(2, SIZE, SIZE, 3)
    np.testing.assert_allclose(free(native), pretrained.load(path, pooling=None, heads=HEADS)(native), atol=1e-5)


@pytest.mark.parametrize("grid", [(6, 8), (3, 5), (8, 6)])
def test_positions_that_are_not_those_of_a_square(grid, tmp_path):
    rows, columns = grid
    state = small_vit()
    state["pos_embed"] = np.random.default_rng(1).normal(size=(1, 1 + rows * columns, WIDTH)).astype("float32")
    path = written(tmp_path / "dino.pth", state)
    size = (rows * PATCH, columns * PATCH)
    x = pixels(2, *size, 3)
    expected = reference.vit(state, (x / 255 - MEAN) / STD, HEADS, positions=state["pos_embed"][0])[-1]
    np.testing.assert_allclose(pretrained.load(path, (*size, 3), pooling=None, heads=HEADS)(x), expected, atol=1e-4)
    for shape in (None, (2 * size[0], 2 * size[1], 3)):  # 6 x 8 + 1 may be 7 x 7 as well
        with pytest.raises(ValueError, match=f"{rows * columns + 1} positions.*pass the input_shape"):
            pretrained.load(path, shape, heads=HEADS)
    square = pretrained.load(path, (7 * PATCH, 7 * PATCH, 3), heads=HEADS) if (rows, columns) == (6, 8) else None
    assert square is None or square.input_shape == (None, 7 * PATCH, 7 * PATCH, 3)  # or a square


def test_positions_of_a_grid_for_another():
    table = np.random.default_rng(0).normal(size=(12, 2)).astype("float32")
    np.testing.assert_allclose(resize(table, (3, 4), (3, 4)), table, atol=1e-5)
    new = resize(table, (3, 4), (6, 2)).reshape(6, 2, 2)
    expected = np.einsum("ri,cj,ijw->rcw", resize_matrix(3, 6), resize_matrix(4, 2), table.reshape(3, 4, 2))
    np.testing.assert_allclose(new, expected, atol=1e-5)


# One axis of PyTorch's bicubic interpolate: (old, new, scale_factor = (new + offset) / old, antialias, values, result).
AXIS = [0.0, 1.0, 4.0, 2.0]
PYTORCH = [
    (4, 0.1, False, [-0.008925, 0.895178, 3.938047, 2.153354]),
    (6, 0.0, False, [-0.086806, 0.21875, 1.552083, 3.760417, 3.28125, 1.826389]),
    (6, 0.1, False, [-0.08848, 0.209823, 1.455633, 3.676711, 3.416462, 1.872413]),
    (3, 0.0, False, [0.091435, 2.78125, 2.33912]),
    (2, 0.1, False, [0.194326, 3.650601]),
    (7, 0.0, True, [-0.079327, 0.187511, 0.86257, 2.6875, 4.001636, 2.718649, 1.841346]),
    (2, 0.0, True, [0.863636, 2.871901]),
    (4, 0.0, True, [0.0, 1.0, 4.0, 2.0]),
]


@pytest.mark.parametrize("new, offset, antialias, expected", PYTORCH)
def test_positions_are_interpolated_as_in_pytorch(new, offset, antialias, expected):
    found = resize_matrix(4, new, offset, antialias) @ np.array(AXIS)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    table = np.arange(32, dtype="float32").reshape(16, 2)
    np.testing.assert_allclose(resize(table, 4, (4, 4)), table, atol=1e-5)


# Files


@pytest.mark.parametrize("format", ["zip.pth", "legacy.pth"])
def test_every_kind_of_tensor_is_read(format, tmp_path):
    base = np.arange(12, dtype="float32").reshape(3, 4)
    content = {
        "plain": base, "turned": base.T, "empty": np.zeros((0, 3), "float32"), "number": np.array(7),
        "half": base.astype("float16"), "double": base.astype("float64"),
        "view": files.Tensor(base.ravel(), 5, (2, 3), (3, 1)),
        "brain": np.array([0x3F80, 0xC000], "uint16"),  # 1 and -2
        "parameter": files.Call(files.Global("torch._utils _rebuild_parameter"), (base, True, {})),
        "text": "x", "share": 0.5, "nothing": None, "flags": [True, False], "pair": (1, 2),
    }
    path = written(tmp_path / format, {"state_dict": content, 5: base})
    found = reader.read(path, lambda tensors: tensors)
    expected = {k: v for k, v in content.items() if isinstance(v, np.ndarray)} | {
        "view": base.ravel()[5:11].reshape(2, 3), "brain": np.array([1.0, -2.0], "float32"), "parameter": base,
    }
    assert set(found) == {f"state_dict.{key}" for key in expected} | {"5"}
    for key, array in expected.items():
        assert found[f"state_dict.{key}"].dtype == array.dtype
        np.testing.assert_array_equal(found[f"state_dict.{key}"], array)
    assert set(reader.read(path, lambda tensors: {"a": tensors["5"]})) == {"a"}


@pytest.mark.parametrize("format", ["zip.pth", "legacy.pth"])
def test_a_pickle_that_would_run_something_is_refused(format, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch = lambda name: files.Call(files.Global(name), ("touch marker",))
    state = small_vit()
    refused = {
        "posix system": touch("posix system"),
        "os system": touch("os system"),
        "subprocess getoutput": touch("subprocess getoutput"),
        "builtins eval": files.Call(files.Global("builtins eval"), ("open('marker', 'w')",)),
        "torch.storage _load_from_bytes": touch("torch.storage _load_from_bytes"),
        "torch load": touch("torch load"),
        "argparse Namespace": files.Global("argparse Namespace"),
        "torch.nn.modules.linear Linear": files.Global("torch.nn.modules.linear Linear"),
        "collections OrderedDict.fromkeys": files.Global("collections OrderedDict.fromkeys"),
    }
    for name, value in refused.items():
        path = written(tmp_path / format, {"model": state, "args": value})
        with pytest.raises(ValueError, match=f"names '{name.replace(' ', '.')}', which weights do not need"):
            pretrained.load(path, heads=HEADS)
    function = files.Global("torch._utils _rebuild_tensor_v2")
    for value in ((None, {"__defaults__": (1,)}), {"x": 1}):
        written(tmp_path / format, {"model": state, "args": files.Build(function, value)})
        with pytest.raises(ValueError, match="tries to change a function"):
            pretrained.load(tmp_path / format, heads=HEADS)
    assert {path.name for path in tmp_path.iterdir()} == {format}


def test_tensors_stay_inside_their_storage(tmp_path):
    base, path = np.arange(6, dtype="float32"), tmp_path / "a.pth"
    for offset, shape, strides in (
        (4, (3,), (1,)), (0, (2, 2), (5, 1)), (-1, (2,), (1,)), (3, (2,), (-1,)), (0, (10**9,), (0,)),
        (0, (2,), (1, 1)), (0, (-2,), (1,)), (0, (3, 3), (1, 1)),
    ):
        files.write_zip(path, {"a": files.Tensor(base, offset, shape, strides)})
        with pytest.raises(ValueError, match="is damaged or no checkpoint: ValueError"):
            reader.read(path, lambda tensors: tensors)


def test_a_small_file_cannot_fill_the_memory(tmp_path):
    files.write_zip(tmp_path / "a.pth", {"a": np.zeros(9, "float32")})
    with zipfile.ZipFile(tmp_path / "a.pth") as plain, zipfile.ZipFile(
            tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in plain.namelist():
            archive.writestr(name, plain.read(name))
    with pytest.raises(ValueError, match="is compressed inside"):
        reader.read(tmp_path / "b.pth", lambda tensors: tensors)
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:  # a dict that holds itself
        archive.writestr("a/data.pkl", b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.")
    assert reader.read(tmp_path / "a.pth", lambda tensors: tensors) == {}


@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth", "a.safetensors"])
def test_damaged_files_are_told(name, tmp_path):
    path = written(tmp_path / name, small_vit())
    whole = path.read_bytes()
    for length in (0, 3, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="is damaged or no checkpoint|is no checkpoint"):
            pretrained.load(path, heads=HEADS)
    for start in (b"<!DOCTYPE html>", b"\x80\x02}."):
        (tmp_path / "b.pth").write_bytes(start)
        with pytest.raises(ValueError, match="is no checkpoint: it begins with|not one of torch.save"):
            pretrained.load(tmp_path / "b.pth")
    if name == "zip.pth":
        path.write_bytes(whole.replace(small_vit()["norm.weight"].tobytes(), bytes(4 * WIDTH)))
        with pytest.raises(ValueError, match="CRC"):
            pretrained.load(path, heads=HEADS)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme", "no weights")
        with pytest.raises(ValueError, match="holds no single 'data.pkl'"):
            pretrained.load(path)


def test_files_that_do_not_fit_are_told(tmp_path):
    state, path = small_vit(), tmp_path / "a.pth"
    cases = [
        ({f"x{i}.y": state["norm.weight"] for i in range(6)},
         "6 keys that are no part of the layout 'vit': x0.y, x1.y, x2.y, x3.y and 2 more"),
        (dict.fromkeys(["pos_embed"]), "lacks 1 weights of the layout 'vit': pos_embed."),
        (dict.fromkeys(["blocks.1.attn.proj.bias", "norm.bias"]),
         "lacks 2 weights .* blocks.1.attn.proj.bias, norm.bias"),
        ({"norm.bias": np.ones(5, "float32")}, r"norm.bias: \(5,\) in place of \(12,\)"),
        ({"pos_embed": np.ones((1, 8, 12), "float32")}, "8 positions, of patches that are no square"),
        ({"blocks.0.attn.qkv.bias": np.ones(35, "float32")}, r"0.attn.qkv.bias has the shape \(35,\), and 3 equal"),
        ({"fc_norm.weight": np.ones(12, "float32")}, "1 keys that are no part"),
        (dict.fromkeys(["patch_embed.proj.weight"]), "none of the keys that tell a layout .* It holds cls_token"),
        ({"x.patch_embed.proj.weight": state["patch_embed.proj.weight"]}, "several encoders, at .*x.patch_embed"),
    ]
    for change, message in cases:
        content = {k: v for k, v in (state | change).items() if v is not None}
        written(path, content)
        with pytest.raises(ValueError, match=message):
            pretrained.load(path, heads=HEADS)
    written(path, state)
    with pytest.raises(ValueError, match="none of the keys that tell a layout .layer1.0.conv1.weight"):
        pretrained.load(path, layout="resnet")
    with pytest.raises(ValueError, match="width must be a multiple of heads"):
        pretrained.load(path, heads=5)
    with pytest.raises(ValueError, match="multiples of the patch"):
        pretrained.load(path, (17, 16, 3), heads=HEADS)
    written(path, reference.resnet_state((2, 2, 1, 2), 2, 4))
    with pytest.raises(ValueError, match=r"No ResNet here has \(2, 2, 1, 2\) blocks of 2 convolutions"):
        pretrained.load(path)
    written(path, reference.resnet_state((2, 2, 2, 2), 2, 4))
    with pytest.raises(ValueError, match="A ResNet has no token"):
        pretrained.load(path, pooling="token")
    with pytest.raises(ValueError, match="A ResNet has no attention: leave out heads. Received: heads=3"):
        pretrained.load(path, heads=3)
    with pytest.raises(ValueError, match="has no card"):
        pretrained.card(path)


def test_bad_arguments_are_told(tmp_path):
    with pytest.raises(ValueError, match="layout must be None or one of vit, .* Received: layout='keras'"):
        pretrained.load("dino_vits16", layout="keras")
    with pytest.raises(ValueError, match="pooling must be .* Received: pooling='first'"):
        pretrained.load("dino_vits16", pooling="first")
    with pytest.raises(ValueError, match="source must be a path, an address or one of dino_vits16, .*'dino_vits17'"):
        pretrained.load("dino_vits17")
    with pytest.raises(FileNotFoundError, match="No file"):
        pretrained.load(tmp_path / "a.pth")
    for folder in (tmp_path, ""):
        with pytest.raises(ValueError, match="source must be a file, not a folder"):
            pretrained.load(folder)
    for shape in (16, (16, 16)):
        with pytest.raises(ValueError, match="input_shape must be .height, width, channels. or None"):
            pretrained.load("dino_vits16", shape)


# The cache


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server on this machine: its folder, its address and the paths it was asked for."""
    monkeypatch.setenv("KERAS_SSL_HOME", str(tmp_path / "home"))
    folder, asked = tmp_path / "served", []
    folder.mkdir()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            path = folder / self.path[1:]
            if not path.exists():
                return self.send_error(404)
            content = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content) + 5 * self.path.startswith("/short")))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{found.server_port}", asked
        found.shutdown()
        thread.join()


def test_a_name_is_downloaded_once(server, monkeypatch, tmp_path):
    folder, address, asked = server
    written(folder / "a.pth", {"teacher": small_vit()})
    entry = entries.Entry(
        "small", "DINO", "ViT", "photographs", "MIT", f"{address}/a.pth", "a paper", {"linear": 1.0}, "vit",
        size={"width": WIDTH, "depth": DEPTH, "patch": PATCH}, options={"heads": HEADS, "offset": 0.1},
    )
    monkeypatch.setitem(entries.ENTRIES, "small", entry)
    first, second = pretrained.load("small", trainable=False), pretrained.load("small", (24, 24, 3))
    assert asked == ["/a.pth"] and not first.trainable_variables and second.trainable_variables
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["small.pth"]
    table = resize(small_vit()["pos_embed"][0, 1:], 4, (6, 6), 0.1)
    found = second.get_layer("positions").get_layer("table").get_weights()[0]
    np.testing.assert_allclose(found, table, atol=1e-6)
    assert pretrained.card("small")["license"] == "MIT" and "DINO, ViT, photographs; MIT" in str(entry)
    monkeypatch.setitem(entry.size, "depth", 12)
    with pytest.raises(ValueError, match="is no ViT: expected {'width': 12, 'depth': 12, 'patch': 4}, found"):
        pretrained.load("small")


def test_what_is_not_the_published_file_is_not_kept(server, tmp_path):
    folder, address, asked = server
    (folder / "a.pth").write_bytes(b"abc")
    for digest in ("sha256:ba7816bf", "md5:900150"):
        cache.fetch(f"{address}/a.pth", digest[:3], digest)
        with pytest.raises(ValueError, match=f"its {digest[:digest.index(':')]} begins with .* and 00 was expected"):
            cache.fetch(f"{address}/a.pth", "wrong", digest[: digest.index(":")] + ":00")
    known = {"b-ba7816bf.pth": None, "b-20230101.pth": None, "b-ca7816bf.pth": "and ca7816bf was expected"}
    for name, message in known.items():
        (folder / name).write_bytes(b"abc")
        if message is None:
            cache.fetch(f"{address}/{name}", name)
        else:
            with pytest.raises(ValueError, match=message):
                cache.fetch(f"{address}/{name}", name)
    (folder / "short.pth").write_bytes(b"abc")
    with pytest.raises(OSError, match="came incomplete, 3 of 8 bytes"):
        cache.fetch(f"{address}/short.pth", "short")
    with pytest.raises(OSError, match="could not be downloaded: .*put it at '.*home/gone'"):
        cache.fetch(f"{address}/gone.pth", "gone")
    home = tmp_path / "home"
    assert {path.name for path in home.iterdir()} == {"sha", "md5", "b-ba7816bf.pth", "b-20230101.pth"}
    (home / "sha").write_bytes(b"abd")  # a disk forgets
    with pytest.raises(ValueError, match="is not the file that its authors published"):
        cache.fetch(f"{address}/a.pth", "sha", "sha256:ba7816bf")
    address += "/a.pth"
    with pytest.raises(ValueError, match="is no checkpoint"):
        pretrained.load(address)
    assert any(path.name.endswith("-a.pth") for path in home.iterdir())
    with pytest.raises(OSError, match=r"put it at '.*-b.keras'"):
        pretrained.load(f"{address}/b.keras?download=1")


def test_the_entries():
    names = [entry.name for entry in pretrained.list()]
    assert len(set(names)) == len(names) >= 29
    for entry in pretrained.list():
        if entry.shipped:
            continue  # tests/test_own_encoders.py
        assert entry.source.startswith("https://") and entry.paper.startswith("https://arxiv.org/abs/")
        assert entry.license in (entries.APACHE, entries.MIT, entries.NON_COMMERCIAL)
        assert entry.numbers and all(50 < number < 90 for number in entry.numbers.values())
        assert entry.layout in loading.LAYOUTS and entry.method in str(entry)
        if entry.digest:
            algorithm, digits = entry.digest.split(":")
            assert algorithm in ("md5", "sha256") and set(digits) <= set("0123456789abcdef")
        assert entry.size["width"] % entry.options.get("heads", 1) == 0
        json.dumps(entry.card())
    assert len({entry.source for entry in pretrained.list()}) == len(names)
    assert pretrained.card("clip_vitb32")["method"] == "CLIP"


# Own encoders


def test_save_card_and_load(tmp_path):
    encoder = encoders.resnet18((32, 32, 3), width=4, batch_norm_groups=2, stem="imagenet")
    card = {"method": "BYOL", "architecture": "ResNet-18", "data": "own photographs", "license": "MIT", "epochs": 100}
    path = pretrained.save(encoder, tmp_path / "a.keras", card)
    x = pixels(2, 32, 32, 3)
    assert pretrained.card(path) == card and [p.name for p in tmp_path.iterdir()] == ["a.keras"]
    np.testing.assert_allclose(pretrained.load(path)(x), encoder(x), atol=1e-6)
    np.testing.assert_allclose(keras.saving.load_model(path)(x), encoder(x), atol=1e-6)
    assert [m.shape[1] for m in pretrained.load(str(path), features=[1, 4])(x)] == [8, 1]
    assert not pretrained.load(path, trainable=False).trainable_variables
    with pytest.raises(ValueError, match="holds its own architecture"):
        pretrained.load(path, (64, 64, 3))
    with pytest.raises(ValueError, match="must end in '.keras'"):
        pretrained.save(encoder, tmp_path / "a.h5", card)
    with pytest.raises(ValueError, match="card must be a dict with method, architecture, data, license"):
        pretrained.save(encoder, tmp_path / "b.keras", {"method": "BYOL"})
    with pytest.raises(ValueError, match="card must hold what JSON can"):
        pretrained.save(encoder, tmp_path / "b.keras", {**card, "data": {1, 2}})
    keras_ssl.SimCLR(encoder, hidden=4, dim=4).save(tmp_path / "whole.keras")
    np.testing.assert_allclose(pretrained.load(tmp_path / "whole.keras")(x), encoder(x), atol=1e-6)
    (tmp_path / "whole.keras").unlink()
    encoder.save(tmp_path / "c.keras")
    with pytest.raises(ValueError, match="has no card"):
        pretrained.card(tmp_path / "c.keras")
    pretrained.save(encoder, tmp_path / "d.keras", pretrained.list()[0])
    assert pretrained.card(tmp_path / "d.keras")["name"] == "dino_vits16"
    assert not list(tmp_path.glob(".*"))


def test_a_converted_encoder_trains_and_is_of_kerass_layers(tmp_path):
    path = written(tmp_path / "a.pth", small_vit(registers=2, scaled=True))
    encoder = pretrained.load(path, heads=HEADS)
    card = {"method": "DINOv2", "architecture": "ViT", "data": "none", "license": "MIT"}
    model = keras.Sequential([encoder, keras.layers.Dense(2)])
    before = [w.numpy() for w in encoder.trainable_weights]
    model.compile("sgd", "mse")
    model.fit(pixels(4, SIZE, SIZE, 3), np.ones((4, 2)), verbose=0)
    assert all(np.any(w.numpy() != old) for w, old in zip(encoder.trainable_weights, before, strict=True)
               if "key/bias" not in w.path)  # it has no part in the softmax
    saved = pretrained.save(encoder, tmp_path / "a.keras", card)
    x = pixels(2, SIZE, SIZE, 3)
    np.testing.assert_allclose(keras.saving.load_model(saved)(x), encoder(x), atol=1e-5)
    stages = encoders.vit_stages(encoder)
    tokens = stages.positions(stages.patches(x))
    assert tokens.shape == (2, 17, WIDTH) and stages.blocks(tokens).shape == (2, 17, WIDTH)


def test_the_vit_refuses_bad_blocks():
    for options, message in (
        ({"registers": -1}, "registers must be"), ({"activation": "relu"}, "activation must be"),
        ({"epsilon": 0}, "epsilon must be"), ({"preprocessing": ((0, 0), (1, 1))}, "preprocessing must be"),
        ({"preprocessing": ((0, 0, 0), (1, 1, 0))}, "preprocessing must be"),
    ):
        with pytest.raises(ValueError, match=message):
            encoders.vit((8, 8, 3), 4, width=8, depth=1, heads=2, **options)


# Against PyTorch itself, where it is installed. It is not needed for anything but these tests.


@pytest.mark.parametrize("name", ["dino", "dinov2", "dinov2_reg", "clip", "resnet"])
@pytest.mark.parametrize("format", ["zip", "legacy", "script", "safetensors"])
def test_files_of_pytorch_itself(name, format, tmp_path):
    torch = pytest.importorskip("torch", reason="needs torch, which this project does not")
    from tests.reference import pretrained_torch as theirs

    network, options = {
        "dino": lambda: (theirs.Vit(32, 8, 24, 2, 3, offset=0.1), {"offset": 0.1}),
        "dinov2": lambda: (theirs.Vit(32, 8, 24, 2, 3, True, offset=0.1, mask="mask_token"), {"offset": 0.1}),
        "dinov2_reg": lambda: (theirs.Vit(32, 8, 24, 2, 3, True, 4, antialias=True), {"antialias": True}),
        "clip": lambda: (theirs.Clip(size=32, patch=8, width=24, depth=2, heads=3, dim=8).half().float(), {}),
        "resnet": lambda: (theirs.ResNet((3, 4, 6, 3), 8, head="fc"), {}),
    }[name]()
    theirs.scatter(network)
    vit = name != "resnet"
    path = tmp_path / f"a.{'safetensors' if format == 'safetensors' else 'pth'}"
    if format == "script":
        with warnings.catch_warnings(action="ignore"):  # of the tracer
            torch.jit.save(torch.jit.trace(network, torch.zeros(1, 3, 32, 32)), path)
    elif format == "safetensors":
        pytest.importorskip("safetensors.torch").save_file(network.state_dict(), path)
    else:
        torch.save(network.state_dict(), path, _use_new_zipfile_serialization=format == "zip")
    sizes = [(32, 32)] if name == "clip" else [(32, 32), (48, 56), (24, 24)] if vit else [(64, 96)]
    for size in sizes:
        x = pixels(2, *size, 3)
        normal = theirs.normalize(x, *((theirs.CLIP_MEAN, theirs.CLIP_STD) if name == "clip" else ()))
        with torch.no_grad():
            expected = network(normal).numpy()
        entry = entries.Entry(*["https://a.b/c"] * 7, {}, None, size={"width": 24, "depth": 2, "patch": 8} if vit
                              else {"width": 8}, options={"heads": 3} | options if vit else {})
        encoder = loading._converted(path, entry, (*size, 3), None if vit else "auto", None, None)
        np.testing.assert_allclose(encoder(x), expected, atol=1e-4)
