"""Recipes: each method as its paper trains it, for `python -m keras_ssl pretrain` and for scripts.

How to read it. A recipe is a function from the run to the method and its optimizer (and callbacks, where the method has
some). Its docstring says where the paper trained and what it got: top-1 accuracy of a linear classifier on the frozen
features of a ResNet-50, unless it says otherwise. Numbers in the code are those of the paper or of its authors' code,
with these exceptions:

- `run.quick`: sizes and rates for a run of minutes. Nothing of it is from a paper.
- `run.small`: images of at most 64 pixels. They take the paper's recipe for CIFAR-10 where it has one, else the views
  without blur and the smaller heads that are the practice of the field.
- Rates are those of a batch of 256 and grow with the batch, linearly unless the recipe says otherwise. Momenta of
  teachers, lengths of queues and weight decays stay as they are.
- The rate falls along half a cosine, step by step, also where a paper lowers it in stairs (InstDisc, CMC, MoCo v1,
  AlignUniform, InvaSpread, W-MSE, SimMIM) or once an epoch (MoCo v2, SimSiam). Debiased and hard-negative contrast
  keep it, as in their code.
- What a paper counts in epochs (warm-ups, the start of a queue, frozen layers, clusters) has a bound, often a tenth of
  the run: runs may be much shorter than the paper's.
- LARS is that of the ImageNet recipes also where rates for CIFAR-10 (BYOL, Barlow Twins, VICReg, SwAV) come from code
  with another, which bounds each rate by its ratio: in a run of 270 steps of Barlow Twins that one learned nothing.
- SGD and LARS have the rate inside of the momentum, PyTorch has it outside. Adam's epsilon is Keras's.
- Of a paper's variants it is the plain one: SimCLR v2 without a memory, MoCo v2 with the loss of one direction, W-MSE
  with two views.
- Grey images have views of their own, without hue and mirror.

`RECIPES` lists them all. `Run`, at the end, is what a recipe may ask: images, lengths, the encoder, the optimizers.

`WITHOUT` says why two methods are not here.

Example:
    ```python
    in_order = lambda: keras_ssl.data.image_folder("photos/", 96, 256, shuffle=False, index=True, upscale=True)
    run = Run((96, 96, 3), 10_000, 256, 39, 100, "resnet18", 64, None, False, in_order)
    model, optimizer, *callbacks = RECIPES["BYOL"](run)
    ```
"""

import dataclasses
from functools import partial

import keras_ssl
from keras_ssl import augment, encoders, optimizers
from keras_ssl.clustering import Recluster

# Contrast within the batch


def simclr(run):
    """ImageNet, 1,000 epochs: 69.3 %. CIFAR-10, ResNet-18, 1,000 epochs: about 91 %."""
    views = run.views(augment.simclr, augment.simclr_cifar)
    model = keras_ssl.SimCLR(run.encoder(), views, temperature=run.temperature())
    return model, run.lars(0.5 if run.small else 0.3, weight_decay=1e-4 if run.small else 1e-6)


def simclr_v2(run):
    """ImageNet, 800 epochs: 71.7 %, with selective kernels 74.6 %. The rate goes with the root of the batch."""
    encoder = run.encoder(resnet={"selective_kernel": True} if run.name in SELECTIVE else None)
    views = run.views(augment.simclr_v2, augment.simclr_cifar)
    model = keras_ssl.SimCLRv2(encoder, views, temperature=run.temperature())
    return model, run.lars(1.6, weight_decay=1e-4, rule="sqrt", warmup=0.05)


def sup_con(run):
    """ImageNet, with labels: 78.7 %. CIFAR-10, ResNet-50, 1,000 epochs: 96.0 %."""
    model = keras_ssl.SupCon(run.encoder(), run.views(augment.supcon, augment.supcon_cifar))
    return model, run.sgd(0.125, weight_decay=1e-4)


def decoupled_contrastive(run):
    """ImageNet, 200 epochs with a batch of 256: 68.2 %."""
    views = run.views(augment.simclr, augment.simclr_cifar)
    model = keras_ssl.DecoupledContrastive(run.encoder(), views, temperature=0.2 if run.quick else 0.1)
    return model, run.sgd(0.03, weight_decay=1e-4)


def debiased_contrastive(run):
    """STL-10, 400 epochs: 84.3 %, SimCLR 80.2 %. `tau_plus` suits ten classes, and the rate stays as it is."""
    views = run.views(augment.moco_v2, augment.cifar)
    model = keras_ssl.DebiasedContrastive(run.encoder(), views, hidden=128 if run.quick else 512, tau_plus=0.1)
    return model, optimizers.Adam(1e-3, weight_decay=1e-6)


