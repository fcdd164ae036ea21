"""The image tower of CLIP (https://arxiv.org/abs/2103.00020), as OpenAI and as transformers publish it.

The features are those before the projection to the space of images and texts, which the paper's linear probes use.
"""

from keras_ssl.pretrained.layout import Layout
from keras_ssl.pretrained.vit import QUERY_KEY_VALUE, REQUIRED, build, joined, linear, norm

OPTIONS = {
    "activation": "quick_gelu",
    "first_norm": True,
    "epsilon": 1e-5,
    "preprocessing": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}

OPENAI = Layout(
    "clip",
    "ln_pre.weight",
    {
        "class_embedding": "class_token/kernel",
        "positional_embedding": "table/kernel",
        "conv1.weight": "patches/kernel",
        **norm("ln_pre", "first_norm"),
        **norm("transformer.resblocks.{}.ln_1", "block{}_norm1"),
        **joined("transformer.resblocks.{}.attn.in_proj", *QUERY_KEY_VALUE, between="_"),
        **linear("transformer.resblocks.{}.attn.out_proj", "block{}_projection"),
        **norm("transformer.resblocks.{}.ln_2", "block{}_norm2"),
        **linear("transformer.resblocks.{}.mlp.c_fc", "block{}_hidden"),
        **linear("transformer.resblocks.{}.mlp.c_proj", "block{}_output"),
        **norm("ln_post", "norm"),
    },
    r"proj$",
    REQUIRED,
    build,
    OPTIONS,
)

TRANSFORMERS = Layout(
    "clip_transformers",
    "pre_layrnorm.weight",  # so it is spelled
    {
        "embeddings.class_embedding": "class_token/kernel",
        "embeddings.position_embedding.weight": "table/kernel",
        "embeddings.patch_embedding.weight": "patches/kernel",
        **norm("pre_layrnorm", "first_norm"),
        **norm("encoder.layers.{}.layer_norm1", "block{}_norm1"),
        **linear("encoder.layers.{}.self_attn.q_proj", "block{}_query"),
        **linear("encoder.layers.{}.self_attn.k_proj", "block{}_key"),
        **linear("encoder.layers.{}.self_attn.v_proj", "block{}_value"),
        **linear("encoder.layers.{}.self_attn.out_proj", "block{}_projection"),
        **norm("encoder.layers.{}.layer_norm2", "block{}_norm2"),
        **linear("encoder.layers.{}.mlp.fc1", "block{}_hidden"),
        **linear("encoder.layers.{}.mlp.fc2", "block{}_output"),
        **norm("post_layernorm", "norm"),
    },
    r"embeddings\.position_ids$",
    REQUIRED,
    build,
    OPTIONS,
)

LAYOUTS = (OPENAI, TRANSFORMERS)
