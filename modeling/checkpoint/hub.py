"""Checkpoints on the Hugging Face hub: only the files that falcon reads, into the hub's own cache.

`huggingface_hub` does the work and keeps its settings (HF_HOME, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE …). Added here: which
files, bytes of progress over all of them, sizes checked against the hub's list, and each failure in words. Its releases 1 and 2
talk through different HTTP libraries; what is used here is in both.
"""

from __future__ import annotations

import errno
import re
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from logging import ERROR
from pathlib import Path
from typing import Any, NoReturn

from modeling.checkpoint.catalogue import suggest
from modeling.checkpoint.header import listed
from modeling.checkpoint.memory import show
from modeling.checkpoint.shards import INDEX, choose, read_index, refuse_without_weights, shard_names
from modeling.errors import BadModelFile, DownloadFailed, FalconError, InvalidRequest, ModelGated, ModelNotFound, WriteFailed
from modeling.messages import Progress, ProgressSink

CONFIG = "config.json"
_SMALL_FILES = re.compile(
    r"config\.json|generation_config\.json|tokenizer[\w.-]*\.json|special_tokens_map\.json|chat_template[\w.-]*\.(jinja|json)",
    re.ASCII,
)
_REPOSITORY = re.compile(r"([A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w./+-]{0,199}", re.ASCII)
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)


def download(repository: str, revision: str | None, offline: bool, progress: ProgressSink | None) -> Path:
    """The folder of `repository` at `revision` (branch, tag or commit; None: main) in the hub's cache, complete.

    Files that are there already are not fetched again, and a connection that breaks is taken up where it broke. If the hub
    cannot be reached, a complete copy in the cache will do. The folder's name is the commit.

    Raises `InvalidRequest` for names that are none, `ModelNotFound`, `ModelGated`, `DownloadFailed`, `WriteFailed` for a disk
    that is full, and `BadModelFile` for a repository without safetensors.
    """
    _check_names(repository, revision)
    from huggingface_hub import constants  # here, because a local folder needs none of it

    if offline or constants.HF_HUB_OFFLINE:
        return _cached(repository, revision)
    with _quiet():
        try:
            return _Download(repository, revision, progress).run()
        except _Unreachable as unreachable:
            try:
                return _cached(repository, revision)
            except FalconError:
                raise unreachable from None


def download_config(repository: str, revision: str | None, offline: bool) -> Path:
    """The folder in the hub's cache with the config.json of `repository`, and perhaps nothing else. Raises as `download`."""
    _check_names(repository, revision)
    from huggingface_hub import constants

    if offline or constants.HF_HUB_OFFLINE:
        return _cached_config(repository, revision)
    with _quiet():
        try:
            download = _Download(repository, revision, None)
            return download.fetch(CONFIG, download.revision).parent
        except _Unreachable as unreachable:
            try:
                return _cached_config(repository, revision)
            except FalconError:
                raise unreachable from None


def is_repository(name: str) -> bool:
    """Whether `name` can be a repository's id: one or two plain words, nothing that could leave a folder."""
    return bool(_REPOSITORY.fullmatch(name)) and ".." not in name and "--" not in name and not name.endswith((".git", ".", "-"))


def _check_names(repository: str, revision: str | None) -> None:
    """Both become parts of paths in the cache, so both must be plain."""
    if not is_repository(repository):
        raise InvalidRequest(f"{repository!r} is no name of a model", "use organisation/name, or the path of a folder")
    if revision is not None and (
        not _REVISION.fullmatch(revision) or ".." in revision or "//" in revision or revision.endswith(("/", ".lock"))
    ):
        raise InvalidRequest(f"{revision!r} is no name of a revision", "use a branch, a tag or a commit")


class _Unreachable(DownloadFailed):
    """No answer from the hub: what is in the cache may still do."""