def hard_negative_contrastive(run):
    """STL-10, 400 epochs: 87.4 %, SimCLR 80.2 %. `tau_plus` suits ten classes, and the rate stays as it is."""
    views = run.views(augment.moco_v2, augment.cifar)
    hidden = 128 if run.quick else 512
    model = keras_ssl.HardNegativeContrastive(run.encoder(), views, beta=1.0, hidden=hidden, tau_plus=0.1)
    return model, optimizers.Adam(1e-3, weight_decay=1e-6)


def flat_nce(run):
    """ImageNet, 100 epochs with a batch of 512, and CIFAR-10; the paper shows it ahead of SimCLR."""
    views = run.views(augment.simclr, augment.simclr_cifar)
    model = keras_ssl.FlatNCE(run.encoder(), views, temperature=0.2 if run.quick else 0.1)
    return model, run.lars(0.3, weight_decay=1e-6)


def align_uniform(run):
    """STL-10 at 64 pixels, a small AlexNet, 200 epochs with a batch of 768: 83.2 %."""
    model = keras_ssl.AlignUniform(run.encoder(), run.views(partial(augment.moco_v1, scale=(0.08, 1.0))))
    return model, run.sgd(0.12, weight_decay=1e-4, warmup=0)


def inva_spread(run):
    """CIFAR-10, ResNet-18, 300 epochs with a batch of 128: k-NN 83.6 %. STL-10: linear 77.9 %."""
    model = keras_ssl.InvaSpread(run.encoder(), run.views(augment.invaspread))
    return model, run.sgd(0.06, weight_decay=5e-4, warmup=0)


def i_mix(run):
    """CIFAR-10, ResNet-50, up to 4,000 epochs; the paper shows it ahead of the same contrast without mixing."""
    model = keras_ssl.IMix(run.encoder(), run.views(augment.moco_v2, augment.imix), cutmix=not run.small)
    return model, run.sgd(0.125, weight_decay=1e-4)


# Contrast with a memory of earlier images


def inst_disc(run):
    """ImageNet, 200 epochs: 54.0 %. CIFAR-10, ResNet-18: k-NN 80.8 %, with one softmax over the whole bank."""
    whole = run.small and run.count <= 65536
    options = {"negatives": 0, "temperature": 0.1} if whole else {"negatives": 4096, "temperature": 0.07}
    views = run.views(augment.instdisc, count=1)
    model = keras_ssl.InstDisc(run.encoder(), views, samples=run.count, **options)
    return model, run.sgd(0.06 if run.small else 0.03, weight_decay=5e-4 if run.small else 1e-4, warmup=0)


def pirl(run):
    """ImageNet, 800 epochs: 63.6 %."""
    options = {"negatives": min(32000, run.count)}
    if run.quick:
        options = {"negatives": 1024, "temperature": 0.1, "softmax": True}
    views = augment.Views([run.views(augment.pirl, count=1).views, run.jigsaw()])
    model = keras_ssl.PIRL(run.encoder(any_size=True), views, samples=run.count, **options)
    return model, run.sgd(0.03, weight_decay=1e-4, warmup=0, final=3e-5, exclude_vectors=True)


def cmc(run):
    """ImageNet, 240 epochs, ResNet-50 x2: 68.4 %. The features are those of both encoders, twice as long."""
    if run.grey:
        raise ValueError("CMC contrasts the lightness of an image with its colour: it needs images with colours")
    options = {"negatives": min(16384, run.count), "temperature": 0.1 if run.small else 0.07}
    if run.quick:
        options = {"negatives": 1024, "temperature": 0.1, "softmax": True}
    both = [run.encoder(channels=channels) for channels in (1, 2)]
    model = keras_ssl.CMC(both, run.views(augment.cmc), samples=run.count, **options)
    return model, run.sgd(0.06, weight_decay=1e-4, warmup=0)


def moco_v1(run):
    """ImageNet, 200 epochs: 60.6 %."""
    model = keras_ssl.MoCoV1(run.encoder(resnet=run.groups()), run.views(augment.moco_v1), **run.queue())
    return model, run.sgd(0.03, weight_decay=1e-4, warmup=0)


