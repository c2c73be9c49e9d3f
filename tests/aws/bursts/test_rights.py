"""What code in a task may do in the account: it has the task role's credentials, as ECS gives them to a container."""

from __future__ import annotations

from burst_magic.protocol.wire import keys, sign

TRY = """
import boto3, os
from urllib.parse import urlsplit
import obstore
from obstore.store import S3Store

def tried(call):
    try:
        call()
    except Exception as error:
        answer = getattr(error, "response", None)
        return answer["Error"]["Code"] if answer else type(error).__name__
    return "done"

s3, ecs, iam, logs = (boto3.client(name) for name in ("s3", "ecs", "iam", "logs"))
def put(key): return lambda: s3.put_object(Bucket=bucket, Key=f"{root}/{key}", Body=b"x")
def get(key): return lambda: s3.get_object(Bucket=bucket, Key=f"{root}/{key}")["Body"].read()
def delete(key): return lambda: s3.delete_object(Bucket=bucket, Key=f"{root}/{key}")
def listed(prefix): return lambda: s3.list_objects_v2(Bucket=bucket, Prefix=prefix)

def delete_many(key):  # S3 answers 200, and says for each object what became of it
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"{root}/{key}"}]})
    return answer["Errors"][0]["Code"] if answer.get("Errors") else "done"

store = S3Store(bucket, prefix=root, client_options={"allow_http": True})
there = f"sessions/{other}/from-a-task"
{
    "put in a session": tried(put(there)),
    "get it": tried(get(there)),
    "list a session": tried(listed(f"{root}/sessions/{other}/")),
    "put a blob": tried(put("blobs/b")),
    "get a blob": tried(get("blobs/b")),
    "put an environment": tried(put("envs/e")),
    "get an environment": tried(get("envs/e")),
    "obstore gets": tried(lambda: obstore.get(store, there).bytes()),
    "list keys": tried(listed(f"{root}/keys/")),
    "list everything": tried(listed("")),
    "obstore lists keys": tried(lambda: obstore.list(store, "keys").collect()),
    "guess another session's key": tried(get(f"keys/{other}.{'0' * 32}")),
    "forge a key": tried(put(f"keys/{other}.{'0' * 32}")),
    "delete in a session": tried(delete(there)),
    "delete many": delete_many(there),
    "put elsewhere": tried(put("elsewhere/x")),
    "get elsewhere": tried(get("private/x")),
    "get from another bucket": tried(lambda: s3.get_object(Bucket="another-bucket", Key="x")),
    "list buckets": tried(s3.list_buckets),
    "change the bucket's policy": tried(lambda: s3.put_bucket_policy(Bucket=bucket, Policy="{}")),
    "start a task": tried(lambda: ecs.run_task(cluster=cluster, taskDefinition=definition)),
    "stop a task": tried(lambda: ecs.stop_task(cluster=cluster, task="x")),
    "describe tasks": tried(lambda: ecs.describe_tasks(cluster=cluster, tasks=["x"])),
    "list tasks": tried(lambda: ecs.list_tasks(cluster=cluster)),
    "make a user": tried(lambda: iam.create_user(UserName="x")),
    "widen its role": tried(lambda: iam.put_role_policy(RoleName="x", PolicyName="x", PolicyDocument="{}")),
    "read logs": tried(lambda: logs.filter_log_events(logGroupName=group)),
    "write logs": tried(lambda: logs.create_log_stream(logGroupName=group, logStreamName="x")),
}
"""
ALLOWED = {
    "put in a session",
    "get it",
    "list a session",
    "put a blob",
    "get a blob",
    "put an environment",
    "get an environment",
    "obstore gets",
}
SAID = {"AccessDenied", "AccessDeniedException", "PermissionDeniedError", "GenericError", "403"}


READ = "import boto3\nboto3.client('s3').get_object(Bucket='data-of-others', Key='x')['Body'].read()"


def test_a_task_that_s3_refuses_something_is_told_the_command_that_allows_it(scientist):
    s3 = scientist.cloud.administrator.clients.of("s3")
    s3.create_bucket(Bucket="data-of-others")
    s3.put_object(Bucket="data-of-others", Key="x", Body=b"x")
    results = scientist.burst(READ, range(1), workers=1).results()
    (error,) = results.collect(errors="return")
    shown = "\n".join(error._render_traceback_())
    assert "AccessDenied" in shown
    assert "try:   burst setup --allow-read s3://" in shown


# The role is one for all sessions of a store: a task may read and overwrite what another session wrote there. It cannot
# sign it, so it can keep others from their results and not forge them.
def test_a_task_may_work_in_its_folders_and_do_nothing_else(scientist):
    cloud, administrator = scientist.cloud, scientist.cloud.administrator.clients
    bucket, _, root = cloud.stack.store.removeprefix("s3://").partition("/")
    administrator.of("s3").create_bucket(Bucket="another-bucket")
    administrator.of("s3").put_object(Bucket="another-bucket", Key="x", Body=b"x")
    administrator.of("s3").put_object(Bucket=bucket, Key=f"{root}/private/x", Body=b"x")
    other = scientist.burst("item", range(1), workers=1)
    assert list(other.results()) == [0]
    names = {
        "bucket": bucket,
        "root": root,
        "other": other.id,
        "cluster": cloud.aws["cluster"],
        "definition": cloud.aws["task_definition"],
        "group": cloud.stack.log_group,
    }
    found = scientist.burst(TRY, range(1), workers=1, values=names).results()[0]
    assert {what for what, answer in found.items() if answer == "done"} == ALLOWED
    assert found.pop("guess another session's key") in {"NoSuchKey", "AccessDenied"}  # AWS: the latter
    refused = {what: answer for what, answer in found.items() if what not in ALLOWED}
    assert set(refused.values()) <= SAID, refused
    assert other.store.get(f"sessions/{other.id}/from-a-task") == b"x"  # nothing has deleted it
    fingerprint = sign.fingerprint(bytes.fromhex(other.key))
    assert other.store.get(keys.session_key(other.id, fingerprint)) == bytes.fromhex(other.key)  # it was there
