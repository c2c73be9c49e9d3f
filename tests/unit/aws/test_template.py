"""The template of `burst setup` as it would be deployed, and the functions that it uses."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import partial

import pytest

from burst_magic.aws import rights
from burst_magic.aws.setup import expected
from burst_magic.aws.template import StackTemplate, Whereabouts, parse, references, text
from burst_magic.protocol.wire.keys import SessionKeys, blob, session_key
from burst_magic.protocol.wire.model import ClaimKey, ControlKind, SegmentKey

WHERE = Whereabouts(account="123456789012", region="eu-central-1")
SID = "20260101-000000-aaaaaaaa"


def resolved(**parameters: str) -> StackTemplate:
    given = {"VpcId": "vpc-1", "SubnetIds": "subnet-1,subnet-2", **parameters}
    name = given.get("Name", "burst")
    return StackTemplate(parse(text()), given, where=WHERE, made=partial(expected, name=name, where=WHERE))


def small(body: str, **parameters: str) -> StackTemplate:
    return StackTemplate(parse(body), parameters, where=WHERE, made=lambda name, attribute: f"<{name} {attribute}>")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("!Ref AWS::Region", "eu-central-1"),
        ("!Ref Names", ["a", "b"]),
        ("!Sub '${AWS::Partition}-${One}-${Thing.Arn}'", "aws-1-<Thing Arn>"),
        ("!GetAtt Thing.Arn", "<Thing Arn>"),
        ("!Join ['-', !Ref Names]", "a-b"),
        ("!If [Holds, one, other]", "one"),
        ("!If [Fails, 1, !Ref AWS::NoValue]", None),
        ("[1, !If [Fails, 2, !Ref AWS::NoValue], 3]", [1, 3]),
        ("{a: !Ref One, b: !If [Holds, !Ref AWS::NoValue, 1]}", {"a": "1"}),
    ],
)
def test_functions_are_carried_out_as_cloudformation_does(written, value):
    body = f"""
Parameters:
  One: {{Type: String, Default: "1"}}
  Names: {{Type: CommaDelimitedList, Default: "a,b"}}
Conditions:
  Holds: !Equals [!Ref One, "1"]
  Fails: !Not [!Equals [!Ref One, "1"]]
Resources:
  Thing: {{Type: X, Properties: {{Value: {written}}}}}
