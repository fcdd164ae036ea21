"""Audio: layers of waves `(batch, samples)` or `(batch, samples, channels)`, and of spectrograms."""