def moco_v2(run):
    """ImageNet, 200 epochs: 67.5 %, 800 epochs: 71.1 %. CIFAR-10, ResNet-18, 800 epochs: k-NN 88.7 %, linear head."""
    views = run.views(augment.moco_v2, augment.moco_cifar)
    hidden = 128 if run.quick else 0 if run.small else 2048
    model = keras_ssl.MoCoV2(run.encoder(resnet=run.groups()), views, hidden=hidden, **run.queue())
    return model, run.sgd(0.03, weight_decay=5e-4 if run.small else 1e-4, warmup=0)


def moco_v3(run):
    """ImageNet, ViT-S/16, 300 epochs with a batch of 4,096: 73.2 %. ResNet-50, 1,000 epochs: 74.6 %."""
    sizes = {"hidden": 512, "dim": 128} if run.quick else {}
    if run.transformer:
        encoder = run.encoder(vit={"heads": 12} if run.name == "vit_small" else None)
        model = keras_ssl.MoCoV3(encoder, run.views(augment.moco_v3, augment.moco_v3_cifar), steps=run.steps, **sizes)
        return model, run.adamw(1.5e-4, weight_decay=0.1, warmup=40 / 300, exclude_vectors=False)
    views = run.views(partial(augment.moco_v3, scale=(0.2, 1.0)), augment.moco_v3_cifar)
    sizes |= {"depth": 2, "predictor_norm": False, "temperature": 1.0, "momentum": 0.996 if run.epochs > 600 else 0.99}
    model = keras_ssl.MoCoV3(run.encoder(), views, steps=run.steps, **sizes)
    return model, run.lars(0.3 if run.epochs > 150 else 0.6, weight_decay=1.5e-6 if run.epochs > 600 else 1e-6)


def mochi(run):
    """ImageNet, 200 epochs: about what MoCo v2 has; the paper shows gains on ImageNet-100 and in detection."""
    few = run.quick or run.small
    mixed = {"hardest": 256, "mixtures": 64, "query_mixtures": 16} if few else {}
    warmup = max(1, round(run.epochs / 20)) * run.steps_per_epoch  # ten epochs of 200
    mixed |= {"warmup": warmup, "hidden": 128 if run.quick else 2048}
    views = run.views(augment.moco_v2, augment.moco_cifar)
    model = keras_ssl.MoCHi(run.encoder(resnet=run.groups()), views, **mixed, **run.queue())
    return model, run.sgd(0.03, weight_decay=5e-4 if run.small else 1e-4, warmup=0)


def i_mix_moco(run):
    """CIFAR-10, ResNet-50, up to 4,000 epochs, and ImageNet, 800 epochs with CutMix; ahead of MoCo v2 in the paper."""
    queue = run.queue() if run.quick else {"queue_size": 4096} if run.small else {}
    views = run.views(augment.moco_v2, augment.imix)
    hidden = 128 if run.quick else 2048
    encoder = run.encoder(resnet=run.groups())
    model = keras_ssl.IMixMoCo(encoder, views, cutmix=not run.small, hidden=hidden, **queue)
    return model, run.sgd(0.125 if run.small else 0.015, weight_decay=1e-4)


def nnclr(run):
    """ImageNet, 1,000 epochs with a batch of 4,096: 75.4 %."""
    # In a short run older embeddings are from another encoder.
    sizes = {"projector_hidden": 512, "hidden": 512, "dim": 128, "queue_size": 1024} if run.quick else {}
    views = run.views(augment.nnclr, augment.nnclr_cifar)
    return keras_ssl.NNCLR(run.encoder(), views, **sizes), run.lars(0.3, weight_decay=1e-6)


# Clusters and prototypes


