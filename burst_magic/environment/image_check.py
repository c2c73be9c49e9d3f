"""Checks the image of ``--env image:URI`` before anything starts: a container that cannot start is billed, too."""

from __future__ import annotations

import contextlib

from burst_magic.aws.clients import Clients
from burst_magic.aws.ecr import Repository, RepositoryPlace
from burst_magic.config import IMAGE, __version__
from burst_magic.dataclass import dataclass
from burst_magic.environment.image import ImageName
from burst_magic.errors import BurstError, Missing, PlanError

_UNTOLD = "its Python, architecture and burst_magic were not checked: its tag does not tell them"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageAddress:
    """``repository:tag`` or ``repository@digest``, in its parts.

    Attributes:
        tag: or the digest.
    """

    repository: str
    tag: str

    @classmethod
    def of(cls, uri: str) -> ImageAddress:
        """Read it; without a tag it is ``latest``.

        >>> ImageAddress.of("127.0.0.1:5000/burst")
        ImageAddress(repository='127.0.0.1:5000/burst', tag='latest')
        """
        repository, _, digest = uri.partition("@")
        head, colon, tag = repository.rpartition(":")
        if not colon or "/" in tag:  # the colon of a port
            head, tag = repository, ""
        return cls(repository=head, tag=digest or tag or "latest")


def about_image(env: str, *, python: str, arch: str, clients: Clients | None = None) -> tuple[str, ...]:
    """Check that an image exists and fits this kernel, as far as that can be told.

    Args:
        env: ``image:URI``.
        python: the kernel's version.
        arch: the workers' architecture; "" if it is not known.
        clients: makes boto3 clients; the default reads AWS's environment and files.

    Returns:
        What could not be checked.

    Raises:
        PlanError: there is no such image, or it does not fit.
    """
    uri = env.removeprefix(IMAGE)
    address = ImageAddress.of(uri)
    made = ImageName.of(address.tag)
    said = [*_missing(uri, address, clients)]
    if made is None:
        return (*said, f"{uri}: {_UNTOLD}")
    minor = ".".join(python.split(".")[:2])
    if made.python != minor:
        raise _misfit(uri, f"Python {made.python}", f"the kernel's is {minor}, and code travels as bytecode")
    if arch and made.arch != arch:
        raise _misfit(uri, made.arch, f"workers are {arch}: --arch {made.arch} runs it")
    if made.version != __version__:
        said.append(f"{uri} has burst_magic {made.version}, and this is {__version__}")
    return tuple(said)


def _missing(uri: str, address: ImageAddress, clients: Clients | None) -> list[str]:
    """Raises if there is no such image; returns why that could not be told."""
    place = RepositoryPlace.of(address.repository)
    if place is None:
        return [f"{uri}: whether it exists was not checked, since it is not in ECR"]
    repository = Repository(place, clients)
    try:
        if repository.has(address.tag):
            return []
        problem, context = f"there is no image {uri}", place.region
    except Missing as missing:
        problem, context = missing.problem, missing.context
    except BurstError as error:
        return [f"{uri}: whether it exists was not checked: {error.problem}"]
    with contextlib.suppress(BurstError):  # who may not ask has most likely no cache either
        if upstream := repository.upstream():
            return [f"{uri}: whether it exists was not checked: ECR pulls it from {upstream} when it is first used"]
    raise PlanError(problem, context=f"{context}; nothing was started", way_out="burst image builds one and pushes it")


def _misfit(uri: str, has: str, why: str) -> PlanError:
    return PlanError(f"the image is for {has}: {why}", context=f"{uri}; nothing was started", way_out="burst image")
