"""convert: published weights of others as an encoder of Keras."""

from pathlib import Path

from keras_ssl.command.ending import running

HELP = "published weights -> encoder.keras"
DESCRIPTION = """Turn published weights, such as a PyTorch checkpoint of a paper's authors, into an encoder of Keras.

examples:
  python -m keras_ssl convert dino_deitsmall16_pretrain.pth --out encoder.keras
  python -m keras_ssl convert dino_vits16 --size 448 --out encoder.keras         # a name, which is downloaded

keras_ssl.pretrained.load says what it reads. The file loads with plain Keras; evaluate, embed and export take it.
"""


def add(parser):
    parser.add_argument("weights", help="the file, or a name that keras_ssl.pretrained knows")
    parser.add_argument("--out", required=True, type=Path, help="the .keras file")
    parser.add_argument("--size", type=int, help="side of the images in pixels (default: that of the pretraining)")


def run(options):
    if options.out.suffix != ".keras":
        raise ValueError(f"--out must end in .keras. Received: {str(options.out)!r}")
    import keras_ssl
    from keras_ssl import pretrained

    card = next((entry for entry in pretrained.list() if entry.name == options.weights), None)
    channels = card.input_shape[2] if card is not None and card.input_shape else 3
    encoder = pretrained.load(options.weights, input_shape=options.size and (options.size, options.size, channels))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with running():
        if card is None:
            keras_ssl.export(encoder, options.out)
        else:
            pretrained.save(encoder, options.out, card)  # its license goes with it
    document = {"out": str(options.out), "input": list(encoder.input_shape), "output": list(encoder.output_shape)}
    return document, f"{options.out}: images {encoder.input_shape} to features {encoder.output_shape}"
