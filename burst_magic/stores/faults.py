"""Classify faults of obstore and of the operating system.

obstore raises ``GenericError`` for everything without its own class, so its text is parsed: an OS error number, or an
HTTP status. Anything else is ``Unknown``: the request may have been carried out.
"""

from __future__ import annotations

import errno
import os
import re

from burst_magic.errors import Denied, Exists, Missing, NoBucket, StoreError, Throttled, Unknown

_os_error = re.compile(r"\(os error (\d+)\)").search
_STATUS = r"(?<![\w.:/-])(?:{})(?![\w.])"  # a number by itself: a time of 429.9µs or a port is no status
_throttled = re.compile(
    rf"{_STATUS.format('429|503')}|SlowDown|TooManyRequests|RequestLimitExceeded|ServiceUnavailable"
).search
_refused = re.compile(
    rf"{_STATUS.format('401|403')}|AccessDenied|ExpiredToken|InvalidToken|TokenRefreshRequired|InvalidAccessKeyId"
    "|SignatureDoesNotMatch"
).search
_stale = re.compile(r"ExpiredToken|InvalidToken|TokenRefreshRequired|InvalidAccessKeyId|SignatureDoesNotMatch").search
_skewed = re.compile(r"RequestTimeTooSkewed|RequestInTheFuture").search
_code = re.compile(r"<Code>(\w+)</Code>").search
_rejected = re.compile(r"Client error with status 4\d\d|status: 4\d\d").search
_range = re.compile(rf"{_STATUS.format('416')}|<Code>InvalidRange|range was invalid|StartTooLarge").search

_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOWHERE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR}

_BY_NAME: dict[str, type[StoreError]] = {
    "FileNotFoundError": Missing,
    "NotFoundError": Missing,
    "AlreadyExistsError": Exists,
    "PreconditionError": Exists,
    "PermissionDeniedError": Denied,
    "PermissionError": Denied,
    "UnauthenticatedError": Denied,
}


def fault(error: BaseException, key: str) -> StoreError:
    """Convert an exception of obstore or the operating system."""
    if isinstance(error, (TypeError, AttributeError, AssertionError)):
        raise error  # a programming error, not a store fault
    text = str(error)
    if "NoSuchBucket" in text:
        return NoBucket("no such bucket", context=key, way_out="create it, or check its name and region")
    kind = _BY_NAME.get(type(error).__name__)
    if kind is not None and not (isinstance(error, PermissionError) and error.errno):
        return _known(kind, key, text)
    if "redirect" in text and "region" in text:
        way_out = "set AWS_REGION to the bucket's region"
        return StoreError("the bucket is in another region", context=key, way_out=way_out)
    number = os_error(error)
    return _of_system(number, key) if number else _of_service(text, key)


def os_error(error: BaseException) -> int:
    """The errno of an error, or 0."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    found = _os_error(str(error))
    return int(found.group(1)) if found else 0


def outside(error: BaseException) -> bool:
    """True if a range beyond the object's end was refused."""
    return _range(str(error)) is not None


def stale(error: BaseException) -> bool:
    """True if expired credentials were refused, which may have been replaced."""
    return _stale(str(error)) is not None


def _known(kind: type[StoreError], key: str, text: str) -> StoreError:
    if kind is Missing:
        return Missing("no such object", context=key)
    if kind is Exists:
        return Exists("the object already exists", context=key)
    return _denied(text, key)


def _denied(text: str, key: str) -> Denied:
    if _skewed(text):  # S3 refuses signatures that are a quarter of an hour old, or young
        way_out = "set the clock, then run it again"
        return Denied("the store refuses this computer's requests: its clock is wrong", context=key, way_out=way_out)
    found = _code(text)
    renew, check = "sign in again, or replace the credentials", "check the credentials and their permissions"
    way_out = renew if _stale(text) else check
    return Denied(f"the store denies access: {found[1] if found else first_line(text)}", context=key, way_out=way_out)


def _of_system(number: int, key: str) -> StoreError:
    reason = os.strerror(number)
    if number in _FORBIDDEN:
        way_out = "choose a writable folder with --store file:///..."
        return Denied(f"the folder of the store denies access: {reason}", context=key, way_out=way_out)
    if number in _FULL:
        return StoreError(f"the store's disk is full: {reason}", context=key, way_out="free some space, or use --store")
    if number in _NOWHERE:
        return StoreError(f"the key does not fit into this folder: {reason}", context=key)
    return StoreError(f"the folder of the store failed: {reason}", context=key)


def _of_service(text: str, key: str) -> StoreError:
    line = first_line(text)
    if _throttled(text):
        return Throttled("the store is throttling requests", context=key, way_out="wait; it resumes automatically")
    if _refused(text):
        return _denied(text, key)
    if "scheme is not allowed" in text or "BadScheme" in text:
        way_out = "use https; plain http is allowed for loopback addresses only"
        return Denied("the store's endpoint is not encrypted", context=key, way_out=way_out)
    if _rejected(text):
        return StoreError(f"the store refused the request: {line}", context=key)
    way_out = "check the network and the URL"
    return Unknown(f"the request to the store failed: {line}", context=key, way_out=way_out)


def first_line(text: str) -> str:
    """The first line of a message, truncated: obstore appends pages of debug output."""
    return text.partition("\n")[0].strip()[:300]
