"""What CodeBuild's own image has of programs, for the stand-in's builds: ``aws ecr get-login-password`` and ``docker``.

``docker build`` builds with the tool that the sandbox is told; without one it looks whether there is everything to
build, and makes an image of one layer, the context. ``docker push`` asks ECR what docker's requests to a registry are
authorized as, so that policies count.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from burst_magic.aws.clients import Clients
from burst_magic.aws.ecr import RepositoryPlace
from burst_magic.config import environment

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_PART = 1 << 19  # bytes of a layer in one request: what the stand-in reads whole
_IMAGES, _LOGINS = "images", "logins"


def main(words: Sequence[str]) -> int:
    """Run a program; returns its exit code."""
    program, *rest = words
    commands = {"aws": {"ecr": _password}, "docker": {"login": _login, "build": _build, "push": _push}}
    try:
        commands[program][rest[0]](rest[1:])
    except Exception as error:  # noqa: BLE001 - the end of a program, which its caller sees as such
        sys.stderr.write(f"{program} {rest[0]}: {error}\n")
        return 1
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _home() -> Path:
    return Path(environment()["HOME"])


def _ecr() -> Any:
    return Clients().of("ecr")


def _password(words: Sequence[str]) -> None:
    if words[0] != "get-login-password":
        raise ValueError(f"the sandbox's aws knows no ecr {words[0]}")
    token = _ecr().get_authorization_token()["authorizationData"][0]["authorizationToken"]
    _say(base64.b64decode(token).decode().partition(":")[2])


def _login(words: Sequence[str]) -> None:
    if not sys.stdin.read().strip():
        raise PermissionError("password is empty")
    with (_home() / _LOGINS).open("a", encoding="utf-8") as file:
        file.write(f"{words[-1]}\n")
    _say("Login Succeeded")


def _logged_in(image: str) -> tuple[RepositoryPlace, str]:
    """The place of an image in ECR, and its tag."""
    address, _, tag = image.rpartition(":")
    place, logins = RepositoryPlace.of(address), _home() / _LOGINS
    if place is None:
        raise ValueError(f"the sandbox's docker reaches ECR only, not {address}")
    if not logins.exists() or place.server not in logins.read_text(encoding="utf-8").split():
        raise PermissionError("no basic auth credentials")
    return place, tag


def _build(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--build-arg", action="append")
    parser.add_argument("--tag")
    parser.add_argument("context", type=Path)
    given = parser.parse_args(words)
    arguments, context, name = dict(each.split("=", 1) for each in given.build_arg), given.context, given.tag
    base, layout = arguments["BASE_IMAGE"], _home() / _IMAGES / hashlib.sha256(name.encode()).hexdigest()
    layout.mkdir(parents=True)
    builder = environment().get("BURST_SANDBOX_BUILDER", "")
    if builder:
        blobs = {"config": _really(builder, words, layout)}
    else:
        if RepositoryPlace.of(base.rpartition(":")[0]):
            _pull(base)
        blobs = {"config": json.dumps({"config": {"Labels": arguments}}).encode(), "layers": _layer(context)}
    said: dict[str, Any] = {"schemaVersion": 2, "mediaType": _MANIFEST, "layers": []}
    for kind, content in blobs.items():
        digest = hashlib.sha256(content).hexdigest()
        (layout / digest).write_bytes(content)
        told = {"digest": f"sha256:{digest}", "size": len(content)}
        said[kind] = [told] if kind == "layers" else told
    (layout / "manifest.json").write_text(json.dumps(said), encoding="utf-8")
    _say(f"naming to {name} done")


def _layer(context: Path) -> bytes:
    """All that a Dockerfile could copy; raises if something isn't there that it copies."""
    for line in (context / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("COPY ") and not (context / line.split()[1]).exists():
            raise FileNotFoundError(f"failed to compute cache key: {line.split()[1]}: not found")
    packed = io.BytesIO()
    with gzip.open(packed, "wb") as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        archive.add(context, arcname=".")
    return packed.getvalue()


def _really(builder: str, words: Sequence[str], layout: Path) -> bytes:
    """The id of a real image. It stays in the storage of whoever built it; its id is pushed."""
    how = ["bud", "--format", "docker"] if builder.endswith("buildah") else ["build"]
    subprocess.run([builder, *how, "--iidfile", str(layout / "id"), *words], check=True)
    return (layout / "id").read_bytes()


def _pull(image: str) -> None:
    place, tag = _logged_in(image)
    ecr, which = _ecr(), {"registryId": place.account, "repositoryName": place.name}
    found = ecr.batch_get_image(**which, imageIds=[{"imageTag": tag}])
    if not found["images"]:
        raise FileNotFoundError(f"{image}: not found")
    layer = f"sha256:{'0' * 64}"
    ecr.batch_check_layer_availability(**which, layerDigests=[layer])
    ecr.get_download_url_for_layer(**which, layerDigest=layer)


def _push(words: Sequence[str]) -> None:
    name = words[-1]
    place, tag = _logged_in(name)
    layout = _home() / _IMAGES / hashlib.sha256(name.encode()).hexdigest()
    manifest = (layout / "manifest.json").read_text(encoding="utf-8")
    said, ecr = json.loads(manifest), _ecr()
    which = {"registryId": place.account, "repositoryName": place.name}
    for each in (said["config"], *said["layers"]):
        digest = each["digest"]
        if ecr.batch_check_layer_availability(**which, layerDigests=[digest])["layers"]:
            continue
        content = (layout / digest.partition(":")[2]).read_bytes()
        upload = ecr.initiate_layer_upload(**which)["uploadId"]
        for first in range(0, len(content), _PART):
            part = content[first : first + _PART]
            ecr.upload_layer_part(
                **which, uploadId=upload, partFirstByte=first, partLastByte=first + len(part) - 1, layerPartBlob=part
            )
        ecr.complete_layer_upload(**which, uploadId=upload, layerDigests=[digest])
    ecr.put_image(**which, imageManifest=manifest, imageTag=tag)
    _say(f"{tag}: pushed")


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main(sys.argv[1:]))