def pcl(run):
    """ImageNet, 200 epochs: 67.6 %. Clusters of about 50, 25 and 12 images from a tenth of the run on."""
    clusters = tuple(max(1, run.count // images) for images in (50, 25, 12))
    encoder, views = run.encoder(resnet=run.groups()), run.views(augment.pcl, augment.moco_cifar)
    hidden = 128 if run.quick else 2048
    options = {"hidden": hidden, "restarts": 1 if run.quick else 5, **run.queue()}
    model = keras_ssl.PCL(encoder, views, samples=run.count, clusters=clusters, **options)
    callback = Recluster(run.in_order(), warmup=run.epochs // 10)
    return model, run.sgd(0.03, weight_decay=5e-4 if run.small else 1e-4, warmup=0), callback


def swav(run):
    """ImageNet, 800 epochs with a batch of 4,096: 75.3 %; 400 epochs with 256: 74.3 %."""
    few = run.batch <= 512  # a small batch needs the queue, and had a higher rate and no warm-up
    start = min((50 if run.small else 15) * run.steps_per_epoch, run.steps // 3)
    sizes = {"queue_size": 3840 if few else 0, "queue_start": start}
    frozen = 2 if run.small and run.epochs >= 20 else 1  # epochs
    if run.quick:  # fewer prototypes than images in a batch
        sizes = {"hidden": 512, "prototype_count": 96, "queue_size": 1024, "queue_start": run.steps // 3}
    views = run.multi_crop(augment.swav, augment.swav_cifar, count=6)
    model = keras_ssl.SwAV(run.encoder(any_size=True), views, freeze_steps=frozen * run.steps_per_epoch, **sizes)
    if few:
        return model, run.lars(0.6, weight_decay=1e-6, warmup=0, final=6e-4)
    return model, run.lars(0.3, weight_decay=1e-6, start=0.3 / 16, final=3e-4)


def msn(run):
    """ImageNet, ViT-S/16, 800 epochs with a batch of 1,024: 76.9 %, with 1 % of the labels 67.2 %."""
    check_patches(run, "MSN")
    sizes = {"prototype_count": 256 if run.small else 1024, "drop": 0.3 if run.name == "vit_base" else 0.15}
    if run.quick:  # the entropy has to use all prototypes within a batch
        sizes = {"hidden": 512, "dim": 128, "prototype_count": 128, "drop": 0.25, "momentum": 0.99}
    encoder = run.encoder(any_size=True, vit={"positions": "learned", "initializer": "truncated_normal"})
    views = run.multi_crop(augment.msn, augment.msn_cifar, count=10)
    # The schedules of the rate, the decay and the momentum are longer than the run, which stops before they end.
    steps = run.steps if run.quick else int(1.25 * run.steps)
    optimizer = run.adamw(
        2.5e-4, optimizers.cosine(0.04, 0.4, steps), warmup=min(15 / run.epochs, 0.1), start=5e-5, final=1e-6,
        steps=steps, exclude="prototypes", global_clipnorm=3.0,
    )  # fmt: skip
    return keras_ssl.MSN(encoder, views, steps=steps, **sizes), optimizer


# Teachers and twins


def byol(run):
    """ImageNet, 1,000 epochs: 74.3 %, 300 epochs: 72.5 %. A shorter run has a higher rate, a faster target.

    Rates for small images are those that others found on CIFAR-10: ResNet-18, 1,000 epochs: 92.6 %.
    """
    views = run.views(augment.byol, augment.byol_cifar)
    model = keras_ssl.BYOL(run.encoder(), views, steps=run.steps, **target(run))
    return model, byol_optimizer(run)


def i_mix_byol(run):
    """CIFAR-10, ResNet-50, up to 4,000 epochs; ahead of BYOL in the paper. The rates are those of BYOL's paper."""
    views = run.views(augment.byol, augment.byol_cifar)
    model = keras_ssl.IMixBYOL(run.encoder(), views, cutmix=not run.small, steps=run.steps, **target(run))
    return model, byol_optimizer(run)


def target(run):
    if run.quick:
        return {"hidden": 512, "dim": 128, "momentum": 0.97}
    slow = run.epochs > 600 and not run.small
    return {"momentum": 0.996 if slow else 0.99 if run.epochs >= 60 else 0.97}


def byol_optimizer(run):
    if run.small:
        return run.lars(1.0, weight_decay=1e-5)
    rate = 0.2 if run.epochs > 600 else 0.3 if run.epochs > 150 else 0.45
    return run.lars(rate, weight_decay=1.5e-6 if run.epochs > 600 else 1e-6)


def simsiam(run):
    """ImageNet, 100 epochs: 68.1 %. CIFAR-10, ResNet-18, 800 epochs: 91.8 %; k-NN there follows it closely."""
    sizes = {"hidden": 512, "dim": 512, "predictor_hidden": 128} if run.quick else {}
    views = run.views(augment.simsiam, augment.simsiam_cifar)
    model = keras_ssl.SimSiam(run.encoder(), views, depth=2 if run.small else 3, **sizes)
    rate, decay = (0.03, 5e-4) if run.small else (0.05, 1e-4)
    return model, run.sgd(rate, weight_decay=decay, warmup=0, constant="predictor")


def dino(run):
    """ImageNet, ViT-S/16, 800 epochs with a batch of 1,024: 77.0 %, k-NN 74.5 %. ResNet-50: 75.3 %, k-NN 67.5 %."""
    sizes = {"dim": 4096 if run.small else 65536, "momentum": 0.996 if run.batch >= 1024 else 0.9995}
    sizes |= {"warmup": min(30, run.epochs // 3) * run.steps_per_epoch}
    if run.quick:
        sizes = {"hidden": 512, "bottleneck": 128, "dim": 1024, "momentum": 0.99, "warmup": run.steps // 3}
    sizes |= {"teacher_temperature": 0.07, "steps": run.steps, "freeze_steps": run.steps_per_epoch}
    recipe, decay = augment.dino, optimizers.cosine(0.04, 0.4, run.steps)
    if not run.transformer:
        recipe = partial(augment.dino, scale=(0.14, 1.0), local_scale=(0.05, 0.14))
    vit = {"positions": "learned", "initializer": "truncated_normal", "drop_path": 0.1}
    encoder, views = run.encoder(any_size=True, vit=vit), run.multi_crop(recipe, augment.dino_cifar, count=8)
    model = keras_ssl.DINO(encoder, views, batch_norm=not run.transformer, **sizes)
    if run.transformer or run.quick:
        return model, run.adamw(5e-4, decay, final=1e-6, clipnorm=3.0)
    return model, run.sgd(0.03, weight_decay=1e-4, exclude_vectors=True, clipnorm=3.0)


def ibot(run):
    """ImageNet, ViT-S/16, 800 epochs with a batch of 1,024: 77.9 %, k-NN 75.2 %."""
    check_patches(run, "iBOT")
    sizes = {"dim": 2048 if run.small else 8192, "warmup": min(30, run.epochs // 3) * run.steps_per_epoch}
    if run.quick:
        sizes = {"hidden": 512, "bottleneck": 128, "dim": 1024, "momentum": 0.99, "warmup": run.steps // 3}
    sizes |= {"teacher_temperature": 0.07, "steps": run.steps, "freeze_steps": run.steps_per_epoch}
    vit = {"positions": "learned", "initializer": "truncated_normal", "drop_path": 0.1}
    encoder, views = run.encoder(any_size=True, vit=vit), run.multi_crop(augment.ibot, augment.dino_cifar, count=10)
    model = keras_ssl.IBOT(encoder, views, grid=run.shape[0] // run.patch, **sizes)
    decay = optimizers.cosine(0.04, 0.4, run.steps)
    return model, run.adamw(5e-4, decay, final=1e-6, clipnorm=3.0)


# Masked images: accuracies are those after fine-tuning. Where a paper's rate is not known, it is that of MAE.


def mae(run):
    """ImageNet, 1,600 epochs with a batch of 4,096: ViT-B 83.6 % (linear 68.0 %), ViT-L 85.9 %."""
    check_patches(run, "MAE")
    return keras_ssl.MAE(run.encoder(vit=MEAN), run.views(augment.mae, count=1), **decoder(run)), masked(run)


def simmim(run):
    """ImageNet, ViT-B, 800 epochs with a batch of 2,048: 83.8 %."""
    check_patches(run, "SimMIM")
    # Squares of 32 of 192 pixels, or as near to it as patches allow.
    unit = run.fit(run.shape[0] / (4 if run.small else 6))
    unit = next(side for side in range(unit, 0, -run.patch) if run.shape[0] % side == 0)
    encoder = run.encoder(vit=MEAN | {"initializer": "truncated_normal"})
    model = keras_ssl.SimMIM(encoder, run.views(augment.simmim, count=1), unit=unit)
    return model, run.adamw(5e-5, weight_decay=0.05, global_clipnorm=5.0)


def conv_mae(run):
    """ImageNet, 1,600 epochs: 85.0 %. The encoder is always `conv_vit`."""
    return keras_ssl.ConvMAE(run.pyramid(), run.views(augment.mae, count=1), **decoder(run)), masked(run)


def local_mim(run):
    """ImageNet, ViT-B, 1,600 epochs: 84.0 %."""
    check_patches(run, "LocalMIM")
    encoder = run.encoder(vit=MEAN)
    blocks = sum(layer.name.endswith("_attention") for layer in encoder._flatten_layers())
    taps = (2, 4, blocks - 2, blocks) if blocks > 6 else tuple(range(1, blocks + 1))[-4:]
    # A cell has four pixels a side at least, or a patch where that is smaller.
    scales = [min(scale, max(1, run.patch // 4)) for scale in (4, 2, 1, 0.5)]
    sizes = {"width": 64, "heads": 4} if run.quick else {}
    model = keras_ssl.LocalMIM(encoder, run.views(augment.mae, count=1), taps, tuple(scales[-len(taps) :]), **sizes)
    return model, masked(run, 2e-4)


def deep_mim(run):
    """ImageNet, ViT-B, 1,600 epochs: 84.2 %."""
    check_patches(run, "DeepMIM")
    sizes = {"width": 64, "depth": 1, "heads": 4} if run.quick else {}
    return keras_ssl.DeepMIM(run.encoder(vit=MEAN), run.views(augment.mae, count=1), **sizes), masked(run)


def mp3(run):
    """ImageNet, ViT-B. A quarter of the patches is the context."""
    check_patches(run, "MP3")
    encoder = run.encoder(vit=MEAN | {"positions": None, "class_token": False})
    ratio = 0.5 if run.quick else 0.75
    return keras_ssl.MP3(encoder, run.views(augment.mae, count=1), ratio=ratio), run.adamw(1.5e-4, weight_decay=0.05)


def qb_heat(run):
    """ImageNet; the sizes of its decoder and its rates are not the paper's."""
    check_patches(run, "QB-Heat")
    sizes = {"width": 64, "depth": 1, "heads": 4} if run.quick else {}
    model = keras_ssl.QBHeat(run.encoder(vit=MEAN), run.views(augment.mae, count=1), normalise=True, **sizes)
    return model, masked(run)


MEAN = {"pooling": "mean"}  # nothing is asked of a class token


def check_patches(run, method):
    if not run.transformer:
        raise ValueError(f"{method} leaves out patches, which {run.name} does not have: take {VITS[0]}")


def decoder(run):
    if run.quick:
        return {"width": 64, "depth": 2, "heads": 4}
    return {"width": 128, "depth": 4, "heads": 4} if run.small else {}


def masked(run, rate=1.5e-4):
    return run.adamw(rate, weight_decay=0.05, warmup=min(40 / run.epochs, 0.1), beta_2=0.95)


# Less redundancy


def barlow_twins(run):
    """ImageNet, 1,000 epochs: 73.2 %. Sizes for small images are those that others found on CIFAR-10."""
    dim = 256 if run.quick else 2048 if run.small else 8192
    views = run.views(augment.barlow_twins, augment.barlow_twins_cifar)
    model = keras_ssl.BarlowTwins(run.encoder(), views, hidden=dim, dim=dim)
    if run.small:
        return model, run.lars(0.3, weight_decay=1e-4)
    return model, run.lars(0.2, weight_decay=1e-6, final=2e-4, excluded_rate=0.0048 / 0.2)


def vicreg(run):
    """ImageNet, 1,000 epochs: 73.2 %. Sizes for small images are those that others found on CIFAR-10."""
    dim = 256 if run.quick else 2048 if run.small else 8192
    views = run.views(augment.vicreg, augment.vicreg_cifar)
    model = keras_ssl.VICReg(run.encoder(), views, hidden=dim, dim=dim)
    if run.small:
        return model, run.lars(0.3, weight_decay=1e-4)
    return model, run.lars(0.2, weight_decay=1e-6, final=2e-4)


def w_mse(run):
    """CIFAR-10, ResNet-18, 1,000 epochs with a batch of 512: 91.6 %. ImageNet, four views, 100 epochs: 69.4 %."""
    cifar = run.shape[0] <= 32
    sizes = {} if cifar else {"dim": 128, "sub_batch": 256, "repeats": 4}  # as for Tiny ImageNet and STL-10
    if run.quick:
        sizes = {"hidden": 512, "dim": 32, "sub_batch": 64}
    model = keras_ssl.WMSE(run.encoder(), run.views(augment.w_mse), **sizes)
    rate = run.schedule(3e-3 if cifar else 2e-3, warmup=min(500 / run.steps, 0.1))
    return model, optimizers.Adam(rate, weight_decay=1e-6)


RECIPES = {
    "SimCLR": simclr,
    "SimCLRv2": simclr_v2,
    "SupCon": sup_con,
    "DecoupledContrastive": decoupled_contrastive,
    "DebiasedContrastive": debiased_contrastive,
    "HardNegativeContrastive": hard_negative_contrastive,
    "FlatNCE": flat_nce,
    "AlignUniform": align_uniform,
    "InvaSpread": inva_spread,
    "IMix": i_mix,
    "InstDisc": inst_disc,
    "PIRL": pirl,
    "CMC": cmc,
    "MoCoV1": moco_v1,
    "MoCoV2": moco_v2,
    "MoCoV3": moco_v3,
    "MoCHi": mochi,
    "IMixMoCo": i_mix_moco,
    "NNCLR": nnclr,
    "PCL": pcl,
    "SwAV": swav,
    "MSN": msn,
    "BYOL": byol,
    "IMixBYOL": i_mix_byol,
    "SimSiam": simsiam,
    "DINO": dino,
    "BarlowTwins": barlow_twins,
    "VICReg": vicreg,
    "WMSE": w_mse,
    "IBOT": ibot,
    "MAE": mae,
    "SimMIM": simmim,
    "ConvMAE": conv_mae,
    "LocalMIM": local_mim,
    "DeepMIM": deep_mim,
    "MP3": mp3,
    "QBHeat": qb_heat,
}
WITHOUT = {
    "CLIP": "it learns from captions",
    "BEiT": "it guesses the tokens of a tokenizer, which has to be trained before",
}
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
SELECTIVE = RESNETS[2:]  # the networks that SimCLR v2 gives selective kernels
VITS = ("vit_tiny", "vit_small", "vit_base")
PYRAMIDS = ("conv_vit",)
FOR_PYRAMIDS = ("ConvMAE",)
ONLY_VITS = ("MSN", "IBOT", "MAE", "SimMIM", "LocalMIM", "DeepMIM", "MP3", "QBHeat")  # they leave out patches
# Methods whose paper is about vision transformers.
FOR_VITS = ("MoCoV3", "DINO", *ONLY_VITS)


def usual_encoder(method, size, quick=False):
    """The name of the encoder that suits a method and images of so many pixels."""
    if method in FOR_PYRAMIDS:
        return PYRAMIDS[0]
    if method in FOR_VITS:
        return "vit_tiny" if quick or size <= 64 else "vit_small"
    return "resnet18"


def usual_patch(size):
    """An eighth of the image, at most 16 pixels."""
    return min(16, max(2, size // 8))


def grey_view(size, scale=(0.3, 1.0)):
    """Grey images have no hue, and a mirrored digit is another sign: crops and contrast only."""
    crop = augment.RandomResizedCrop(size, scale=scale)
    return augment.View([crop, augment.ColorJitter(0.4, 0.4, p=0.8), augment.GaussianBlur(3, p=0.5)])


@dataclasses.dataclass
class Run:
    """What a recipe may ask about the run."""

    shape: tuple  # of an image
    count: int  # images to train on
    batch: int
    steps_per_epoch: int
    epochs: int
    name: str  # of the encoder, one of RESNETS or VITS
    width: int | None  # None for the transformer's own
    patch: int  # of a transformer
    quick: bool
    in_order: object  # () -> the images to train on, as an array or as a pipeline with "index" that does not shuffle

    @property
    def small(self):
        """Images for which papers take the recipe of CIFAR-10."""
        return min(self.shape[:2]) <= 64

    @property
    def grey(self):
        return self.shape[-1] == 1

    @property
    def transformer(self):
        return self.name in VITS

    @property
    def steps(self):
        return self.epochs * self.steps_per_epoch

    # Networks

    def encoder(self, channels=None, any_size=False, resnet=None, vit=None):
        """The network that was asked for; `resnet` and `vit` are further options of the one kind and the other."""
        make, size = getattr(encoders, self.name), (None, None) if any_size else self.shape[:2]
        shape = (*size, channels or self.shape[-1])
        if not self.transformer:
            made = make(shape, width=self.width, stem="cifar" if self.small else "imagenet", **(resnet or {}))
            return encoders.with_fused_batch_norm(made)
        options = {"width": self.width} if self.width else {}
        options |= {"depth": 4} if self.quick else {}
        return make(shape, self.patch, grid=self.shape[0] // self.patch, **options, **(vit or {}))

    def pyramid(self):
        """ConvMAE's: the last stage has the width that was asked for, 768 in the paper; patches of 16 pixels, or 4."""
        width = self.width or (192 if self.small else 768)
        depth, strides = (1, 1, 3) if self.quick else (2, 2, 11), (1, 2, 2) if self.small else (4, 2, 2)
        return encoders.conv_vit(
            self.shape, strides, width=(width // 3, width // 2, width), depth=depth, heads=max(1, width // 64)
        )

    def groups(self):
        """Slices of the batch with statistics of their own, as on the eight GPUs of MoCo."""
        return {"batch_norm_groups": 8 if self.batch % 8 == 0 else 1}

    def queue(self):
        """Queue, momentum and temperature of MoCo: the paper's, those of its CIFAR-10 demo, those of a short run."""
        if self.quick:
            return {"queue_size": 1024, "momentum": 0.99, "temperature": 0.1}
        return {"queue_size": 4096, "momentum": 0.99, "temperature": 0.1} if self.small else {}

    def temperature(self):
        """SimCLR's. 0.5, that for CIFAR-10, is for 1,000 epochs; a lower one learns faster."""
        return 0.2 if self.quick else 0.5 if self.small else 0.1

    # Views

    def views(self, recipe, small=None, count=2):
        """Those of a recipe, or of `small` for small images; `count` is how many it makes, for grey images."""
        if self.grey:
            return augment.Views(grey_view(self.shape[0]), count)
        return (small if small and self.small else recipe)(self.shape[0])

    def multi_crop(self, recipe, small, count):
        """Two large views and `count` small ones, of 96 pixels for 224, or fewer for small images."""
        size = self.shape[0]
        side = self.fit(size / 2 if self.small else size * 96 / 224)
        count = 2 if self.quick else 4 if self.small else count
        if self.grey:
            return augment.Views([grey_view(size, (0.5, 1.0))] * 2 + [grey_view(side, (0.15, 0.5))] * count)
        return (small if self.small else recipe)(size, local_size=side, local_count=count)

    def jigsaw(self):
        """Nine patches in random order; for images of 224 pixels they have 64 each, from cells of 85."""
        cell = round(self.shape[0] * 85 / 224)
        side = min(cell, self.fit(cell * 64 / 85))
        colours = augment.ColorJitter(0.4, 0.4, *([] if self.grey else [0.4, 0.4]), p=1.0)  # as of the whole image
        return augment.View(
            [
                augment.RandomResizedCrop(3 * cell, scale=(0.6, 1.0), flip=0.0 if self.grey else 0.5),
                augment.PatchGrid(3, side, stride=cell, jitter=(0, cell - side)),
                augment.PerPatch(colours),
                augment.ShufflePatches(),
            ]
        )

    def fit(self, pixels):
        """The side nearest to it that the patches of a transformer fill."""
        patch = self.patch if self.transformer else 1
        return max(1, round(pixels / patch)) * patch

    # Optimizers, with the rate for a batch of 256: its peak, and where the warm-up starts and the cosine ends

    def lars(self, rate, weight_decay, rule="linear", warmup=None, start=0.0, final=0.0, **options):
        """LARS; with `--quick` SGD, which needs no long warm-up."""
        if self.quick:
            return self.sgd(None, weight_decay)
        rate, start, final = (optimizers.scale(x, self.batch, rule=rule) for x in (rate, start, final))
        return optimizers.LARS(self.schedule(rate, warmup, start, final), weight_decay=weight_decay, **options)

    def sgd(self, rate, weight_decay, warmup=None, final=0.0, constant=None, **options):
        """SGD; `constant` is a part of the paths of variables that stay at the full rate."""
        if self.quick:
            return optimizers.SGD(self.schedule(0.1, warmup=0.05), momentum=0.9, weight_decay=5e-4)
        rate, final = (optimizers.scale(x, self.batch) for x in (rate, final))
        options |= {"constant_rates": {constant: rate}} if constant else {}
        rate = self.schedule(rate, warmup, final=final)
        return optimizers.SGD(rate, momentum=0.9, weight_decay=weight_decay, **options)

    def adamw(self, rate, weight_decay, warmup=None, start=0.0, final=0.0, steps=None, **options):
        """AdamW; `final` is the papers' floor, for any batch."""
        if self.quick:
            return optimizers.AdamW(self.schedule(1e-3, 0.1), weight_decay=weight_decay, **options)
        rate, start = (optimizers.scale(x, self.batch) for x in (rate, start))
        rate = self.schedule(rate, warmup, start, final, steps)
        return optimizers.AdamW(rate, weight_decay=weight_decay, **options)

    def schedule(self, peak, warmup=None, start=0.0, final=0.0, steps=None):
        """A cosine after a linear warm-up over a share of the run: that of ten epochs, at most a tenth, or `warmup`.

        It ends after `steps`, by default with the run.
        """
        share = min(10 / self.epochs, 0.1) if warmup is None else warmup
        return optimizers.warmup_cosine(peak, steps or self.steps, int(share * self.steps), final, start)
