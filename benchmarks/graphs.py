"""Graphs: an SVM on the frozen features of GraphCL and InfoGraph, beside an untrained encoder, counts and a kernel.

    python benchmarks/graphs.py --data tu_graphs/ --out runs/graphs

--data holds sets of the TU collection, each a `NAME.npz` or a folder `NAME/` in its text format. A method sees all
graphs of a set without their labels, as in its paper, for --epochs with the settings of its recipe for minutes; then
ten folds: an SVM on nine tenths, whose C is chosen inside of these, is scored on the last tenth. It goes on where it
was stopped, and writes the table `graph.json` to --out. `--choose` prints the score inside of the nine tenths in place
of the one on the last tenth, for several rates: with that the settings were chosen.
"""

import argparse
import collections
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
from quality import write  # noqa: E402
from scipy import sparse  # noqa: E402
from sklearn import model_selection, pipeline, preprocessing, svm  # noqa: E402

from keras_ssl import data, inputs, recipes  # noqa: E402
from keras_ssl.recipes.graph import graph_cl  # noqa: E402

SETS = ("MUTAG", "PTC", "NCI1")
METHODS = ("GraphCL", "InfoGraph")
COUNTS, KERNEL, UNTRAINED = "Counts of labels and degrees", "Weisfeiler-Lehman kernel", "GIN from its random start"
ROWS = (COUNTS, KERNEL, UNTRAINED, *METHODS)
BATCH, MOST, ROUNDS = 128, 1000, 3
TABLE = {
    "title": "Graphs: frozen features",
    "what": "An SVM on the frozen features of a GIN (three layers of width 32, sums over the nodes of each), which saw "
    "all graphs without labels for 20 epochs with the settings of `minutes`. Accuracy in per cent: the mean over ten "
    "stratified folds and all seeds; the SVM's C is chosen inside of the training folds. The Weisfeiler-Lehman kernel "
    "counts the labels of nodes and of their surroundings, three rounds; its SVM is linear, on counts of unit length.",
    "data": "MUTAG (188 graphs), PTC (344) and the first 1,000 graphs of a random order of NCI1, of the TU collection, "
    "with the labels of their nodes",
    "command": "python benchmarks/graphs.py --data tu_graphs/ --out runs/graphs",
    "machine": "1 CPU core",
    "spread": "Beside it the standard deviation over all folds and seeds.",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/graphs"))
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="*", default=(0, 1))
    parser.add_argument("--choose", type=float, nargs="*", help="rates to compare")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "scores.json"
    scores = json.loads(file.read_text()) if file.exists() else {}
    for name in options.sets:
        columns, labels = load(options.data, name)
        for row in METHODS if options.choose else ROWS:
            for rate in options.choose or [None]:
                for seed in options.seeds:
                    key = f"{name}, {row}, {seed}" + (f", {rate}" if rate else "")
                    if key not in scores:
                        found = features(columns, row, seed, options.epochs, rate)
                        scores[key] = folds(found, labels, seed, rate is not None, row == KERNEL)
                        write(file, json.dumps(scores, indent=1))
                    print(f"{key}: {np.mean(scores[key]):.1f} +- {np.std(scores[key]):.1f}", flush=True)
    if not options.choose:
        write(options.out / "graph.json", table(scores, options))


def load(folder, name):
    path = folder / f"{name}.npz"
    graphs, labels = data.read_graphs(path if path.exists() else folder / name)
    chosen = np.sort(np.random.default_rng(0).permutation(len(graphs))[:MOST])
    return data.pad_graphs([graphs[i] for i in chosen]), labels[chosen]


def features(columns, row, seed, epochs, rate):
    """What a row knows of each graph."""
    keras.utils.set_random_seed(seed)
    if row in (COUNTS, KERNEL):
        return counts(columns) if row == COUNTS else surroundings(columns)
    nodes = columns["nodes"]
    run = recipes.Run(
        nodes.shape[1:], len(nodes), BATCH, -(-len(nodes) // BATCH), epochs, "gin", quick=True, kind=inputs.GRAPH,
        vocabulary=int(nodes.max()) + 1,
    )  # fmt: skip
    if row == UNTRAINED:
        encoder = graph_cl.encoder(run)
    else:
        model, optimizer = recipes.make(row, run)
        if rate:
            optimizer.learning_rate = rate
        model.compile(optimizer)
        model.fit(data.arrays(columns, BATCH, seed=seed, drop_remainder=False), epochs=epochs, verbose=0)
        encoder = model.encoder
    return encoder.predict(columns, batch_size=BATCH, verbose=0)


def counts(columns):
    """How many nodes of each label, and of each number of neighbors, a graph has."""
    labels, most = columns["nodes"].max() + 1, 8
    found = []
    for nodes, real, edges, there in zip(*(columns[key] for key in ("nodes", "nodes_mask", "edges", "edges_mask"))):
        degrees = np.bincount(edges[there][:, 1], minlength=len(nodes))[real]
        degrees = np.bincount(np.minimum(degrees, most), minlength=most + 1)
        found.append([*np.bincount(nodes[real], minlength=labels), *degrees])
    return np.array(found, "float32")


def surroundings(columns):
    """How many nodes of each label a graph has, and of each label with those around it, `ROUNDS` times."""
    found = [collections.Counter() for _ in columns["nodes"]]
    for graph, nodes, real, edges, there in zip(
        found, *(columns[key] for key in ("nodes", "nodes_mask", "edges", "edges_mask")), strict=True
    ):
        names = [str(label) for label in nodes[real].tolist()]
        graph.update(names)
        for _ in range(ROUNDS):
            around = [[] for _ in names]
            for start, end in edges[there].tolist():
                around[end].append(names[start])
            names = [f"({name}: {' '.join(sorted(others))})" for name, others in zip(names, around, strict=True)]
            graph.update(names)
    places = {name: place for place, name in enumerate(sorted(set().union(*found)))}
    made = sparse.lil_matrix((len(found), len(places)), dtype="float32")
    for row, graph in enumerate(found):
        for name, count in graph.items():
            made[row, places[name]] = count
    return preprocessing.normalize(made.tocsr())


def folds(features, labels, seed, inside, linear=False):
    """The accuracy of each fold in per cent: on its test part or, `inside`, on held-out parts of its training part."""
    scores = []
    steps = [svm.SVC(kernel="linear")] if linear else [preprocessing.StandardScaler(), svm.SVC()]
    for train, test in model_selection.StratifiedKFold(10, shuffle=True, random_state=seed).split(labels, labels):
        search = model_selection.GridSearchCV(
            pipeline.make_pipeline(*steps), {"svc__C": [0.01, 0.1, 1, 10, 100]}, cv=5
        )
        search.fit(features[train], labels[train])
        found = search.best_score_ if inside else search.score(features[test], labels[test])
        scores.append(round(100 * float(found), 2))
    return scores


def table(scores, options):
    rows = []
    for row in ROWS:
        found = {"name": row}
        for name in options.sets:
            every = np.concatenate([scores[f"{name}, {row}, {seed}"] for seed in options.seeds])
            found |= {name.lower(): round(float(every.mean()), 1), f"{name.lower()}_sd": round(float(every.std()), 1)}
        rows.append(found)
    columns = {}
    for name in options.sets:
        columns |= {name.lower(): f"{name}, %", f"{name.lower()}_sd": "sd"}
    return json.dumps(TABLE | {"seeds": list(options.seeds), "columns": columns, "rows": rows}, indent=1)


if __name__ == "__main__":
    main()
