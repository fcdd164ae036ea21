"""Video: layers of clips `(batch, frames, height, width, channels)`."""
