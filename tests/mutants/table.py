"""The bugs: each a replacement of text that occurs exactly once in the package, and the tests that should catch it.

Those of the protocol, which the simulator catches, are in ``mutations.py``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug: ``old`` becomes ``new`` in whichever module holds it, and one of ``tests`` (below tests/) should fail."""

    name: str
    old: str
    new: str
    tests: str


MUTANTS = (
    # --- capture
    Mutant(
        "a name bound on one path only counts as the cell's own",
        "return FlowState(set.intersection(*(",
        "return FlowState(set.union(*(",
        "unit/capture/test_flow.py",
    ),
    Mutant(
        "a global that only a helper uses is not captured",
        "(other, name) for other in sorted(mentions.names - omit) if other in home and other not in skip",
        "(other, name) for other in sorted(mentions.names - omit) if other in home and other in skip",
        "unit/capture/test_globals.py unit/capture/test_travel.py",
    ),
    Mutant(
        "burst.map runs the notebook's function of the same name",
        "return name if namespace.get(name) is function else CALL_FUNCTION",
        "return name if name in namespace else CALL_FUNCTION",
        "unit/capture/test_travel.py",
    ),
    Mutant(
        "a value that only items refer to is not sent",
        "missing = {name for name in needs.names if name in capture.home and name not in capture.packed.sizes}",
        "missing: set[str] = set()",
        "unit/capture/test_needs.py",
    ),
    Mutant(
        "blank lines at the top shift the lines of an error",
        'return "\\n" * first + transform(source)',
        "return transform(source)",
        "unit/capture/test_lines.py",
    ),
    Mutant(
        "a module that only a local module imports is not sent",
        "queue.extend(sorted(_imports(files)))",
        "_imports(files)",
        "unit/capture/test_bundle.py",
    ),
    Mutant(
        "two captures of the same sources differ",
        "archive.writestr(zipfile.ZipInfo(name, _EPOCH), files[name].read_bytes())",
        "archive.write(files[name], name)",
        "unit/capture/test_bundle.py",
    ),
    Mutant(
        "a secret inside a container is not detected",
        "if depth < _DEPTH and not isinstance(part, (str, bytes)):",
        "if depth < 0:",
        "unit/capture/test_sensitive.py",
    ),
    # --- payload
    Mutant(
        "a generator in an item starts where the captured one does",
        "for key, generator in self._generators if id(generator) not in own]",
        "for key, generator in self._generators]",
        "unit/capture/test_chance.py unit/capture/test_identity.py contract/session/test_identity.py",
    ),
    Mutant(
        "bytes of another format are read as a payload",
        "if data[: len(_MAGIC)] != _MAGIC or len(data) < start:",
        "if len(data) < start:",
        "unit/test_payload.py",
    ),
    Mutant(
        "the cause of an exception is lost",
        '    _set_links(made, state.get("links", {}))\n',
        "",
        "unit/payload/test_exceptions.py",
    ),
    Mutant(
        "an item that is part of a captured value arrives as a copy",
        "known = self._numbers[id(obj)] = len(self._needs.parts)\n            self._needs.parts.append(obj)\n",
        "pass\n",
        "unit/capture/test_identity.py",
    ),
    # --- plan
    Mutant(
        "a job whose estimate exceeds the budget starts",
        "estimate.total <= budget:",
        "estimate.hourly <= budget:",
        "unit/plan/test_planner.py",
    ),
    Mutant(
        "more workers start than there are tasks",
        "max(1, min(asked.workers, ceil(tasks / asked.slots)))",
        "asked.workers",
        "unit/plan/test_planner.py",
    ),
    Mutant(
        "each task uses threads for all cores",
        "cores // max(1, lanes)",
        "cores // max(1, slots)",
        "unit/plan/test_planner.py",
    ),
    # --- stores
    Mutant(
        "an unfinished file is listed as an object",
        "if key > after and is_part(item.name) and (",
        "if key > after and (",
        "unit/stores/test_folder.py contract/test_stores.py",
    ),
    Mutant(
        "a listing repeats the key that it starts after",
        "if key > after:",
        "if key >= after:",
        "contract/test_stores.py",
    ),
    Mutant(
        "another process's object counts as the one written",
        "return self.fetch(key) == data",
        'return self.fetch(key) != b""',
        "unit/stores/test_store_driver.py",
    ),
    Mutant(
        "foreign files end a listing",
        "if found or limit is None or len(listed) < limit:",
        "if True:",
        "unit/stores/test_store_driver.py",
    ),
    Mutant(
        "a refused claim counts as won",
        "except Exists:\n            return fx.Wrote.REFUSED",
        "except Exists:\n            return fx.Wrote.DONE",
        "unit/worker/supply/test_courier.py",
    ),
    # --- magics
    Mutant(
        "an option may be given twice",
        '        raise OptionError(f"{option.name}: given twice")\n',
        "        del values[key]\n",
        "unit/magics/test_grammar.py",
    ),
    Mutant(
        "a cell that joins a session raises its budget",
        "for key in config.OF_THE_SESSION if key in given",
        "for key in () if key in given",
        "unit/magics/test_grammar.py",
    ),
    Mutant(
        "without a terminal, a deletion counts as confirmed",
        "    if answer is None:\n",
        '    answer = answer or "yes"\n    if not answer:\n',
        "unit/test_cli.py",
    ),
    # --- worker
    Mutant(
        "all tasks draw the same numbers",
        'self._origin, self._known, self._drawn = (seed, task), b"", 0',
        'self._origin, self._known, self._drawn = (seed, 0), b"", 0',
        "contract/worker/test_execute.py::test_ten_thousand_draws_are_ten_thousand",
    ),
    Mutant(
        "a task's random numbers depend on earlier tasks of its slot",
        'self._origin, self._known, self._drawn = (seed, task), b"", 0',
        'self._origin, self._known = (seed, task), b""',
        "contract/worker/test_execute.py::test_draws_depend_on_seed_and_task_alone",
    ),
    Mutant(
        "a task sees an earlier task's change of a captured value",
        "or self._look() != self._digest",
        "or False",
        "contract/worker/test_execute.py::test_what_a_task_does_to_captured_values_no_other_sees",
    ),
    Mutant(
        "a task sees an earlier task's change of a large array",
        "or any(map(_written, self._spans))",
        "or False",
        "contract/worker/test_execute.py::test_big_arrays_that_a_slot_loads_once_are_fresh_too",
    ),
    Mutant(
        "an environment variable set by a task stays set",
        "        for name in set(self.raw) - set(self._environment):\n            del os.environb[name]\n",
        "",
        "contract/worker/test_execute.py::test_what_a_task_changes_around_it_is_put_back",
    ),
    Mutant(
        "a task that changed its environment is shown modules imported before",
        "if not right or not (ours or self._is_clean()):",
        "if not right:",
        "contract/worker/test_preparation.py::test_a_task_that_imports_a_module_in_changed_surroundings_imports_it_itself",
    ),
    Mutant(
        "a job finds modules imported with another job's environment",
        "return not self.ordered or (self.ground.job == ground.job and",
        "return not self.ordered or (",
        "contract/worker/test_preparation.py::test_a_job_on_other_ground_gets_a_process_that_imported_nothing",
    ),
    Mutant(
        "a job waits until all is imported in advance",
        "return words[Word.SENT] <= handled",
        "return True",
        "contract/worker/test_preparation.py::test_a_job_like_the_last_one_waits_for_the_module_that_is_being_imported_only",
    ),
    Mutant(
        "one retry too few",
        "attempt <= program.job.retries",
        "attempt < program.job.retries",
        "contract/worker/test_slot.py::test_retries_end",
    ),
    Mutant(
        "a task is skipped when a runner is replaced",
        "        while self.task < task:\n            self.next()",
        "        while self.task <= task:\n            self.next()",
        "unit/worker/child/test_queue.py",
    ),
    Mutant(
        "items are reordered when a runner is replaced",
        "bytes(self.lengths[::-1])",
        "bytes(self.lengths)",
        "unit/worker/child/test_queue.py",
    ),
    Mutant(
        "a slot ignores the task at which it must stop",
        "run.end = min(run.end, code.task)",
        "run.end = max(run.end, code.task)",
        "contract/worker/test_slot.py::test_tasks_from_the_stop_on_are_not_started",
    ),
    Mutant(
        "a time limit kills the task after the slow one",
        "if words[Word.TURN] == turn and words[Word.TASK] and",
        "if words[Word.TASK] and",
        "contract/worker/test_supervision.py::test_an_order_to_end_a_task_that_is_over_is_not_carried_out",
    ),
    Mutant(
        "a crash is reported as an earlier task's timeout",
        "if turn == self._excess.turn and status == signal.SIGKILL:",
        "if self._excess.turn and status == signal.SIGKILL:",
        "contract/worker/test_supervision.py::test_a_crash_after_an_order_that_was_not_carried_out_is_a_crash",
    ),
    Mutant(
        "a death is blamed on a task whose outcome was received",
        "if running is not None and (self._jobs[running[1]].jid, running[2]) != self._last:",
        "if running is not None:",
        "contract/worker/test_slot.py::test_an_outcome_that_was_told_is_not_blamed_for_a_death_just_after_it",
    ),
    Mutant(
        "a crash is reported with the next task's item",
        "begin = head + sum(lengths[: task - self._first])",
        "begin = head + sum(lengths[: task - self._first + 1])",
        "unit/worker/slots/test_items.py",
    ),
    Mutant(
        "the end of long output is lost",
        "data[-TAIL_BYTES:]",
        "data[HEAD_BYTES:KEPT_BYTES]",
        "contract/worker/test_output.py::test_much_output_keeps_head_and_tail",
    ),
    Mutant(
        "a task's output is repeated with the next one's",
        "        os.ftruncate(self._file, 0)\n        self._shared",
        "        self._shared",
        "contract/worker/test_output.py::test_each_task_has_its_own_output",
    ),
    Mutant(
        "a value of --setenv appears in tracebacks",
        "traceback=self.text(outcome.traceback),",
        "traceback=outcome.traceback,",
        "unit/worker/slots/test_mask.py",
    ),
    Mutant(
        "live output may begin within a value of --setenv",
        "limit + self._reach",
        "limit",
        "unit/worker/slots/test_mask.py",
    ),
    Mutant(
        "an unsigned payload runs",
        "return sign.unseal(self._secret, self._keys.payload, self._carrier",
        "return sign.peek(self._keys.payload, self._carrier",
        "unit/worker/supply/test_files.py",
    ),
    Mutant(
        "local sources run unverified",
        "if hashlib.sha256(data).hexdigest() != sha256:",
        "if not data:",
        "unit/worker/supply/test_files.py",
    ),
    # --- session
    Mutant(
        "an error names the next task",
        'head = f"task {outcome.task}"',
        'head = f"task {outcome.task + 1}"',
        "contract/session/test_identity.py::test_a_failed_task_tells_its_item",
    ),
    Mutant(
        "the last failure of a segment is not counted",
        "mine = islice(records, part[1] - part[0])",
        "mine = islice(records, part[1] - part[0] - 1)",
        "unit/session/test_segments.py",
    ),
    Mutant(
        "failures in superseded segments count",
        "FailureGroups().join(self._known[part] for part in parts)",
        "FailureGroups().join(self._known.values())",
        "unit/session/test_segments.py",
    ),
    Mutant(
        "attaching finds the first job instead of the latest",
        "return max(jobs, key=lambda job: job.created)",
        "return min(jobs, key=lambda job: job.created)",
        "contract/session/test_submit.py::test_a_second_job_runs_on_the_warm_workers",
    ),
    Mutant(
        "a manifest is accepted without its signature",
        "read_record(Manifest, store, session.manifest, secret)",
        "read_record(Manifest, store, session.manifest, None)",
        "contract/session/test_session.py::test_what_is_no_key_is_refused",
    ),
    Mutant(
        "a forced clean-up leaves the key",
        "    keyring.forget(settings.keys_dir, sid)\n",
        "",
        "contract/session/test_session.py::test_a_forced_clean_up_leaves_no_object_no_worker_no_key_and_no_line",
    ),
    Mutant(
        "other users of this machine can read a key",
        "flags | os.O_NONBLOCK, 0o600)",
        "flags | os.O_NONBLOCK, 0o644)",
        "contract/session/test_session.py::test_another_machine_attaches_with_the_key_and_keeps_it",
    ),
    Mutant(
        "a sweep deletes a value that has just been used again",
        "if found is not None and is_old(found, now):",
        "if found is not None:",
        "contract/session/test_sweep.py::test_a_value_that_is_used_again_during_a_sweep_stays",
    ),
    Mutant(
        "a value swept while its payload is written stays deleted",
        "        for key, view in self._kept.items():\n            self._make_young(key, view)\n",
        "        self._kept.clear()\n",
        "contract/session/test_sweep.py::test_a_value_that_grows_old_before_its_payload_and_is_swept_is_stored_again",
    ),
    # --- the container
    Mutant(
        "what a task left running outlives its container",
        "        code = self._code()\n        _end_family()\n",
        "        code = self._code()\n",
        "contract/session/test_watchdog.py::test_what_a_task_left_running_ends_with_its_container_though_all_that_adopts_it_was_killed",
    ),
    Mutant(
        "SIGTERM ends at the watchdog",
        "        elif self._status is None:\n            os.kill(self._worker, number)",
        "        elif self._status is None and number not in _ENDING:\n            os.kill(self._worker, number)",
        "contract/session/test_watchdog.py::test_a_task_that_takes_longer_than_the_engine_waits_is_given_up_and_the_rest_is_published",
    ),
    Mutant(
        "a worker that hangs outlives its deadline",
        "return min(self._stop_by, self._deadline + self._grace)",
        "return min(self._stop_by, self._deadline + self._grace + 600)",
        "contract/session/test_watchdog.py::test_a_worker_that_hangs_is_killed_when_the_deadline_and_its_grace_are_over",
    ),
    Mutant(
        "the watchdog does not hear of a later deadline",
        "            self._leash.announce(self._machine.deadline)\n",
        "",
        "contract/session/test_watchdog.py::test_a_later_deadline_is_heard",
    ),
    Mutant(
        "a worker outlives its watchdog",
        "    try:\n        prctl.die_with_parent()\n",
        "    try:\n",
        "contract/session/test_watchdog.py::test_a_worker_does_not_outlive_its_watchdog",
    ),
    Mutant(
        "a task can read its worker's environment",
        "_prctl(_PR_SET_DUMPABLE, 0)",
        "_prctl(_PR_SET_DUMPABLE, 1)",
        "unit/worker/test_prctl.py",
    ),
    Mutant(
        "an engine takes a worker that drained for one that has finished",
        "_CODES = {EndCause.TERM: ExitCode.DRAINED, ",
        "_CODES = {",
        "contract/session/test_watchdog.py::test_a_task_that_takes_longer_than_the_engine_waits_is_given_up_and_the_rest_is_published",
    ),
    Mutant(
        "a worker believes any key that it finds",
        "if sign.fingerprint(secret) != summons.fingerprint:",
        "if not secret:",
        "contract/session/test_watchdog.py::test_a_key_that_cannot_be_believed_ends_the_worker_at_once",
    ),
    # --- aws, launchers
    Mutant(
        "a start that is repeated is another task",
        '"clientToken": start.token,',
        '"clientToken": f"{start.token}{id(object())}",',
        "unit/launchers/test_ecs.py",
    ),
    Mutant(
        "a throttle is a lack of room, so on-demand workers start",
        '(request limit of the account)"\n            return Refusal(token=start.token, problem=problem, context=said, again=Again.LATER)',
        '(request limit of the account)"\n            return Refusal(token=start.token, problem=problem, context=said, again=Again.NO_ROOM)',
        "unit/launchers/test_ecs.py",
    ),
    Mutant(
        "a missing image is a reason for the fallback",
        "not by_fallback and cause is EndCause.REFUSED",
        "not by_fallback",
        "unit/protocol/client/test_session.py",
    ),
    Mutant(
        "a fleet that can never start is tried and paid for again and again",
        "return len(self._crew.failed_in_a_row()) >= _IN_VAIN",
        "return False",
        "unit/protocol/client/test_session.py",
    ),
    Mutant(
        "a worker that installed in vain counts as a sign of life",
        "for wid, (at, _) in self.log.beats.items() if wid not in failed)",
        "for wid, (at, _) in self.log.beats.items())",
        "unit/protocol/client/test_session.py",
    ),
    Mutant(
        "each of a hundred throttled starts waits its whole patience",
        "elif answer.again is not Again.NO_ROOM:  # each may find room of its own",
        "elif answer.again is Again.NEVER:",
        "unit/launchers/test_ecs.py",
    ),
    Mutant(
        "a worker is billed from its start, not from its image pull",
        'billed_from=_seconds(task.get("pullStartedAt")),',
        'billed_from=_seconds(task.get("startedAt")),',
        "unit/launchers/test_ecs.py",
    ),
    Mutant(
        "the session's key is in the request",
        "fingerprint=sign.fingerprint(bytes.fromhex(start.secret)),\n        launcher=launcher,",
        "fingerprint=start.secret,\n        launcher=launcher,",
        "unit/launchers/test_ecs.py",
    ),
    Mutant(
        "a session takes another session's tasks for its own",
        "arns = ecs.list_tasks(place.cluster, started_by=sid, stopped=stopped)",
        "arns = ecs.list_tasks(place.cluster, stopped=stopped)",
        "unit/launchers/test_ecs.py",
    ),
    Mutant(
        "the first page of a log is read again and again",
        'asked["nextToken"] = answer["nextToken"]',
        'asked["limit"] = _MOST',
        "unit/launchers/test_ecs.py",
    ),
    Mutant(
        "a Spot interruption is blamed on the task that ran",
        "if outside is not None:\n        return outside, words or code",
        "if outside is not None and exit_code is None:\n        return outside, words or code",
        "unit/launchers/test_ecs.py",
    ),
    Mutant(
        "a copy of the task definition claims tags that only AWS may set",
        'if not tag.get("key", "").lower().startswith(_RESERVED)',
        "if tag",
        "unit/launchers/test_ecs.py",
    ),
    Mutant(
        "AWS is asked in a region that nobody has named",
        "if not self.region and not _other_server(made.meta.endpoint_url):",
        "if False:",
        "contract/aws/test_credentials.py",
    ),
    Mutant(
        "expired credentials are not read anew",
        "            if not is_expired(denied):\n                raise",
        "            if denied:\n                raise",
        "unit/aws/test_patience.py",
    ),
    Mutant(
        "a token bucket forgets its size",
        "return max(0.0, full_at - now - self._rate.burst / self._rate.per_second)",
        "return 0.0",
        "unit/aws/test_rates.py",
    ),
    # --- plan
    Mutant(
        "a private worker pays for a public address",
        'return 0 if options.get("public_ip", "true").lower() == "false" else',
        "return",
        "unit/plan/test_cost.py",
    ),
    Mutant(
        "an estimate on Spot counts on its discount",
        "dearest = max(each or 0 for each in rates.most)",
        "dearest = max(each or 0 for each in rates.usual)",
        "unit/plan/test_planner.py",
    ),
    # --- environments
    Mutant(
        "stage 0 unpacks whatever the store holds",
        'raise Stage0Error(UNSUPPLIED, f"{url}: its bytes are not those that the launcher has named")',
        "return",
        "contract/worker/test_stage0.py::test_bytes_that_the_launcher_has_not_named_are_not_unpacked",
    ),
    Mutant(
        "a pack is unpacked whatever its bytes are",
        'says; it was not used", sha256)\n                return False',
        'says; it was not used", sha256)',
        "contract/worker/test_install.py::test_a_pack_that_cannot_be_believed_or_had_is_installed_again",
    ),
    Mutant(
        "an index with a password is open to workers",
        "is_open=found.is_on_the_network and (given or not secret)",
        "is_open=found.is_on_the_network",
        "unit/environment/test_indexes.py",
    ),
    Mutant(
        "what a cell needs and workers cannot have is left out",
        "refused = [why for name, why in resolved[2] if name in needed]",
        "refused: list[str] = []",
        "unit/environment/test_lock.py",
    ),
    Mutant(
        "workers get what only the notebook needs",
        "notebook = {name for name in self.roots if _NOTEBOOK.match(name)}",
        "notebook: set[str] = set()",
        "unit/environment/test_installed.py",
    ),
)
