"""``--env sync`` on a stock Python image, which has nothing but the standard library: the whole road.

The kernel is another interpreter, with an environment of its own.
"""

from __future__ import annotations

import gzip
import json
import os
import platform
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from burst_magic.launchers.ecs_definition import STOCK
from burst_magic.testing.sandbox import Sandbox

MINOR = ".".join(platform.python_version_tuple()[:2])
ROOT = Path(__file__).parents[3]
NUMPY, NUMPY_AFTER = "2.3.0", "2.3.1"
NOTEBOOKS = {"boto3", "burst_magic", "ipykernel", "ipython", "ipywidgets", "nbformat", "obstore", "traitlets", "uv"}


def uv(*arguments):
    subprocess.run([sys.executable, "-m", "uv", *arguments], check=True, capture_output=True)


def project(folder: Path, name: str, *, needs: str = "") -> Path:
    """A small project of the user's own."""
    (folder / name / "src" / name).mkdir(parents=True)
    (folder / name / "pyproject.toml").write_text(
        f'[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        f'[project]\nname = "{name}"\nversion = "1.5"\ndependencies = [{needs}]\n'
    )
    (folder / name / "src" / name / "__init__.py").write_text(f"said = '{name} runs'\n")
    (folder / name / "src" / name / "data.txt").write_text("data\n")
    return folder / name


class Kernel:
    """An interpreter with Jupyter's side, numpy, and two projects: one installed from its folder, one editable."""

    def __init__(self, folder: Path, cloud) -> None:
        self.cloud, self.python = cloud, folder / "env" / "bin" / "python"
        uv("venv", "--python", str(Path(sys._base_executable).resolve()), str(folder / "env"))
        self.install("-r", str(ROOT / "requirements" / "demo.lock"), f"numpy=={NUMPY}")
        self.install("--no-build-isolation", "--no-deps", "--editable", str(ROOT))
        self.install("--no-build-isolation", "--no-deps", str(project(folder, "installed_here")))
        needs = "\"colorama>=0.4 ; sys_platform == 'linux'\""  # not installed: as on a Mac
        edited = str(project(folder, "edited_here", needs=needs))
        self.install("--no-build-isolation", "--no-deps", "--editable", edited)

    def install(self, *what: str) -> None:
        uv("pip", "install", "--quiet", "--python", str(self.python), *what)

    def run(self, code: str, *arguments: str, **environ: str):
        """What a script prints last, as JSON."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BURST_"))}
        done = subprocess.run(
            [str(self.python), "-c", code, *arguments],
            env={**clean, **self.cloud.environ(), **environ},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert not done.returncode, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def kernel(tmp_path_factory, _cloud):
    return Kernel(tmp_path_factory.mktemp("kernel"), _cloud)


def test_setup_tries_the_fleet_with_the_kernels_packages(kernel, tmp_path):
    with Sandbox(home=tmp_path, empty=True, stop_timeout=5) as cloud:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BURST_"))}
        command = [str(kernel.python), "-m", "burst_magic", "setup", "--yes"]
        done = subprocess.run(
            command, env={**clean, **cloud.environ()}, capture_output=True, text=True, check=False, timeout=200
        )
        assert "trial: 4 tasks on 2 workers" in done.stdout, done.stdout + done.stderr
        assert all(f"docker/library/python:{MINOR}-slim" in task.image for task in cloud.tasks())


LOOK = """
import json, sys
import burst_magic as burst
import installed_here, edited_here, numpy

def look(item):
    import importlib.metadata, sys
    from pathlib import Path
    data = (Path(installed_here.__file__).parent / "data.txt").read_text()
    installed = {each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}
    own = numpy.__file__.startswith(sys.prefix) and sys.prefix != sys.base_prefix
    return [int(numpy.arange(item).sum()), own, installed_here.said, data, edited_here.said, installed]

