"""Recipes: every method with rates, momenta and sizes that fit a run of 1,170 steps, for `quality.py`.

Papers train for hundreds of epochs: a teacher with a momentum of 0.996 would hardly leave its random start here, and a
warm-up of ten epochs would be most of the run. What is said of none is as in the paper. All but the transformers start
from the same ResNet-18 of width 16, with SGD, a warm-up of one epoch, a cosine, and weight decay 5e-4.
"""

import keras

import keras_ssl
from keras_ssl import augment, data, encoders, optimizers

SIZE, WIDTH, BATCH, EPOCHS, IMAGES = 32, 16, 128, 15, 10_000
EPOCH = IMAGES // BATCH  # steps
STEPS = EPOCHS * EPOCH


def resnet(size=SIZE, channels=3, **options):
    encoder = encoders.resnet18((size, size, channels), width=WIDTH, stem="cifar", **options)
    return encoders.with_fused_batch_norm(encoder)  # the same numbers in less time


def vit_size():
    return {"patch": 4, "width": 8 * WIDTH, "depth": 6, "heads": 4}  # as many features as the ResNet has


def vit():
    """For views of several sizes; the class token is what is learned.

    Its weights start as Keras's own. The papers' 0.02 is made for widths of 384 and more; here all features would be
    nearly alike at the start, and few steps do not part them.
    """
    return encoders.vit((None, None, 3), grid=SIZE // 4, positions="learned", **vit_size())


def mean_vit(**options):
    """For masked images, where nothing is asked of a class token."""
    return encoders.vit((SIZE, SIZE, 3), pooling="mean", **vit_size(), **options)


def lightness_and_colour():
    """The two encoders of CMC: its features are twice as long as those of the others."""
    return [resnet(channels=channels) for channels in (1, 2)]


def sgd(rate):
    return optimizers.SGD(optimizers.warmup_cosine(rate, STEPS, warmup=EPOCH), momentum=0.9, weight_decay=5e-4)


def adamw(decay, **options):
    rate = optimizers.warmup_cosine(1e-3, STEPS, warmup=2 * EPOCH)
    return optimizers.AdamW(rate, weight_decay=decay, **options)


# Negatives of the batch.


def simclr(**views):
    # 0.5, the paper's temperature for CIFAR-10, is for 1,000 epochs; a lower one learns faster.
    return keras_ssl.SimCLR(resnet(), augment.simclr_cifar(SIZE, **views), temperature=0.2), sgd(0.2)


def simclr_v2():
    return keras_ssl.SimCLRv2(resnet(), augment.simclr_cifar(SIZE), temperature=0.2), sgd(0.2)


def sup_con():
    return keras_ssl.SupCon(resnet(), augment.cifar(SIZE), temperature=0.1), sgd(0.2)


def decoupled_contrastive():
    return keras_ssl.DecoupledContrastive(resnet(), augment.simclr_cifar(SIZE), temperature=0.2), sgd(0.2)


def debiased_contrastive():
    model = keras_ssl.DebiasedContrastive(resnet(), augment.cifar(SIZE), temperature=0.5, tau_plus=0.1)
    return model, sgd(0.4)


def hard_negative_contrastive():
    model = keras_ssl.HardNegativeContrastive(
        resnet(), augment.cifar(SIZE), temperature=0.5, tau_plus=0.1, beta=1.0
    )
    return model, sgd(0.4)


def flat_nce():
    return keras_ssl.FlatNCE(resnet(), augment.simclr_cifar(SIZE), temperature=0.2), sgd(0.2)


def align_uniform():
    return keras_ssl.AlignUniform(resnet(), augment.cifar(SIZE)), sgd(0.2)


def inva_spread():
    return keras_ssl.InvaSpread(resnet(), augment.moco_v1(SIZE), temperature=0.1), sgd(0.06)


def i_mix():
    return keras_ssl.IMix(resnet(), augment.moco_cifar(SIZE), temperature=0.2), sgd(0.2)


def clip():
    # Captions name the class: this row learns from labels, as that of SupCon does.
    text_encoder = encoders.text_transformer(vocabulary=258, length=24, width=64, depth=2, heads=4)
    views = augment.Views(augment.RandomResizedCrop(SIZE, (0.5, 1.0), flip=0.5), 1)
    return keras_ssl.CLIP(resnet(), views, text_encoder, dim=64), adamw(0.1, beta_2=0.98)


# Negatives of a queue or a bank.

# Views, queue and momentum of the MoCo authors' CIFAR-10 demo. Statistics in 8 groups, as on its 8 simulated GPUs.
QUEUE = {"hidden": 128, "queue_size": 4096, "momentum": 0.99, "temperature": 0.1}


def moco_v1(**changes):
    options = {key: value for key, value in QUEUE.items() if key != "hidden"} | changes
    return keras_ssl.MoCoV1(resnet(batch_norm_groups=8), augment.moco_v1(SIZE), **options), sgd(0.06)


def moco_v2():
    return keras_ssl.MoCoV2(resnet(batch_norm_groups=8), augment.moco_cifar(SIZE), **QUEUE), sgd(0.06)


def mochi():
    model = keras_ssl.MoCHi(
        resnet(batch_norm_groups=8), augment.moco_cifar(SIZE), hardest=256, mixtures=64, query_mixtures=16,
        warmup=EPOCH, **QUEUE,
    )  # fmt: skip
    return model, sgd(0.06)


def pcl():
    # Clusters of 10 to 40 images, from the fourth epoch on.
    model = keras_ssl.PCL(
        resnet(batch_norm_groups=8), augment.moco_cifar(SIZE), samples=IMAGES, clusters=(250, 500, 1000),
        negatives=1000, restarts=1, **QUEUE,
    )  # fmt: skip
    return model, sgd(0.06)


def i_mix_moco():
    return keras_ssl.IMixMoCo(resnet(batch_norm_groups=8), augment.moco_cifar(SIZE), **QUEUE), sgd(0.06)


def moco_v3():
    model = keras_ssl.MoCoV3(
        resnet(), augment.byol_cifar(SIZE), hidden=512, dim=128, predictor_norm=False, temperature=0.2, momentum=0.97,
        steps=STEPS,
    )  # fmt: skip
    return model, sgd(0.2)


def nnclr():
    # The queue holds the last 16 steps: older embeddings are from another encoder.
    model = keras_ssl.NNCLR(
        resnet(), augment.simclr_cifar(SIZE), projector_hidden=512, hidden=512, dim=128, queue_size=2048,
        temperature=0.1,
    )  # fmt: skip
    return model, sgd(0.2)


def instdisc():
    # One softmax over the whole bank, as the authors' code has it for CIFAR-10: 10,000 entries are few.
    model = keras_ssl.InstDisc(
        resnet(), augment.moco_cifar(SIZE, count=1), samples=IMAGES, negatives=0, temperature=0.1
    )
    return model, sgd(0.06)


def pirl():
    # Nine patches of 8 pixels, each from a cell of 12, for the paper's 64 and 85; a softmax in place of NCE.
    jigsaw = augment.View(
        [
            augment.RandomResizedCrop(36, scale=(0.6, 1.0), flip=0.5),
            augment.PatchGrid(3, 8, stride=12, jitter=(0, 4)),
            augment.PerPatch(augment.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8)),
            augment.ShufflePatches(),
        ]
    )
    views = augment.Views([augment.moco_cifar(SIZE, count=1).views, jigsaw])
    model = keras_ssl.PIRL(
        resnet(size=None), views, samples=IMAGES, negatives=1024, temperature=0.1, softmax=True
    )
    return model, sgd(0.06)


