"""``burst image``: build the workers' image with this kernel's packages, push it to ECR, and delete old ones."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from burst_magic import config, launchers
from burst_magic.aws.ecr import Repository, RepositoryPlace, StoredImage
from burst_magic.errors import OptionError, visible
from burst_magic.launchers.ecs_definition import STOCK
from burst_magic.magics.desk import DESK
from burst_magic.units import format_duration, format_size

if TYPE_CHECKING:
    from burst_magic.config import Settings
    from burst_magic.environment.image import Recipe
    from burst_magic.magics.calls import ImageCall

_LOCAL = "burst-worker"  # the name of an image that is not pushed
_MIB = 1 << 20


def built(call: ImageCall, settings: Settings) -> str:
    """Build and push, unless the repository has an image of the same content."""
    from burst_magic.environment.image import recipe

    settings = config.load(call.settings) if call.settings else settings
    python = platform.python_version()
    minor = ".".join(python.split(".")[:2])
    base = call.base or f"{settings.aws.get('image') or STOCK}:{minor}-slim"
    if call.remote:
        from burst_magic.magics.remote_images import check

        check(settings, base)
    made = recipe(settings, python=python, arch=_arch(settings), base=base)
    address = settings.aws.get("repository", "")
    name = f"{address or _LOCAL}:{made.tag}"
    place = RepositoryPlace.of(address)
    repository = Repository(place) if place else None
    if repository is not None and repository.has(made.tag):
        return "\n".join([f"{name} is in the repository already", *_about(made, name)])
    if call.remote:
        from burst_magic.magics import remote_images

        done = remote_images.build(made, name, settings, tell=lambda line: print(visible(line), flush=True))
    else:
        done = _build(made, name, push=bool(address), repository=repository)
    return "\n".join([done, *_about(made, name)])


def _arch(settings: Settings) -> str:
    """The option's, else that of the account's task definition, else that of most workers."""
    return settings.arch or launchers.own_arch(launchers.traits(settings.launcher), settings.aws) or "x86_64"


def _build(made: Recipe, name: str, *, push: bool, repository: Repository | None) -> str:
    from burst_magic.environment.builders import find_builder

    builder = find_builder()
    for each in needed(made.base, repository):
        login = each.login()
        builder.login(login.server, user=login.user, password=login.password)
    with tempfile.TemporaryDirectory(prefix="burst-image-", ignore_cleanup_errors=True) as folder:
        made.lay_out(Path(folder))
        builder.build(Path(folder), name=name, arch=made.target.arch, arguments=made.arguments)
    if not push:
        return f"{name} was built with {builder.tool} and not pushed: aws.repository names no repository"
    builder.push(name)
    return f"{name} was built with {builder.tool} and pushed"


def needed(base: str, repository: Repository | None) -> Iterator[Repository]:
    """Repositories of ECR that the build pulls from and the push goes to, one of each registry."""
    from burst_magic.environment.image_check import ImageAddress

    below = RepositoryPlace.of(ImageAddress.of(base).repository)
    if below is not None and (repository is None or repository.place.server != below.server):
        yield Repository(below)
    if repository is not None:
        yield repository


def _about(made: Recipe, name: str) -> list[str]:
    return [made.synced.summary, *made.synced.warnings, f"use it: --env image:{name}"]


def pruned(call: ImageCall, settings: Settings) -> str:
    """List the images that were built here, and delete the old ones."""
    repository = _repository(settings)
    now, found = time.time(), _ours(repository)
    agreed = DESK.agreed_images  # what the question has named, and no more
    doomed = [image for image in found if (image.tag in agreed if agreed is not None else _is_due(image, call, now))]
    tags = {image.tag for image in doomed}
    lines = [
        f"{image.tag}  {format_duration(now - image.pushed)} old  {format_size(max(1, image.size // _MIB))}"
        + ("  deleted" if image.tag in tags else "")
        for image in found
    ]
    repository.delete([image.tag for image in doomed])
    size = format_size(max(1, sum(image.size for image in found if image.tag not in tags) // _MIB))
    lines.append(f"{len(doomed)} of {len(found)} images deleted; {size} or less are stored")
    return "\n".join(lines)


def to_delete(call: ImageCall, settings: Settings) -> list[StoredImage]:
    """The images that ``--prune`` deletes: those past their time, or all."""
    now = time.time()
    return [image for image in _ours(_repository(settings)) if _is_due(image, call, now)]


def _is_due(image: StoredImage, call: ImageCall, now: float) -> bool:
    return call.all or now - image.pushed > call.older_than


def _ours(repository: Repository) -> list[StoredImage]:
    """Images that ``burst image`` has pushed; a repository may hold others."""
    from burst_magic.environment.image import ImageName

    return [image for image in repository.images() if ImageName.of(image.tag) is not None]


def _repository(settings: Settings) -> Repository:
    place = RepositoryPlace.of(settings.aws.get("repository", ""))
    if place is None:
        raise OptionError(
            "aws.repository names no repository of ECR",
            context=settings.aws.get("repository", "") or "it is not set",
            way_out="burst setup --repository makes one; or name yours: "
            "burst config aws.repository=ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME",
        )
    return Repository(place)