session = burst.map(look, range(4), workers=int(sys.argv[1]), launcher="fargate", env="sync")
results = list(session.results())
print(json.dumps([results, session.manifest.lock, session.manifest.pack, session.fleet.logs()]))
session.cleanup()
"""


@pytest.fixture(scope="module")
def first(kernel):
    return kernel.run(LOOK, "1")


def test_a_burst_runs_on_a_stock_python_with_the_kernels_packages(first, cloud):
    results, _, pack, logs = first
    for item, (total, own, *said, installed) in enumerate(results):
        assert (total, own) == (sum(range(item)), True)
        assert said == ["installed_here runs", "data\n", "edited_here runs"]
        assert installed["numpy"] == NUMPY
        assert (installed["installed_here"], installed["edited_here"]) == ("1.5", "1.5")
        assert {"colorama", "dill", "threadpoolctl"} <= installed.keys()  # the first is for Linux only
        assert NOTEBOOKS & installed.keys() == set()
    stock = f"/burst-public{STOCK.removeprefix('public.ecr.aws')}:{MINOR}-slim"  # through the cache that setup makes
    assert all(task.image.endswith(f".amazonaws.com{stock}") for task in cloud.tasks()[-1:])
    assert not pack
    assert all("installed" in text for text in logs.values())


def test_workers_of_a_later_session_unpack_what_the_first_has_installed(kernel, first):
    results, lock, pack, logs = kernel.run(LOOK, "2")
    assert (results, lock) == (first[0], first[1])
    assert pack
    assert len(logs) == 2
    assert all("unpacked" in text for text in logs.values())


def test_another_version_is_another_environment(kernel, first):
    kernel.install(f"numpy=={NUMPY_AFTER}")
    try:
        results, lock, pack, _ = kernel.run(LOOK, "2")
    finally:
        kernel.install(f"numpy=={NUMPY}")
    assert {installed["numpy"] for *_, installed in results} == {NUMPY_AFTER}
    assert lock != first[1]
    assert not pack


ADD = """
import json, subprocess, sys, warnings
import burst_magic as burst
import numpy

def version(item):
    return numpy.__version__

session = burst.map(version, range(2), workers=1, launcher="fargate", env="sync")
before = list(session.results())
subprocess.run(sys.argv[1:], check=True)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    after = list(burst.map(version, range(2), session=session).results())
print(json.dumps([before, after, [str(each.message) for each in told]]))
session.cleanup()
"""


def test_a_cell_that_is_added_to_a_session_is_told_which_packages_differ_there(kernel):
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(kernel.python)]
    try:
        before, after, told = kernel.run(ADD, *install, f"numpy=={NUMPY_AFTER}")
    finally:
        kernel.install(f"numpy=={NUMPY}")
    assert before == after == [NUMPY] * 2
    (warning,) = told
    assert f"keep the packages that they have: numpy {NUMPY} (here {NUMPY_AFTER})" in warning


def test_what_a_cell_needs_and_workers_cannot_have_is_refused_before_anything_is_stored(kernel, cloud):
    """A compiled package that was installed from a folder."""
    code = (
        "import json, burst_magic as burst\nimport numpy\n"
        "try: burst.map(lambda item: numpy.pi, range(2), launcher='fargate', env='sync')\n"
        "except Exception as error: print(json.dumps([type(error).__name__, str(error)]))"
    )
    site = next(kernel.python.parent.parent.glob("lib/python*/site-packages/numpy-*.dist-info"))
    (site / "direct_url.json").write_text(json.dumps({"url": "file:///src/numpy", "dir_info": {}}))
    tasks, objects = len(cloud.tasks()), cloud.server.clients.of("s3").list_objects_v2(Bucket=cloud.stack.bucket)
    try:
        kind, text = kernel.run(code)
    finally:
        (site / "direct_url.json").unlink()
    assert kind == "PlanError"
    assert f"numpy=={NUMPY} was installed from a folder or a repository, and it is compiled for this machine" in text
    assert "--env image:URI" in text
    assert len(cloud.tasks()) == tasks
    assert cloud.server.clients.of("s3").list_objects_v2(Bucket=cloud.stack.bucket)["KeyCount"] == objects["KeyCount"]


CELLS = """
import json
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

shell, said = InteractiveShell.instance(), []
shell.run_line_magic("load_ext", "burst_magic")
for options in ("--dry-run", "--wait --out first", "--wait --out again"):
    with capture_output() as shown:
        shell.run_cell_magic("burst", f"{options} --launcher fargate --env sync --workers 1 --map range(3)",
                             "import numpy\\nint(numpy.arange(item).sum())")
    said.append(shown.stdout + "".join(each.data.get("text/plain", "") for each in shown.outputs))
shell.run_line_magic("burst_cleanup", "--yes")
print(json.dumps([said, list(shell.user_ns["first"]), list(shell.user_ns["again"])]))
"""


def test_a_cell_is_told_its_environment_before_it_runs_and_joins_workers_that_have_the_same(kernel):
    (dry, _, joined), first, again = kernel.run(CELLS)
    assert f"Python {MINOR} on Linux" in dry
    assert f"numpy {NUMPY}" in dry
    assert "sent from here: edited_here, installed_here" in dry
    assert first == again == [0, 0, 1]
    assert "runs on the idle workers of session" in joined


@pytest.fixture
def no_environments(first, cloud, tmp_path):
    """The task role may not read ``envs/`` until a file is there."""
    iam, role = cloud.administrator.clients.of("iam"), cloud.tasks()[-1].role.rpartition("/")[2]
    bucket, _, root = cloud.stack.store.removeprefix("s3://").partition("/")
    rule = {"Effect": "Deny", "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{bucket}/{root}/envs/*"]}
    document = json.dumps({"Version": "2012-10-17", "Statement": [rule]})
    iam.put_role_policy(RoleName=role, PolicyName="no-envs", PolicyDocument=document)
    allowed, over = tmp_path / "allowed", threading.Event()

    def allow():
        while not allowed.exists() and not over.wait(0.05):
            pass
        iam.delete_role_policy(RoleName=role, PolicyName="no-envs")

    thread = threading.Thread(target=allow)
    thread.start()
    yield allowed
    over.set()
    thread.join()


WAIT = """
import json, sys, time
import burst_magic as burst