"""
    assert small(body).properties("Thing").get("Value") == value


def test_a_function_that_is_not_known_is_refused_and_a_parameter_without_a_value_too():
    with pytest.raises(ValueError, match="unknown function Fn::Cidr"):
        small("Resources: {Thing: {Type: X, Properties: {Value: !Cidr [1, 2, 3]}}}").properties("Thing")
    with pytest.raises(KeyError, match="must have values"):
        small("Parameters: {One: {Type: String}}\nResources: {}")


def test_what_a_resource_refers_to_is_found_in_every_function():
    found = references(parse("[!Ref A, !GetAtt B.Arn, !Sub '${C}-${D.Arn}', {x: !If [Y, !Ref E, 1]}]"))
    assert found == {"A", "B", "C", "D", "E"}


def test_the_bucket_is_private_encrypted_and_takes_https_only():
    bucket = resolved().properties("Bucket")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    statement = resolved().properties("BucketPolicy")["PolicyDocument"]["Statement"][0]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert len(statement["Resource"]) == 2


def test_everything_in_the_store_expires_and_so_do_unfinished_uploads():
    rules = resolved().properties("Bucket")["LifecycleConfiguration"]["Rules"]
    assert {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "Prefix" in rule} == {
        **{f"burst/{folder}/": 30 for folder in ("sessions", "keys", "blobs", "envs")},
        "burst/builds/": 1,
    }
    assert [rule["AbortIncompleteMultipartUpload"] for rule in rules if "Prefix" not in rule] == [
        {"DaysAfterInitiation": 1}
    ]


def test_where_the_first_writer_wins_and_only_there_a_write_must_be_conditional():
    patterns = resolved().properties("BucketPolicy")["PolicyDocument"]["Statement"][1]["Resource"]
    session, job = SessionKeys(SID), SessionKeys(SID).job("0")
    claim = ClaimKey(start=3, number=0)
    races = [
        session_key(SID, "f" * 32),
        session.gone("w1"),
        session.next("t1"),
        job.claim(claim),
        job.segment(SegmentKey(1, 0, 4, 0, claim)),
        job.final,
    ]
    others = [
        session.manifest,
        session.watch,
        session.heartbeat("w1", 0, 5),
        session.control("0", ControlKind.ADD_JOB),
        job.payload,
        job.items,
        job.record,
        job.coming,
        blob("a" * 64),
        "envs/a",
    ]

    def forbidden(key: str) -> bool:
        arn = f"arn:aws:s3:::burst-123456789012-eu-central-1/burst/{key}"
        return any(fnmatchcase(arn, pattern) for pattern in patterns)

    assert [key for key in races if not forbidden(key)] == []
    assert [key for key in others if forbidden(key)] == []


def test_nothing_comes_in_and_everything_goes_out():
    group = resolved().properties("SecurityGroup")
    assert "SecurityGroupIngress" not in group
    assert {rule.get("CidrIp", rule.get("CidrIpv6")) for rule in group["SecurityGroupEgress"]} == {"0.0.0.0/0", "::/0"}


def test_what_is_there_already_is_not_made():
    always = set(resolved().resources)
    optional = {"Endpoint", "CacheRule", "Repository", "BuildProject", "BuildRole"}
    assert optional & always == set()
    full = resolved(RouteTableIds="rtb-1", Cache="make", MakeRepository="true").resources
    assert set(full) - always == optional


def test_tasks_get_what_they_are_allowed_and_no_more():
    plain = rights.policies(resolved())["task"]["Statement"]
    wide = rights.policies(
        resolved(ReadArns="arn:aws:s3:::data/x/*", WriteArns="arn:aws:s3:::out/*", ListArns="arn:aws:s3:::data")
    )["task"]["Statement"]
    assert [statement["Resource"] for statement in wide[len(plain) :]] == [
        ["arn:aws:s3:::data/x/*"],
        ["arn:aws:s3:::out/*"],
        ["arn:aws:s3:::data"],
    ]
    assert "ManagedPolicyArns" not in resolved().properties("TaskRole")
    assert resolved(PolicyArns="arn:1,arn:2").properties("TaskRole")["ManagedPolicyArns"] == ["arn:1", "arn:2"]


def test_users_may_push_images_into_the_stacks_own_repository_only():
    def pushes(**parameters):
        statements = rights.policies(resolved(**parameters))["user"]["Statement"]
        return [statement["Resource"] for statement in statements if "ecr:PutImage" in statement["Action"]]

    assert pushes() == []
    (where,) = pushes(MakeRepository="true")
    assert where == "arn:aws:ecr:eu-central-1:123456789012:repository/burst-worker"


def test_builds_read_what_is_to_be_built_push_to_that_repository_and_do_nothing_else():
    statements = rights.policies(resolved(MakeRepository="true", Cache="make"))["build"]["Statement"]
    by_action = {action: each for each in statements for action in [each["Action"]] if isinstance(action, str)}
    for each in statements:
        by_action.update(dict.fromkeys(each["Action"], each) if isinstance(each["Action"], list) else {})
    assert by_action["s3:GetObject"]["Resource"].endswith(":s3:::burst-123456789012-eu-central-1/burst/builds/*")
    assert by_action["ecr:PutImage"]["Resource"].endswith(":repository/burst-worker")
    assert by_action["ecr:CreateRepository"]["Resource"].endswith(":repository/burst-public/*")
    assert [each["Action"] for each in statements if each["Resource"] == "*"] == ["ecr:GetAuthorizationToken"]
    assert {action.partition(":")[0] for action in by_action} == {"s3", "logs", "ecr"}


def test_the_build_project_costs_nothing_until_it_builds_and_every_build_ends():
    project = resolved(MakeRepository="true").properties("BuildProject")
    assert "Fleet" not in project["Environment"]  # of machines that are kept
    assert project["TimeoutInMinutes"] <= 60
    assert project["QueuedTimeoutInMinutes"] <= 60


def test_no_policy_of_the_stack_allows_more_than_single_actions():
    for document in rights.policies(resolved(Cache="make", MakeRepository="true")).values():
        for statement in document["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert [action for action in actions if "*" in action] == []
            assert statement["Effect"] == "Allow"


def test_everything_that_can_carry_a_tag_carries_the_stacks_name():
    made = resolved(Name="burst-ada", RouteTableIds="rtb-1", Cache="make", MakeRepository="true")
    untagged = {name for name in made.resources if "Tags" not in made.properties(name)}
    assert untagged == {"BucketPolicy", "CacheRule", "UserPolicy"}
    for name in set(made.resources) - untagged:
        assert made.properties(name)["Tags"] == [{"Key": "burst", "Value": "burst-ada"}]


def test_a_task_has_the_whole_notice_of_spot_and_waits_for_no_log():
    container = resolved().properties("TaskDefinition")["ContainerDefinitions"][0]
    grace = {each["Name"]: each["Value"] for each in container["Environment"]}["BURST_BIRTH_GRACE"]
    assert str(container["StopTimeout"]) == grace == "120"
    assert container["LogConfiguration"]["Options"]["mode"] == "non-blocking"


def test_the_names_of_two_stacks_differ_everywhere():
    one, other = resolved(Name="burst-ada"), resolved(Name="burst-bob")
    assert [name for name in one.resources if one.properties(name) == other.properties(name)] == []