def cmc():
    model = keras_ssl.CMC(
        lightness_and_colour(), augment.cmc(SIZE), samples=IMAGES, negatives=1024, temperature=0.1, softmax=True
    )
    return model, sgd(0.06)


# Clustering, distillation, redundancy reduction.


def swav(**changes):
    # Fewer prototypes than images in a batch, so no queue. At the start all embeddings lie close together: with the
    # paper's 0.05 Sinkhorn then finds every prototype as good as another, and such targets teach nothing.
    model = keras_ssl.SwAV(
        resnet(size=None), augment.swav_cifar(SIZE, local_count=2), hidden=512, prototype_count=96, epsilon=0.01,
        freeze_steps=10, **changes,
    )  # fmt: skip
    return model, sgd(0.2)


def byol(method=keras_ssl.BYOL, **changes):
    options = {"hidden": 512, "dim": 128, "momentum": 0.97, "steps": STEPS} | changes
    model = method(resnet(), augment.byol_cifar(SIZE), **options)
    return model, sgd(0.2)


def i_mix_byol():
    model = keras_ssl.IMixBYOL(resnet(), augment.byol_cifar(SIZE), hidden=512, dim=128, momentum=0.97, steps=STEPS)
    return model, sgd(0.2)


def simsiam(**changes):
    options = {"hidden": 512, "dim": 512, "depth": 2, "predictor_hidden": 128} | changes
    return keras_ssl.SimSiam(resnet(), augment.simsiam_cifar(SIZE), **options), sgd(0.06)