class _Download:
    """One repository on its way into the cache."""

    def __init__(self, repository: str, revision: str | None, progress: ProgressSink | None) -> None:
        self.repository = repository
        self.revision = revision or "main"
        self.meter = _Meter(progress)

    def run(self) -> Path:
        """Small files first, weights last: a folder whose weights are complete is complete."""
        commit, sizes = self.listing(self.revision)
        if CONFIG not in sizes:
            raise ModelNotFound(
                f"{self.repository} has no {CONFIG}: it is no checkpoint that falcon can run",
                suggest(self.repository) or "check the name",
            )
        refuse_without_weights(self.repository, sizes)
        # By the revision's name, so that the cache learns which commit it is and finds it when offline.
        folder = self.fetch(CONFIG, self.revision).parent
        if folder.name != commit:  # somebody pushed in between
            commit, sizes = self.listing(folder.name)
        if (choice := choose(sizes)) == INDEX:
            self.fetch(INDEX, commit)
        shards = shard_names(folder / INDEX, read_index(folder / INDEX)) if choice == INDEX else [str(choice)]
        if missing := [name for name in shards if name not in sizes]:
            raise BadModelFile(
                f"{self.repository} lacks {len(missing)} weight files that its index names: {listed(missing)}",
                "choose another --revision, or tell the model's owner",
            )
        names = [*sorted(name for name in sizes if _SMALL_FILES.fullmatch(name)), *shards]
        self.meter.expect({name: sizes[name] for name in names})
        self.check_room(folder, {name: sizes[name] or 0 for name in names})
        for name in names:
            self.check_size(self.fetch(name, commit), sizes[name])
            self.meter.finish(name)
        return folder

    def listing(self, revision: str) -> tuple[str, dict[str, int | None]]:
        """The commit of `revision`, and the files in the repository's top folder with their sizes in bytes."""
        from huggingface_hub import HfApi

        with self.failures():
            info = HfApi().model_info(self.repository, revision=revision, files_metadata=True, timeout=20)
        if not info.sha or not _COMMIT.fullmatch(info.sha):
            raise DownloadFailed(f"the hub names no commit for {self.repository}", "check HF_ENDPOINT")
        return info.sha, {file.rfilename: file.size for file in info.siblings or () if "/" not in file.rfilename}

    def fetch(self, name: str, revision: str) -> Path:
        from huggingface_hub import constants, hf_hub_download

        with self.failures():
            bar: Any = self.meter.bar(name)
            return Path(hf_hub_download(self.repository, name, revision=revision, endpoint=constants.ENDPOINT, tqdm_class=bar))

    def check_room(self, folder: Path, sizes: Mapping[str, int]) -> None:
        """Before hours of download rather than after them."""
        needed = sum(size for name, size in sizes.items() if not (folder / name).exists())
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise WriteFailed(
                f"{self.repository} needs {show(needed)} more on disk, and {folder} has {show(free)} free",
                "free some space, or move HF_HOME",
            )

    def check_size(self, path: Path, size: int | None) -> None:
        """The hub's library compares what arrived with what was announced; this compares it with the list."""
        if size is None or (actual := path.stat().st_size) == size:
            return
        path.resolve().unlink(missing_ok=True)  # the blob, and then the link: the next try must fetch it anew
        path.unlink(missing_ok=True)
        raise DownloadFailed(f"{path.name} arrived with {actual:,} bytes instead of {size:,}", "run the command again")

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Turn what the hub's library raises into falcon's errors."""
        from huggingface_hub import errors

        # httpx in release 1, httpx2 in release 2: the library's own error derives from the right one.
        transport: Any = next(base for base in errors.HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")
        try:
            yield
        except errors.GatedRepoError:
            raise ModelGated(
                f"{self.repository} is gated: its owner grants access by name",
                f"accept the terms at https://huggingface.co/{self.repository}, then set HF_TOKEN or run `hf auth login`",
            ) from None
        except errors.RepositoryNotFoundError:
            raise ModelNotFound(
                f"the hub has no model {self.repository}, or it is private",
                suggest(self.repository) or "check the spelling; for a private model, set HF_TOKEN or run `hf auth login`",
            ) from None
        except errors.RevisionNotFoundError:
            raise ModelNotFound(
                f"{self.repository} has no revision {self.revision!r}", "leave out --revision for the newest one"
            ) from None
        except errors.HfHubHTTPError as error:
            self._refused(error)
        except (transport, OSError) as error:  # httpx's errors, the library's own, and the disk's
            self._failed(error)

    def _refused(self, error: Any) -> NoReturn:
        """The hub answered, with an HTTP status that says no."""
        status = error.response.status_code
        if status in (401, 403):
            raise ModelGated(
                f"the hub refuses access to {self.repository} (HTTP {status})",
                "check the token in HF_TOKEN, or run `hf auth login`",
            ) from None
        if status == 404:
            raise DownloadFailed(
                f"the hub lists a file of {self.repository} that it does not have (HTTP 404)", "run the command again"
            ) from None
        kind = _Unreachable if status >= 500 or status == 429 else DownloadFailed
        raise kind(f"the hub failed to deliver {self.repository} (HTTP {status})", "try again later") from None

    def _failed(self, error: Any) -> NoReturn:
        """There was no answer, or it broke off."""
        from huggingface_hub import constants
        from huggingface_hub.errors import HfHubHTTPError

        if isinstance(error.__cause__, HfHubHTTPError):  # "not in the cache either", because the hub said no
            self._refused(error.__cause__)
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
            where = error.filename or constants.HF_HUB_CACHE
            raise WriteFailed(f"{where} cannot be written: {error.strerror}", "free some space, or move HF_HOME") from None
        if "size" in str(error) or self.meter.started:
            raise DownloadFailed(
                f"the download of {self.repository} broke off: {_first_line(error)}",
                "run the command again: the files that are complete are kept",
            ) from None
        raise _Unreachable(
            f"{constants.ENDPOINT} cannot be reached to download {self.repository}: {_first_line(error)}",
            "check the network; --offline uses only what is already in the cache",
        ) from None


class _Meter:
    """Bytes so far, of all files together. Silent until it knows what to expect."""

    def __init__(self, sink: ProgressSink | None) -> None:
        self.sink = sink
        self.sizes: dict[str, int] = {}
        self.done: dict[str, int] = {}
        self.started = False

    def expect(self, sizes: Mapping[str, int | None]) -> None:
        self.sizes = {name: size or 0 for name, size in sizes.items()}

    def finish(self, name: str) -> None:
        """All of a file is there, whether it was fetched now or long ago."""
        self.move(name, self.sizes[name])

    def move(self, name: str, done: int) -> None:
        self.done[name] = done
        if self.sink is not None and self.sizes:
            total = sum(self.sizes.values())
            self.sink(Progress("download", min(sum(self.done.values()), total), total))

    def bar(self, name: str) -> type:
        """What the hub's library takes for a tqdm class: it counts and shows nothing."""
        meter = self

        class Bar:
            total: int | None = None

            def __init__(self, *args: Any, initial: int = 0, total: int | None = None, **options: Any) -> None:
                self.n = initial
                self.total = total
                meter.started = True

            def update(self, count: float | None = 1) -> None:
                self.n += int(count or 0)
                meter.move(name, self.n)

            def update_transfer(self, count: float) -> None:
                """Bytes on the wire, which the library reports beside the bytes written; only the latter count."""

            def __enter__(self) -> Bar:
                return self

            def __exit__(self, *failure: object) -> None:
                self.close()

            def close(self) -> None: ...

            def refresh(self) -> None: ...

            def set_postfix_str(self, text: str = "", refresh: bool = True) -> None: ...

            def set_description(self, text: str = "", refresh: bool = True) -> None: ...

        return Bar


