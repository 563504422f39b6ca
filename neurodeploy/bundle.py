"""Bundle: files for a board's host, as a value. Making one touches nothing; only `write` does.

There are no time stamps and no absolute paths in a bundle, so the same program always gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from neurodeploy.errors import LoadError, OutputError, VerifyError

FORMAT = "neurodeploy bundle 1"
MANIFEST = "manifest.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Bundle:
    """Files that lie in one folder.

    Parameters
    ----------
    files : mapping of str to bytes
        Content by file name, the manifest among them; no subfolders.
    entry : str
        The file that the host runs.
    program : str
        Digest of the program the files were made from.
    path : Path, optional
        The folder it was written to or read from.
    """

    files: Mapping[str, bytes]
    entry: str
    program: str
    path: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", MappingProxyType(dict(sorted(self.files.items()))))

    def digest(self) -> str:
        """SHA-256 of the manifest, which holds those of all other files."""
        return hashlib.sha256(self.files[MANIFEST]).hexdigest()

    def archive(self) -> bytes:
        """Return all files as one zip archive, the same bytes for the same bundle."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in self.files.items():
                info = zipfile.ZipInfo(name, _EPOCH)
                info.create_system, info.external_attr = 3, 0o644 << 16
                archive.writestr(info, content)
        return buffer.getvalue()

    def write(self, folder: str | os.PathLike[str]) -> Bundle:
        """Write all files into a folder of their own, which is there complete or not at all.

        Parameters
        ----------
        folder : path-like
            Made if need be. A bundle that is there is replaced; one with anything else in it is refused.

        Returns
        -------
        Bundle
            The same, with its `path`.

        Raises
        ------
        OutputError
            If the folder is something else's, or cannot be written.
        """
        path = Path(folder)
        ensure_replaceable(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        except OSError as error:
            raise OutputError(f"cannot write '{path}': {error.strerror}; choose another folder") from error
        try:
            for name, content in self.files.items():
                (beside / name).write_bytes(content)
            _swap(beside, path)
        except OSError as error:
            raise OutputError(f"cannot write '{path}': {error.strerror}; choose another folder") from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return dataclasses.replace(self, path=path)


def make(files: Mapping[str, bytes], *, entry: str, program: str) -> Bundle:
    """Make a bundle from its files, adding the manifest.

    Parameters
    ----------
    files : mapping of str to bytes
    entry : str
        One of them.
    program : str
        Digest of the program.
    """
    if entry not in files or MANIFEST in files or not all(_is_plain(name) for name in files):
        raise VerifyError(f"a bundle cannot be made of {sorted(files)} with entry '{entry}'")
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    manifest = {"format": FORMAT, "program": program, "entry": entry, "files": digests}
    return Bundle({**files, MANIFEST: (json.dumps(manifest, indent=2) + "\n").encode()}, entry, program)


def read(folder: str | os.PathLike[str]) -> Bundle:
    """Read a bundle and check every file against its manifest.

    Files that the manifest does not name are left alone.

    Raises
    ------
    LoadError
        If there is no bundle, or a file is missing or not as it was written.
    """
    path = Path(folder)
    manifest = _manifest(path)
    files = {MANIFEST: (path / MANIFEST).read_bytes()}
    for name, digest in manifest["files"].items():
        try:
            files[name] = (path / name).read_bytes()
        except OSError as error:
            raise LoadError(
                f"bundle '{path}': '{name}' cannot be read ({error.strerror}); emit it again"
            ) from None
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise LoadError(f"bundle '{path}': '{name}' is not as it was written; emit it again")
    return Bundle(files, str(manifest["entry"]), str(manifest["program"]), path)


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((path / MANIFEST).read_bytes())
    except OSError:
        raise LoadError(
            f"'{path}' is not a bundle: it has no {MANIFEST}; neurodeploy deploy writes one"
        ) from None
    except ValueError:
        raise LoadError(f"bundle '{path}': {MANIFEST} is damaged; emit it again") from None
    whole = isinstance(manifest, dict) and isinstance(manifest.get("files"), dict)
    if not whole or manifest.get("format") != FORMAT or manifest.get("entry") not in manifest["files"]:
        raise LoadError(f"'{path}' is not a bundle of this version; emit it again")
    odd = [name for name in manifest["files"] if not _is_plain(name)]
    if odd:
        raise LoadError(f"bundle '{path}': file name {odd[0]!r} leads out of the folder")
    return manifest


def _is_plain(name: str) -> bool:
    return name == Path(name).name and name not in ("", ".", "..") and "\\" not in name


def ensure_replaceable(folder: str | os.PathLike[str]) -> None:
    """Refuse a folder that a bundle must not take the place of.

    Raises
    ------
    OutputError
        If it is no folder, or anything is in it that is not of a bundle.
    """
    path = Path(folder)
    if not path.is_dir():
        if path.exists() or path.is_symlink():
            raise OutputError(f"'{path}' is not a folder; name another one")
        return
    if path.resolve() == Path.cwd():
        raise OutputError(f"'{path}' is the folder you are in, which is not replaced; name another folder")
    there = {item.name for item in path.iterdir()}
    try:
        foreign = there - {MANIFEST, *_manifest(path)["files"]} if there else set()
    except LoadError:
        raise OutputError(f"'{path}' is not empty and not a bundle; name another folder") from None
    if foreign:
        raise OutputError(
            f"'{path}' is a bundle that would be replaced, and '{min(foreign)}' in it is not of the bundle; "
            "move it away, or name another folder"
        )


def _swap(new: Path, path: Path) -> None:
    """Put a finished folder in the place of what is there."""
    umask = os.umask(0)
    os.umask(umask)
    new.chmod(0o777 & ~umask)
    path = path.resolve()
    if not path.exists():
        new.rename(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    path.rename(old / "old")
    try:
        new.rename(path)
    except OSError:
        (old / "old").rename(path)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
