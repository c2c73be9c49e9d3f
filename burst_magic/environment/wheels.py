"""Makes a wheel of a package as it is installed here, for workers that cannot install it from where it came.

Nothing is built: the files of the package are packed again. That can be done with pure Python only. Of an editable
install there is nothing but metadata to pack; its sources are sent with the cells that import them.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import io
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from burst_magic.environment.bundle import Archive
from burst_magic.environment.installed import Package, PackageOrigin

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold: the same files give the same bytes
_TAG = "py3-none-any"
_WHEEL = f"Wheel-Version: 1.0\nGenerator: burst_magic\nRoot-Is-Purelib: true\nTag: {_TAG}\n"
_OF_THE_INSTALL = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "WHEEL", "RECORD.jws", "RECORD.p7s"}


def can_pack(package: Package) -> bool:
    """Whether what is installed here also runs on the workers' platform."""
    return package.info.endswith(".dist-info") and (package.pure or package.origin is PackageOrigin.EDITABLE)


def pack(package: Package, folder: Path) -> Archive:
    """The wheel, in a folder named for its sha256: uv reads name and version from the file's name.

    Args:
        package: pure, or editable.
        folder: where wheels are kept.
    """
    files = dict(sorted(_content(package)))
    stem = Path(package.info).name.removesuffix(".dist-info")
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.writerow([name, f"sha256={digest}", len(data)])
    rows.writerow([f"{stem}.dist-info/RECORD", "", ""])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**files, f"{stem}.dist-info/RECORD": record.getvalue().encode()}.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, compress_type=zipfile.ZIP_DEFLATED)
    sha256 = hashlib.sha256(out.getvalue()).hexdigest()
    path = folder / sha256 / f"{stem}-{_TAG}.whl"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_bytes(out.getvalue())
        draft.replace(path)
    return Archive(sha256=sha256, path=path)


def _content(package: Package) -> Iterator[tuple[str, bytes]]:
    """Name in the wheel -> bytes."""
    info = Path(package.info)
    yield f"{info.name}/WHEEL", _WHEEL.encode()
    site = info.parent.resolve()
    for file in importlib.metadata.Distribution.at(info).files or ():
        path = Path(str(file.locate())).resolve()
        if "__pycache__" in path.parts or not path.is_file():
            continue
        inside = path.is_relative_to(site)
        if inside and path.parent.name == info.name and path.name in _OF_THE_INSTALL:
            continue
        if inside and (package.origin is not PackageOrigin.EDITABLE or info.name in path.parts):
            yield path.relative_to(site).as_posix(), path.read_bytes()
        elif not inside and path.is_relative_to(Path(sys.prefix).resolve()) and path.parent.name != "bin":
            place = path.relative_to(Path(sys.prefix).resolve()).as_posix()
            yield f"{info.name.removesuffix('.dist-info')}.data/data/{place}", path.read_bytes()
