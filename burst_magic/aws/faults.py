"""What an error of AWS means: throttled, denied (and of what), expired credentials, a conflict, not found, no answer.

botocore's exceptions become the same errors that stores raise, so that whoever retries knows what is worth it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Any

from burst_magic.errors import BurstError, Denied, Exists, LaunchError, Missing, Throttled, Unknown

RENEW = "run `aws sso login` (or renew your credentials as usual); nothing needs to be restarted"
_SET_UP = "run `aws configure` or `aws sso login`, or set AWS_PROFILE"
_UNHEARD = (
    "check the network, and the region: aws.region, or AWS_REGION; a stand-in for AWS is named in AWS_ENDPOINT_URL"
)
_ACTION = re.compile(r"not authorized to perform:? (?P<action>[\w-]+:\w+)(?: on resource:? (?P<resource>\S+))?")
_NAMED = re.compile(r"<(Code|Message)>(.*?)</\1>", re.DOTALL)
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_LONGEST = 200  # characters of a page in a message
_REGION = re.compile(r"arn:[\w-]+:[\w-]+:([a-z]+(?:-[a-z]+)+-\d):")


def is_expired(error: BurstError) -> bool:
    """Whether the credentials have expired: what is read anew from AWS's files may be newer."""
    return isinstance(error, Denied) and error.way_out == RENEW


def meaning(error: Exception, call: str) -> BurstError:
    """The error that says what happened and what to do.

    Args:
        error: what botocore raised.
        call: the action, e.g. ``"ecs:RunTask"``.

    Returns:
        ``Throttled`` (nothing was done), ``Unknown`` (it may have been done), ``Denied``, ``Exists`` (the same token
        with other parameters), ``Missing``, or ``LaunchError`` for what AWS refuses for another reason.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, BurstError):
        return error
    if isinstance(error, ClientError):
        return _of_answer(error.response, call)
    if isinstance(error, BotoCoreError):
        return _of_client(error, call)
    return Unknown(f"{call}: {error}", context=type(error).__name__)


def _of_answer(response: Any, call: str) -> BurstError:
    """AWS has answered."""
    code, words = _plain(str(response["Error"].get("Code", "")), str(response["Error"].get("Message", "")))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said = f"{code}: {words}" if words else code
    for pattern, error in _ANSWERS:
        if pattern.search(said):
            return error(said, call)
    if status >= 500:
        return _no_answer(said, call)
    return LaunchError(words or code, context=said)


def _plain(code: str, words: str) -> tuple[str, str]:
    """An error's code and message in one line, also where a proxy or a stand-in answered in another format.

    botocore then takes the HTTP status for the code, and the whole body for the message.
    """
    if not words.lstrip().startswith("<"):
        return code, " ".join(words.split())
    named = {name: unescape(text) for name, text in _NAMED.findall(words)}
    if "Code" in named:
        return named["Code"], " ".join(named.get("Message", "").split())
    shown = " ".join(unescape(_TAG.sub(" ", words)).split())
    return code, f"{shown[:_LONGEST]}…" if len(shown) > _LONGEST else shown


def _throttled(said: str, call: str) -> BurstError:
    return Throttled(f"AWS asks for fewer {call} calls", context=said)


def _expired(said: str, _: str) -> BurstError:
    return Denied("your AWS credentials have expired", context=said, way_out=RENEW)


def _not_ours(said: str, _: str) -> BurstError:
    return Denied("AWS does not accept your credentials", context=said, way_out=_SET_UP)


def _blocked(said: str, _: str) -> BurstError:
    return Denied("AWS has blocked the account", context=said, way_out="ask AWS Support: Account and billing")


def _skewed(said: str, _: str) -> BurstError:
    problem = "this computer's clock is wrong: AWS refuses requests that are five minutes off"
    return Denied(problem, context=said, way_out="set the clock, for example with timedatectl set-ntp true")


def _no_answer(said: str, call: str) -> BurstError:
    return Unknown(f"{call} was not answered: AWS has a problem of its own", context=said)


def _conflict(said: str, call: str) -> BurstError:
    return Exists(f"{call}: this token was used with other parameters", context=said)


def _missing(said: str, call: str) -> BurstError:
    return Missing(f"{call}: {said.partition(': ')[2] or said}", context=said)


def _full(said: str, call: str) -> BurstError:
    """CodeBuild gives new accounts few machines or none, whatever the quota says."""
    way_out = "if other builds run, try again later; else ask AWS Support to raise the account's limit"
    return LaunchError(f"{call}: the account is at its limit", context=said, way_out=way_out)


def _denied(said: str, call: str) -> BurstError:
    """A policy forbids it; AWS mostly says which action on what."""
    found = _ACTION.search(said)
    action = found["action"] if found else call
    resource = found["resource"] or "" if found else ""
    place = f" on {resource}" if resource else ""
    region = _REGION.match(resource)  # rights often hold in one region only
    elsewhere = f"; or check aws.region and AWS_REGION, if it should not be {region[1]}" if region else ""
    way_out = f"ask whoever administers the account to allow {action}{place}{elsewhere}"
    return Denied(f"you are not allowed to call {action}", context=said, way_out=way_out)


def _of_client(error: Exception, call: str) -> BurstError:
    """AWS has not answered, or was not asked."""
    from botocore import exceptions as botocore

    if isinstance(error, (botocore.NoCredentialsError, botocore.PartialCredentialsError)):
        return Denied("no AWS credentials found", context=str(error), way_out=_SET_UP)
    if isinstance(error, (botocore.SSOError, botocore.UnauthorizedSSOTokenError, botocore.SSOTokenLoadError)):
        return Denied("your AWS sign-on has expired", context=str(error), way_out=RENEW)
    if isinstance(error, (botocore.TokenRetrievalError, botocore.CredentialRetrievalError)):
        return Denied("cannot get AWS credentials", context=str(error), way_out=RENEW)
    if isinstance(error, (botocore.ParamValidationError, botocore.NoRegionError)):
        return LaunchError(f"{call}: {error}", context="the request was not sent")
    return Unknown(f"{call} was not answered", context=str(error), way_out=_UNHEARD)


# What AWS says, by code and message; the first that matches counts. EC2's throttling comes wrapped in ECS's
# InvalidParameterException (dask-cloudprovider, issue 56).
_ANSWERS: tuple[tuple[re.Pattern[str], Callable[[str, str], BurstError]], ...] = (
    (
        re.compile(r"ExpiredToken|RequestExpired|token (included in the request )?(is|has) expired", re.IGNORECASE),
        _expired,
    ),
    (re.compile(r"Throttl|RequestLimitExceeded|TooManyRequests|Rate exceeded|SlowDown"), _throttled),
    (re.compile(r"TimeTooSkewed|Signature (expired|not yet current)", re.IGNORECASE), _skewed),
    (
        re.compile(r"^Blocked|AccountProblem|AllAccessDisabled|PendingVerification|account.*blocked", re.IGNORECASE),
        _blocked,
    ),
    (re.compile(r"UnrecognizedClient|InvalidClientTokenId|InvalidAccessKeyId|SignatureDoesNotMatch"), _not_ours),
    (re.compile(r"AccessDenied|UnauthorizedOperation|NotAuthorized|not authorized"), _denied),
    (re.compile(r"^(ServerException|InternalFailure|InternalError|InternalServer|ServiceUnavailable)"), _no_answer),
    (re.compile(r"^AccountLimitExceeded"), _full),
    (re.compile(r"^Conflict"), _conflict),
    (re.compile(r"^(\w*NotFound|NoSuch)"), _missing),
)
