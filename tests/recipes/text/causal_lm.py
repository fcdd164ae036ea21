"""CausalLM: numbers of GPT."""

from tests import kinds
from tests.recipes.row import Row

SAMPLES = kinds.tokens
RUN = {"vocabulary": kinds.VOCABULARY, "width": 48}
NUMBERS = [
    Row(
        ((10,), 640_000), batch=64, epochs=100, encoder="text_transformer", optimizer="AdamW", rate=2.5e-4, decay=0.01,
        warmup=0.2, settings={"tied": True}, views=1,
    ),
]  # fmt: skip
DEFAULTS = {"tied": True}