def _cached(repository: str, revision: str | None) -> Path:
    """The folder in the cache, if all of it is there. Raises `ModelNotFound` if nothing is, `DownloadFailed` if a part is."""
    folder = _cached_config(repository, revision)
    missing = _missing(folder)
    if missing:
        raise DownloadFailed(
            f"the copy of {_at(repository, revision)} in the local cache is incomplete: {listed(missing)} missing",
            "go online once to fetch the rest: without --offline, and HF_HUB_OFFLINE not set",
        )
    return folder


def _cached_config(repository: str, revision: str | None) -> Path:
    """The folder in the cache that has the config. Raises `ModelNotFound`."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repository, CONFIG, revision=revision, local_files_only=True)).parent
    except LocalEntryNotFoundError:
        raise ModelNotFound(
            f"{_at(repository, revision)} is not in the local cache, and falcon is offline",
            suggest(repository) or "go online once: without --offline, and HF_HUB_OFFLINE not set",
        ) from None


def _at(repository: str, revision: str | None) -> str:
    return f"{repository} at revision {revision!r}" if revision else repository


def _missing(folder: Path) -> list[str]:
    """The weight files that an interrupted download has left out; other files came before them."""
    names = [path.name for path in folder.iterdir() if path.exists()]  # a link whose blob is gone does not exist
    choice = choose(names)
    if choice is None:
        return ["model.safetensors"]
    wanted: Iterable[str] = shard_names(folder / INDEX, read_index(folder / INDEX)) if choice == INDEX else [choice]
    return [name for name in wanted if name not in names]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the hub library's log and warnings: what matters of them becomes an error with a hint."""
    from huggingface_hub.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity(ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)


def _first_line(error: BaseException) -> str:
    cause = error.__cause__ or error
    return next(iter(str(cause).splitlines()), "") or type(cause).__name__
