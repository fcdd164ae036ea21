"""Tokens: layers of texts, int32 `(batch, length)`, padded on the right."""
