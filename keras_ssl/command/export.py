"""export: an encoder in the format of where it will run, by Keras's own means."""

from pathlib import Path

from keras_ssl import runs
from keras_ssl.command.ending import running

HELP = "a run -> .keras, SavedModel, .tflite or .onnx"
DESCRIPTION = """Write an encoder for where it will run; the ending of --out says how.

examples:
  python -m keras_ssl export runs/byol --out encoder.keras       # plain Keras, without keras_ssl
  python -m keras_ssl export runs/byol --out encoder/            # TensorFlow SavedModel, for serving
  python -m keras_ssl export runs/byol --out encoder.tflite      # LiteRT (TensorFlow Lite), for devices
  python -m keras_ssl export runs/byol --out encoder.onnx        # ONNX: pip install 'keras_ssl[onnx]'

All take images of 0..255 as float32 (batch, height, width, channels): the preprocessing is inside, and they compute
in float32. Each file is opened by its runtime and compared with the encoder before it is said to be done.
"""


def add(parser):
    parser.add_argument("encoder", help="folder of a run, or a .keras file")
    parser.add_argument("--out", required=True, type=Path, help="a .keras, .tflite or .onnx file, or a folder")


def run(options):
    import keras_ssl
    from keras_ssl import saving

    form = saving.format_of(options.out, "--out")
    encoder = runs.load_encoder(options.encoder)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with running():
        encoder = keras_ssl.export(encoder, options.out)
    document = {"out": str(options.out), "format": form}
    document |= {"input": [None, *encoder.input_shape[1:]], "output": list(encoder.output_shape)}
    return document, f"{options.out}: {form}, images {encoder.input_shape} to features {encoder.output_shape}"
