"""NextSentence: numbers of BERT."""

from tests import kinds
from tests.methods.text.test_next_sentence import marked
from tests.recipes.row import Row

SAMPLES = marked
RUN = {"vocabulary": kinds.VOCABULARY, "width": 48}
NUMBERS = [
    Row(
        ((10,), 2_560_000), batch=256, epochs=100, encoder="text_transformer", optimizer="AdamW", rate=1e-4, decay=0.01,
        warmup=1, plain={"epsilon": 1e-6, "global_clipnorm": 1.0}, settings={}, views=1,
    ),
]  # fmt: skip
