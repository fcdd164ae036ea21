"""BiGAN. ImageNet, AlexNet: 31.0 % (third convolution). 400 epochs of batch 128; the rate stays for half of them.

Here the rate falls along half a cosine, as with other methods. The paper's images have 64 pixels. The scales of batch
normalization have no weight decay, as in the authors' code.
"""

import keras_ssl
from keras_ssl import optimizers
from keras_ssl.recipes.generation.autoencoder import views as views


def paper(run):
    return keras_ssl.BiGAN(run.encoder(), views(run)), players(run, 2e-4, weight_decay=2.5e-5, exclude="gamma")


def minutes(run):
    model = keras_ssl.BiGAN(run.encoder(), views(run), dim=64, width=32, discriminator_width=32, hidden=128)
    return model, players(run, 5e-4)


def players(run, rate, **options):
    made = lambda: optimizers.Adam(run.schedule(rate, warmup=0), beta_1=0.5, **options)  # noqa: E731
    return {"generator": made(), "discriminator": made()}
