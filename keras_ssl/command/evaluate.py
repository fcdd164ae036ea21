"""evaluate: what the features of an encoder are worth, on labeled folders or columns."""

import sys
from pathlib import Path

from keras_ssl import runs
from keras_ssl.checks import check_ints
from keras_ssl.command.ending import given, running

HELP = "an encoder and labeled folders -> scores"
DESCRIPTION = """Evaluate an encoder on labeled images: one folder a class in --train and in --test.

Samples of another kind are in .npz files of their columns, with the column label.

examples:
  python -m keras_ssl evaluate runs/byol --train labeled/train --test labeled/test
  python -m keras_ssl evaluate encoder.keras --train a/ --test b/ --protocol knn linear mlp_probe --json
  python -m keras_ssl evaluate runs/mae --train a/ --test b/ --protocol fine_tune --epochs 50
  python -m keras_ssl evaluate pixels --train a/ --test b/                # what raw pixels give, to compare with
  python -m keras_ssl evaluate runs/byol --test photos/ --protocol rank_me       # needs no labels
  python -m keras_ssl evaluate runs/tpn --train walks.npz --test more.npz        # series, sounds, tokens, graphs

protocols: the functions of keras_ssl.eval with their papers' settings.
  knn              vote of the nearest training images            linear    logistic regression on frozen features
  mlp_probe        a small network on frozen features             fine_tune the encoder trains on, with a new head
  semi_supervised  linear, with 1 % and 10 % of the labels        few_shot  five classes, one and five images of each
  retrieval        do the nearest images share the class?         clustering k-means against the classes
  rank_me          how many dimensions the features use, without labels

Of a run, the results are added to the folder's scores.json, which `report` shows.
"""
PROTOCOLS = (
    "knn", "linear", "mlp_probe", "fine_tune", "semi_supervised", "few_shot", "retrieval", "clustering", "rank_me",
)  # fmt: skip
WITHOUT_TRAIN = ("clustering", "rank_me")
PIXELS = "pixels"


def add(parser):
    option = parser.add_argument
    option("encoder", help=f"folder of a run, a .keras file, or '{PIXELS}'")
    option("--train", help="labeled images to learn from")
    option("--test", required=True, help="labeled images to judge by")
    option("--protocol", nargs="+", choices=PROTOCOLS, default=["knn", "linear"], metavar="NAME", help="knn linear")
    option("--size", type=int, help="side of the images in pixels, where the encoder takes any")
    option("--batch", type=int, default=256, help="images per step (256)")
    option("--k", type=int, default=200, help="neighbors of knn (200, as in papers; take fewer with few of a class)")
    option("--epochs", type=int, default=100, help="of fine_tune (100)")
    option("--seed", type=int, default=0)
    option("--upscale", action="store_true", help="enlarge images smaller than the size; else they are an error")
    option("--out", type=Path, help="a .json or .csv file to write the scores to as well")


def run(options):
    results = evaluate(**given(options))
    found = {name: without_values(result.to_dict()) for name, result in results.items()}
    return {"encoder": options.encoder, "scores": found}, "\n".join(str(result) for result in results.values())


