"""Image: layers and recipes of views for images."""
