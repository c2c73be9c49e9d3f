"""A request to AWS, and the rights that it needs: who asks, for which action on which resources. Pure."""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any
from urllib.parse import parse_qs

from burst_magic.dataclass import dataclass

_SIGNED = re.compile(r"Credential=([^/,]+)/\d+/([^/]+)/([^/]+)/aws4_request")
_KEY = re.compile(r"<Key>([^<]*)</Key>")
# These speak JSON, the others XML.
JSON_SERVICES = {"codebuild", "ecs", "ecr", "logs", "monitoring", "pricing", "servicequotas", "tagging"}
PREFIXES = {"tagging": "tag", "monitoring": "cloudwatch"}  # of actions, where it is not what requests are signed for
_LARGEST = 1 << 20  # bytes of a body that is read for its parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsCall:
    """One request: who signed it, for which service and action.

    Attributes:
        said: its parameters, of services that take them in the body.
        deleted: the keys that it deletes in one go, of S3.
        of_versions: it deletes versions of them.
        conditional: it asks that no such object is there.
    """

    access: str
    service: str
    action: str
    method: str
    path: str
    query: Mapping[str, list[str]]
    region: str = ""
    said: Mapping[str, Any] = field(default_factory=dict)
    deleted: Sequence[str] = ()
    of_versions: bool = False
    conditional: bool = False

    @classmethod
    def of(cls, environ: dict[str, Any]) -> AwsCall:
        """The call in a WSGI environment. A body that is read for it is put back."""
        signed = _SIGNED.search(environ.get("HTTP_AUTHORIZATION", ""))
        access, region, service = signed.groups() if signed else ("", "", "")
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        path, action = environ.get("PATH_INFO", ""), environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        said: Mapping[str, Any] = {}
        deleted: Sequence[str] = ()
        of_versions = False
        if service == "s3" and environ["REQUEST_METHOD"] == "POST" and "delete" in query:
            body = _body(environ).decode()
            deleted, of_versions = [html.unescape(key) for key in _KEY.findall(body)], "<VersionId>" in body
        elif action:
            said = json.loads(_body(environ) or b"{}")
        elif service and service != "s3" and environ["REQUEST_METHOD"] == "POST":
            form = parse_qs(_body(environ).decode(), keep_blank_values=True)
            said = {name: values[0] for name, values in form.items()}
            action = said.get("Action", "")
        return cls(
            access=access,
            service=service,
            action=action,
            method=environ["REQUEST_METHOD"],
            path=path,
            query=query,
            region=region,
            said=said,
            deleted=deleted,
            of_versions=of_versions,
            conditional="HTTP_IF_NONE_MATCH" in environ,
        )


def _body(environ: dict[str, Any]) -> bytes:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if not 0 < length <= _LARGEST:
        return b""
    body: bytes = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = io.BytesIO(body)
    return body


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRight:
    """What somebody must be allowed: an action on resources, in a context.

    Attributes:
        context: condition keys in lower case -> their values.
    """

    access: str
    action: str
    resources: tuple[str, ...] = ("*",)
    context: Mapping[str, Sequence[str]] = field(default_factory=dict)


def right_of(call: AwsCall, *, account: str) -> AskedRight:
    """The right that a request needs.

    Resources are named where a policy of burst_magic may name them; elsewhere they are ``*``, which only a statement
    about everything allows.
    """
    if call.service == "s3":
        return _of_s3(call)
    names = _RESOURCES.get(call.service)
    found = names(call, f"{call.region}:{account}") if names else []
    context: dict[str, Sequence[str]] = {}
    if call.service == "ecs":
        where = f"arn:aws:ecs:{call.region}:{account}"
        context = {
            "ecs:cluster": [f"{where}:cluster/{_cluster(call)}"],
            "ecs:createaction": [call.action],
            "iam:passedtoservice": ["ecs-tasks.amazonaws.com"],
        }
    if "PolicyArn" in call.said:
        context["iam:policyarn"] = [call.said["PolicyArn"]]
    prefix = PREFIXES.get(call.service, call.service)
    return AskedRight(
        access=call.access, action=f"{prefix}:{call.action}", resources=tuple(found) or ("*",), context=context
    )


def _of_s3(call: AwsCall) -> AskedRight:
    """S3's action is told by method, path and query."""
    bucket, _, key = call.path.strip("/").partition("/")
    place = f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else "")
    creates = call.method == "PUT" and "uploadId" not in call.query
    context: dict[str, Sequence[str]] = {
        "aws:securetransport": ["true"],  # this cloud is on the loopback, where there is nothing to listen to
        "s3:objectcreationoperation": [str(creates or ("uploadId" in call.query and call.method == "POST")).lower()],
    }
    if call.conditional:
        context["s3:if-none-match"] = ["*"]
    if "prefix" in call.query:
        context["s3:prefix"] = call.query["prefix"]
    if call.deleted:
        places = tuple(f"arn:aws:s3:::{bucket}/{each}" for each in call.deleted)
        action = "DeleteObjectVersion" if call.of_versions else "DeleteObject"
        return AskedRight(access=call.access, action=f"s3:{action}", resources=places, context=context)
    if key:
        action = {"GET": "GetObject", "HEAD": "GetObject", "DELETE": "DeleteObject"}.get(call.method, "PutObject")
        action = "AbortMultipartUpload" if call.method == "DELETE" and "uploadId" in call.query else action
    else:
        action = _of_bucket(call) or ("ListBucket" if bucket else "ListAllMyBuckets")
    return AskedRight(access=call.access, action=f"s3:{action}", resources=(place,), context=context)