def evaluate(
    encoder, test, train=None, protocol=("knn", "linear"), *, size=None, batch=256, k=200, epochs=100, seed=0,
    upscale=False, out=None,
):  # fmt: skip
    """What the features of an encoder are worth, on labeled folders: `python -m keras_ssl evaluate`.

    Of a run, the results are added to the folder's `scores.json`, which `keras_ssl.report` shows.

    Args:
        encoder: folder of a run, `.keras` file, `keras.Model` or `keras_ssl.Method`; or `"pixels"`, for raw pixels.
        test: labeled images to judge by: a folder with one folder for each class. Or samples of another kind: a dict of
            columns with `"label"`, or the `.npz` file that holds it, see `keras_ssl.pretrain`.
        train: labeled images to learn from, or None where the protocol needs none.
        protocol: str or list of str: `"knn"`, `"linear"`, `"mlp_probe"`, `"fine_tune"`, `"semi_supervised"`,
            `"few_shot"`, `"retrieval"`, `"clustering"`, `"rank_me"`; each is the function of `keras_ssl.eval`.
        size: int, side of the images in pixels, where the encoder takes any.
        batch: int, images in a batch.
        k: int, neighbors of `"knn"`.
        epochs: int, of `"fine_tune"`.
        seed: int.
        upscale: bool, whether images smaller than the size are enlarged; else they are an error.
        out: a `.json` or `.csv` file to write the scores to as well.

    Returns:
        dict from the names of the protocols to `keras_ssl.eval` results: numbers with names and intervals.

    Raises:
        ValueError: an argument is wrong, or the folders do not fit each other.

    Example:
        ```python
        scores = keras_ssl.evaluate("runs/byol", test="labeled/test", train="labeled/train", protocol="knn")
        print(scores["knn"])
        ```
    """
    protocol = [protocol] if isinstance(protocol, str) else list(protocol)
    unknown = [name for name in protocol if name not in PROTOCOLS]
    if unknown or not protocol:
        raise ValueError(f"protocol must be of {', '.join(PROTOCOLS)}. Received: protocol={protocol}")
    needy = [name for name in protocol if name not in WITHOUT_TRAIN]
    if needy and train is None:
        raise ValueError(f"{', '.join(needy)} learns from labels: pass --train FOLDER")
    check_ints(batch=batch, k=k, epochs=epochs)
    check_ints(optional=True, size=size)
    if out is not None:
        runs.check_file(out, (".json", ".csv"))
    network = None if encoder == PIXELS else runs.load_encoder(encoder)
    sets = read(network, train, test, size, batch, upscale, labels=protocol != ["rank_me"])
    options = {"batch": batch, "k": k, "epochs": epochs, "seed": seed, "known": {}}
    with running():
        results = {name: judged(name, network, sets, options) for name in protocol}
    found = {name: without_values(result.to_dict()) for name, result in results.items()}
    if isinstance(encoder, (str, Path)) and encoder != PIXELS and runs.is_run(encoder):
        runs.add_scores(encoder, found)
    if out is not None:
        save(Path(out), results, found)
    return results


def read(encoder, train, test, size, batch, upscale, labels):
    """`(train, test)`, pipelines of labeled images or pairs of arrays; `train` is None where there is none."""
    from keras_ssl.command import columns, images

    if train is not None and labels:
        columns.check_alike(train, test)
    if columns.are_columns(test):
        return columns.labeled(train, test) if labels else (None, columns.Columns(test).sample)
    if encoder is None and size is None:
        raise ValueError("Raw pixels have no size of their own: pass --size, in pixels")
    size, channels = ((size,) * 2, 3) if encoder is None else images.size_of(encoder, size)
    if train is not None:
        return images.labeled(train, test, size, batch, channels, upscale)
    return None, images.in_order(test, size, batch, channels, labels=labels, upscale=upscale)


def judged(name, encoder, sets, options):
    """A `Score` or a `Result`. Protocols on frozen features share these."""
    from keras_ssl import eval

    (train, test), batch, seed = sets, options["batch"], options["seed"]
    if name == "fine_tune":
        shown = 1 if sys.stderr.isatty() else 2
        return eval.fine_tune(encoder, train, test, epochs=options["epochs"], seed=seed, verbose=shown)
    if name == "semi_supervised":
        return eval.semi_supervised(encoder, train, test, batch_size=batch)
    if name == "rank_me":
        return eval.rank_me(encoder, test, batch_size=batch)
    known = options["known"]
    learned, asked = (features(encoder, part, batch, known) if part is not None else None for part in sets)
    if name == "clustering":
        return eval.clustering_features(*asked)
    if name == "retrieval":
        return eval.retrieval_features(*asked, *learned)
    if name == "few_shot":
        return eval.few_shot_features(*learned, *asked, seed=seed)
    if name == "knn":
        return eval.knn_features(*learned, *asked, k=options["k"])
    return getattr(eval, f"{name}_features")(*learned, *asked, seed=seed)


def features(encoder, part, batch, known):
    """Features and labels, computed once for each set and kept in `known`."""
    from keras_ssl import eval

    if id(part) not in known:
        known[id(part)] = eval.features(encoder, part, batch)
    return known[id(part)]


def without_values(found, most=20):
    """A result without the single values of hundreds of queries or episodes."""
    for measure in found.get("measures", {}).values():
        if len(measure["values"]) > most:
            measure["values"] = []
    return found


def save(path, results, found):
    import csv

    if path.suffix == ".json":
        runs.write_json(path, found)
        return
    rows = []
    for name, result in results.items():
        rows += [{"protocol": name, **row} for row in (result.rows() if hasattr(result, "rows") else [found[name]])]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
