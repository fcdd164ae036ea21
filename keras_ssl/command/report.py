"""report: a run as one page to look at."""

from pathlib import Path

from keras_ssl import runs
from keras_ssl.command.ending import given, running

HELP = "a run -> one HTML page"
DESCRIPTION = """Write one HTML page about a run: curves, scores, views, neighbors, a map of the features and more.

examples:
  python -m keras_ssl report runs/byol
  python -m keras_ssl report runs/byol --data labeled/test --map tsne --out byol.html

The page is one file, without scripts, and loads nothing. Its pictures are of --data, or of the images of the run;
where these lie in class folders, their classes color the map. A run that goes on can be looked at, too.
"""


def add(parser):
    option = parser.add_argument
    option("folder", metavar="RUN", help="folder of a run")
    option("--out", type=Path, help="the page (default: report.html in the run's folder)")
    option("--data", help="folder of images to show (default: those of the run)")
    option("--images", type=int, default=600, help="how many of them (600)")
    option("--map", choices=("pca", "tsne", "umap"), default="pca", help="how the map is made (pca)")


def run(options):
    path = report(**given(options))
    return {"report": str(path)}, f"The page: {path}"


def report(folder, out=None, data=None, images=600, map="pca"):
    """Writes one HTML page about a run: `python -m keras_ssl report`. Others are of `keras_ssl.visualize.report`.

    Args:
        folder: folder of a run of `keras_ssl.pretrain`, which may still go on.
        out: the page; None is `report.html`, in the run's folder.
        data: folder of images to show; None takes those of the run.
        images: int, how many of them.
        map: `"pca"`, `"tsne"` or `"umap"`.

    Returns:
        `pathlib.Path` of the page.

    Raises:
        FileNotFoundError: the folder is not of a run.

    Example:
        ```python
        keras_ssl.report("runs/byol")
        ```
    """
    from keras_ssl import visualize

    runs.read(folder)
    with running():
        return visualize.report(folder, data=data, count=images, method=map, path=out)
