"""Cache: files that are downloaded once, whole or not at all, and that are what their authors published."""

import hashlib
import os
import re
import shutil
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

SECONDS = 60  # without a byte from the server


def folder():
    """Where downloaded files are: the environment's KERAS_SSL_HOME, or ~/.keras/keras_ssl."""
    return Path(os.environ.get("KERAS_SSL_HOME") or Path.home() / ".keras" / "keras_ssl")


def fetch(address, name, digest=None):
    """A file of the cache, downloaded where it is not there yet.

    Args:
        address: str, where it is published.
        name: str, its name in the cache.
        digest: str, `"algorithm:hex digits"`, as many as are known; None: those in the address, if it has some as the
            files of torch hub do (`-<8 or more hex digits of SHA-256>.pth`).

    Returns:
        `Path`.

    Raises:
        OSError: it cannot be downloaded, or comes incomplete.
        ValueError: it is another file than its authors published.
    """
    path = folder() / name
    digest = digest or _digest_in(address)
    if path.exists():
        _check(path, digest, path)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    number, part = tempfile.mkstemp(prefix=f".{name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as stream:
            _download(address, stream, path)
        _check(part, digest, address)
        os.chmod(part, 0o644)  # mkstemp's is for the owner alone
        os.replace(part, path)  # from here on it exists
    finally:
        Path(part).unlink(missing_ok=True)
    return path


def from_hub(repository, file="model.safetensors"):
    """A file of a repository on the Hugging Face hub, out of that library's own cache where it is there already."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(f"'hf:{repository}' needs huggingface-hub: pip install keras_ssl[pretrained]") from error
    return Path(huggingface_hub.hf_hub_download(repository, file))


def _download(address, stream, path):
    try:
        with urllib.request.urlopen(address, timeout=SECONDS) as source:
            expected = source.headers.get("Content-Length")
            shutil.copyfileobj(source, stream, 2**20)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise OSError(
            f"{address} could not be downloaded: {getattr(error, 'reason', error)}. Try again, or bring the file by "
            f"another way and put it at {str(path)!r}."
        ) from error
    stream.flush()
    os.fsync(stream.fileno())
    if expected is not None and stream.tell() != int(expected):
        raise OSError(f"{address} came incomplete, {stream.tell()} of {expected} bytes: try again.")


def _check(path, digest, shown):
    if digest is None:
        return
    algorithm, known = digest.split(":")
    with open(path, "rb") as stream:
        found = hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    if not found.startswith(known):
        raise ValueError(
            f"{str(shown)!r} is not the file that its authors published: its {algorithm} begins with "
            f"{found[: len(known)]}, and {known} was expected. Remove it and download it again."
        )


def _digest_in(address):
    found = re.search(r"-([0-9a-f]{8,64})\.[^/]*$", address)
    is_date = found and re.fullmatch(r"(19|20)\d{6}", found[1])  # model-20230101.pth
    return f"sha256:{found[1]}" if found and not is_date else None
