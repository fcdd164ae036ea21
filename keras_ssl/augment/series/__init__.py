"""Series: layers of sensor series `(batch, time, channels)`."""
