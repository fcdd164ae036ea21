"""Pixels: the statistics by which images of 0..255 are standardized."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
OTHER_MEAN, OTHER_STD = 0.5, 0.25  # where the number of channels is not 3


def statistics(channels):
    """The mean and standard deviation of each channel of images of 0..1: ImageNet's for 3 channels.

    Args:
        channels: int.

    Returns:
        two tuples of floats, one a channel.
    """
    if channels == 3:
        return IMAGENET_MEAN, IMAGENET_STD
    return (OTHER_MEAN,) * channels, (OTHER_STD,) * channels