def dino():
    # Temperature warm-up and frozen last layer are as long parts of the run as in the paper.
    model = keras_ssl.DINO(
        resnet(size=None), augment.dino_cifar(SIZE, local_count=2), hidden=512, bottleneck=128, dim=1024,
        batch_norm=True, teacher_temperature=0.07, warmup=5 * EPOCH, momentum=0.99, steps=STEPS, freeze_steps=EPOCH,
    )  # fmt: skip
    return model, adamw(optimizers.cosine(0.04, 0.4, STEPS), clipnorm=3.0)


def msn():
    # Few prototypes: me-max has to use them all within a batch.
    model = keras_ssl.MSN(
        vit(), augment.msn_cifar(SIZE, local_count=2), hidden=512, dim=128, prototype_count=128, drop=0.25,
        momentum=0.99, steps=STEPS,
    )  # fmt: skip
    return model, adamw(optimizers.cosine(0.04, 0.4, STEPS), clipnorm=3.0)


def barlow_twins():
    # A narrower embedding than the paper's: with 128 images a batch the correlations of 2,048 are noise.
    model = keras_ssl.BarlowTwins(resnet(), augment.barlow_twins_cifar(SIZE), hidden=512, dim=512)
    return model, sgd(0.05)


def vicreg():
    model = keras_ssl.VICReg(resnet(), augment.vicreg_cifar(SIZE), hidden=512, dim=512)
    return model, sgd(0.02)


def w_mse():
    model = keras_ssl.WMSE(resnet(), augment.w_mse(SIZE), hidden=512, dim=32, sub_batch=64)
    return model, keras.optimizers.Adam(optimizers.warmup_cosine(3e-3, STEPS, warmup=EPOCH))


# Masked images. Papers train them longest of all: these runs are a tenth of what shows in `masked.py`.

DECODER = {"width": 64, "depth": 2, "heads": 4}


def ibot():
    model = keras_ssl.IBOT(
        vit(), augment.dino_cifar(SIZE, local_count=2), hidden=512, bottleneck=128, dim=1024, grid=SIZE // 4,
        teacher_temperature=0.07, warmup=5 * EPOCH, momentum=0.99, steps=STEPS, freeze_steps=EPOCH,
    )  # fmt: skip
    return model, adamw(optimizers.cosine(0.04, 0.4, STEPS), clipnorm=3.0)


def mae():
    return keras_ssl.MAE(mean_vit(), augment.mae(SIZE), **DECODER), adamw(0.05, beta_2=0.95)


def simmim():
    model = keras_ssl.SimMIM(mean_vit(initializer="truncated_normal"), augment.simmim(SIZE), unit=8)
    return model, adamw(0.05, clipnorm=5.0)


