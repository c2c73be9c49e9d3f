"""What AWS's errors mean: in the shapes that botocore raises, over its own wire."""

from __future__ import annotations

import pickle

import pytest
from botocore import exceptions as botocore
from botocore.exceptions import ClientError

from burst_magic.aws.faults import RENEW, is_expired, meaning
from burst_magic.errors import Denied, Exists, LaunchError, Missing, StoreError, Throttled, Unknown

ACCOUNT = "arn:aws:sts::123456789012:assumed-role/Scientist/ada"
DENIED = (
    f"User: {ACCOUNT} is not authorized to perform: ecs:RunTask on resource: arn:aws:ecs:eu-west-1:1:task-definition/x "
    "because no identity-based policy allows the ecs:RunTask action"
)
PASS_ROLE = f"User: {ACCOUNT} is not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/worker"


def error(code, message="", status=400):
    said = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(said, "RunTask")


@pytest.mark.parametrize(
    ("code", "message", "status", "kind"),
    [
        ("ThrottlingException", "Rate exceeded", 400, Throttled),
        ("RequestLimitExceeded", "Request limit exceeded.", 503, Throttled),
        ("TooManyRequestsException", "", 429, Throttled),
        (
            "InvalidParameterException",
            (
                "Error retrieving security group information for [sg-0593]: Request limit exceeded. "
                "(ErrorCode: RequestLimitExceeded)"
            ),
            400,
            Throttled,
        ),
        ("ExpiredTokenException", "The security token included in the request is expired", 400, Denied),
        ("UnrecognizedClientException", "The security token included in the request is invalid.", 400, Denied),
        ("AccessDeniedException", DENIED, 400, Denied),
        ("BlockedException", "Your AWS account is currently blocked.", 400, Denied),
        (
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            403,
            Denied,
        ),
        ("ConflictException", "The clientToken has been used with different parameters", 400, Exists),
        ("ClusterNotFoundException", "Cluster not found.", 400, Missing),
        ("ResourceNotFoundException", "The specified log group does not exist.", 400, Missing),
        ("ServerException", "Service Unavailable. Please try again later.", 500, Unknown),
        ("500", "<html>", 500, Unknown),
        ("InvalidParameterException", "No Container Instances were found in your cluster.", 400, LaunchError),
        ("ClientException", "TaskDefinition is inactive", 400, LaunchError),
    ],
)
def test_an_answer_says_whether_anything_was_done_and_whether_to_ask_again(code, message, status, kind):
    fault = meaning(error(code, message, status), "ecs:RunTask")
    assert type(fault) is kind
    assert (code if code != "500" else "500") in fault.context


def test_an_account_that_may_not_build_says_who_can_change_that():
    fault = meaning(error("AccountLimitExceededException", "Cannot have more than 0 builds in queue"), "StartBuild")
    assert type(fault) is LaunchError
    assert "AWS Support" in fault.way_out


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (botocore.ReadTimeoutError(endpoint_url="x"), Unknown),
        (botocore.ConnectionClosedError(endpoint_url="x"), Unknown),
        (botocore.EndpointConnectionError(endpoint_url="x"), Unknown),
        (botocore.ConnectTimeoutError(endpoint_url="x"), Unknown),
        (ConnectionResetError("reset"), Unknown),
        (botocore.NoCredentialsError(), Denied),
        (botocore.SSOTokenLoadError(error_msg="gone"), Denied),
        (botocore.UnauthorizedSSOTokenError(), Denied),
        (botocore.TokenRetrievalError(provider="sso", error_msg="expired"), Denied),
        (botocore.ParamValidationError(report="x"), LaunchError),
        (botocore.NoRegionError(), LaunchError),
    ],
)
def test_no_answer_is_unknown_unless_nothing_was_asked(raised, kind):
    assert type(meaning(raised, "ecs:RunTask")) is kind


@pytest.mark.parametrize(
    ("message", "action", "resource"),
    [
        (DENIED, "ecs:RunTask", "arn:aws:ecs:eu-west-1:1:task-definition/x"),
        (PASS_ROLE, "iam:PassRole", "arn:aws:iam::1:role/worker"),
        ("not so", "ecs:RunTask", ""),
    ],
)
def test_a_denial_names_the_action_and_what_it_is_denied_on(message, action, resource):
    fault = meaning(error("AccessDeniedException", message), "ecs:RunTask")
    assert action in fault.problem
    assert f"allow {action}" in fault.way_out
    assert resource in fault.way_out