def _of_bucket(call: AwsCall) -> str:
    listed = next((name for name in call.query if name in _LISTED), "")
    setting = next((name for name in call.query if name in _SETTINGS), "")
    if setting:
        reads, takes_away = call.method == "GET", call.method == "DELETE" and setting == "policy"
        return f"{'Get' if reads else 'Delete' if takes_away else 'Put'}{_SETTINGS[setting]}"
    return _LISTED.get(listed, {"PUT": "CreateBucket", "DELETE": "DeleteBucket"}.get(call.method, ""))


_LISTED = {"versions": "ListBucketVersions", "uploads": "ListBucketMultipartUploads"}
_SETTINGS = {  # as requests name them, and as actions do; one is deleted with the right to put it, but for the policy
    "acl": "BucketAcl",
    "encryption": "EncryptionConfiguration",
    "lifecycle": "LifecycleConfiguration",
    "location": "BucketLocation",
    "ownershipControls": "BucketOwnershipControls",
    "policy": "BucketPolicy",
    "publicAccessBlock": "BucketPublicAccessBlock",
    "tagging": "BucketTagging",
    "versioning": "BucketVersioning",
}


def _cluster(call: AwsCall) -> str:
    return str(call.said.get("cluster") or "default").rpartition("/")[2]


def _of_ecs(call: AwsCall, where: str) -> list[str]:
    said, base = call.said, f"arn:aws:ecs:{where}"
    if call.action == "RunTask":
        name = str(said.get("taskDefinition", "")).rpartition("/")[2]
        return [f"{base}:task-definition/{name if ':' in name else f'{name}:latest'}"]
    if call.action in {"StopTask", "DescribeTasks"}:
        idents = [str(each).rpartition("/")[2] for each in said.get("tasks") or [said.get("task", "")]]
        return [f"{base}:task/{_cluster(call)}/{ident}" for ident in idents]
    if call.action == "DescribeClusters":
        return [f"{base}:cluster/{str(each).rpartition('/')[2]}" for each in said.get("clusters") or ["default"]]
    if call.action in {"DeleteCluster", "PutClusterCapacityProviders"}:
        return [f"{base}:cluster/{_cluster(call)}"]
    if call.action == "DeleteTaskDefinitions":
        return [
            each if each.startswith("arn:") else f"{base}:task-definition/{each}" for each in said["taskDefinitions"]
        ]
    return []


def _of_logs(call: AwsCall, where: str) -> list[str]:
    named = call.said.get("logGroupName")
    if not named:
        return []
    group = f"arn:aws:logs:{where}:log-group:{named}"
    of_streams = {"FilterLogEvents", "GetLogEvents", "CreateLogStream", "PutLogEvents"}
    return [f"{group}:log-stream:{call.said.get('logStreamName', '')}" if call.action in of_streams else group]


def _of_iam(call: AwsCall, where: str) -> list[str]:
    said, base = call.said, f"arn:aws:iam::{where.partition(':')[2]}"
    if call.action == "CreateServiceLinkedRole":
        return [f"{base}:role/aws-service-role/{said.get('AWSServiceName', '')}/*"]
    if "PolicyArn" in said and "RoleName" not in said and "UserName" not in said:
        return [said["PolicyArn"]]
    if call.action == "CreatePolicy":
        return [f"{base}:policy/{said.get('PolicyName', '')}"]
    return [
        f"{base}:{kind.lower()}/{said[f'{kind}Name']}" for kind in ("Role", "User", "Group") if f"{kind}Name" in said
    ]


def _of_cloudformation(call: AwsCall, where: str) -> list[str]:
    named = call.said.get("StackName", "")
    if not named:
        return []
    return [named if named.startswith("arn:") else f"arn:aws:cloudformation:{where}:stack/{named}/*"]


def _of_ecr(call: AwsCall, where: str) -> list[str]:
    named = call.said.get("repositoryName")
    return [f"arn:aws:ecr:{where}:repository/{named}"] if named else []


def _of_codebuild(call: AwsCall, where: str) -> list[str]:
    """Builds have no ARNs that policies know: they are their project's."""
    said = call.said
    idents = said.get("ids") or said.get("names") or [said.get("projectName") or said.get("id") or said.get("name", "")]
    return [f"arn:aws:codebuild:{where}:project/{str(each).partition(':')[0]}" for each in idents]


_RESOURCES: Mapping[str, Callable[[AwsCall, str], list[str]]] = {
    "codebuild": _of_codebuild,
    "ecs": _of_ecs,
    "logs": _of_logs,
    "iam": _of_iam,
    "cloudformation": _of_cloudformation,
    "ecr": _of_ecr,
}