def beit(images):
    # Codes of 4 pixels, trained for as many steps. A slower average would leave codes behind in a run this short.
    tokenizer = keras_ssl.VQTokenizer(augment.mae(SIZE), stride=4, vocabulary=256, width=48, decay=0.9)
    tokenizer.compile(optimizer=keras.optimizers.Adam(optimizers.warmup_cosine(1e-3, STEPS, warmup=30)))
    batches = data.views(data.arrays(images, BATCH), tokenizer.augment)
    tokenizer.fit(batches, epochs=EPOCHS, verbose=2)
    encoder = mean_vit(initializer="truncated_normal")
    model = keras_ssl.BEiT(encoder, augment.beit(SIZE, SIZE), tokenizer=tokenizer)
    return model, adamw(0.05, clipnorm=3.0)


def conv_mae():
    encoder = encoders.conv_vit((SIZE, SIZE, 3), (2, 2, 1), width=(32, 64, 128), depth=(1, 1, 5), heads=4)
    return keras_ssl.ConvMAE(encoder, augment.mae(SIZE), **DECODER), adamw(0.05, beta_2=0.95)


def local_mim():
    # In patches of 4 pixels, a scale of 4 would be cells of one.
    taps, scales = (1, 2, 4, 6), (2, 2, 1, 0.5)
    model = keras_ssl.LocalMIM(mean_vit(), augment.mae(SIZE), taps, scales, width=64, heads=4)
    return model, adamw(0.05, beta_2=0.95)


def deep_mim():
    model = keras_ssl.DeepMIM(mean_vit(), augment.mae(SIZE), width=64, depth=1, heads=4)
    return model, adamw(0.05, beta_2=0.95)


def mp3():
    return keras_ssl.MP3(mean_vit(positions=None, class_token=False), augment.mae(SIZE), ratio=0.5), adamw(0.05)


def qb_heat():
    model = keras_ssl.QBHeat(mean_vit(), augment.mae(SIZE), width=128, depth=2, heads=4, normalise=True)
    return model, adamw(0.05, beta_2=0.95)


RECIPES = {
    "SimCLR": simclr,
    "SimCLRv2": simclr_v2,
    "MoCoV1": moco_v1,
    "MoCoV2": moco_v2,
    "MoCoV3": moco_v3,
    "SupCon": sup_con,
    "DecoupledContrastive": decoupled_contrastive,
    "DebiasedContrastive": debiased_contrastive,
    "HardNegativeContrastive": hard_negative_contrastive,
    "FlatNCE": flat_nce,
    "AlignUniform": align_uniform,
    "InvaSpread": inva_spread,
    "InstDisc": instdisc,
    "PIRL": pirl,
    "CMC": cmc,
    "CLIP": clip,
    "NNCLR": nnclr,
    "PCL": pcl,
    "MoCHi": mochi,
    "IMix": i_mix,
    "IMixMoCo": i_mix_moco,
    "SwAV": swav,
    "BYOL": byol,
    "IMixBYOL": i_mix_byol,
    "SimSiam": simsiam,
    "DINO": dino,
    "MSN": msn,
    "BarlowTwins": barlow_twins,
    "VICReg": vicreg,
    "WMSE": w_mse,
    "IBOT": ibot,
    "MAE": mae,
    "SimMIM": simmim,
    "BEiT": beit,
    "ConvMAE": conv_mae,
    "LocalMIM": local_mim,
    "DeepMIM": deep_mim,
    "MP3": mp3,
    "QBHeat": qb_heat,
}
FROM_IMAGES = ("BEiT",)  # recipes that are called with the training images
UNTRAINED = {"untrained": resnet, "untrained ViT": vit, "untrained ViT, mean": mean_vit}
# What a method needs beside the optimizer, from the training images.
CALLBACKS = {"PCL": lambda images: [keras_ssl.Recluster(images, warmup=3)]}