def test_expired_credentials_are_told_from_wrong_ones():
    expired = meaning(error("ExpiredTokenException", "expired"), "ecs:RunTask")
    assert is_expired(expired)
    assert expired.way_out == RENEW
    assert is_expired(meaning(botocore.UnauthorizedSSOTokenError(), "ecs:RunTask"))
    assert not is_expired(meaning(error("UnrecognizedClientException"), "ecs:RunTask"))
    assert not is_expired(meaning(error("AccessDeniedException", DENIED), "ecs:RunTask"))


def test_what_is_an_error_of_ours_already_stays_as_it_is():
    ours = Denied("no", way_out="ask")
    assert meaning(ours, "ecs:RunTask") is ours


def test_a_meaning_survives_a_pickle():
    fault = pickle.loads(pickle.dumps(meaning(error("ThrottlingException", "Rate exceeded"), "ecs:RunTask")))
    assert isinstance(fault, StoreError)
    assert "fewer ecs:RunTask" in fault.problem


@pytest.mark.parametrize(
    ("code", "message", "problem", "way_out"),
    [
        ("BlockedException", "Your AWS account is currently blocked.", "AWS has blocked the account", "AWS Support"),
        ("PendingVerification", "Your request for accessing resources needs validation.", "blocked", "AWS Support"),
        ("AccountProblem", "There is a problem with your AWS account", "blocked", "AWS Support"),
        ("RequestTimeTooSkewed", "The difference is too large.", "clock is wrong", "set the clock"),
        (
            "SignatureDoesNotMatch",
            "Signature expired: 20261128T1 is now earlier than 20261128T2",
            "clock",
            "set the clock",
        ),
        ("InvalidSignatureException", "Signature not yet current: 20261128T2 is still later", "clock", "set the clock"),
        (
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match",
            "does not accept",
            "aws configure",
        ),
    ],
)
def test_a_blocked_account_and_a_wrong_clock_are_told_from_wrong_credentials(code, message, problem, way_out):
    fault = meaning(error(code, message, 403), "sts:GetCallerIdentity")
    assert isinstance(fault, Denied)
    assert (problem in fault.problem, way_out in fault.way_out) == (True, True)


@pytest.mark.parametrize(
    ("resource", "hint"),
    [
        ("arn:aws:ecs:eu-west-1:123456789012:task-definition/burst-worker:3", "if it should not be eu-west-1"),
        ("arn:aws-us-gov:ecs:us-gov-west-1:123456789012:cluster/burst", "if it should not be us-gov-west-1"),
        ("arn:aws:s3:::bucket/key", ""),
    ],
)
def test_a_right_that_is_missing_in_one_region_may_be_there_in_the_right_one(resource, hint):
    words = f"User: arn:aws:iam::123456789012:user/me is not authorized to perform: ecs:RunTask on resource: {resource}"
    way_out = meaning(error("AccessDeniedException", words), "ecs:RunTask").way_out
    assert hint in way_out
    assert ("aws.region" in way_out) == bool(hint)


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        (
            "403",
            '<?xml version="1.0"?>\n<R><Error><Code>ExpiredToken</Code>\n<Message>it &lt;is&gt;\nover</Message></Error></R>',
            "ExpiredToken: it <is> over",
        ),
        (
            "407",
            "<html><head><style>p {color: red}</style><title>Proxy</title></head>\n<p>sign in &amp; go on</p></html>",
            "407: Proxy sign in & go on",
        ),
        ("403", f"<html>{'long ' * 100}</html>", f"403: {('long ' * 40)[:200]}…"),
        ("ClientException", "one line\n  and another", "ClientException: one line and another"),
    ],
)
def test_an_answer_in_another_format_is_shown_in_one_line(code, message, said):
    assert meaning(error(code, message, 403), "ecs:RunTask").context == said


def test_who_is_not_answered_is_told_what_to_look_at():
    fault = meaning(botocore.EndpointConnectionError(endpoint_url="https://sts.moon-1.amazonaws.com"), "sts:X")
    assert (type(fault), fault.problem) == (Unknown, "sts:X was not answered")
    assert "aws.region" in fault.way_out
