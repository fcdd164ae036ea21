"""keras_ssl: self-supervised learning for Keras 3.

Every method is a `keras.Model`: `keras_ssl.SimCLR`, `keras_ssl.BYOL`, `keras_ssl.DINO` and the others of `METHODS`. The
rest stands in the parts `augment`, `clustering`, `data`, `encoders`, `eval`, `heads`, `losses`, `memory`, `optimizers`,
`pretrained`, `teacher`, `visualize` and `distribute`. Nothing is imported before it is used.
"""

import importlib
import sys

__version__ = "0.1.0"

METHODS = {
    "SimCLR": "methods.contrastive.simclr",
    "SimCLRv2": "methods.contrastive.simclr_v2",
    "MoCoV1": "methods.contrastive.moco_v1",
    "MoCoV2": "methods.contrastive.moco_v2",
    "MoCoV3": "methods.contrastive.moco_v3",
    "SupCon": "methods.contrastive.sup_con",
    "DirectCLR": "methods.contrastive.direct_clr",
    "DecoupledContrastive": "methods.contrastive.decoupled_contrastive",
    "DebiasedContrastive": "methods.contrastive.debiased_contrastive",
    "HardNegativeContrastive": "methods.contrastive.hard_negative_contrastive",
    "FlatNCE": "methods.contrastive.flat_nce",
    "AlignUniform": "methods.contrastive.align_uniform",
    "InvaSpread": "methods.contrastive.inva_spread",
    "InstDisc": "methods.contrastive.instdisc",
    "PIRL": "methods.contrastive.pirl",
    "CMC": "methods.contrastive.cmc",
    "CLIP": "methods.contrastive.clip",
    "SigLIP": "methods.contrastive.siglip",
    "NNCLR": "methods.contrastive.nnclr",
    "All4One": "methods.contrastive.all4one",
    "PCL": "methods.contrastive.pcl",
    "MoCHi": "methods.contrastive.mochi",
    "ReSSL": "methods.contrastive.ressl",
    "IMix": "methods.contrastive.i_mix",
    "IMixMoCo": "methods.contrastive.i_mix_moco",
    "SwAV": "methods.clustering.swav",
    "DeepCluster": "methods.clustering.deep_cluster",
    "DeepClusterV2": "methods.clustering.deep_cluster_v2",
    "SeLa": "methods.clustering.sela",
    "BYOL": "methods.distillation.byol",
    "NNBYOL": "methods.distillation.nn_byol",
    "NNSiam": "methods.distillation.nn_siam",
    "IMixBYOL": "methods.distillation.i_mix_byol",
    "SimSiam": "methods.distillation.simsiam",
    "FastSiam": "methods.distillation.fast_siam",
    "DINO": "methods.distillation.dino",
    "IBOT": "methods.distillation.ibot",
    "DINOv2": "methods.distillation.dino_v2",
    "DINOv3": "methods.distillation.dino_v3",
    "MSN": "methods.distillation.msn",
    "PMSN": "methods.distillation.pmsn",
    "Distill": "methods.distillation.distill",
    "BarlowTwins": "methods.redundancy.barlow_twins",
    "VICReg": "methods.redundancy.vicreg",
    "WMSE": "methods.redundancy.w_mse",
    "LeJEPA": "methods.redundancy.lejepa",
    "VIbCReg": "methods.redundancy.vibcreg",
    "VISReg": "methods.redundancy.visreg",
    "EMPSSL": "methods.redundancy.emp_ssl",
    "FroSSL": "methods.redundancy.frossl",
    "TiCo": "methods.redundancy.tico",
    "MMCR": "methods.redundancy.mmcr",
    "DenseCL": "methods.dense.dense_cl",
    "PixContrast": "methods.dense.pix_contrast",
    "PixPro": "methods.dense.pix_pro",
    "VICRegL": "methods.dense.vicreg_l",
    "DetCon": "methods.dense.det_con",
    "MAE": "methods.masked.mae",
    "SimMIM": "methods.masked.simmim",
    "BEiT": "methods.masked.beit",
    "ConvMAE": "methods.masked.conv_mae",
    "LocalMIM": "methods.masked.local_mim",
    "DeepMIM": "methods.masked.deep_mim",
    "MP3": "methods.masked.mp3",
    "QBHeat": "methods.masked.qb_heat",
    "MaskFeat": "methods.masked.mask_feat",
    "Data2Vec": "methods.masked.data2vec",
    "IJEPA": "methods.predictive.ijepa",
    "CPC": "methods.predictive.cpc",
    "CPCv2": "methods.predictive.cpc_v2",
    "DIM": "methods.mutual_information.dim",
    "AMDIM": "methods.mutual_information.amdim",
    "IIC": "methods.mutual_information.iic",
    "RotNet": "methods.pretext.rotnet",
    "ContextPrediction": "methods.pretext.context_prediction",
    "Jigsaw": "methods.pretext.jigsaw",
    "LearningToCount": "methods.pretext.learning_to_count",
    "ExemplarCNN": "methods.pretext.exemplar_cnn",
    "Colorization": "methods.pretext.colorization",
    "CrossChannelEncoder": "methods.pretext.cross_channel_encoder",
    "SplitBrain": "methods.pretext.split_brain",
    "ContextEncoder": "methods.pretext.context_encoder",
    "AdversarialContextEncoder": "methods.pretext.adversarial_context_encoder",
    "Autoencoder": "methods.generation.autoencoder",
    "DenoisingAutoencoder": "methods.generation.denoising_autoencoder",
    "VAE": "methods.generation.vae",
    "BetaVAE": "methods.generation.beta_vae",
    "AAE": "methods.generation.aae",
    "BiGAN": "methods.generation.bigan",
    "FixMatch": "methods.semi.fixmatch",
    "UDA": "methods.semi.uda",
    "PseudoLabel": "methods.semi.pseudo_label",
    "VAT": "methods.semi.vat",
    "S4L": "methods.semi.s4l",
    "TPN": "methods.series.tpn",
    "TemporalGap": "methods.audio.temporal_gap",
    "Audio2VecCBoW": "methods.audio.audio2vec_cbow",
    "Audio2VecSkipGram": "methods.audio.audio2vec_skip_gram",
    "CPCAudio": "methods.audio.cpc_audio",
    "GraphCL": "methods.graph.graph_cl",
    "InfoGraph": "methods.graph.info_graph",
    "WordSkipGram": "methods.text.word_skip_gram",
    "WordCBOW": "methods.text.word_cbow",
    "FastText": "methods.text.fast_text",
    "CausalLM": "methods.text.causal_lm",
    "QuickThoughts": "methods.text.quick_thoughts",
    "NextSentence": "methods.text.next_sentence",
    "BERTPretraining": "methods.text.bert_pretraining",
    "CVRL": "methods.video.cvrl",
    "VINCE": "methods.video.vince",
    "ShuffleAndLearn": "methods.video.shuffle_and_learn",
    "FrameOrder": "methods.video.frame_order",
    "TrackingByColorizing": "methods.video.tracking_by_colorizing",
    "TemporalContrastive": "methods.video.temporal_contrastive",
    "TimeContrastive": "methods.video.time_contrastive",
}
NAMES = METHODS | {
    "Method": "method",
    "SimCLRv2Distiller": "methods.contrastive.simclr_v2",
    "DiscreteVAE": "methods.masked.discrete_vae",
    "VQTokenizer": "methods.masked.vq_tokenizer",
    "Recluster": "clustering",
    "Checkpoint": "checkpoint",
    "StopOnNaN": "checkpoint",
    "export": "saving",
    "load": "saving",
    "pretrain": "command.pretrain",
    "evaluate": "command.evaluate",
    "embed": "command.embed",
    "report": "command.report",
}
PARTS = (
    "augment",
    "clustering",
    "data",
    "distribute",
    "encoders",
    "eval",
    "heads",
    "losses",
    "memory",
    "optimizers",
    "pretrained",
    "teacher",
    "visualize",
)

__all__ = [*NAMES, *PARTS]


def register():
    """Makes every class of the package known to Keras, so that it can load what was saved with them."""
    for module in (*METHODS.values(), "augment", "encoders", "memory", "optimizers"):
        importlib.import_module(f"keras_ssl.{module}")


def __getattr__(name):
    if name in NAMES:
        return getattr(importlib.import_module(f"keras_ssl.{NAMES[name]}"), name)
    if name in PARTS:
        return importlib.import_module(f"keras_ssl.{name}")
    raise AttributeError(f"module 'keras_ssl' has no attribute '{name}'")


def __dir__():
    return sorted([*globals(), *__all__])


if "keras" in sys.modules:  # the slow part is done already, and keras.saving.load_model works as everywhere
    register()