session = burst.map(len, ["a"], workers=1, launcher="fargate", env="sync")
end = time.monotonic() + 60
while not any("may not be read" in each for each in session.fleet.logs().values()) and time.monotonic() < end:
    time.sleep(0.1)
logs = session.fleet.logs()
open(sys.argv[1], "w").close()
results = list(session.results())
session.cleanup()
print(json.dumps([results, logs]))
"""


def test_a_worker_that_may_not_fetch_itself_yet_says_so_and_waits_for_its_role(kernel, no_environments):
    results, logs = kernel.run(WAIT, str(no_environments))
    assert results == [1]
    assert len(logs) == 1
    assert all("stage 0: s3://" in text and "HTTP 403" in text for text in logs.values())


PRIVATE = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from burst_magic.errors import BurstError

shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "burst_magic")
options = f"--launcher fargate --env sync --workers 1 --out out {' '.join(sys.argv[1:])} --map range(2)"
with capture_output() as shown:
    shell.run_cell_magic("burst", options, "import plain, quick\\nplain.x + quick.x + item")
    try:
        said = list(shell.user_ns["out"])
    except BurstError as error:
        said = str(error)
    shell.run_line_magic("burst_logs", "")
    shell.run_line_magic("burst_status", "")
print(json.dumps([said, shown.stdout + shown.stderr]))
"""
PASSWORD = "sesame-open-4711"


@pytest.fixture
def lab(kernel, serve):
    """A private index, from which the kernel has a pure package and a compiled one; how the kernel is told of it."""
    index = serve(PASSWORD)
    version = f"1.{index.server.server_port}"  # no pack of an earlier test will do
    index.wheel("plain", version=version)
    index.wheel("quick", tag=f"py3-none-manylinux_2_28_{platform.machine()}", version=version)
    kernel.install("--index", index.index.private, f"plain=={version}", f"quick=={version}")
    return {
        "UV_INDEX": f"lab={index.index.url}", "UV_INDEX_LAB_USERNAME": "me", "UV_INDEX_LAB_PASSWORD": PASSWORD,
    }  # fmt: skip


def kept_with(cloud, words):
    """Keys of the objects of the store in which some bytes can be read, packed or not."""
    s3 = cloud.administrator.clients.of("s3")
    bucket, _, root = cloud.stack.store.removeprefix("s3://").partition("/")
    found = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{root}/"):
        for each in page.get("Contents", ()):
            data = s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
            if words in data or (data[:2] == b"\x1f\x8b" and words in gzip.decompress(data)):
                found.append(each["Key"])
    return found


def logged(cloud):
    """All that containers have printed."""
    logs = cloud.administrator.clients.of("logs")
    groups = [each["logGroupName"] for each in logs.describe_log_groups()["logGroups"]]
    pages = [logs.get_paginator("filter_log_events").paginate(logGroupName=group) for group in groups]
    return "\n".join(event["message"] for each in pages for page in each for event in page["events"])


def test_packages_of_a_private_index_are_installed_and_its_password_is_where_the_user_has_sent_it_only(
    kernel, lab, cloud
):
    """The pure one is sent from here; the compiled one is installed there, with what ``--setenv`` has sent."""
    setenv = ("--setenv", "UV_INDEX_LAB_USERNAME", "--setenv", "UV_INDEX_LAB_PASSWORD")
    results, shown = kernel.run(PRIVATE, *setenv, **lab)
    assert results == [2, 3]
    assert PASSWORD not in shown
    assert {key.rpartition("/")[2] for key in kept_with(cloud, PASSWORD.encode())} <= {"manifest.json"}
    assert PASSWORD not in logged(cloud)


def test_packages_that_workers_cannot_install_end_the_job_with_the_reason(kernel, lab, cloud):
    """The password that workers get is another one by now; two of them have tried, and no more do."""
    before = len(cloud.tasks())
    stale = ("--setenv", "UV_INDEX_LAB_USERNAME", "--setenv", "UV_INDEX_LAB_PASSWORD=out-of-date")
    said, shown = kernel.run(PRIVATE, *stale, **lab, BURST_INTERVAL="0.5", BURST_FLOOR="0.05")
    assert "could not be installed" in said
    assert "%burst_scale 1 tries again" in said
    assert len(cloud.tasks()) - before == 2
    assert "out-of-date" not in said + shown
