"""Readers of options: each parses one value, and raises ``ValueError`` with what was expected."""

from __future__ import annotations

import re
from keyword import iskeyword

from burst_magic.protocol.wire.keys import is_label


def variable(text: str) -> str:
    """The name of a variable."""
    if not text.isidentifier() or iskeyword(text):
        raise ValueError(f"{text!r} is not a variable name")
    return text


def label(text: str) -> str:
    """The name of a job."""
    if not is_label(text):
        raise ValueError(f"{text!r} is not a valid label (no slashes, no spaces at its ends, no session id, no option)")
    return text


def stack(text: str) -> str:
    """The stack that a name means: everything of burst_magic begins with the same word."""
    name = text if text == "burst" or text.startswith("burst-") else f"burst-{text}"
    if not re.fullmatch(r"burst(-[a-z0-9]+)*", name) or len(name) > 24:
        raise ValueError(f"{text!r} is not a name for a stack (lower-case letters, digits and dashes; 18 at most)")
    return name


def subnets(text: str) -> tuple[str, ...]:
    """Ids of subnets."""
    found = tuple(each.strip() for each in text.split(",") if each.strip())
    if not found or not all(each.startswith("subnet-") for each in found):
        raise ValueError(f"{text!r} is not a list of subnets (subnet-1a2b,subnet-3c4d)")
    return found


def bucket(text: str) -> str:
    """A bucket, or a folder in it."""
    if not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]+(/[^,\s]*)?", text):
        raise ValueError(f"{text!r} is not s3://bucket or s3://bucket/prefix")
    return text


def arn(text: str) -> str:
    """The ARN of a managed policy."""
    if not re.fullmatch(r"arn:[\w-]+:iam::(\d+|aws):policy/\S+", text) or "," in text:
        raise ValueError(f"{text!r} is not the ARN of a policy (arn:aws:iam::…:policy/…)")
    return text


def port(text: str) -> int:
    """A port that one may listen on."""
    if not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise ValueError(f"{text!r} is not a port (1 to 65535)")
    return int(text)


def setenv(text: str) -> tuple[str, str | None]:
    """A variable of the environment, with its value or without."""
    name, mark, value = text.partition("=")
    if not name.isidentifier():
        raise ValueError(f"{text!r} is not NAME or NAME=VALUE")
    return name, value if mark else None
